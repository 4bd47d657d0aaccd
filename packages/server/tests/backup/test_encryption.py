"""The seal of a backup, at every length, and against whoever moves its chunks about."""

from __future__ import annotations

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landbridge_server.backup import encryption
from landbridge_server.backup.encryption import CHUNK, MAGIC, SALT, TAG, OpeningReader, SealingWriter
from landbridge_server.backup.errors import Damaged

KEY = b"a passphrase"
WHOLE = CHUNK + TAG
HEAD = len(MAGIC) + SALT


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The cost of a guess is not what is tested."""
    monkeypatch.setattr(encryption, "COST", 2)


def sealed(content, pieces=1 << 20):
    file = io.BytesIO()
    writer = SealingWriter(file, KEY)
    for start in range(0, len(content), pieces):
        writer.write(content[start : start + pieces])
    writer.close()
    return file.getvalue()


def opened(text, passphrase=KEY, size=1 << 16):
    file = io.BytesIO(text)
    assert file.read(len(MAGIC)) == MAGIC
    reader = OpeningReader(file, passphrase)
    return b"".join(iter(lambda: reader.read(size), b""))


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
@pytest.mark.parametrize("size", [1000, CHUNK, 1 << 20])
def test_every_length_comes_back(length, size):
    content = bytes(range(256)) * (length // 256 + 1)
    assert opened(sealed(content[:length], size), size=size) == content[:length]


def test_two_seals_of_the_same_are_not_alike():
    assert sealed(b"x")[len(MAGIC) :] != sealed(b"x")[len(MAGIC) :]


def test_another_passphrase_does_not_open():
    with pytest.raises(Damaged, match="passphrase"):
        opened(sealed(b"secret"), b"another one")


def chunks_of(text):
    return text[:HEAD], [text[start : start + WHOLE] for start in range(HEAD, len(text), WHOLE)]


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: chunks[:-1],  # cut off between two chunks
        lambda chunks: chunks[1:],
        lambda chunks: [chunks[1], chunks[0], *chunks[2:]],
        lambda chunks: [*chunks, chunks[-1]],
        lambda chunks: [chunks[0], chunks[0], *chunks[1:]],
        lambda chunks: [*chunks, b"x"],
        lambda chunks: [],
    ],
)
def test_chunks_cannot_be_moved_dropped_or_added(change):
    head, chunks = chunks_of(sealed(bytes(3 * CHUNK + 5)))
    with pytest.raises(Damaged):
        opened(head + b"".join(change(chunks)))


def test_a_chunk_of_another_backup_does_not_fit():
    head, chunks = chunks_of(sealed(bytes(2 * CHUNK)))
    _, others = chunks_of(sealed(bytes(2 * CHUNK)))
    with pytest.raises(Damaged):
        opened(head + chunks[0] + others[1])


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bit_can_be_changed_unnoticed(place, bit):
    text = bytearray(sealed(bytes(900)))
    text[len(MAGIC) + place % (len(text) - len(MAGIC))] ^= 1 << bit
    with pytest.raises(Damaged):
        opened(bytes(text))
