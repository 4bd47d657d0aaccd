"""Backups of a whole cloud in one file, made while it runs, and how a cloud comes back from one.

``archive`` is the file, ``encryption`` its seal, ``making`` and ``restoring`` the two ways.
"""
