"""The revisions of the tables: which one a database has, which ones are known, and how it gets to another."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError as MigrationError
from sqlalchemy import Connection

from landbridge_server.store.postgresql import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "head"


def _config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Bring the tables to a revision, within the caller's transaction. Safe to run again.

    Raises:
        StoreUnavailable: they have a revision that this program does not know.
    """
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except MigrationError as error:
        raise StoreUnavailable(
            f"The database was made by another version of Landbridge: {error}. "
            "Start the version that it was last used with, or a newer one."
        ) from error


def current(connection: Connection) -> str | None:
    """Return the revision of the tables; None where no control plane ever made any."""
    return MigrationContext.configure(connection).get_current_revision()


def is_newest(revision: str) -> bool:
    """Say whether a revision is what this program works with."""
    return revision == ScriptDirectory.from_config(_config()).get_current_head()


def is_known(revision: str) -> bool:
    """Say whether this program can make the tables of a revision, and bring them forward."""
    return revision in {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}
