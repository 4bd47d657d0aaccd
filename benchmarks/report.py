"""Tables in Markdown, and goals that say whether they were reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """A promise: ``figure`` against ``bound``, better when it is ``at_least`` or at most that."""

    text: str
    figure: float
    bound: float
    at_least: bool
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Say whether the figure keeps the promise."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


@dataclass
class Table:
    """One table; ``notes`` say what its figures do not."""

    title: str
    heads: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table with its goals and notes."""
        lines = [f"## {self.title}", "", _line(self.heads), _line(["---"] + ["---:"] * (len(self.heads) - 1))]
        lines += [_line(row) for row in self.rows]
        lines += [""] + [f"- {note}" for note in self.notes]
        return "\n".join([*lines, "", *goals(self.goals)]).rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def goals(wanted: Sequence[Goal]) -> list[str]:
    """Return the lines of a table of goals."""
    if not wanted:
        return []
    lines = [_line(["Goal", "Bound", "Figure", "Reached"]), _line(["---", "---:", "---:", "---"])]
    for goal in wanted:
        sign = ">=" if goal.at_least else "<="
        shown = [goal.text, f"{sign} {number(goal.bound)}{goal.unit}", f"{number(goal.figure)}{goal.unit}"]
        lines.append(_line([*shown, "yes" if goal.reached else "**no**"]))
    return lines


def number(value: float) -> str:
    """Return a figure with three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: float) -> str:
    """Return a ratio."""
    return f"{value:.2f}"
