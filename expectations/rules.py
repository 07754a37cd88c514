"""The language of rules: SQL boolean expressions with a closed list of words and functions.

Belongs here: what a rule may say, its columns, and its polars expression. Does not belong here: the
rules (pages), or checking rows with them (``tasks.validation``).

A rule is read here before polars reads it, so nothing that is not listed reaches polars: no
sub-query, no aggregate, no function of files. Its length, depth and operators are limited, because
polars takes cubic time for a long chain of conditions (50 s for 1,000).
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    import polars as pl

WORDS: Final = frozenset(
    "and between case else end false ilike in is like not null or then true when".split()  # noqa: SIM905
)
"""The words of SQL that a rule may have, in any case of letters. A column with such a name stands
in double quotes."""

FUNCTIONS: Final = frozenset(
    "abs ceil coalesce ends_with floor greatest least length ln log10 lower nullif round sqrt "  # noqa: SIM905
    "starts_with upper".split()
)
"""The functions that a rule may call. Each gives one value for each row, from that row alone."""

LENGTH_LIMIT: Final = 4_000
"""Longest rule, in characters. The longest of NSL-KDD has 900."""
OPERATOR_LIMIT: Final = 60
"""Most operators in a rule. A chain of 60 takes polars 13 ms, one of 300 takes 1 s (measured)."""
DEPTH_LIMIT: Final = 20
"""Most parentheses, or NOT, CASE and minus signs, around a value. polars refuses 30."""

_TOKEN: Final = re.compile(
    r"(?P<blank>\s+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<text>'(?:[^'\\]|'')*')|(?P<quoted>\"[^\"\\]+\")|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<refused>--|/\*|\*/)|(?P<mark><>|<=|>=|!=|[=<>+\-*/%(),])"
)
_COUNTED: Final = frozenset("+ - * / % = <> != < <= > >= and or between like ilike is".split())  # noqa: SIM905
_NESTING: Final = frozenset({"(", "case"})
_PREFIXES: Final = frozenset({"not", "-", "+"})


class RuleError(ValueError):
    """A rule has a word, function, sign or length that no rule may have."""


def refuse_rule(problem: str) -> NoReturn:
    """Raise RuleError."""
    raise RuleError(problem)


def find_columns(rule: str) -> tuple[str, ...]:
    """Return the columns that a rule reads, in their order.

    Raises:
        RuleError: it is no rule of this language.
    """
    return tuple(dict.fromkeys(text for kind, text in _read(rule) if kind == "column"))


def compile_rule(rule: str) -> "pl.Expr":
    """Return a rule as an expression of polars.

    Raises:
        RuleError: it is no rule of this language, or polars cannot read it.
    """
    import polars as pl

    quoted = (f'"{text}"' if kind == "column" else text for kind, text in _read(rule))
    try:
        return pl.sql_expr(" ".join(quoted))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        refuse_rule(f"polars cannot read it: {_first_line(error)}")


def require_conditions(rules: Sequence[str], schema: "pl.Schema") -> None:
    """Evaluate rules together on two rows of nulls, and refuse one that is no condition.

    Raises:
        RuleError: the types in a rule do not fit, or it does not give true or false for each row.
    """
    import polars as pl

    rows = pl.DataFrame({name: [None, None] for name in schema}, schema=schema)
    conditions = [compile_rule(rule).alias(str(place)) for place, rule in enumerate(rules)]
    try:
        found = rows.select(conditions)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        refuse_rule(f"polars cannot compute it: {_first_line(error)}")
    other = next((one for one in found.dtypes if one != pl.Boolean()), None)
    if other is not None or found.height != rows.height:
        refuse_rule(f"expected a condition, found an expression of type {other or found.dtypes[0]}")


def _read(rule: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a rule: their kind (``column`` for a column) and their text."""
    if len(rule) > LENGTH_LIMIT:
        refuse_rule(f"a rule has at most {LENGTH_LIMIT:,} characters")
    parts = list(_tokens(rule))
    if not parts:
        refuse_rule("a rule has a condition")
    depth, operators, prefixes = 0, 0, 0
    for (kind, text), (_, following) in zip(parts, [*parts[1:], ("", "")], strict=True):
        word = text.lower() if kind == "name" else text
        part = "word"
        if kind == "quoted" or (kind == "name" and word not in WORDS):
            part, word = _name(text, following)
        elif kind in {"number", "text"}:
            part = kind
        depth += (part == "word" and word in _NESTING) - (part == "word" and word in {")", "end"})
        operators += part == "word" and word in _COUNTED
        prefixes = prefixes + 1 if part == "word" and word in _PREFIXES else 0
        if depth + prefixes > DEPTH_LIMIT:
            refuse_rule(f"a rule has at most {DEPTH_LIMIT} parentheses, CASE or NOT nested")
        if operators > OPERATOR_LIMIT:
            refuse_rule(f"a rule has at most {OPERATOR_LIMIT} operators; use IN, or two rules")
        yield part, word


def _tokens(rule: str) -> Iterator[tuple[str, str]]:
    """Yield the tokens of a rule, without blanks: the name of their group, and their text."""
    place = 0
    while place < len(rule):
        match = _TOKEN.match(rule, place)
        if match is None or match.lastgroup == "refused":
            refuse_rule(f"no rule may have {rule[place : place + 20]!r}")
        if match.lastgroup != "blank":
            yield str(match.lastgroup), match[0]
        place = match.end()


def _name(name: str, following: str) -> tuple[str, str]:
    """Return a name as a column, or as a function if a parenthesis follows."""
    if following != "(":
        return "column", name.strip('"')
    if name.lower() not in FUNCTIONS:
        listed = ", ".join(sorted(FUNCTIONS))
        refuse_rule(f"there is no function {name[:60]}; the functions are {listed}")
    return "function", name.upper()


def _first_line(error: BaseException) -> str:
    """Return what polars says, without its context."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
