"""Damage to the cells, columns and header of a text.

Belongs here: one function for each kind of damage that splits lines into fields. Does not belong
here: damage to bytes and lines, or the strategy that combines damages (see ``text_damage``).
"""

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from tests.support.damaged_files.hostile_values import HOSTILE_CELLS, HOSTILE_NAMES
from tests.support.damaged_files.lines import draw_place, split_lines

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
"""Spellings of a column's name by sensors, spreadsheets and people."""


def quote_cells(draw: st.DrawFn, text: bytes) -> bytes:
    """Quote every cell of the text, or of one line."""
    lines = split_lines(text)
    at = None if draw(st.booleans()) else draw_place(draw, lines)
    return b"".join(
        b'"' + line.rstrip(b"\r\n").replace(b",", b'","') + b'"\n' if at in {None, i} else line
        for i, line in enumerate(lines)
    )


def replace_cells(draw: st.DrawFn, text: bytes) -> bytes:
    """Put hostile values into cells of a few lines."""
    lines = split_lines(text)
    for _ in range(draw(st.integers(1, 4)) if lines else 0):
        at = draw_place(draw, lines)
        body = lines[at].rstrip(b"\r\n")
        cells = body.split(b",")
        cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(HOSTILE_CELLS))
        lines[at] = b",".join(cells) + lines[at][len(body) :]
    return b"".join(lines)


def pad_lines(draw: st.DrawFn, text: bytes) -> bytes:
    """Put blanks around every line."""
    before, after = draw(st.sampled_from(((b"", b" "), (b"", b"\t"), (b" ", b""), (b"  ", b" \t"))))
    lines = [(line, line.rstrip(b"\r\n")) for line in split_lines(text)]
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
    """Drop a column."""
    column = draw(st.integers(0, 42))
    return _change_cells(text, lambda cells, _: cells[:column] + cells[column + 1 :])


def duplicate_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Duplicate a column."""
    column = draw(st.integers(0, 42))
    return _change_cells(text, lambda cells, _: cells[: column + 1] + cells[column:])


def reorder_columns(draw: st.DrawFn, text: bytes) -> bytes:
    """Reorder the columns."""
    turn = draw(st.integers(1, 42))
    if draw(st.booleans()):
        return _change_cells(text, lambda cells, _: cells[::-1])
    return _change_cells(text, lambda cells, _: cells[turn:] + cells[:turn])


def add_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Add a column under a hostile name."""
    name = draw(st.sampled_from(HOSTILE_NAMES))
    value = draw(st.sampled_from((b"1", b"x", b"", *HOSTILE_CELLS)))
    column = draw(st.integers(0, 42))

    def change(cells: list[bytes], index: int) -> list[bytes]:
        return [*cells[:column], value if index else name, *cells[column:]]

    return _change_cells(text, change)


def rename_column(draw: st.DrawFn, text: bytes) -> bytes:
    """Rename a column."""
    name = draw(st.sampled_from(HOSTILE_NAMES))
    column = draw(st.integers(0, 41))

    def change(cells: list[bytes], index: int) -> list[bytes]:
        return cells if index else [*cells[:column], name, *cells[column + 1 :]]

    return _change_cells(text, change)


def respell_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Spell the names of the first line in another way; perhaps put a line above it."""
    respell = draw(st.sampled_from(SPELLINGS))
    lines = split_lines(text)
    if lines:
        body = lines[0].rstrip(b"\r\n")
        lines[0] = b",".join(map(respell, body.split(b","))) + lines[0][len(body) :]
    return draw(st.sampled_from((b"", b"", b"# made by hand\n", b"sep=,\n", b"a title\n"))) + (
        b"".join(lines)
    )


def replace_header(draw: st.DrawFn, text: bytes) -> bytes:
    """Replace the header with other names, or put them above it."""
    lines = split_lines(text)
    width = lines[0].count(b",") + draw(st.sampled_from((1, 1, 0, 2))) if lines else 1
    name = draw(st.sampled_from((b"f%d", b"%d", b"Column %d", b"x.%d")))
    header = b",".join(name % number for number in range(draw(st.integers(0, 1)), width)) + b"\n"
    return b"".join([header, *lines[draw(st.integers(0, 1)) :]])


def _change_cells(text: bytes, change: Callable[[list[bytes], int], list[bytes]]) -> bytes:
    """Change the cells of every line; the first line is number 0."""
    changed = []
    for index, line in enumerate(split_lines(text)):
        body = line.rstrip(b"\r\n")
        changed.append(b",".join(change(body.split(b","), index)) + line[len(body) :])
    return b"".join(changed)
