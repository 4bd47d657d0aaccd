"""What all tables share: the one ``MetaData``, and the type of names."""

from __future__ import annotations

from sqlalchemy import MetaData, String

metadata = MetaData()

# Compared byte by byte on both databases: ranges of keys and the order of lists depend on it.
NAME = String().with_variant(String(collation="C"), "postgresql")
