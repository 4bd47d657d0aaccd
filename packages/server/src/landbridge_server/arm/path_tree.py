"""Path patterns as a tree: which row a path belongs to, in one walk along the path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Node(Generic[T]):
    words: dict[str, _Node[T]] = field(default_factory=dict)
    any: _Node[T] | None = None
    row: tuple[T, tuple[str, ...]] | None = None


class PathTree(Generic[T]):
    """Rows by patterns such as ``subscriptions/{subscription}/providers``, with lower-case words.

    A word goes before a ``{name}``; words of a path are compared without case.
    """

    def __init__(self, rows: Mapping[str, T]) -> None:
        """Take the rows."""
        self._root: _Node[T] = _Node()
        for pattern, row in rows.items():
            node, names = self._root, []
            for word in pattern.split("/"):
                if word.startswith("{"):
                    names.append(word[1:-1])
                    node.any = node.any or _Node()
                    node = node.any
                else:
                    node = node.words.setdefault(word, _Node())
            node.row = row, tuple(names)

    def rows(self) -> Iterator[tuple[str, T]]:
        """Yield every pattern with its row."""
        yield from _below(self._root, "")

    def find(self, parts: Sequence[str]) -> tuple[T, dict[str, str]] | None:
        """Return the row of a path and what its names stand for."""
        return _walk(self._root, parts, 0, ())


def _below(node: _Node[T], path: str) -> Iterator[tuple[str, T]]:
    if node.row is not None:
        yield path.format(*(f"{{{name}}}" for name in node.row[1])), node.row[0]
    for word, below in node.words.items():
        yield from _below(below, f"{path}/{word}" if path else word)
    if node.any is not None:
        yield from _below(node.any, f"{path}/{{}}")


def _walk(
    node: _Node[T], parts: Sequence[str], at: int, values: tuple[str, ...]
) -> tuple[T, dict[str, str]] | None:
    if at == len(parts):
        return None if node.row is None else (node.row[0], dict(zip(node.row[1], values, strict=True)))
    below = node.words.get(parts[at].lower())
    found = _walk(below, parts, at + 1, values) if below is not None else None
    if found is None and node.any is not None:
        found = _walk(node.any, parts, at + 1, (*values, parts[at]))
    return found
