"""What ``./quickstart`` runs: a newcomer's first half minute with Landbridge.

It drives the installed programs as a person would and imports nothing of theirs, so that it
breaks when what they promise on the command line breaks. Read ``journey`` first.
"""
