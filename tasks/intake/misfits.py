"""Misfits: a header that cannot be the data's, told from the first rows.

Belongs here: columns of numbers in which most of the first rows hold something else. Does not
belong here: the reasons of single rows (``tasks.intake.faults``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from expectations.contract import Column
from tasks.intake.cells import BLANKS
from tasks.intake.header import is_nothing, is_number
from tasks.intake.layout import Layout
from tasks.intake.numerals import read_decimal

FEWEST_ROWS: Final = 3
"""Fewest rows that are judged. A guess: one or two rows may both be damaged."""
FEWEST_COLUMNS: Final = 2
"""Fewest columns that condemn a header. A guess: one column may be declared wrongly; under a header
of the same table in another order, several do not fit."""


@dataclass(frozen=True)
class Misfit:
    """A column of numbers in which most of the first rows hold something else."""

    called: str
    """Its name, and its name in the file where that differs."""
    example: str
    """A value that is no such number."""


def find_misfits(rows: Sequence[Sequence[str]], layout: Layout) -> list[Misfit]:
    """Return the columns of numbers that do not fit most of the rows in which they have a value.

    Args:
        rows: the fields of the first rows; rows of another number of fields are left out.
        layout: of the file.

    Returns:
        In the order of the contract; none if there are fewer than ``FEWEST_ROWS`` rows.
    """
    whole = [row for row in rows if len(row) == layout.width]
    found = []
    for column, place in zip(layout.columns, layout.positions, strict=True):
        if len(whole) < FEWEST_ROWS or column.formats or not column.dtype.is_numeric():
            continue
        bare = [row[place].strip(BLANKS) for row in whole]
        filled = [one for one in bare if one not in layout.form.nulls and not is_nothing(one)]
        wrong = [one for one in filled if not _fits(one, column)]
        if 2 * len(wrong) > len(filled):
            found.append(Misfit(layout.called[column.name], wrong[0]))
    return found


def _fits(cell: str, column: Column) -> bool:
    """Return whether a cell may be a number of its column, however it is written."""
    number = read_decimal(cell)
    if number is None or column.scale != 1 or column.dtype.is_float():
        return is_number(cell)
    return number == number.to_integral_value()
