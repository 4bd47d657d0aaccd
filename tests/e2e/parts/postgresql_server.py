"""A real PostgreSQL of Debian's packages, for as long as the tests run: ``started`` yields it.

It lives in a folder of its own, on a free port and a Unix socket, under a user who is not
root (PostgreSQL refuses root), with ``fsync`` on as in production.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PASSWORD = "not-a-secret"
USER = "landbridge"
TEMPLATE = "made_by_migrations"


def binaries() -> Path | None:
    """Return the folder of the newest server that is installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda folder: int(folder.parent.name)) if found else None


class PostgreSql:
    """A server. Over its socket everybody is let in; over TCP the password is asked for."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self._free: dict[str, list[str]] = {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._as = {"user": account.pw_uid, "group": account.pw_gid} if os.geteuid() == 0 else {}
        if self._as:
            os.chown(folder, account.pw_uid, account.pw_gid)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.folder}&port={self.port}"

    def url_over_tcp(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8",
                  "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}")  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        self._run("pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-o", options,
                  "-l", str(self.folder / "log"))  # fmt: skip

    def stop(self, how: str = "fast") -> None:
        self._run("pg_ctl", "stop", "-w", "-m", how, "-D", str(self.folder / "data"))

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            cwd=self.folder, check=False, **self._as,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr.decode()}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple]:
        url = self.url(database)
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Yield the URL of a database as empty as its template.

        Databases are emptied and used again: to drop one costs a checkpoint.
        """
        free = self._free.setdefault(template, [])
        if free:
            name = free.pop()
            self._empty(name)
        else:
            name = f"test_{secrets.token_hex(6)}"
            self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url(name)
        free.append(name)

    def _empty(self, name: str) -> None:
        tables = self.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
            name,
        )
        self.execute("; ".join(f'DELETE FROM "{table}"' for (table,) in tables) or "SELECT 1", name)


@contextmanager
def started() -> Iterator[PostgreSql | None]:
    """Yield a running server; None where there are no binaries."""
    programs = binaries()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="landbridge-postgresql-"))
    try:
        server = PostgreSql(programs, folder)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
