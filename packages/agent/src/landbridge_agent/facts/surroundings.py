"""Where the machine runs and which databases are on it: looked up in files, nobody is asked.

The cloud provider follows from what the firmware says of its maker. A database counts as found
where its server program is installed, whether or not it runs.
"""

from __future__ import annotations

from pathlib import Path

from landbridge_agent.facts.dmi import Dmi

NO_PROVIDER = "N/A"
DATABASES = {
    "mssql": ("opt/mssql/bin/sqlservr",),
    "mysql": ("usr/sbin/mysqld", "usr/sbin/mariadbd", "usr/libexec/mysqld", "usr/local/mysql/bin/mysqld"),
    "pgsql": ("usr/lib/postgresql/*/bin/postgres", "usr/pgsql-*/bin/postgres", "usr/bin/postgres"),
}


def cloud_provider(hardware: Dmi) -> str:
    """Return AWS, GCP, OCI or Azure where the firmware tells, else ``N/A``."""
    maker, model = hardware.manufacturer.lower(), hardware.model.lower()
    if maker.startswith("amazon") or model.endswith(".amazon"):
        return "AWS"
    if maker == "google" or model.startswith("google compute"):
        return "GCP"
    if maker.startswith("oraclecloud") or model.startswith("oraclecloud"):
        return "OCI"
    return NO_PROVIDER


def databases(root: Path = Path("/")) -> dict[str, bool]:
    """Return for each kind of database whether its server is installed."""
    return {
        kind: any(_is_there(root, pattern) for pattern in patterns) for kind, patterns in DATABASES.items()
    }


def _is_there(root: Path, pattern: str) -> bool:
    try:
        return next(iter(root.glob(pattern)), None) is not None
    except OSError:
        return False
