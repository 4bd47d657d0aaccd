"""The directory's own API: the part of Microsoft Graph v1.0 that az and the SDKs use.

Start at ``table.py``: which request is answered by what. Who may do what stands in
``permissions.py`` and ``strength.py``.
"""
