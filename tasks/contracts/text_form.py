"""The form of a delimited text that nobody has described: separator, header, comments, trailer.

Belongs here: guesses from the first and last lines of a text. Does not belong here: opening the
file (``tasks.contracts.sample``), or what its columns hold (``tasks.contracts.kinds``).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

from expectations.contract import Form
from tasks.contracts.values import looks_like_value
from tasks.intake.fields import BLANK_RUNS, cut_line, decode_line, split_fields
from tasks.intake.lines import BYTE_ORDER_MARK

Encoding = Literal["utf-8", "latin-1", "cp1252"]

SEPARATORS: Final[Mapping[str, str]] = {
    "tab": "\t",
    "semicolon": ";",
    "bar": "|",
    "comma": ",",
    "\x1f": "\x1f",
    "\x01": "\x01",
    "^": "^",
    "~": "~",
}
"""The separators that are tried, by the word for each in a page. The first wins a tie: a comma may
be the decimal point of a file with semicolons."""

JUDGED_LINES: Final = 500
"""Lines that decide on the form. A guess: more than any preamble has."""
ALIKE_SHARE: Final = 0.8
"""Least share of lines with the same number of fields that makes a table. A guess."""
TRAILER_LINES: Final = 10
"""Most closing lines that are no rows. A guess; nfdump writes three."""
REPEATED_SHARE: Final = 0.3
"""Share of the first line's cells that rows repeat, from which on it is a row. A guess."""

_COMMENTS: Final = ("#", "%", "//", "--")
_EXCEL_LINE: Final = re.compile(r'"?sep=', re.IGNORECASE)
_MARKS: Final = re.compile(rb"[\x80-\x9f]")
"""Bytes that are letters and marks in cp1252, and control characters in latin-1."""


@dataclass(frozen=True, kw_only=True)
class TextForm:
    """How a delimited text is written, as far as its lines show."""

    separator: str
    """As a page names it."""
    has_quotes: bool
    width: int
    """Fields of most lines."""
    header: tuple[str, ...] | None
    """The names in the header; None if the first line is a row."""
    counts_columns: bool
    """Whether the header only numbers the columns."""
    comment: str | None
    """How a line begins that is no row."""


def split_line(line: str, separator: str, *, has_quotes: bool) -> list[str] | None:
    """Return the fields of a line; None if its quotes are not those of RFC 4180.

    ``separator`` is one that a page may name.
    """
    return split_fields(line, SEPARATORS.get(separator, separator), has_quotes=has_quotes)


def recognise_text(lines: Sequence[str]) -> TextForm | None:
    """Return the form of a text, from its first lines; None if they are no table.

    ``lines`` are those that are not blank, without line ends.
    """
    comment = _find_comment(lines)
    rows = [
        line
        for line in lines
        if not (comment and line.startswith(comment)) and not _EXCEL_LINE.match(line)
    ][:JUDGED_LINES]
    if not rows:
        return None
    separator = _find_separator(rows)
    has_quotes = _has_quotes(rows, separator)
    fields = [
        found for line in rows if (found := split_line(line, separator, has_quotes=has_quotes))
    ]
    if not fields:
        return None
    first, *others = fields
    width = Counter(map(len, others or fields)).most_common(1)[0][0]
    header = _find_header(first, [row for row in others if len(row) == width], width)
    names = None if header is None else tuple(name.strip() for name in header)
    return TextForm(
        separator=separator,
        has_quotes=has_quotes,
        width=width,
        header=names,
        counts_columns=names is not None and all(map(looks_like_value, names)),
        comment=comment,
    )


def find_trailer(
    lines: Sequence[str], form: TextForm, *, most: int = TRAILER_LINES
) -> tuple[str, ...]:
    """Return the closing lines of a text that are no rows, from the first of them on.

    Args:
        lines: the last lines of the text that are not blank.
        form: of the text.
        most: a longer end is no trailer.
    """
    odd = tuple(
        takewhile(
            lambda line: (
                len(split_line(line, form.separator, has_quotes=form.has_quotes) or ())
                != form.width
            ),
            reversed(lines),
        )
    )
    closing = odd[::-1]
    if not 0 < len(closing) <= most or len(closing) == len(lines):
        return ()
    first = closing[0]
    # A cut row is no trailer: it begins with a value, as every row does.
    return closing if re.match(r"[A-Za-z#%*=-]", first) and not looks_like_value(first) else ()


def decode(start: bytes) -> tuple[str, Encoding]:
    """Return a text and its encoding; a last character may be cut.

    As when a contract is read, each line that is UTF-8 is read so.
    """
    try:
        return start.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError as error:
        if error.start >= len(start) - 3 and error.reason == "unexpected end of data":
            return start[: error.start].decode("utf-8-sig"), "utf-8"
    encoding: Encoding = "cp1252" if _MARKS.search(start) else "latin-1"
    form = Form(encoding=encoding)
    lines = start.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    return "\n".join(decode_line(line, form) for line in lines), encoding


def _find_comment(lines: Sequence[str]) -> str | None:
    """Return how the first lines begin that are comments, if rows follow that begin otherwise."""
    for mark in _COMMENTS:
        marked = sum(line.startswith(mark) for line in lines)
        if lines and lines[0].startswith(mark) and marked < len(lines) / 2:
            return mark
    return None


def _find_separator(rows: Sequence[str]) -> str:
    """Return the separator by which most lines have the same number of fields."""
    best, best_score = "comma", (False, False, 0)
    for word, character in SEPARATORS.items():
        if not any(character in line for line in rows):
            continue
        widths = [len(split_line(line, word, has_quotes=True) or ()) for line in rows]
        width, times = Counter(widths).most_common(1)[0]
        is_alike = times >= ALIKE_SHARE * len(rows)
        score = (is_alike and width > 1, widths[0] == width, width)
        if score > best_score:
            best, best_score = word, score
    if not best_score[0] or not best_score[1]:
        widths = [len(cut_line(line, BLANK_RUNS)) for line in rows]
        width, times = Counter(widths).most_common(1)[0]
        if width > max(1, best_score[2]) and times >= ALIKE_SHARE * len(rows):
            return BLANK_RUNS
    return best


def _has_quotes(rows: Sequence[str], separator: str) -> bool:
    """Return whether quotes enclose fields: False only if most lines with a quote break them."""
    quoted = [line for line in rows if '"' in line]
    broken = sum(split_line(line, separator, has_quotes=True) is None for line in quoted)
    return not quoted or broken <= len(quoted) / 2


def _find_header(
    first: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> Sequence[str] | None:
    """Return the first line's fields if they name the columns, or number them."""
    filled = [cell.strip() for cell in first if cell.strip()]
    if not filled:
        return None
    whole = [cell.removesuffix(".0") for cell in filled]
    if all(cell.isascii() and cell.isdigit() for cell in whole):
        numbers = [int(cell) for cell in whole if len(cell) < len(str(width)) + 1]
        start = numbers[0] if numbers else -1
        is_count = start in {0, 1} and numbers == list(range(start, start + len(first)))
        return first if is_count and len(first) > 2 else None  # noqa: PLR2004 - 0,1 may be a row
    if sum(map(looks_like_value, filled)) > len(filled) / 10:
        return None
    if len(first) != width:
        return first  # words where rows have values, of another width
    repeated = sum(
        any(row[place] == cell for row in rows) for place, cell in enumerate(first) if cell.strip()
    )
    return first if repeated < REPEATED_SHARE * len(filled) or not rows else None
