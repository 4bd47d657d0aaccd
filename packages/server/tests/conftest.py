from __future__ import annotations

import pytest

from landbridge_server.testing import ControlPlane


@pytest.fixture
async def cloud(tmp_path):
    """A control plane in process, with a clock that stands still."""
    async with ControlPlane(tmp_path / "cloud") as plane:
        yield plane
