"""From the words of a query to what it says, by recursive descent.

    query   = table *( "|" step )
    step    = "where" or / "project" named *( "," named ) / ( "order" / "sort" ) "by" sorted *( "," sorted )
            / ( "limit" / "take" ) number
            / "summarize" [ name "=" ] "count" "(" ")" [ "by" named *( "," named ) ]
    or      = and *( "or" and )
    and     = unary *( "and" unary )
    unary   = "not" "(" or ")" / value [ comparison value / membership "(" value *( "," value ) ")" ]
    value   = text / number / "true" / "false" / "null" / function "(" value ")" / path / "(" or ")"
    path    = name *( "." name / "[" text "]" )

Keywords and tables ignore case; columns are checked by ``plan``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from landbridge_server.providers.resource_graph import tree
from landbridge_server.providers.resource_graph.lexer import END, Word, refuse, words
from landbridge_server.providers.resource_graph.tree import (
    Compare,
    Count,
    Expression,
    Function,
    Limit,
    Literal,
    Named,
    Not,
    Order,
    Path,
    Pipeline,
    Project,
    Step,
    Where,
)
from landbridge_wire.errors import ArmError

T = TypeVar("T")

TABLES = ("resources", "resourcecontainers")
STEPS_LIMIT, DEPTH_LIMIT = 50, 50

_TEXTUAL = ("contains", "startswith", "endswith", "has")
COMPARISONS = frozenset(
    {"==", "!=", "=~", "!~", "<", "<=", ">", ">="}
    | {f"{no}{word}{cs}" for word in _TEXTUAL for no in ("", "!") for cs in ("", "_cs")}
)
MEMBERSHIPS = frozenset({"in", "!in", "in~", "!in~"})
FUNCTIONS = frozenset({"tostring", "tolower", "toupper", "isempty", "isnotempty", "isnull", "isnotnull"})
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse(query: str) -> Pipeline:
    """Return what a query says.

    Raises:
        ArmError: BadRequest with the detail InvalidQuery and the place.
    """
    return _Parser(query).pipeline()


class _Parser:
    def __init__(self, query: str) -> None:
        self.query = query
        self.words = words(query)
        self.index = 0
        self.depth = 0

    @property
    def word(self) -> Word:
        return self.words[self.index]

    def next(self) -> Word:
        word = self.word
        self.index += 1
        return word

    def refuse(self, message: str, word: Word | None = None) -> ArmError:
        word = word or self.word
        return refuse(self.query, word.at, message, word.text)

    def expect(self, *wanted: str) -> Word:
        if self.word.lower not in wanted:
            names = " or ".join(f"'{one}'" for one in wanted)
            raise self.refuse(f"{names} was expected in place of '{self.word.text[:50]}'.")
        return self.next()

    def take(self, wanted: str) -> bool:
        if self.word.lower != wanted:
            return False
        self.index += 1
        return True

    # -- the pipeline

    def pipeline(self) -> Pipeline:
        if self.word.lower not in TABLES:
            raise self.refuse(f"a query begins with a table: {' or '.join(TABLES)}.")
        table = self.next().lower
        steps: list[Step] = []
        while self.word.kind != "end":
            self.expect("|", END)
            if len(steps) == STEPS_LIMIT:
                raise self.refuse(f"a query has at most {STEPS_LIMIT} steps.")
            steps.append(self.step())
        return Pipeline(self.query, table, tuple(steps))

    def step(self) -> Step:
        word = self.next()
        match word.lower:
            case "where":
                return Where(self.either())
            case "project":
                return Project(tuple(self.several(self.named)))
            case "order" | "sort":
                self.expect("by")
                return Order(tuple(self.several(self.sorted)))
            case "limit" | "take":
                return Limit(self.number())
            case "summarize":
                return self.count()
        raise self.refuse(
            f"'{word.text[:50]}' is not supported; where, project, order by, limit, summarize count() are.",
            word,
        )

    def several(self, one: Callable[[], T]) -> list[T]:
        found = [one()]
        while self.take(","):
            found.append(one())
        return found

    def named(self) -> Named:
        word, follows = self.word, self.words[min(self.index + 1, len(self.words) - 1)]
        if word.kind == "name" and follows.text == "=":
            self.index += 2
            return Named(word.text, self.value())
        value = self.value()
        name = _name_of(value)
        if not name:
            raise self.refuse("a column that is computed needs a name: name = ...", word)
        return Named(name, value)

    def sorted(self) -> tuple[Expression, bool]:
        value = self.value()
        descending = True  # that is Kusto's default
        if self.word.lower in ("asc", "desc"):
            descending = self.next().lower == "desc"
        return value, descending

    def number(self) -> int:
        if self.word.kind != "number" or not self.word.text.isdigit() or len(self.word.text) > 9:
            raise self.refuse("a whole number was expected.")
        return int(self.next().text)

    def count(self) -> Count:
        name = "count_"
        if self.word.kind == "name" and self.words[self.index + 1].text == "=":
            name = self.word.text
            self.index += 2
        self.expect("count")
        self.expect("(")
        self.expect(")")
        return Count(name, tuple(self.several(self.named)) if self.take("by") else ())

    # -- expressions

    def either(self) -> Expression:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self.refuse(f"an expression is nested at most {DEPTH_LIMIT} times.")
        terms = [self.both()]
        while self.take("or"):
            terms.append(self.both())
        self.depth -= 1
        return terms[0] if len(terms) == 1 else tree.Any(tuple(terms))

    def both(self) -> Expression:
        terms = [self.unary()]
        while self.take("and"):
            terms.append(self.unary())
        return terms[0] if len(terms) == 1 else tree.All(tuple(terms))

    def unary(self) -> Expression:
        if self.word.lower == "not" and self.words[self.index + 1].text == "(":
            self.index += 2
            term = self.either()
            self.expect(")")
            return Not(term)
        left = self.value()
        operator = self.word.lower
        if operator in COMPARISONS:
            self.next()
            return Compare(operator, left, (self.value(),))
        if operator in MEMBERSHIPS:
            self.next()
            self.expect("(")
            right = tuple(self.several(self.value))
            self.expect(")")
            return Compare(operator, left, right)
        return left

    def value(self) -> Expression:
        word = self.next()
        match word.kind:
            case "text":
                return Literal(word.text)
            case "number":
                return Literal(float(word.text) if "." in word.text else int(word.text[:18]))
            case "name" if word.lower in _CONSTANTS:
                return Literal(_CONSTANTS[word.lower])
            case "name" if self.word.text == "(":
                return self.function(word)
            case "name":
                return self.path(word)
            case "sign" if word.text == "(":
                inner = self.either()
                self.expect(")")
                return inner
        raise self.refuse(f"a value was expected in place of '{word.text[:50]}'.", word)

    def function(self, word: Word) -> Expression:
        if word.lower not in FUNCTIONS:
            known = ", ".join(sorted(FUNCTIONS))
            raise self.refuse(f"the function '{word.text[:50]}' is not supported: {known} are.", word)
        self.expect("(")
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self.refuse(f"an expression is nested at most {DEPTH_LIMIT} times.")
        argument = self.value()
        self.depth -= 1
        self.expect(")")
        return Function(word.lower, argument)

    def path(self, word: Word) -> Path:
        if word.text[0] == "!" or word.text[-1] == "~":
            raise self.refuse(f"a value was expected in place of '{word.text[:50]}'.", word)
        parts = [word.text]
        while self.word.text in (".", "[") and self.word.kind == "sign":
            if self.next().text == ".":
                if self.word.kind != "name":
                    raise self.refuse("a name was expected after '.'.")
                parts.append(self.next().text)
            else:
                if self.word.kind != "text":
                    raise self.refuse("a name in quotes was expected after '['.")
                parts.append(self.next().text)
                self.expect("]")
        return Path(tuple(parts), word.at)


def _name_of(value: Expression) -> str:
    """Return the name of a column that was given none; empty where it needs one."""
    if isinstance(value, Function) and value.name == "tostring":
        value = value.argument
    return "_".join(value.parts) if isinstance(value, Path) else ""
