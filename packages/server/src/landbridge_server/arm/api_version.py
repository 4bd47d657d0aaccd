"""The api-version parameter: required, and a date with an optional stage.

Any well-formed version of a known type is served, in the newest shape: clients ask for
versions older and newer than any list, and ignore members that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from landbridge_wire.errors import ArmError

_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})(-(preview|alpha|beta|rc|privatepreview))?", re.IGNORECASE | re.ASCII)


def well_formed(text: str) -> bool:
    """Say whether this is ``YYYY-MM-DD`` with an optional stage such as ``-preview``."""
    match = _FORM.fullmatch(text)
    if match is None:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def check(unverified_version: str, supported: Sequence[str]) -> None:
    """Return if the version can be served; ``supported`` is only for the text of a refusal.

    Raises:
        ArmError: MissingApiVersionParameter or InvalidApiVersionParameter.
    """
    if not unverified_version:
        raise ArmError(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not well_formed(unverified_version):
        raise ArmError(
            "InvalidApiVersionParameter",
            f"The api-version '{unverified_version[:100]}' is invalid. "
            f"The supported versions are '{','.join(supported)}'.",
        )
