"""``landbridge ca``: a root takes the place of another while clients of both go on."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from landbridge_server.ca import rotation
from landbridge_server.ca.authority import CaError, CertificateAuthority, root_key_file
from landbridge_server.cli.main import main
from landbridge_server.config import Address
from landbridge_server.testing import ControlPlane


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def rotate(cloud: ControlPlane, step: str, *more: str) -> int:
    return main(["ca", "rotate", f"--{step}", "--data", str(cloud.config.data), *more])


def roots(cloud: ControlPlane) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((cloud.config.data / "ca/root.pem").read_bytes())


def status(cloud: ControlPlane, capsys) -> list[dict[str, str]]:
    capsys.readouterr()
    assert main(["ca", "status", "--data", str(cloud.config.data), "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
async def cloud(tmp_path):
    async with ControlPlane(tmp_path / "cloud") as opened:
        yield opened


@pytest.fixture
async def served(tmp_path):
    listen = Address("127.0.0.1", free_port())
    async with ControlPlane(tmp_path / "cloud", clock=time.time, listen=listen) as opened, opened.serving():
        yield opened


async def reaches(cloud: ControlPlane, trusted: x509.Certificate) -> bool:
    """Say whether Python's and openssl's clients, which trust this root alone, accept the server."""
    pem = trusted.public_bytes(serialization.Encoding.PEM).decode()
    port = cloud.config.listen.port
    try:
        context = ssl.create_default_context(cadata=pem)
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        writer.close()
        python = True
    except ssl.SSLCertVerificationError:
        python = False
    file = cloud.config.data.parent / "trusted.pem"
    file.write_text(pem)
    words = [
        "-brief",
        "-verify_return_error",
        "-x509_strict",
        "-no-CApath",
        "-no-CAstore",
        "-CAfile",
        str(file),
    ]
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"localhost:{port}", *words,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert (await process.wait() == 0) is python
    return python


async def test_clients_of_either_root_go_on_from_activation_to_the_end(served):
    old = roots(served)[0]
    assert rotate(served, "prepare") == 0
    await served.plane.settle()
    assert roots(served)[0] == old
    new = roots(served)[1]
    assert (await reaches(served, old), await reaches(served, new)) == (True, False)
    assert rotate(served, "activate") == 0
    await served.plane.settle()
    assert roots(served) == [new, old]
    assert (await reaches(served, old), await reaches(served, new)) == (True, True)
    assert rotate(served, "finish") == 0
    await served.plane.settle()
    assert roots(served) == [new]
    assert (await reaches(served, old), await reaches(served, new)) == (False, True)


async def test_an_open_connection_stays_through_a_rotation(served):
    context = served.trusting()
    reader, writer = await asyncio.open_connection("localhost", served.config.listen.port, ssl=context)
    for step in ("prepare", "activate", "finish"):
        assert rotate(served, step) == 0
        await served.plane.settle()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(len(b'{"status":"Healthy"}'))
    writer.close()


async def test_everything_that_hands_out_roots_gives_both(cloud, capsysbinary):
    rotate(cloud, "prepare")
    await cloud.plane.settle()
    current, coming = roots(cloud)
    pems = [one.public_bytes(serialization.Encoding.PEM).decode() for one in (current, coming)]
    assert (await cloud.client.get("/ca.pem")).text == "".join(pems)
    ders = [(await cloud.client.get(path)).content for path in ("/ca.cer", "/ca-other.cer")]
    assert [x509.load_der_x509_certificate(one) for one in ders] == [current, coming]
    page = (await cloud.client.get("/trust")).text
    assert all(one.fingerprint(hashes.SHA256()).hex(":").upper() in page for one in (current, coming))
    assert cloud.plane.portal.install_text is None or all(
        pem in cloud.plane.portal.install_text for pem in pems
    )
    capsysbinary.readouterr()
    assert main(["ca", "export", "--data", str(cloud.config.data)]) == 0
    assert capsysbinary.readouterr().out.decode() == "".join(pems)
    assert main(["ca", "export", "--format", "der", "--root", "other", "--data", str(cloud.config.data)]) == 0
    assert x509.load_der_x509_certificate(capsysbinary.readouterr().out) == coming


async def test_without_a_rotation_there_is_no_other_root(cloud):
    assert (await cloud.client.get("/ca-other.cer")).status_code == 404
    assert main(["ca", "export", "--root", "other", "--data", str(cloud.config.data)]) == 1


async def test_status_shows_states_and_fingerprints(cloud, capsys):
    assert [(row["kind"], row["state"]) for row in status(cloud, capsys)] == [
        ("root", "current"), ("issuing", "current"), ("server", ""),
    ]  # fmt: skip
    rotate(cloud, "prepare")
    rows = status(cloud, capsys)
    assert [(row["label"], row["state"]) for row in rows if row["kind"] == "root"] == [
        ("Landbridge Root CA", "current"),
        ("Landbridge Root CA G2", "next"),
    ]
    assert rows[0]["sha256"] == roots(cloud)[0].fingerprint(hashes.SHA256()).hex(":").upper()
    rotate(cloud, "activate")
    assert [row["state"] for row in status(cloud, capsys) if row["kind"] == "root"] == ["current", "old"]


@pytest.mark.parametrize(
    ("before", "step", "said"),
    [
        ([], "activate", "No next root is prepared"),
        ([], "finish", "There is no old root"),
        (["prepare"], "prepare", "prepared already"),
        (["prepare"], "finish", "There is no old root"),
        (["prepare", "activate"], "prepare", "not finished"),
        (["prepare", "activate"], "activate", "No next root is prepared"),
    ],
)
async def test_a_step_out_of_turn_is_refused_and_changes_nothing(cloud, capsys, before, step, said):
    for one in before:
        assert rotate(cloud, one) == 0
    held = cloud.plane.db.read(rotation.text)
    assert rotate(cloud, step) == 1
    assert said in capsys.readouterr().err
    assert cloud.plane.db.read(rotation.text) == held


async def test_without_the_roots_key_nothing_is_prepared(cloud, capsys):
    (cloud.config.data / "ca/root.key").rename(cloud.config.data / "safe")
    assert rotate(cloud, "prepare") == 1
    assert "root.key" in capsys.readouterr().err


async def test_the_next_root_needs_another_name(cloud, capsys):
    assert rotate(cloud, "prepare", "--label", "Landbridge Root CA") == 1
    assert "--label" in capsys.readouterr().err


async def test_the_next_root_takes_over_by_itself_after_the_overlap(tmp_path):
    async with ControlPlane(tmp_path / "cloud", clock=(clock := Wound())) as cloud:
        rotate(cloud, "prepare", "--overlap-days", "2")
        await cloud.plane.settle()
        clock.ahead = 2 * 86400 - 60
        await cloud.plane.settle()
        assert len(roots(cloud)) == 2
        before = roots(cloud)[0]
        clock.ahead = 2 * 86400 + 60
        await cloud.plane.settle()
        await cloud.plane.settle()
        assert roots(cloud)[1] == before
        assert cloud.plane.authority.root == roots(cloud)[0]


class Wound:
    """The real time, and some seconds more."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


async def test_a_second_rotation_follows_the_first(cloud, capsys):
    for step in ("prepare", "activate", "finish", "prepare", "activate", "finish"):
        assert rotate(cloud, step) == 0
        await cloud.plane.settle()
    rows = [row for row in status(cloud, capsys) if row["kind"] == "root"]
    assert [(row["label"], row["state"]) for row in rows] == [("Landbridge Root CA G3", "current")]
    folder = cloud.config.data / "ca"
    assert root_key_file(folder, roots(cloud)[0]) is not None


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("written", [0, 1, 2, 3])
async def test_a_kill_between_store_and_files_is_mended_by_the_next_start(
    tmp_path, monkeypatch, steps, written
):
    names = ["prepare", "activate", "finish"][:steps]
    async with ControlPlane(tmp_path / "cloud", clock=time.time) as cloud:
        for step in names[:-1]:
            rotate(cloud, step)
        keep, left = rotation._keep, [written]

        def dies(*words):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            keep(*words)

        monkeypatch.setattr(rotation, "_keep", dies)
        assert rotate(cloud, names[-1]) == 130
        monkeypatch.undo()
    async with ControlPlane(tmp_path / "cloud", clock=time.time) as again:
        assert (await again.arm("GET", "/subscriptions")).status_code == 200
        states = {1: [2, ""], 2: [2, "cross"], 3: [1, ""]}[steps]
        assert len(roots(again)) == states[0]
        assert bool(again.plane.authority.cross) is bool(states[1])
        leaf = x509.load_pem_x509_certificate((again.config.data / "tls/server.pem").read_bytes())
        leaf.verify_directly_issued_by(again.plane.authority.issuing.certificate)
        again.plane.authority.issuing.certificate.verify_directly_issued_by(roots(again)[0])


async def test_another_folder_of_the_cloud_gets_what_it_missed(tmp_path):
    """As a node that was away does: its files are of before the rotation, the store is not."""
    async with ControlPlane(tmp_path / "cloud", clock=time.time) as cloud:
        before = {path: path.read_bytes() for path in (cloud.config.data / "ca").iterdir()}
        for step in ("prepare", "activate"):
            rotate(cloud, step)
        now = roots(cloud)
    for path in (cloud.config.data / "ca").iterdir():
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    async with ControlPlane(tmp_path / "cloud", clock=time.time) as again:
        assert roots(again) == now
        assert again.plane.authority.root == now[0]


async def test_issuing_keys_are_sealed_in_the_store_and_private_on_disk(cloud):
    rotate(cloud, "prepare")
    stored = cloud.plane.db.read(rotation.text)
    assert "PRIVATE KEY" not in stored
    keys = list((cloud.config.data / "ca").glob("*.key"))
    assert len(keys) == 3 and all(path.stat().st_mode & 0o077 == 0 for path in keys)


async def test_the_steps_are_in_the_activity_log(cloud, capsys):
    rotate(cloud, "prepare")
    capsys.readouterr()
    assert main(["audit", "list", "--data", str(cloud.config.data), "-o", "json"]) == 0
    assert "certificateAuthority/prepare" in capsys.readouterr().out


def test_an_authority_without_a_rotation_opens_as_before(tmp_path):
    opened = CertificateAuthority.open(tmp_path, 1_800_000_000.0)
    assert opened.cross == "" and opened.roots == (opened.root,)
    with pytest.raises(CaError):
        (tmp_path / "root.key").unlink()
        (tmp_path / "issuing.pem").unlink()
        CertificateAuthority.open(tmp_path, 1_800_000_000.0)


async def test_the_certificate_that_signs_packages_is_shown_once_it_has_signed(cloud, capsys):
    assert [row["kind"] for row in status(cloud, capsys)] == ["root", "issuing", "server"]
    cloud.plane.extensions.signer.sign({})
    assert [row["kind"] for row in status(cloud, capsys)] == ["root", "issuing", "server", "signing"]
