"""Packages of extensions that operators have published, and the bytes of their zip files."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, LargeBinary, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

# A package comes in many short transactions, and goes in many: only "published" ones exist for others.
extension_packages = Table(
    "extension_packages",
    metadata,
    Column("package_id", NAME, primary_key=True),
    Column("state", NAME, nullable=False),  # coming | published | going
    Column("published_key", NAME, unique=True),  # publisher/type/version while published: one each
    Column("publisher", NAME, nullable=False),
    Column("type", NAME, nullable=False),
    Column("name_key", NAME, nullable=False, index=True),  # publisher/type
    Column("version", NAME, nullable=False),
    Column("digest", NAME, nullable=False),  # SHA-256 of the zip, hex; empty while it comes
    Column("size", BigInteger, nullable=False),  # bytes of the zip
    Column("seal", Text, nullable=False),  # of all that, by this cloud's keys; empty while it comes
    Column("touched_at", Float, nullable=False),  # published at, or when the last bytes came or went
)

extension_chunks = Table(
    "extension_chunks",
    metadata,
    Column("package_id", NAME, primary_key=True),
    Column("start", BigInteger, primary_key=True),  # offset of the first byte
    Column("content", LargeBinary, nullable=False),
)

# What was asked to upgrade by itself: once for each version, whatever became of it.
extension_upgrades = Table(
    "extension_upgrades",
    metadata,
    Column("resource_key", NAME, primary_key=True),  # of machines/extensions
    Column("version", NAME, nullable=False),
    Column("asked_at", Float, nullable=False, index=True),
)
