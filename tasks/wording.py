"""Words and columns in which stored values are shown to people.

Belongs here: what a terminal and an artifact have in common. Does not belong here: how either of
them looks (``flows.cli.tables``, ``tasks.reporting.markdown``).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from expectations.errors import UsageError
from expectations.registry import get_contract
from storage.text import printable, storable

OutsideText = Annotated[str, BeforeValidator(storable)]
"""A file name, or a message that may quote one, as the database stores it. pydantic, JSON and
Prefect take no file name that is not UTF-8."""

ID_DIGITS: Final = 12
"""Hexadecimal digits of a batch id: 48 bits tell thousands of batches apart, and commands
accept any unique beginning."""

FLAGGED: Final = ("line_number", "anomaly_score", "threshold", "attack_category", "reasons")
VALIDATION: Final = (
    "suite", "expectation", "column_name", "severity", "is_success", "rows_failed", "observed",
    "expected",
)  # fmt: skip
DRIFT: Final = ("column_name", "method", "statistic", "threshold", "is_drifted", "rows_current")
"""Columns of a row within one batch, in order."""
HISTORY: Final = (
    "live_from", "live_until", "model_version", "kind", "promoted_by", "reason",
)  # fmt: skip
"""Columns of a change of champion, in order."""

MOST_IDENTIFIERS: Final = 6
"""Most columns of a table that say who talked to whom. A guess: a time, and two addresses with
their ports and something else."""

DATA_CHARACTERS: Final = 200
"""Most characters of a file's data in one message: enough to recognise it."""
TEXT_CHARACTERS: Final = 40
"""Most characters of one of several texts. A guess: longer than most column names."""


def add_identifiers(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return flagged connections with who talked to whom, and when, as columns of their own.

    Returns:
        The rows, each with a value or None for every such column; and the names of these columns,
        at most ``MOST_IDENTIFIERS``, in the order of their contracts. A contract without such
        columns, or whose page is gone, adds none.
    """
    names = tuple(
        dict.fromkeys(
            name
            for contract in dict.fromkeys(row["contract"] for row in rows)
            for name in _identifiers_of(contract)
        )
    )[:MOST_IDENTIFIERS]
    found = [{**row, **{name: row["record"].get(name) for name in names}} for row in rows]
    return found, names


def _identifiers_of(contract: str) -> tuple[str, ...]:
    """Return the columns of a contract that say when, and between whom; an id says neither."""
    try:
        identifiers = get_contract(contract).identifiers
    except UsageError:
        return ()
    return tuple(column.name for column in identifiers if column.kind != "id")


def reason_text(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Return a connection's reasons as one line, each feature once.

    Two models may name the same feature and expect different values: the first reason, which has
    the greater weight, is shown.
    """
    features: dict[str, str] = {}
    for one in reasons:
        text = f"{one['feature']} {one['observed']} (expected {one['expected']})"
        features.setdefault(one["feature"], text)
    return "; ".join(features.values())


def some_of(texts: Sequence[str], characters: int = DATA_CHARACTERS) -> str:
    """Return as many texts of a file as fit into a message, and how many more there are.

    Args:
        texts: of any number and length.
        characters: most characters of them that are shown.
    """
    shown: list[str] = []
    for text in texts:
        short = _shorten(printable(text), min(TEXT_CHARACTERS, characters))
        if len(short) > characters - sum(map(len, shown)):
            break
        shown.append(short)
    rest = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _shorten(text: str, characters: int) -> str:
    """Return a text, cut and ended by dots if it is too long."""
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def clause(count: int, noun: str, one: str, many: str) -> str:
    """Return a count with its noun and its verb: ``1 row differs``, ``2 rows differ``."""
    return f"{plural(count, noun)} {one if count == 1 else many}"
