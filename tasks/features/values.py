"""The value of one feature, for people: its words where it is missing or unknown, and its text.

Belongs here: those words, and how a value is written. Does not belong here: what a model reads
instead of a value (``encoding``).
"""

import math
from typing import TypeAlias

Value: TypeAlias = float | str

MISSING = "(missing)"
"""A value that a connection does not have, in column names and explanations."""

UNSEEN = "(unseen)"
"""Categories that are not in the training rows, in column names and explanations."""

OTHER = "(other)"
"""Likewise, of a feature with so many categories that the rarest of the training rows are among
them."""

THOUSANDS_FROM = 1_000
"""A rendered quantity of this size or more is rounded to a whole number."""

FULL_BELOW = 1e15
"""A rendered quantity of this size or more has an exponent. Below it, every whole number is exact
in a float64."""


def render_value(value: Value | None) -> str:
    """Return an observed or expected value as text.

    Whole numbers are written in full with thousands separators, others with three significant
    digits.
    """
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return MISSING
    if abs(value) >= FULL_BELOW:
        return f"{value:.3g}"
    if value == round(value) or abs(value) >= THOUSANDS_FROM:
        return f"{round(value):,}"
    return f"{value:.3g}"
