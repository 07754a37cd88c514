"""Damage to text: what happens to files of connections between a sensor and an inbox.

Belongs here: one function for each kind of damage to lines, cells and columns, and the strategy
that puts several together. Does not belong here: what is done to the bytes of a compressed file or
of Parquet (see ``forms``).

Each takes the text as it is by then, damaged or not, and whatever it draws shrinks towards the
first line, the first cell, the first kind.
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
"""Lengths past which something is cut: a line of 64 KiB, and the head in which names are."""


def flip_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Change single bytes, wherever they are."""
    changed = bytearray(text)
    for _ in range(draw(st.integers(1, 4)) if text else 0):
        changed[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


def insert_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Put something between two bytes."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(INSERTED)) + text[at:]


def delete_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Take some bytes out."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + text[at + draw(st.integers(1, 64)) :]


def truncate(draw: st.DrawFn, text: bytes) -> bytes:
    """Cut the end off, anywhere or close before it."""
    near = min(len(text), draw(st.sampled_from((len(text), 40))))
    return text[: len(text) - draw(st.integers(0, near))]


def duplicate_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Have a line twice or many times."""
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(lines[:at] + lines[at : at + 1] * draw(st.integers(2, 9)) + lines[at + 1 :])


def delete_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Lose a line."""
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(lines[:at] + lines[at + 1 :])


def swap_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Have two lines in each other's place."""
    lines = split_lines(text)
    if lines:
        at, other = draw_place(draw, lines), draw_place(draw, lines)
        lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def join_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Lose the end of a line."""
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(line.rstrip(b"\r\n") if i == at else line for i, line in enumerate(lines))


def split_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Break a line where no end was."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from((b"\n", b"\r\n"))) + text[at:]


def insert_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Add a line that is no record."""
    lines = split_lines(text)
    at = draw(st.integers(0, len(lines)))
    return b"".join([*lines[:at], draw(st.sampled_from(ODD_LINES)) + b"\n", *lines[at:]])


def repeat_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Have the first line again further down."""
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
    """Begin with blank lines, a few or more than are looked at."""
    end = draw(st.sampled_from((b"\n", b"\r\n")))
    return end * draw(st.sampled_from((1, 2, 40_000, 70_000))) + text


def glue(draw: st.DrawFn, text: bytes) -> bytes:
    """Have the file twice, one behind the other."""
    return text + draw(st.sampled_from((b"", b"\n", b"\x1a", b"\x00"))) + text


def add_garbage(draw: st.DrawFn, text: bytes) -> bytes:
    """Put what is no text behind the end."""
    return text + draw(st.one_of(st.binary(min_size=1, max_size=64), st.sampled_from(INSERTED)))


def change_line_ends(draw: st.DrawFn, text: bytes) -> bytes:
    """End lines in another way, all of them or every other."""
    end = draw(st.sampled_from((b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\x0b", b"\xe2\x80\xa8")))
    if draw(st.booleans()):
        return text.replace(b"\n", end)
    return b"".join(
        line.replace(b"\n", end) if i % 2 else line for i, line in enumerate(split_lines(text))
    )


def change_separator(draw: st.DrawFn, text: bytes) -> bytes:
    """Separate fields by something else, everywhere or in one line."""
    separator = draw(st.sampled_from(SEPARATORS))
    if draw(st.booleans()):
        return text.replace(b",", separator)
    lines = split_lines(text)
    at = draw_place(draw, lines)
    return b"".join(
        line.replace(b",", separator) if i == at else line for i, line in enumerate(lines)
    )


def change_encoding(draw: st.DrawFn, text: bytes) -> bytes:
    """Write the text in another encoding."""
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
"""By what is counted of it. The first ones shrink best and leave the file most like a file."""

MOST_DAMAGES: Final = 3
"""Of one text. A guess: what two or three do to each other is seen, and something is left."""


def write_text(draw: st.DrawFn, original: Slice) -> bytes:
    """Write a slice as a sensor or a spreadsheet would."""
    end = draw(st.sampled_from((b"\n", b"\n", b"\r\n")))
    text = end.join(original.lines)
    if draw(st.sampled_from((True, True, False))):
        text += end
    return (b"\xef\xbb\xbf" if draw(st.sampled_from((False, False, True))) else b"") + text


@st.composite
def damaged_texts(
    draw: st.DrawFn, originals: tuple[Original, ...], kind: str | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """Draw a text with some damage, and the names of what was done to it."""
    text = write_text(draw, draw(slices(originals)))
    names = draw(some_of(DAMAGES, MOST_DAMAGES, kind))
    for name in names:
        text = DAMAGES[name](draw, text)
    return text, names


def some_of(
    damages: Mapping[str, object], most: int, kind: str | None
) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw some kinds of damage, or the one that is asked for, if it is among them."""
    if kind is not None:
        return st.just((kind,) if kind in damages else ())
    return st.lists(st.sampled_from(tuple(damages)), max_size=most).map(tuple)
