"""Lines as the fast reader of polars gets them, and those that it must not get.

Belongs here: one separator, one encoding, no quotes, all without a loop over lines. Does not belong
here: the reading itself (``tasks.intake.text_blocks``).
"""

import re

import numpy as np
from numpy.typing import NDArray

from tasks.intake.fields import BLANK_RUNS, decode_other
from tasks.intake.layout import Layout
from tasks.intake.numbered_lines import FEW, TextLines

_NON_ASCII = 0x80
"""In UTF-8, this byte and all higher ones belong to characters of several bytes."""
MIN_QUOTES_PER_LINE = 0.01
"""Below this, which is a quoted field in every two hundredth line, lines with quotes are read one
by one. Measured on blocks of 74,000 lines: removing any number of quotes costs .03 CPU s; one by
one costs .035 with a quoted field in every hundredth line, and 1.4 with one in each line."""
_RUN = re.compile(rb"[ \t]+")
_AT_ENDS = re.compile(rb"^[ \t]+|[ \t]+$", re.MULTILINE)


def separator_of(layout: Layout) -> bytes:
    """Return the separator of the text that the fast reader gets."""
    return b"\t" if layout.separator == BLANK_RUNS else layout.separator.encode()


def simplify(lines: TextLines, layout: Layout) -> TextLines:
    """Return the same lines as the fast reader gets them; see the module."""
    if layout.form.encoding != "utf-8":
        lines = _decode_broken(lines, layout.form.encoding)
    if layout.separator == BLANK_RUNS:
        inner = _AT_ENDS.sub(b"", lines.text)
        lines = TextLines(_RUN.sub(b"\t", inner))
    return _remove_plain_quotes(lines, separator_of(layout)) if layout.form.has_quotes else lines


def _decode_broken(lines: TextLines, encoding: str) -> TextLines:
    """Return lines in UTF-8; those that are not UTF-8 are decoded by another encoding."""
    if lines.text.isascii() or _decode(lines.text) is not None:
        return lines
    parts: list[bytes] = []
    done = 0
    for line in np.unique(lines.at(np.flatnonzero(lines.content >= _NON_ASCII))):
        start, end = lines.starts[line], lines.ends[line]
        raw = lines.text[start:end]
        if _decode(raw) is None:
            parts += [lines.text[done:start], decode_other(raw, encoding).encode()]
            done = end
    return TextLines(b"".join([*parts, lines.text[done:]]))


def _remove_plain_quotes(lines: TextLines, separator: bytes) -> TextLines:
    """Remove the quotes of lines whose every quote opens or closes a whole field of plain text.

    Many files quote all their texts; read one by one, their lines cost twenty times as much. A
    quote is plain if it opens just after a separator or closes just before one, and no separator or
    other quote lies between the two. A line with any other quote keeps all its quotes.
    """
    quotes = lines.find(b'"')
    if len(quotes) <= MIN_QUOTES_PER_LINE * len(lines.ends):
        return lines
    counts = lines.count(b'"')
    line = np.repeat(np.arange(len(counts)), counts)
    ordinal = np.arange(len(quotes)) - (np.cumsum(counts) - counts)[line]
    is_opening = ordinal % 2 == 0
    outside = np.where(is_opening, lines.content[quotes - 1], lines.content[quotes + 1])
    is_separator = (lines.content == ord(separator)).view(np.uint8)
    separators_to_next = np.add.reduceat(is_separator, quotes, dtype=np.int32)
    is_plain_quote = (outside == ord(separator)) | (outside == ord("\n"))
    is_plain_quote &= ~is_opening | (separators_to_next == 0)
    is_plain_line = counts % 2 == 0
    is_plain_line[line[~is_plain_quote]] = False
    is_kept = np.ones(len(lines.content), bool)
    is_kept[quotes[is_plain_line[line]]] = False
    return TextLines(lines.content[is_kept].tobytes())


def find_suspects(lines: TextLines, layout: Layout) -> NDArray[np.bool_]:
    """Mark the lines that the fast reader must not get; bool, (n_lines,)."""
    is_suspect: NDArray[np.bool_] = lines.count(separator_of(layout)) != layout.width - 1
    for byte in (b'"', b"\0", b"\r") if layout.form.has_quotes else (b"\0", b"\r"):
        is_suspect[lines.at(lines.find(byte))] = True
    if layout.separator == BLANK_RUNS:
        is_suspect |= lines.starts == lines.ends
    if not lines.text.isascii():
        is_suspect[_find_broken(lines)] = True
    return is_suspect


def _find_broken(lines: TextLines) -> list[int]:
    """Return the lines that may not be UTF-8.

    Up to ``FEW`` bytes above ASCII: the broken lines. With more: none where the block as a whole is
    UTF-8, else every line with such a byte.
    """
    others = np.flatnonzero(lines.content >= _NON_ASCII)
    if len(others) > FEW and _decode(lines.text) is not None:
        return []
    found: list[int] = np.unique(lines.at(others)).tolist()
    if len(others) > FEW:
        return found
    return [
        one for one in found if _decode(lines.text[lines.starts[one] : lines.ends[one]]) is None
    ]


def _decode(text: bytes) -> str | None:
    """Return decoded UTF-8; None if it is not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None
