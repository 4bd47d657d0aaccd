"""Build the wheels of an installation: ``build_wheels.py [FOLDER]``, by default dist/.

    cd dist && python3 -m pip install --require-hashes -r requirements.txt

installs a control plane from there. requirements.txt names the server's wheels and everything that
they need, each with its SHA-256; what it needs from others comes from the package index. The wheel
and the .deb of the agent travel inside the server's, which hands them to machines; the wheel of
``sshProxy`` lies beside them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = ("wire", "server")
BUILT = (*NEEDED, "client")
BUILD = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"


def build(package: str, folder: Path) -> Path:
    """Build the wheel of a package into a folder, without a network."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=ROOT / "packages" / package,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return folder / done.stdout.strip().splitlines()[-1]


def main() -> int:
    """Build all of it and print the folder."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("landbridge_*.whl"):
        old.unlink()
    subprocess.run([sys.executable, ROOT / "tools/build_downloads.py"], check=True, stdout=subprocess.DEVNULL)
    wheels = {package: build(package, folder) for package in BUILT}
    lines = [
        f"./{wheels[package].name} --hash=sha256:{hashlib.sha256(wheels[package].read_bytes()).hexdigest()}"
        for package in NEEDED
    ]
    locked = (ROOT / "requirements/server.txt").read_text()
    (folder / "requirements.txt").write_text("\n".join([*lines, locked]))
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
