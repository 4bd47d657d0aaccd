"""Which roots the machine trusts, as its cloud replaces one by another.

The machine's copy of the ``--ca-file`` has two parts: what an administrator put there, and, behind
``MARK``, what the cloud says; only that part follows it. Works on text: reads and writes no file.
"""

from __future__ import annotations

MARK = "# From here on: the roots that the cloud names. They change with it.\n"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def certificates(text: str) -> list[str]:
    """Return the certificates of a PEM text, each in the same form whatever stands around it."""
    found = []
    for piece in text.split(_BEGIN)[1:]:
        body, end, _ = piece.partition(_END)
        if end:
            found.append("\n".join([_BEGIN, *body.split(), _END]) + "\n")
    return found


def merged(held: str, told: str) -> str:
    """Return the file to be: the administrator's certificates, and those that the cloud names."""
    named = certificates(told)
    own = [one for one in certificates(held.partition(MARK)[0]) if one not in named]
    return "".join([*own, MARK, *named])
