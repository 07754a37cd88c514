"""Values of no known column: what one text, or a column of texts, may be.

Belongs here: patterns of values. Does not belong here: the choice of a column's kind
(``tasks.contracts.kinds``), or reading values under a contract (``tasks.intake.cells``).
"""

import ipaddress
import re
from typing import Final

import polars as pl

NULL_WORDS: Final = frozenset(
    {"-", "--", "?", "\\N", "N/A", "n/a", "NA", "NULL", "null", "(null)", "None", "none", "nil",
     "NONE", "<null>", "(empty)", "."}
)  # fmt: skip
"""How programs write a missing value."""
SURE_NULL_WORDS: Final = frozenset(
    {"-", "--", "\\N", "N/A", "n/a", "NULL", "null", "(null)", "<null>"}
)
"""Those that no column of names has as a name."""
NON_FINITE: Final = r"(?i)^[+-]?(nan|inf|infinity)$"
"""Texts that mean no finite number."""

_NUMBER: Final = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_WHOLE: Final = r"^[+-]?\d+(\.0*)?$"
_DECIMAL_COMMA: Final = r"^[+-]?\d{1,3}(\.\d{3})*,\d+$|^[+-]?\d+,\d+$"
_CLOCK: Final = r"^(\d+ days? )?\d{1,3}:\d{2}:\d{2}(\.\d+)?$"
_DATE: Final = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})"
    r"|\d{1,2}[- /][A-Za-z]{3}[- /]\d{4})$"
)
_WITH_PORT: Final = (
    r"^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}:[\d.:]+|\[[0-9a-fA-F:.]+\]:\d+|[0-9a-fA-F:]+\.\d+)$"
)
_HEXADECIMAL: Final = r"^0x[0-9a-fA-F]+$"
_TIME: Final = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d.*)?|\d{1,2}:\d{2}(:\d{2}.*)?")
_PLAIN_NUMBER: Final = re.compile(_NUMBER)
_ADDRESS_LIKE: Final = r"^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[0-9a-fA-F.]*:[0-9a-fA-F:.]*(%\w+)?)$"


def is_number(texts: pl.Series) -> pl.Series:
    """Mark texts that are numbers in ASCII, with a point."""
    return texts.str.contains(_NUMBER)


def is_whole(texts: pl.Series) -> pl.Series:
    """Mark texts that are whole numbers, also with zeros after a point."""
    return texts.str.contains(_WHOLE)


def has_decimal_comma(texts: pl.Series) -> pl.Series:
    """Mark texts that are numbers with a decimal comma."""
    return texts.str.contains(_DECIMAL_COMMA)


def is_clock(texts: pl.Series) -> pl.Series:
    """Mark texts that are lengths of time such as ``00:01:02.5``."""
    return texts.str.contains(_CLOCK)


def is_hexadecimal(texts: pl.Series) -> pl.Series:
    """Mark whole numbers such as ``0x0303``."""
    return texts.str.contains(_HEXADECIMAL)


def is_date(texts: pl.Series) -> pl.Series:
    """Mark texts that are dates without a time."""
    return texts.str.contains(_DATE)


def is_address_with_port(texts: pl.Series) -> pl.Series:
    """Mark texts that are an address and a port."""
    return texts.str.contains(_WITH_PORT) & texts.str.contains(r"[:]")


def is_address(texts: pl.Series) -> pl.Series:
    """Mark texts that are IP addresses."""
    may_be = texts.filter(texts.str.contains(_ADDRESS_LIKE)).unique()
    found = [text for text in may_be if _is_one_address(text)]
    return texts.is_in(found) if found else pl.repeat(value=False, n=len(texts), eager=True)


def _is_one_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def looks_like_value(text: str) -> bool:
    """Return whether a text is a number, a time or an address, and so no name of a column."""
    bare = text.strip(" \t\"'")
    return bool(_PLAIN_NUMBER.match(bare) or _TIME.match(bare) or _is_one_address(bare))
