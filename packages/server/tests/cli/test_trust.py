from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import venv
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from landbridge_server.ca import trust_entry
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.cli.main import main

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloud")
    CertificateAuthority.open(folder / "ca", NOW)
    return folder


@pytest.fixture
def python(tmp_path):
    """A Python of its own with a copy of certifi, as an az has."""
    venv.create(tmp_path / "az", symlinks=True)
    program = tmp_path / "az/bin/python3"
    (packages,) = (tmp_path / "az/lib").glob("python3*/site-packages")
    shutil.copytree(Path(certifi.__file__).parent, packages / "certifi")
    return program


@pytest.fixture
def bundle(python):
    return next(python.parent.parent.glob("lib/*/site-packages/certifi/cacert.pem"))


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "settings"))
    return tmp_path / "settings" / "config"


@pytest.fixture
def trust(data, python, settings, capsys):
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["trust", "az", "--data", str(data), "--python", str(python), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def root(data) -> x509.Certificate:
    return x509.load_pem_x509_certificate((data / "ca/root.pem").read_bytes())


def test_the_root_is_appended_once_with_its_header(trust, data, bundle):
    before = bundle.read_bytes()
    assert trust("--label", "Our root")[0] == 0
    after = bundle.read_bytes()
    assert after.startswith(before)
    lines = after[len(before) :].decode().splitlines()
    assert [line.partition(":")[0] for line in lines[:8]] == [
        "", "# Issuer", "# Subject", "# Label", "# Serial",
        "# MD5 Fingerprint", "# SHA1 Fingerprint", "# SHA256 Fingerprint",
    ]  # fmt: skip
    assert lines[3] == "# Label: Our root"
    assert lines[7].partition(": ")[2] == root(data).fingerprint(hashes.SHA256()).hex(":")
    assert x509.load_pem_x509_certificates(after[len(before) :]) == [root(data)]
    code, said, _ = trust()
    assert (code, bundle.read_bytes()) == (0, after)
    assert "has the root already" in said


@pytest.mark.parametrize("end", [b"", b"\n\n\n", b"\n# no line end"])
def test_undo_restores_every_byte(trust, bundle, settings, end):
    bundle.write_bytes(bundle.read_bytes() + end)
    bundle.chmod(0o640)
    before = bundle.read_bytes()
    settings.parent.mkdir()
    settings.write_text("; mine\n[core]\noutput = table\n\n[cloud]\nname = AzureCloud")
    kept = settings.read_bytes()
    trust("--label", "some label")
    assert b"[core]\ninstance_discovery = false\noutput" in settings.read_bytes()
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o640
    assert trust("--undo")[0] == 0
    assert (bundle.read_bytes(), settings.read_bytes()) == (before, kept)
    assert [file.name for file in settings.parent.iterdir()] == ["config"]


def test_settings_that_were_not_there_are_gone_again(trust, settings):
    trust()
    assert settings.read_text() == "[core]\ninstance_discovery = false\n"
    trust("--undo")
    assert not settings.exists()


def test_undo_keeps_what_changed_since(trust, settings):
    settings.parent.mkdir()
    settings.write_text("[core]\ninstance_discovery = true\n")
    trust()
    settings.write_text(settings.read_text() + "output = json\n")
    trust("--undo")
    assert settings.read_text() == "[core]\ninstance_discovery = true\noutput = json\n"


def test_the_adfs_style_needs_no_setting(trust, settings):
    assert trust("--identity-provider", "adfs")[0] == 0
    assert not settings.exists()


def test_a_python_without_certifi_is_refused(trust, bundle):
    shutil.rmtree(bundle.parent)
    code, _, said = trust()
    assert code == 1
    assert "has no certifi" in said


def test_no_az_is_refused_with_what_to_do(data, settings, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["trust", "az", "--data", str(data)]) == 1
    assert "--python PATH" in capsys.readouterr().err


def test_a_label_of_two_lines_changes_nothing(trust, bundle, settings):
    before = bundle.read_bytes()
    assert trust("--label", "a\nb")[0] == 1
    assert bundle.read_bytes() == before
    assert not settings.exists()


def test_a_file_that_cannot_be_written_is_refused_in_words(trust, monkeypatch, bundle, settings):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = bundle.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", refuse)
    code, _, said = trust()
    assert code == 1
    assert "Permission denied" in said
    assert "sudo" in said
    assert bundle.read_bytes() == before


def test_a_root_that_somebody_pasted_is_left_to_them(trust, bundle, data):
    bundle.write_bytes(bundle.read_bytes() + (data / "ca/root.pem").read_bytes())
    before = bundle.read_bytes()
    assert trust("--undo")[0] == 1
    assert bundle.read_bytes() == before


def test_an_entry_of_another_root_stays(data, tmp_path):
    CertificateAuthority.open(tmp_path / "ca", NOW)
    both = trust_entry.entry(root(tmp_path)) + trust_entry.entry(root(data))
    assert trust_entry.without(both, root(data)) == trust_entry.entry(root(tmp_path))


@pytest.mark.parametrize("kind", ["pem", "der", "cer"])
def test_the_root_is_exported_in_each_format(data, kind):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "landbridge_server.cli.main",
            "ca",
            "export",
            "--data",
            data,
            "--format",
            kind,
        ],
        capture_output=True,
        check=True,
    )
    load = x509.load_pem_x509_certificate if kind == "pem" else x509.load_der_x509_certificate
    assert load(done.stdout) == root(data)


def test_while_one_root_takes_the_place_of_another_both_are_added_and_undone(trust, data, bundle, tmp_path):
    other = CertificateAuthority.open(tmp_path / "other", NOW, "Landbridge Root CA G2").root_file.read_bytes()
    before = bundle.read_bytes()
    trust()
    (data / "ca/root.pem").write_bytes((data / "ca/root.pem").read_bytes() + other)
    assert "the root is added" in trust()[1]
    added = x509.load_pem_x509_certificates(bundle.read_bytes()[len(before) :])
    assert added == x509.load_pem_x509_certificates((data / "ca/root.pem").read_bytes())
    assert trust("--undo")[0] == 0
    assert bundle.read_bytes() == before
