"""``docs/how-to/use-az.md`` does what it shows, with the real ``az`` (issue 5, section 7.2).

The control planes listen at port 443 of loopback addresses under the names of Azure Stack's page:
AAD-style password sign-in asks port 443 of the login host whatever the authority's port is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from own_az import OwnAz
from own_names import NamedCloud, unavailable
from page_blocks import Block, read, section, shows
from running import CLONE, short_folder
from signing_in import enter_code, make_pem

pytestmark = [
    pytest.mark.az,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-"),
]

PAGE = CLONE / "docs/how-to/use-az.md"
STYLES = {"aad": ("127.0.0.91", "Linux (AAD-style)"), "adfs": ("127.0.0.92", "Linux (AD FS-style)")}
AUDIENCE = "https://management.adfs.azurestack.local/landbridge"


@pytest.fixture(scope="module", params=list(STYLES))
def style(request: pytest.FixtureRequest) -> str:
    """AAD or AD FS."""
    return str(request.param)


@pytest.fixture(scope="module")
def named(style: str) -> Iterator[NamedCloud]:
    """The cloud of the page, in that style."""
    folder = short_folder()
    more = ("--identity-provider", style, "--audience", AUDIENCE)
    cloud = NamedCloud(folder, STYLES[style][0], "local.azurestack.external", *more)
    try:
        pem = make_pem(folder)
        cloud.plane.landbridge("sp", "add-certificate", "admin", "--certificate", str(pem))
        yield cloud
    finally:
        cloud.plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(params=["2.66", pytest.param("2.91", marks=pytest.mark.soak)])
def az(request: pytest.FixtureRequest, named: NamedCloud) -> Iterator[OwnAz]:
    """An ``az`` that trusts nobody of ours yet."""
    folder = short_folder()
    yield OwnAz(str(request.param), folder, named.plane.admin.ca_file, named.inside)
    shutil.rmtree(folder)


def variables(named: NamedCloud) -> dict[str, str]:
    """Return what the page calls yours."""
    admin = named.plane.admin
    return {
        "DATA": str(named.plane.data),
        "TENANT": admin.tenant,
        "APP_ID": admin.client_id,
        "SECRET": admin.client_secret,
        "USER_NAME": admin.user_name,
        "PASSWORD": named.plane.password,
    }


def paste(az: OwnAz, named: NamedCloud, block: Block, folder: Path) -> None:
    """Do what a reader does with one block, the person at the page for codes included."""
    if "--use-device-code" in block.text:
        return enter_code(az.start_script(block.text, folder, **variables(named)), named)
    done = az.script(block.text, folder, **variables(named))
    assert done.returncode == 0, f"{block.text}\n{done.stdout}{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    if block.expected is not None:
        assert shows(block.expected, json.loads(done.stdout)), done.stdout
    return None


def test_what_the_page_shows_works(az: OwnAz, named: NamedCloud, style: str, tmp_path: Path) -> None:
    shutil.copy(named.folder / "spn.pem", tmp_path)
    blocks: list[Block] = []
    for heading in ("Prepare", STYLES[style][1]):
        found, files = read(section(PAGE, heading), az.version)
        blocks += found
        for name, text in files.items():
            (tmp_path / name).write_text(text)
    assert len(blocks) > 10
    for block in blocks:
        paste(az, named, block, tmp_path)
    cloud = az("cloud", "show")
    assert cloud["name"] == ("AzureStackUser" if style == "aad" else "Explicit")
    assert cloud["profile"] == ("2018-03-01-hybrid" if az.version == "2.66" else "latest")
    az("group", "delete", "-n", "MyResourceGroup", "-y")
