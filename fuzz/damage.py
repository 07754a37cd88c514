"""Damage to text: what happens to files of connections between a sensor and an inbox.

Belongs here: one function for each kind of damage to lines, cells and columns, and the strategy
that puts several together. Does not belong here: what is done to the bytes of a compressed file or
of Parquet (see ``forms``).

Each takes the text as it is by then, damaged or not, and whatever it draws shrinks towards the
first line, the first cell, the first kind.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hypothesis import strategies as st

from fuzz.hostile import (
    ENCODINGS,
    HOSTILE_CELLS,
    HOSTILE_NAMES,
    INSERTED,
    ODD_LINES,
    SEPARATORS,
)
from fuzz.originals import Original, Slice, slices

Damage = Callable[[st.DrawFn, bytes], bytes]

SPELLINGS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    bytes.upper,
    lambda name: name.replace(b"_", b" ").title(),
    lambda name: name.title().replace(b"_", b""),
    lambda name: name.replace(b"_", b"-"),
    lambda name: name.replace(b"_", b"."),
    lambda name: b"'" + name + b"'",
    lambda name: b' "' + name + b'"',
    lambda name: b"#" + name,
)
"""How a sensor, a spreadsheet or a person may spell a column's name."""

LONG: Final = (70_000, 9_000, 200_000)
"""Lengths past which something is cut: a line of 64 KiB, and the head in which names are."""


def _lines(text: bytes) -> list[bytes]:
    """Split at line feeds, which stay."""
    return text.splitlines(keepends=True) if b"\r" not in text else _split_at_feeds(text)


def _split_at_feeds(text: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in text.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _place(draw: st.DrawFn, lines: Sequence[bytes]) -> int:
    return draw(st.integers(0, max(len(lines) - 1, 0)))


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
    lines = _lines(text)
    at = _place(draw, lines)
    return b"".join(lines[:at] + lines[at : at + 1] * draw(st.integers(2, 9)) + lines[at + 1 :])


def delete_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Lose a line."""
    lines = _lines(text)
    at = _place(draw, lines)
    return b"".join(lines[:at] + lines[at + 1 :])


def swap_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Have two lines in each other's place."""
    lines = _lines(text)
    if lines:
        at, other = _place(draw, lines), _place(draw, lines)
        lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def join_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Lose the end of a line."""
    lines = _lines(text)
    at = _place(draw, lines)
    return b"".join(line.rstrip(b"\r\n") if i == at else line for i, line in enumerate(lines))


def split_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Break a line where no end was."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from((b"\n", b"\r\n"))) + text[at:]


def insert_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Add a line that is no record."""
    lines = _lines(text)
    at = draw(st.integers(0, len(lines)))
    return b"".join([*lines[:at], draw(st.sampled_from(ODD_LINES)) + b"\n", *lines[at:]])


def repeat_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Have the first line again further down."""
    lines = _lines(text)
    at = draw(st.integers(0, len(lines)))
    return b"".join(lines[:at] + lines[:1] + lines[at:])


def lengthen_line(draw: st.DrawFn, text: bytes) -> bytes:
    """Make a line very long."""
    lines = _lines(text)
    if lines:
        at = _place(draw, lines)
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
        line.replace(b"\n", end) if i % 2 else line for i, line in enumerate(_lines(text))
    )


def change_separator(draw: st.DrawFn, text: bytes) -> bytes:
    """Separate fields by something else, everywhere or in one line."""
    separator = draw(st.sampled_from(SEPARATORS))
    if draw(st.booleans()):
        return text.replace(b",", separator)
    lines = _lines(text)
    at = _place(draw, lines)
    return b"".join(
        line.replace(b",", separator) if i == at else line for i, line in enumerate(lines)
    )


def change_encoding(draw: st.DrawFn, text: bytes) -> bytes:
    """Write the text in another encoding."""
    return text.decode("latin-1").encode(draw(st.sampled_from(ENCODINGS)))


def quote_cells(draw: st.DrawFn, text: bytes) -> bytes:
    """Put every cell, or every cell of one line, in quotes."""
    lines = _lines(text)
    at = None if draw(st.booleans()) else _place(draw, lines)
    return b"".join(
        b'"' + line.rstrip(b"\r\n").replace(b",", b'","') + b'"\n' if at in {None, i} else line
        for i, line in enumerate(lines)
    )


def replace_cells(draw: st.DrawFn, text: bytes) -> bytes:
    """Put something hostile into cells of a few lines."""
    lines = _lines(text)
    for _ in range(draw(st.integers(1, 4)) if lines else 0):
        at = _place(draw, lines)
        body = lines[at].rstrip(b"\r\n")
        cells = body.split(b",")
        cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(HOSTILE_CELLS))
        lines[at] = b",".join(cells) + lines[at][len(body) :]
    return b"".join(lines)


def pad_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Put blanks around every line, which numbers may have."""
    before, after = draw(st.sampled_from(((b"", b" "), (b"", b"\t"), (b" ", b""), (b"  ", b" \t"))))
    lines = [(line, line.rstrip(b"\r\n")) for line in _lines(text)]
    return b"".join(before + body + after + line[len(body) :] for line, body in lines)


def replace_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Put one hostile value into a cell of every line, or of every line but the first."""
    value = draw(st.sampled_from(HOSTILE_CELLS))
    column = draw(st.integers(0, 41))
    first = draw(st.integers(0, 1))

    def change(cells: list[bytes], index: int) -> list[bytes]:
        return [*cells[:column], value, *cells[column + 1 :]] if index >= first else cells

    return _change_cells(text, change)


def drop_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Leave a column out."""
    column = draw(st.integers(0, 42))
    return _change_cells(text, lambda cells, _: cells[:column] + cells[column + 1 :])


def duplicate_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Have a column twice."""
    column = draw(st.integers(0, 42))
    return _change_cells(text, lambda cells, _: cells[: column + 1] + cells[column:])


def reorder_columns(draw: st.DrawFn, text: bytes) -> bytes:
    """Have the columns in another order."""
    turn = draw(st.integers(1, 42))
    if draw(st.booleans()):
        return _change_cells(text, lambda cells, _: cells[::-1])
    return _change_cells(text, lambda cells, _: cells[turn:] + cells[:turn])


def add_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Add a column under a name that may be anything."""
    name = draw(st.sampled_from(HOSTILE_NAMES))
    value = draw(st.sampled_from((b"1", b"x", b"", *HOSTILE_CELLS)))
    column = draw(st.integers(0, 42))

    def change(cells: list[bytes], index: int) -> list[bytes]:
        return [*cells[:column], value if index else name, *cells[column:]]

    return _change_cells(text, change)


def rename_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Call a column something else."""
    name = draw(st.sampled_from(HOSTILE_NAMES))
    column = draw(st.integers(0, 41))

    def change(cells: list[bytes], index: int) -> list[bytes]:
        return cells if index else [*cells[:column], name, *cells[column + 1 :]]

    return _change_cells(text, change)


def respell_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Write the names of the first line in another way, or begin with a comment."""
    respell = draw(st.sampled_from(SPELLINGS))
    lines = _lines(text)
    if lines:
        body = lines[0].rstrip(b"\r\n")
        lines[0] = b",".join(map(respell, body.split(b","))) + lines[0][len(body) :]
    return draw(st.sampled_from((b"", b"", b"# made by hand\n", b"sep=,\n", b"a title\n"))) + (
        b"".join(lines)
    )


def replace_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Have names of another table, or none, in the first line or above it."""
    lines = _lines(text)
    width = lines[0].count(b",") + draw(st.sampled_from((1, 1, 0, 2))) if lines else 1
    name = draw(st.sampled_from((b"f%d", b"%d", b"Column %d", b"x.%d")))
    header = b",".join(name % number for number in range(draw(st.integers(0, 1)), width)) + b"\n"
    return b"".join([header, *lines[draw(st.integers(0, 1)) :]])


def _change_cells(text: bytes, change: Callable[[list[bytes], int], list[bytes]]) -> bytes:
    """Change the cells of every line; the first line is number 0."""
    changed = []
    for index, line in enumerate(_lines(text)):
        body = line.rstrip(b"\r\n")
        changed.append(b",".join(change(body.split(b","), index)) + line[len(body) :])
    return b"".join(changed)


DAMAGES: Final[Mapping[str, Damage]] = {
    "cells replaced": replace_cells,
    "columns of one value": replace_column,
    "columns added": add_column,
    "columns dropped": drop_column,
    "columns duplicated": duplicate_column,
    "columns renamed": rename_column,
    "columns reordered": reorder_columns,
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
    "headers replaced": replace_header,
    "headers respelt": respell_header,
    "blank lines first": lead_with_blanks,
    "copies glued": glue,
    "garbage behind the end": add_garbage,
    "line ends changed": change_line_ends,
    "separators changed": change_separator,
    "encodings changed": change_encoding,
    "cells quoted": quote_cells,
    "blanks around lines": pad_lines,
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
def texts(
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
