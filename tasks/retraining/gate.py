"""The gate: the checks that decide whether a challenger takes the champion's place.

Belongs here: the checks. Does not belong here: comparing two models row by row (``comparison``),
making the scores, or changing the champion. A random split never counts for a challenger: every
model looks good on it, and the one that memorises looks best. It may count against one.
"""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from tasks.retraining.comparison import (
    MATCHED_RATE,
    MetricChange,
    ModelComparison,
    compare_models,
)
from tasks.retraining.comparison_rows import ComparisonRows

LOST = 0.05
"""How far the detection of a family may fall before the family counts as lost, and how far
detection may fall where chance could explain it. A guess, one attack in twenty."""

KNOWN_LOST = 0.01
"""How far detection may fall on a random split. A guess: a model that finds more new attacks may
find slightly fewer known ones."""

RATE_TOLERANCE = 0.001
"""How far the false-positive rate may rise with certainty. A guess, ten alerts among 10,000
connections."""

RATE_LIMIT = 0.005
"""How far it may rise where chance could explain it. A guess, fifty alerts among 10,000."""

MIN_ATTACKS = 30
"""Fewest different attacks that may count for a challenger. A guess."""

MIN_NORMALS = 300
"""Fewest different normal connections: three of them are ``MATCHED_RATE``."""


class GateOptions(BaseModel, frozen=True, extra="forbid"):
    """What a challenger must show."""

    margin: float = Field(default=0.002, ge=0, lt=1)
    """How much better its detection must be, at the lower end of the interval."""
    seed: int = 42
    """Seed of the bootstrap."""
    challengers: int = Field(default=1, ge=1)
    """Challengers in one decision: the more there are, the more certain each gain must be."""


class GateCheck(BaseModel, frozen=True):
    """One of the checks that a challenger must pass."""

    name: str
    is_passed: bool
    says: str


class GateResult(BaseModel, frozen=True):
    """The result of the gate for one challenger."""

    is_better: bool
    reason: str
    """One sentence."""
    checks: tuple[GateCheck, ...]
    comparisons: tuple[ModelComparison, ...]

    @property
    def surest_gain(self) -> float:
        """The largest lower bound of a gain among comparisons that count; it ranks challengers."""
        return max(
            (one.gain.low for one in self.comparisons if counts_for(one) and one.gain),
            default=-1.0,
        )


def counts_for(comparison: ModelComparison) -> bool:
    """Return whether a comparison may count for a challenger: enough rows, and no random split."""
    return (
        comparison.source != "random_split"
        and comparison.gain is not None
        and comparison.distinct_attacks >= MIN_ATTACKS
        and comparison.distinct_normals >= MIN_NORMALS
    )


def apply_gate(
    sources: Sequence[ComparisonRows], options: GateOptions, missing: Sequence[str] = ()
) -> GateResult:
    """Decide whether a challenger is better than the champion.

    On held-out groups or on the latest labelled batches, the challenger must find more attacks by a
    margin, at the lower end of the interval. It must not find surely fewer on either, flag no more
    normal connections, lose no family, and be fitted on every family that the champion was fitted
    on: ``missing`` lists the families that it was not fitted on. Equal rows and options give an
    equal result.
    """
    tests = options.challengers * max(1, sum(one.source != "random_split" for one in sources))
    comparisons = tuple(compare_models(one, options.seed, tests) for one in sources)
    deciding = [one for one in comparisons if counts_for(one)]
    unlearned = (
        f"it was fitted on no attacks of {', '.join(missing)}, and the champion was: the files with"
        " those attacks are not among the files it was fitted on"
    )
    checks = (
        _check_sources(deciding, comparisons),
        _check_gain(deciding, comparisons, options.margin),
        _check(
            "no loss",
            [
                f"it finds fewer attacks on {one.name}: {_gain(one)}"
                for one in comparisons
                if _finds_fewer(one)
            ],
            "it finds no fewer attacks in any comparison",
        ),
        _check(
            "threshold",
            [
                f"its own threshold does worse on {one.name}: F1 {_points(one.f1)}"
                for one in comparisons
                if one.f1 and _is_lost(one.f1)
            ],
            "its own threshold does no worse",
        ),
        _check(
            "false positives",
            [
                f"it flags more normal connections on {one.name}: {_points(one.false_positives)}"
                for one in comparisons
                if one.false_positives and _is_risen(one.false_positives)
            ],
            "it flags no more normal connections",
        ),
        _check(
            "families",
            [
                f"it loses attacks of a family on {one.name}: {', '.join(lost)}"
                for one in comparisons
                if (lost := _list_lost_families(one))
            ],
            "it loses no family of attacks",
        ),
        _check(
            "lessons",
            [unlearned] if missing else [],
            "it was fitted on every family that the champion was fitted on",
        ),
    )
    failed = [check.says for check in checks if not check.is_passed]
    return GateResult(
        is_better=not failed,
        reason=failed[0] if failed else checks[1].says,
        checks=checks,
        comparisons=comparisons,
    )


def _check_sources(
    deciding: Sequence[ModelComparison], every: Sequence[ModelComparison]
) -> GateCheck:
    if deciding:
        names = " and ".join(one.name for one in deciding)
        return _check("evidence", [], f"compared on {names}")
    has_split = any(one.source == "random_split" for one in every)
    problem = (
        f"there is {'only a random split' if has_split else 'nothing'} to compare it on: no group"
        f" of attacks could be held out, and no labelled night has {MIN_ATTACKS} different attacks"
        f" and {MIN_NORMALS} different normal connections that are new"
    )
    return _check("evidence", [problem])


def _check_gain(
    deciding: Sequence[ModelComparison], every: Sequence[ModelComparison], margin: float
) -> GateCheck:
    best = max(deciding, key=lambda one: one.gain.low if one.gain else -1.0, default=None)
    if best and best.gain and best.gain.low > margin:
        return _check("gain", [], f"it finds more on {best.name}: {_gain(best)}")
    gains = "; ".join(f"{one.name}: {_gain(one)}" for one in deciding) or "nothing to compare on"
    problem = f"it is not certainly better by {margin:.2%}: {gains}."
    if any(one.source == "random_split" and one.gain and one.gain.low > 0 for one in every):
        problem += " It is better on a random split only, which does not count."
    return _check("gain", [problem])


def _check(name: str, problems: Sequence[str], otherwise: str = "") -> GateCheck:
    return GateCheck(name=name, is_passed=not problems, says="; ".join(problems) or otherwise)


def _finds_fewer(one: ModelComparison) -> bool:
    if one.gain is None:
        return False
    if not counts_for(one):
        return one.gain.high < 0 and one.gain.value < -KNOWN_LOST
    return one.gain.high < 0 or one.gain.value < -LOST


def _is_risen(rate: MetricChange) -> bool:
    return rate.value > RATE_LIMIT or (rate.value > RATE_TOLERANCE and rate.low > 0)


def _is_lost(change: MetricChange) -> bool:
    return change.value < -LOST and change.high < 0


def _list_lost_families(one: ModelComparison) -> list[str]:
    """List the families of which the challenger finds fewer attacks, with the change."""
    # At its own threshold, a model may find fewer attacks because it raises fewer alarms.
    raises_fewer = one.false_positives and one.false_positives.value < -RATE_TOLERANCE
    flagged = {} if raises_fewer else one.families_flagged
    lost = {
        name: change
        for families in (flagged, one.families)
        for name, change in families.items()
        if _is_lost(change)
    }
    return [f"{name} {_points(change)}" for name, change in lost.items()]


def _gain(comparison: ModelComparison) -> str:
    """Write both detections and their change."""
    assert comparison.champion is not None  # noqa: S101 - the caller has looked
    assert comparison.challenger is not None  # noqa: S101 - likewise
    assert comparison.gain is not None  # noqa: S101 - likewise
    return (
        f"{comparison.challenger:.2%} of attacks at {MATCHED_RATE:.0%} false positives, champion "
        f"{comparison.champion:.2%}, {_points(comparison.gain)}"
    )


def _points(change: MetricChange) -> str:
    """Write a change of a share in percentage points, with its interval."""
    low, high = 100 * change.low, 100 * change.high
    return f"{100 * change.value:+.2f} points (95 %: {low:+.2f} to {high:+.2f})"
