"""Build what the control plane hands out: the agent's wheel and .deb, and the extension of az.

    .venv/bin/python tools/build_downloads.py [FOLDER]

They are made from packages/agent, packages/client and packages/wire as they are. The folder
defaults to the one that the control plane serves; what is up to date there is left alone.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
AGENT = ROOT / "packages/agent"
EXTENSION = ROOT / "packages/client/az"
CLIENT = ROOT / "packages/client/src/landbridge_client"
PACKAGES = (AGENT / "src/landbridge_agent", ROOT / "packages/wire/src/landbridge_wire")
SERVED = ROOT / "packages/server/src/landbridge_server/portal/downloads"
STAMP = ".made-from"

PROGRAM = """#!/usr/bin/python3 -I
import sys

from landbridge_agent.{module} import main

sys.exit(main())
"""
PROGRAMS = {"azcmagent": "cli.main", "himdsd": "daemon.main", "himds": "daemon.main", "extd": "work.main"}
"""``himds`` is there because msal looks for a file of that name before it asks for a token."""

FILES = {
    "himdsd.service": ("lib/systemd/system/himdsd.service", 0o644),
    "azcmagent.conf": ("lib/systemd/system.conf.d/azcmagent.conf", 0o644),
    "azcmagent.sh": ("etc/profile.d/azcmagent.sh", 0o644),
    "himds.init": ("etc/init.d/himds", 0o755),
    "extd.service": ("lib/systemd/system/extd.service", 0o644),
    "extd.init": ("etc/init.d/extd", 0o755),
}
SCRIPTS = ("postinst", "prerm", "postrm")


def version() -> str:
    """Return the agent's version, as ``azcmagent version`` prints it."""
    scope: dict[str, str] = {}
    exec((PACKAGES[0] / "version.py").read_text(), scope)
    return scope["AGENT_VERSION"]


def inputs() -> str:
    """Return a digest of all that the packages are made from."""
    digest = hashlib.sha256()
    folders = (*PACKAGES, AGENT / "packaging", EXTENSION, CLIENT)
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    others = [AGENT / "pyproject.toml", AGENT / "hatch_build.py", ROOT / "tools/build_sshproxy.py"]
    for path in [*files, *others, Path(__file__)]:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def build_wheel(package: Path, target: Path) -> None:
    """Build the wheel of a package into a folder."""
    script = "import sys, hatchling.build; hatchling.build.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", script, str(target)]
    subprocess.run(command, cwd=package, check=True, stdout=subprocess.DEVNULL)


def build_deb(target: Path) -> None:
    """Build the Debian package into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir(mode=0o755)
        _fill(tree)
        name = f"azcmagent_{version()}_all.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(target / name)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _fill(tree: Path) -> None:
    library = tree / "usr/lib/python3/dist-packages"
    for package in PACKAGES:
        shutil.copytree(package, library / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (place, mode) in FILES.items():
        _put(tree / place, (AGENT / "packaging" / name).read_text(), mode)
    for name, module in PROGRAMS.items():
        _put(tree / "opt/azcmagent/bin" / name, PROGRAM.format(module=module), 0o755)
    programs = tree / "usr/bin"
    programs.mkdir(parents=True)
    for name in ("azcmagent", "himdsd", "extd"):
        (programs / name).symlink_to(f"/opt/azcmagent/bin/{name}")
    control = (AGENT / "packaging/control").read_text().replace("@VERSION@", version())
    _put(tree / "DEBIAN/control", control, 0o644)
    for name in SCRIPTS:
        _put(tree / "DEBIAN" / name, (AGENT / "packaging" / name).read_text(), 0o755)
    conffiles = ("/etc/init.d/himds", "/etc/init.d/extd", "/etc/profile.d/azcmagent.sh")
    _put(tree / "DEBIAN/conffiles", "".join(f"{one}\n" for one in conffiles), 0o644)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _put(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def main() -> int:
    """Build what is not up to date and print the folder."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SERVED
    target.mkdir(parents=True, exist_ok=True)
    made_from = inputs()
    stamp = target / STAMP
    if not stamp.is_file() or stamp.read_text() != made_from:
        for old in (*target.glob("*.whl"), *target.glob("*.deb")):
            old.unlink()
        build_wheel(AGENT, target)
        build_wheel(EXTENSION, target)
        if shutil.which("dpkg-deb"):
            build_deb(target)
        stamp.write_text(made_from)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
