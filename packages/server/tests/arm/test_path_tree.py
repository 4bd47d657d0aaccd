"""Path patterns as a tree."""

from __future__ import annotations

import pytest

from landbridge_server.arm.path_tree import PathTree

TREE = PathTree(
    {
        "subscriptions": "all",
        "subscriptions/{subscription}": "one",
        "subscriptions/{subscription}/providers": "providers",
        "subscriptions/{subscription}/providers/{namespace}": "provider",
        "subscriptions/{subscription}/providers/microsoft.features/features": "features",
        "subscriptions/{subscription}/{kind}/{name}/end": "end",
    }
)


@pytest.mark.parametrize(
    ("path", "row", "names"),
    [
        ("subscriptions", "all", {}),
        ("Subscriptions/S1", "one", {"subscription": "S1"}),
        ("subscriptions/s/PROVIDERS", "providers", {"subscription": "s"}),
        ("subscriptions/s/providers/N", "provider", {"subscription": "s", "namespace": "N"}),
        ("subscriptions/s/providers/Microsoft.Features/features", "features", {"subscription": "s"}),
        # A word that leads nowhere does not keep a name from being tried.
        ("subscriptions/s/providers/x/end", "end", {"subscription": "s", "kind": "providers", "name": "x"}),
    ],
)
def test_finds_the_row_in_any_casing_and_keeps_the_casing_of_names(path, row, names):
    assert TREE.find(path.split("/")) == (row, names)


@pytest.mark.parametrize("path", ["", "providers", "subscriptions/s/providers/n/more", "subscriptions/s/x"])
def test_finds_nothing_else(path):
    assert TREE.find([part for part in path.split("/") if part]) is None
