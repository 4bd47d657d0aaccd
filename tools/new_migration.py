"""Write a migration that brings the newest revision to what ``store/schema/`` says.

    .venv/bin/python tools/new_migration.py "add the machines table"

Read what it wrote before you commit it: a rename looks like a drop and an add.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from landbridge_server.store.database import Database
from landbridge_server.store.revisions import MIGRATIONS


def main() -> int:
    """Write the next migration and print its path."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    versions = MIGRATIONS / "versions"
    number = f"{len(list(versions.glob('[0-9]*.py'))) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
        db.migrate()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        with db.writing() as connection:
            config.attributes["connection"] = connection
            command.revision(config, sys.argv[1], autogenerate=True, rev_id=number)
        db.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
