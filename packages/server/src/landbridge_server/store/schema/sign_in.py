"""What a sign-in leaves behind: tokens, codes, and what was tried."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", NAME, primary_key=True),
    Column("family_id", NAME, nullable=False, index=True),
    Column("parent_hash", NAME, index=True),  # the token that this one was given for
    Column("object_id", NAME, nullable=False, index=True),
    Column("client_id", NAME, nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    Column("revoked_at", Float),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("device_code_hash", NAME, primary_key=True),
    Column("user_code", NAME, nullable=False, unique=True),
    Column("client_id", NAME, nullable=False),
    Column("scope", Text, nullable=False),
    Column("tenant", NAME, nullable=False),
    Column("object_id", NAME),  # set once a person has signed in
    Column("state", NAME, nullable=False),  # pending | approved | denied | redeemed
    Column("expires_at", Float, nullable=False),
    Column("last_polled_at", Float),
    Column("interval_seconds", Integer, nullable=False),
)

# Sign-ins through the browser that a program may turn into tokens, once (RFC 6749 section 4.1).
authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("code_hash", NAME, primary_key=True),  # SHA-256 (hex)
    Column("object_id", NAME, nullable=False, index=True),
    Column("client_id", NAME, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("challenge", NAME, nullable=False),  # PKCE S256
    Column("nonce", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("redeemed_at", Float),
    Column("family_id", NAME),  # of the refresh tokens that it gave
)

# Assertions that were used and may not be used again.
used_assertions = Table(
    "used_assertions",
    metadata,
    Column("owner", NAME, primary_key=True),  # object id
    Column("assertion_hash", NAME, primary_key=True),  # SHA-256 (hex) of its 'jti'
    Column("ends_at", Float, nullable=False, index=True),
)

# How often a name was tried at a sign-in; rows live for minutes.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("name_hash", NAME, primary_key=True),  # SHA-256 (hex) of kind and name
    Column("started_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ends_at", Float, nullable=False, index=True),
)
