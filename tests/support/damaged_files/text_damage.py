"""Damage to the bytes and lines of a text, as between a sensor and an inbox.

Belongs here: one function for each kind of damage to bytes and lines, and the strategy that
combines several damages. Does not belong here: damage to cells and columns (see ``cell_damage``),
or to the bytes of a compressed file or of Parquet (see ``cases``).

Each function takes a text that may be damaged already. Its draws shrink towards the first line, the
first cell and the first kind.
"""

from collections.abc import Callable, Mapping
from typing import Final

from hypothesis import strategies as st

from tests.support.damaged_files import cell_damage
from tests.support.damaged_files.hostile_values import ENCODINGS, INSERTED, ODD_LINES, SEPARATORS
from tests.support.damaged_files.lines import draw_place, split_lines
from tests.support.damaged_files.originals import Original, Slice, slices

Damage = Callable[[st.DrawFn, bytes], bytes]

LONG: Final = (70_000, 9_000, 200_000)
"""Lengths beyond the limits of a line (64 KiB) and of the head in which the header is sought."""


def flip_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Change single bytes."""
    changed = bytearray(text)
    for _ in range(draw(st.integers(1, 4)) if text else 0):
        changed[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


def insert_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Insert bytes."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(INSERTED)) + text[at:]


def delete_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Delete some bytes."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + text[at + draw(st.integers(1, 64)) :]


def truncate(draw: st.DrawFn, text: bytes) -> bytes:
    """Cut off the end, at any place or close to the end."""
    near = min(len(text), draw(st.sampled_from((len(text), 40))))
    return text[: len(text) - draw(st.integers(0, near))]


def duplicate_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Repeat a line, up to nine times."""
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(lines[:at] + lines[at : at + 1] * draw(st.integers(2, 9)) + lines[at + 1 :])


def delete_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Delete a line."""
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(lines[:at] + lines[at + 1 :])


def swap_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Swap two lines."""
    lines = split_lines(text)
    if lines:
        at, other = draw_place(draw, lines), draw_place(draw, lines)
        lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def join_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Delete a line end."""
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(line.rstrip(b"\r\n") if i == at else line for i, line in enumerate(lines))


def split_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Insert a line end."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from((b"\n", b"\r\n"))) + text[at:]


def insert_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Insert a line that is not a record."""
    lines = split_lines(text)
    at = draw(st.integers(0, len(lines)))
    return b"".join([*lines[:at], draw(st.sampled_from(ODD_LINES)) + b"\n", *lines[at:]])


def repeat_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Repeat the first line further down."""
    lines = split_lines(text)
    at = draw(st.integers(0, len(lines)))
    return b"".join(lines[:at] + lines[:1] + lines[at:])


def lengthen_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Make a line very long."""
    lines = split_lines(text)
    if lines:
        at = draw_place(draw, lines)
        lines[at] = (
            draw(st.sampled_from((b"9", b"x", b",", b'"', b"\xe9"))) * draw(st.sampled_from(LONG))
            + lines[at]
        )
    return b"".join(lines)


def lead_with_blanks(draw: st.DrawFn, text: bytes) -> bytes:
    """Begin with blank lines: a few, or more than the reader looks at."""
    end = draw(st.sampled_from((b"\n", b"\r\n")))
    return end * draw(st.sampled_from((1, 2, 40_000, 70_000))) + text


def glue(draw: st.DrawFn, text: bytes) -> bytes:
    """Append a copy of the text."""
    return text + draw(st.sampled_from((b"", b"\n", b"\x1a", b"\x00"))) + text


def add_garbage(draw: st.DrawFn, text: bytes) -> bytes:
    """Append bytes that are not text."""
    return text + draw(st.one_of(st.binary(min_size=1, max_size=64), st.sampled_from(INSERTED)))


def change_line_ends(draw: st.DrawFn, text: bytes) -> bytes:
    """Use other line ends, in all lines or in every second one."""
    end = draw(st.sampled_from((b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\x0b", b"\xe2\x80\xa8")))
    if draw(st.booleans()):
        return text.replace(b"\n", end)
    return b"".join(
        line.replace(b"\n", end) if i % 2 else line for i, line in enumerate(split_lines(text))
    )


def change_separator(draw: st.DrawFn, text: bytes) -> bytes:
    """Use another separator, in all lines or in one."""
    separator = draw(st.sampled_from(SEPARATORS))
    if draw(st.booleans()):
        return text.replace(b",", separator)
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(
        line.replace(b",", separator) if i == at else line for i, line in enumerate(lines)
    )


def change_encoding(draw: st.DrawFn, text: bytes) -> bytes:
    """Encode the text in another encoding."""
    return text.decode("latin-1").encode(draw(st.sampled_from(ENCODINGS)))


DAMAGES: Final[Mapping[str, Damage]] = {
    "cells replaced": cell_damage.replace_cells,
    "columns of one value": cell_damage.replace_column,
    "columns added": cell_damage.add_column,
    "columns dropped": cell_damage.drop_column,
    "columns duplicated": cell_damage.duplicate_column,
    "columns renamed": cell_damage.rename_column,
    "columns reordered": cell_damage.reorder_columns,
    "bytes flipped": flip_bytes,
    "bytes inserted": insert_bytes,
    "bytes deleted": delete_bytes,
    "ends cut off": truncate,
    "lines deleted": delete_line,
    "lines duplicated": duplicate_line,
    "lines inserted": insert_line,
    "lines joined": join_lines,
    "lines lengthened": lengthen_line,
    "lines split": split_line,
    "lines swapped": swap_lines,
    "headers repeated": repeat_header,
    "headers replaced": cell_damage.replace_header,
    "headers respelt": cell_damage.respell_header,
    "blank lines first": lead_with_blanks,
    "copies glued": glue,
    "garbage behind the end": add_garbage,
    "line ends changed": change_line_ends,
    "separators changed": change_separator,
    "encodings changed": change_encoding,
    "cells quoted": cell_damage.quote_cells,
    "blanks around lines": cell_damage.pad_lines,
}
"""Each kind of damage, by the name under which it is counted. The first kinds change least."""

MOST_DAMAGES: Final = 3
"""Most damages of one text. A guess: enough to combine, and few enough to leave a file."""


def write_text(draw: st.DrawFn, original: Slice) -> bytes:
    """Return a slice as the text of a sensor or a spreadsheet."""
    end = draw(st.sampled_from((b"\n", b"\n", b"\r\n")))
    text = end.join(original.lines)
    if draw(st.sampled_from((True, True, False))):
        text += end
    return (b"\xef\xbb\xbf" if draw(st.sampled_from((False, False, True))) else b"") + text


@st.composite
def damaged_texts(
    draw: st.DrawFn, originals: tuple[Original, ...], kind: str | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """Draw a text, and the kinds of its damage."""
    text = write_text(draw, draw(slices(originals)))
    names = draw(draw_kinds(DAMAGES, MOST_DAMAGES, kind))
    for name in names:
        text = DAMAGES[name](draw, text)
    return text, names


def draw_kinds(
    damages: Mapping[str, object], most: int, kind: str | None
) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw some kinds of damage; with ``kind``, only that one, if it is among them."""
    if kind is not None:
        return st.just((kind,) if kind in damages else ())
    return st.lists(st.sampled_from(tuple(damages)), max_size=most).map(tuple)
