"""What the pages about signing in show is what the tests found, and all of it is there."""

from __future__ import annotations

import re

from tests.e2e import sign_in_matrix
from tests.e2e.parts import sign_in_table

DOCS = sign_in_matrix.CLONE / "docs"
PICTURES = DOCS / "sign-in"


def test_the_table_has_every_way_and_each_cell_passed_or_names_a_limit_of_az() -> None:
    cells = {}
    columns = [(style, version) for style in sign_in_table.STYLES for version in sign_in_table.VERSIONS]
    rows = [line.strip("| ").split(" | ") for line in sign_in_matrix.shown().splitlines()[2:]]
    assert [row[0] for row in rows] == list(sign_in_table.WAYS.values())
    for way, row in zip(sign_in_table.WAYS, rows, strict=True):
        for (style, version), said in zip(columns, row[1:], strict=True):
            cells[style, version, way] = said
    assert sign_in_table.complete(cells)
    assert sign_in_matrix.shown() == sign_in_table.markdown(cells)


def test_a_cell_that_did_not_pass_keeps_the_table_from_being_complete() -> None:
    every = [
        (style, version, way)
        for style in sign_in_table.STYLES
        for version in sign_in_table.VERSIONS
        for way in sign_in_table.WAYS
    ]
    passed = dict.fromkeys(every, sign_in_table.PASSED)
    assert sign_in_table.complete(passed)
    assert not sign_in_table.complete({**passed, every[0]: sign_in_table.FAILED})
    assert not sign_in_table.complete({cell: said for cell, said in passed.items() if cell != every[0]})


def test_every_page_that_is_examined_has_its_pictures_and_its_place_in_the_log() -> None:
    source = (sign_in_matrix.CLONE / "tests/e2e/test_pages_in_chromium.py").read_text()
    names = set(re.findall(r'examined\.page\("([\w-]+)"', source))
    assert len(names) >= 14
    log = (PICTURES / "requests.txt").read_text()
    assert {path.name for path in PICTURES.glob("*.png")} == {
        f"{name}-{scheme}.png" for name in names for scheme in ("light", "dark")
    }
    assert names <= set(re.findall(r"^([\w-]+):$", log, re.MULTILINE))


def test_the_log_names_no_foreign_host() -> None:
    hosts = re.findall(r"\w+ \w+://([^/\s]*)", (PICTURES / "requests.txt").read_text())
    assert len(hosts) > 20
    assert set(hosts) == {"THE-CLOUD", "THE-PROGRAM"}
