"""Packages: what may be used, and every way in which one may not."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
import stat
import threading
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from landbridge_agent.guest import builtin, configuration, packages
from landbridge_agent.guest.configuration import BadConfiguration
from landbridge_agent.guest.download import NotDownloaded, downloader
from landbridge_agent.guest.resources import KNOWN
from landbridge_agent.guest.resources.resource import read
from landbridge_agent.guest.system import System
from landbridge_agent.proxies import NO_PROXY, Proxy


@pytest.fixture
def motd(make_package, make_resource):
    return make_package("motd", make_resource("nxFile", "motd", DestinationPath="/etc/motd", Contents="x"))


@pytest.fixture
def find(tmp_path):
    """Find the package of an assignment."""

    def found(wanted, tags=None, sets=True, proxy=NO_PROXY):
        download = downloader(proxy, ssl.create_default_context())
        return packages.find(wanted, tags or {}, tmp_path / "kept", download, sets=sets)

    return found


def refused(find, *words, **more):
    with pytest.raises(BadConfiguration) as caught:
        find(*words, **more)
    return caught.value.code, str(caught.value)


def test_a_package_is_fetched_once_and_serves_while_its_server_is_away(find, shop, motd, tmp_path):
    wanted = shop.sell("motd", motd)
    found = find(wanted)
    assert (found.version, found.minutes, found.may_set) == ("1.0.0.0", 15, True)
    assert [one.id for one in found.declared] == ["[nxFile]motd"]
    shop.files.clear()
    assert find(wanted) == found
    assert shop.asked == ["/motd.zip"]
    assert all(not path.stat().st_mode & 0o077 for path in (tmp_path / "kept").rglob("*"))


def test_another_version_takes_the_place_of_the_old_one(
    find, shop, motd, make_package, make_resource, tmp_path
):
    find(shop.sell("motd", motd))
    newer = make_package(
        "motd",
        make_resource("nxFile", "other", DestinationPath="/a"),
        meta={"Type": "Audit", "Version": "2.0", "configurationModeFrequencyMins": 60},
    )
    found = find(shop.sell("motd", newer))
    assert (found.version, found.minutes, found.may_set) == ("2.0", 60, False)
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_package_whose_hash_is_another_or_not_given_is_not_used(find, shop, motd, tmp_path):
    wanted = shop.sell("motd", motd)
    code, text = refused(find, {**wanted, "contentHash": "0" * 64})
    assert code == "Hash" and hashlib.sha256(motd).hexdigest() in text
    code, text = refused(find, {**wanted, "contentHash": None})
    assert code == "Package" and "none without it is used" in text
    assert not list((tmp_path / "kept").glob("*"))


def test_it_comes_by_no_managed_identity_and_no_other_way_than_http(find, shop, motd):
    wanted = shop.sell("motd", motd)
    assert (
        "contentManagedIdentity is not supported"
        in refused(find, {**wanted, "contentManagedIdentity": "x"})[1]
    )
    for uri in ("file:///etc/passwd", "ftp://x/y", "http://", "https://[::1"):
        assert refused(find, {**wanted, "contentUri": uri})[0] == "Download"
    assert "404" in refused(find, {**wanted, "contentUri": f"{shop.url}/none?sig=secret"})[1]


def test_what_cannot_be_reached_says_why_and_not_the_secret_of_its_url(find, shop, motd):
    wanted = shop.sell("motd", motd)
    shop.close()
    code, text = refused(find, {**wanted, "contentUri": wanted["contentUri"] + "?sig=secret"})
    assert code == "Download" and "refused" in text and "secret" not in text


@pytest.mark.parametrize(
    ("allowed", "fits"),
    [
        ("{url}", True),
        ("https://other.example; {url}/", True),
        ("{url}/motd.zip", True),
        ("{url}/mot", False),
        ("https://other.example", False),
        ("", False),
    ],
)
def test_the_tag_restricts_where_packages_come_from(find, shop, motd, allowed, fits):
    tags = {"AllowedGuestConfigPkgUrls": allowed.format(url=shop.url)}
    if fits:
        assert find(shop.sell("motd", motd), tags)
    else:
        assert refused(find, shop.sell("motd", motd), tags)[0] == "Denied"
        assert shop.asked == []


def test_the_tag_lets_no_package_change_anything_but_audit(find, shop, motd):
    tags = {"customguestconfigurationsetpolicy": "Disable"}
    assert refused(find, shop.sell("motd", motd), tags)[0] == "Denied"
    assert find(shop.sell("motd", motd), tags, sets=False)
    assert find({"name": "PasswordPolicy"}, tags)  # the agent's own is no custom one


# -- archives ------------------------------------------------------------------------------------


def archive(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in members:
            with warnings.catch_warnings(action="ignore"):  # of a name that is there twice
                found.writestr(name, content)
    return packed.getvalue()


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no zip", "not a zip"),
        (archive(("../out", b"x")), "leads out of it: '../out'"),
        (archive(("/etc/out", b"x")), "leads out of it"),
        (archive(("a/..\\..\\out", b"x")), "leads out of it"),
        (archive(("c:/out", b"x")), "leads out of it"),
        (archive((link("to"), b"/etc/passwd")), "a link or a device"),
        (archive(("zeros", b"\0" * (packages.MAX_BYTES + 1))), "more than 100 MB"),
        (archive(*((f"f{number}", b"") for number in range(packages.MAX_MEMBERS + 1))), "more than 10000"),
        (archive(("other.mof", b"")), "no motd.metaconfig.json"),
        (archive(("motd.metaconfig.json", b"[]")), "not a JSON object"),
        (archive(("motd.metaconfig.json", b"{}")), "no motd.mof, motd.json or motd.yaml"),
        (archive(("motd.metaconfig.json", b"{}"), ("motd.mof", b"instance of x\n {")), "line 2, column 3"),
        (archive(("motd.metaconfig.json", b"{}"), ("motd.json", b"{")), "JSON document cannot be read"),
        (archive(("motd.metaconfig.json", b"{}"), ("motd.mof", b"instance of x {};")), "has no ResourceID"),
        (archive(("a", b"1"), ("a", b"2")), "cannot be unpacked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_archive_that_is_bad_is_refused_and_leaves_nothing(find, shop, content, reason, tmp_path):
    assert reason in refused(find, shop.sell("motd", content))[1]
    assert not (tmp_path / "out").exists() and not (tmp_path / "kept/out").exists()
    assert not [path for path in (tmp_path / "kept").glob(".*")]


def test_an_archive_that_lies_about_its_sizes_is_counted(find, shop, monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "MAX_BYTES", 100_000)
    honest = archive(("zeros", b"\0" * 90_000))
    twice = archive(("zeros", b"\0" * 90_000), ("more", b"\0" * 90_000))
    assert "no motd.metaconfig.json" in refused(find, shop.sell("motd", honest))[1]
    lying = bytearray(twice)
    at = lying.rfind(b"PK\x01\x02")
    lying[at + 24 : at + 28] = (10).to_bytes(4, "little")
    assert refused(find, shop.sell("motd", bytes(lying)))[0] == "Package"
    assert "more than" in refused(find, shop.sell("motd", twice))[1]


def test_more_than_may_come_is_not_downloaded(shop, tmp_path):
    shop.files["/much"] = b"x" * 2000
    with pytest.raises(NotDownloaded, match="larger than"):
        downloader(NO_PROXY, ssl.create_default_context())(f"{shop.url}/much", tmp_path / "to", 1000)


def test_it_goes_through_the_proxy_with_its_password(tmp_path):
    asked = []

    class Seen(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Proxy-Authorization")))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Seen)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        proxy = Proxy(f"http://me:pw@127.0.0.1:{server.server_address[1]}", ())
        downloader(proxy, ssl.create_default_context())("http://far.example/p.zip", tmp_path / "to", 10)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert asked == [("http://far.example/p.zip", "Basic bWU6cHc=")]
    assert (tmp_path / "to").read_bytes() == b"ok"


# -- documents -----------------------------------------------------------------------------------

ROWS = [
    {"type": "nxFile", "id": "b", "properties": {"DestinationPath": "/b"}, "dependsOn": ["[nxFile]a"]},
    {"type": "nxFile", "id": "[nxFile]a", "properties": {"DestinationPath": "/a", "Contents": "old"}},
]


def test_json_and_yaml_say_the_same_and_what_is_needed_comes_first():
    document = {"resources": ROWS}
    found = configuration.from_json(json.dumps(document).encode())
    assert [one.id for one in found] == ["[nxFile]a", "[nxFile]b"]
    assert configuration.from_yaml(json.dumps(document).encode()) == found


def test_parameters_replace_and_add_properties_in_any_case():
    declared = configuration.from_json(json.dumps({"resources": ROWS}).encode())
    given = [{"name": "[nxfile]A;contents", "value": "new"}, {"name": "[nxFile]b;Mode", "value": "0600"}]
    first, second = configuration.with_parameters(declared, given)
    assert first.values["Contents"] == "new" and second.values["Mode"] == "0600"
    assert declared[0].values["Contents"] == "old"
    for name in ("[nxFile]none;Mode", "nothing", "[nxFile]a;"):
        with pytest.raises(BadConfiguration, match="is not") as caught:
            configuration.with_parameters(declared, [{"name": name, "value": "a-secret"}])
        assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "a list 'resources'"),
        ({"resources": []}, "1 to 500 resources"),
        ({"resources": [{"type": "x"}]}, "needs a 'type' and an 'id'"),
        ({"resources": [{"type": "x", "id": "y", "properties": []}]}, "must be an object"),
        ({"resources": [{"type": "x", "id": "y"}] * 2}, "declared twice"),
        ({"resources": [{"type": "x", "id": "y", "dependsOn": ["[x]z"]}]}, "which is not declared"),
        ({"resources": [{"type": "x", "id": "y", "dependsOn": ["[x]y"]}]}, "depends on itself"),
    ],
)
def test_a_document_that_cannot_be_is_refused(document, reason):
    with pytest.raises(BadConfiguration, match=reason.replace("[", r"\[")):
        configuration.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("name", builtin.NAMES)
def test_what_is_built_in_has_resources_that_are_known(name, tmp_path):
    found = builtin.load(name.upper())
    assert found.version == "1.0.0.0"
    for one in found.declared:
        kind = KNOWN[one.type.lower()]
        assert kind(read(kind, one.values), System(tmp_path, relocated=True))
