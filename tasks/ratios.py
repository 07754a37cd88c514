"""Shares of counts that may be zero.

Belongs here: what a ratio is where there is nothing to divide by. Does not belong here: which
ratios are reported, or how they look.
"""


def ratio(part: float, whole: float) -> float | None:
    """Return the part's share of the whole; None where the whole is 0."""
    return part / whole if whole else None
