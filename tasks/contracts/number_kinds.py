"""The kind of a column of numbers that nobody has described.

Belongs here: what numbers may be: a time since 1970, a port, a protocol, a flag, a count, a share.
Does not belong here: texts (``tasks.contracts.kinds``), or what a name says
(``tasks.contracts.known_names``).
"""

from dataclasses import replace
from typing import Final

import polars as pl

from expectations.contract import Kind
from tasks.contracts import known_names, values
from tasks.contracts.column_guess import (
    FEW_ROWS,
    HALF,
    ColumnGuess,
    count_unmarked,
    example,
    fits,
    say_marked,
    share,
)
from tasks.contracts.known_names import means
from tasks.contracts.times import find_epochs
from tasks.intake.numerals import TRUTH

MOST_WHOLE: Final = 2.0**63
"""Whole numbers from here on do not fit in 64 bits."""
MOST_PORT: Final = 65_535
UNKNOWN_UNIT: Final = "its unit is not known: seconds are assumed; scale = 0.001 for milliseconds"
"""What a person must look at where no name and no other column tells the unit."""
MOST_PROTOCOL: Final = 255


def guess_number(base: ColumnGuess, texts: pl.Series) -> ColumnGuess | None:
    """Return a column of numbers; None if most values are none."""
    truths = texts.str.to_lowercase().is_in(list(TRUTH))
    if truths.all():
        return replace(base, kind="flag", evidence=say_marked(truths, "are true or false", texts))
    marks = values.is_number(texts)
    if not fits(marks) or _are_hexadecimal(texts, marks):
        return _guess_other_writing(base, texts)
    digits = texts.filter(marks)
    numbers = digits.cast(pl.Float64, strict=False).drop_nulls()
    low, high = _ends(numbers)
    span = f"from {low:.10g} to {high:.10g}" if low < high else f"all {low:.10g}"
    evidence = f"{len(digits):,} of {len(texts):,} values are numbers, {span}"
    base = replace(base, kind="number", unfit=count_unmarked(marks), evidence=evidence)
    return (
        _as_time(base, numbers)
        or (_as_interval(base, numbers) if known_names.is_duration(base.name) else None)
        or _as_whole(base, digits, numbers)
        or _as_ratio(base, low, high)
    )


def _as_time(base: ColumnGuess, numbers: pl.Series) -> ColumnGuess | None:
    """Return a column of times since 1970."""
    epoch = find_epochs(numbers)
    if epoch is None or (base.name and not known_names.is_time(base.name)):
        return None
    looks = () if base.name else (f"are these numbers times, as {epoch}?",)
    evidence = f"{base.evidence}, which fit {epoch} since 1970"
    return replace(base, kind="time", formats=(epoch,), evidence=evidence, looks=looks)


def _as_interval(base: ColumnGuess, numbers: pl.Series) -> ColumnGuess:
    """Return a column of lengths of time; of plain numbers, if too many are negative."""
    scale = known_names.seconds_of(base.name)
    looks = []
    if scale is None:
        looks.append(UNKNOWN_UNIT)
    kind: Kind = "interval"
    negative = numbers < 0
    if not fits(~negative):
        kind = "number"
        looks.append(f"{int(negative.sum()):,} values are negative, so it is no interval")
    elif negative.any():
        looks.append(f"{int(negative.sum()):,} values are negative: such rows are quarantined")
    evidence = base.evidence + ("; its name says the unit" if scale else "")
    return replace(
        base, kind=kind, unit="s", scale=scale or 1.0, evidence=evidence, looks=tuple(looks)
    )


def _as_ratio(base: ColumnGuess, low: float, high: float) -> ColumnGuess:
    """Return a column of shares if its name says so, else of numbers."""
    if known_names.is_ratio(base.name) and low >= 0 and high <= 1:
        return replace(base, kind="ratio", unit="ratio")
    return base


def _as_whole(base: ColumnGuess, digits: pl.Series, numbers: pl.Series) -> ColumnGuess | None:
    """Return a column of whole numbers; None if it has others, or may have."""
    low, high = _ends(numbers)
    whole = values.is_whole(digits)
    if not fits(whole) or high >= MOST_WHOLE or low < -MOST_WHOLE:
        return None
    evidence = base.evidence.replace("are numbers", "are whole numbers")
    base = replace(base, unfit=base.unfit + count_unmarked(whole), evidence=evidence)
    if found := _as_number_of(base, numbers, low, high):
        return found
    has_points = bool(digits.str.contains(".", literal=True).any())
    unit = known_names.unit_of(base.name)
    if low < 0 or known_names.is_averaged(base.name) or (has_points and not unit):
        return None
    if (low, high) == (0, 1):
        evidence += f", {int(numbers.sum()):,} of them 1"
        kind: Kind = "flag" if known_names.is_flag(base.name) else "count"
        return replace(base, kind=kind, evidence=evidence)
    may_be_port = high <= MOST_PORT and base.different > FEW_ROWS
    return replace(base, kind="count", unit=unit, may_be_port=may_be_port)


def _as_number_of(
    base: ColumnGuess, numbers: pl.Series, low: float, high: float
) -> ColumnGuess | None:
    """Return a column of whole numbers that name something: a port, a protocol, a row."""
    if known_names.is_port(base.name) and low >= 0 and high <= MOST_PORT:
        return replace(base, kind="port")
    if means(base.name, "proto") and low >= 0 and high <= MOST_PROTOCOL:
        return replace(base, kind="protocol", evidence=f"{base.evidence}: numbers of protocols")
    if means(base.name, "uid") and base.different > HALF * len(numbers):
        evidence = f"{base.evidence}, {base.different:,} different"
        return replace(base, kind="id", evidence=evidence)
    if len(numbers) >= FEW_ROWS and share(numbers.diff().drop_nulls() == 1) == 1:
        evidence = f"{base.evidence}, each 1 above the one before"
        return replace(base, kind="count", is_row_number=True, evidence=evidence)
    if known_names.is_row_number(base.name) and base.different == len(numbers) >= FEW_ROWS:
        evidence = f"{base.evidence}, all different"
        return replace(base, kind="count", is_row_number=True, evidence=evidence)
    return None


def _guess_other_writing(base: ColumnGuess, texts: pl.Series) -> ColumnGuess | None:
    """Return a column of numbers in another writing: hexadecimal, or with a decimal comma."""
    if known_names.is_port(base.name):
        marks = values.is_number(texts) | values.is_hexadecimal(texts)
        if share(marks) > HALF:
            others = count_unmarked(marks)
            looks: tuple[str, ...] = ()
            if others:
                shown = example(texts.filter(~marks))
                looks = (f"{others:,} values, such as {shown}, are no numbers: they become empty",)
            evidence = say_marked(marks, "are whole numbers, some of them hexadecimal", texts)
            return replace(base, kind="port", unfit=others, looks=looks, evidence=evidence)
    commas = values.has_decimal_comma(texts)
    if commas.any() and fits(commas | values.is_number(texts)):
        look = (
            "Noctule reads no numbers with a comma, so the column is ignored: write them with a"
            " point"
        )
        evidence = say_marked(commas, "are numbers with a comma", texts)
        return replace(base, is_unusable=True, evidence=evidence, looks=(look,))
    return None


def _are_hexadecimal(texts: pl.Series, numbers: pl.Series) -> bool:
    """Return whether texts are hexadecimal digits, not all of which are decimal ones."""
    return not numbers.all() and bool(texts.str.contains(r"^[0-9a-fA-F]+$").all())


def _ends(numbers: pl.Series) -> tuple[float, float]:
    low, high = numbers.min(), numbers.max()
    return (
        float(low) if isinstance(low, int | float) else 0.0,
        float(high) if isinstance(high, int | float) else 0.0,
    )
