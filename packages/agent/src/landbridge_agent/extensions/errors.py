"""How extensions fail: one exception, whose code and text go to the cloud as they are."""

from __future__ import annotations

HCRP400 = "HCRP400"
"""The code of every failed operation of an extension, as in the original; the text says which."""


class ExtensionFailed(Exception):
    """An operation of an extension did not do what it was to do; the text says what and why."""

    def __init__(self, message: str, code: str = HCRP400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
