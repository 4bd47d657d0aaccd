"""Marks everything here: it needs the environments of the SDKs."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark, and give it the time that a whole suite takes."""
    for item in items:
        if "tests/sdk/" in item.path.as_posix():
            item.add_marker(pytest.mark.sdk)
            item.add_marker(pytest.mark.timeout(400))
