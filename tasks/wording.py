"""What people are shown of what is stored: which columns, how much of an id, and words for it.

Belongs here: what a terminal and an artifact have in common. Does not belong here: how either of
them looks (``flows.cli.tables``, ``tasks.reporting.markdown``).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from storage.text import printable, storable

OutsideText = Annotated[str, BeforeValidator(storable)]
"""A name or a message that may quote one, written as the database has it: a file name that is not
UTF-8 is no text to pydantic, JSON or Prefect."""

ID_DIGITS: Final = 12
"""Hexadecimal digits of a batch id: 48 bits tell thousands of batches apart, and any unique
beginning is accepted back."""

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

DATA_CHARACTERS: Final = 200
"""Most characters of a file's data that one message repeats: enough to recognise it."""
TEXT_CHARACTERS: Final = 40
"""Most characters of one of several texts. A guess: any sane column's name."""


def reason_text(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Write a connection's reasons as one line for people, a feature once.

    Two models may name the same feature and expect something else: the weightier reason is shown.
    """
    features: dict[str, str] = {}
    for one in reasons:
        text = f"{one['feature']} {one['observed']} (expected {one['expected']})"
        features.setdefault(one["feature"], text)
    return "; ".join(features.values())


def some_of(texts: Sequence[str], characters: int = DATA_CHARACTERS) -> str:
    """List texts of a file, as many as a message has room for, and say how many more there are.

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
    """Cut a text, which then ends in dots."""
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def clause(count: int, noun: str, one: str, many: str) -> str:
    """Return a count with its noun and its verb: ``1 row differs``, ``2 rows differ``."""
    return f"{plural(count, noun)} {one if count == 1 else many}"
