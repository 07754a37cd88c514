"""Names in cells: sets, protocols and addresses, each in one spelling.

Belongs here: what makes two texts of a column the same. Does not belong here: blanks and missing
values (``tasks.intake.cells``), numbers and times.

- A set is the names in it, sorted, each once, with commas between.
- A protocol is in lower case. A number from 0 to 255 becomes its name at IANA, and stays where it
  has none.
- An address of IPv6 is written as Python's ``ipaddress`` writes it; one of IPv4 has only one
  spelling. Any other text, such as a hardware address or the name of a host, stays as it is.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address

import polars as pl

from tasks.intake.protocols import PROTOCOLS

_NUMBER = re.compile(r"(\d{1,3})(\.0*)?", re.ASCII)


def read_sets(names: pl.Series, separator: str) -> pl.Series:
    """Return sets of names in one spelling; null for a set of none. Names are between blanks."""

    def sort(text: str) -> str | None:
        parts = {part.strip() for part in text.split(separator)} - {""}
        return ",".join(sorted(parts)) or None

    return _replace(names, names.str.contains(separator, literal=True), sort)


def read_protocols(names: pl.Series) -> pl.Series:
    """Return protocols in one spelling."""

    def call(text: str) -> str:
        number = _NUMBER.fullmatch(text)
        return text if number is None else PROTOCOLS.get(int(number[1]), number[1].lstrip("0"))

    lower = names.str.to_lowercase()
    return _replace(lower, lower.str.contains(r"^\d"), call)


def read_addresses(names: pl.Series) -> pl.Series:
    """Return addresses in one spelling."""

    def write(text: str) -> str:
        try:
            return str(IPv6Address(text))
        except ValueError:
            return text

    return _replace(names, names.str.contains(":", literal=True), write)


def _replace(
    names: pl.Series, is_meant: pl.Series, write: Callable[[str], str | None]
) -> pl.Series:
    """Return names, those that are meant in another spelling. Each different name is read once."""
    meant = names.filter(is_meant).unique()
    if meant.is_empty():
        return names
    return names.replace(meant, pl.Series([write(one) for one in meant], dtype=pl.String))
