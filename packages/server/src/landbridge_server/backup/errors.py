"""Why a backup cannot be made or used."""

from __future__ import annotations


class BackupError(Exception):
    """A backup cannot be made or used; the text says why and what to do next."""


class Damaged(BackupError):
    """The file is no backup of Landbridge, or is not whole."""
