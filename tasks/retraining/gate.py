"""The gate: whether a challenger takes the champion's place, and on what evidence.

Belongs here: the checks that decide. Does not belong here: comparing two models row by row
(``tasks.retraining.comparison``), making the scores, or changing the champion. A random split never
speaks for a challenger: on it every model looks good, and the one that memorises looks best. It may
speak against one.
"""

from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from tasks.retraining.comparison import (
    MATCHED_RATE,
    ComparisonRows,
    MetricChange,
    ModelComparison,
    compare_models,
)

LOST = 0.05
"""By how much the detection of a family may fall before the family counts as lost, and detection
as a whole where chance could explain it: a guess, one attack in twenty."""

KNOWN_LOST = 0.01
"""By how much detection may fall on a random split: a guess. What finds more that is new may find a
little less that is known."""

RATE_TOLERANCE = 0.001
"""By how much the false-positive rate may surely rise: a guess, ten alerts among 10,000
connections."""

RATE_LIMIT = 0.005
"""And by how much where chance could explain it: a guess, fifty among 10,000."""

MIN_ATTACKS = 30
"""Fewest different attacks that may speak for a challenger: a guess."""

MIN_NORMALS = 300
"""Fewest different normals: three of them make ``MATCHED_RATE``."""


class GateOptions(BaseModel):
    """What a challenger must show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(default=0.002, ge=0, lt=1)
    """By how much its detection must be better, at the lower end of the interval."""
    seed: int = 42
    """Of the bootstrap."""
    challengers: int = Field(default=1, ge=1)
    """How many are weighed in one decision: the more, the surer each gain must be."""


class GateCheck(BaseModel):
    """One of the things a challenger must show."""

    model_config = ConfigDict(frozen=True)

    name: str
    is_passed: bool
    says: str


class GateResult(BaseModel):
    """What the gate says of one challenger."""

    model_config = ConfigDict(frozen=True)

    is_better: bool
    reason: str
    """One sentence."""
    checks: tuple[GateCheck, ...]
    comparisons: tuple[ModelComparison, ...]

    @property
    def surest_gain(self) -> float:
        """The largest lower bound of a gain on evidence that counts: what orders challengers."""
        return max(
            (one.gain.low for one in self.comparisons if counts(one) and one.gain), default=-1.0
        )


def counts(comparison: ModelComparison) -> bool:
    """Tell whether a comparison may speak for a challenger: enough of it, and no random split."""
    return (
        comparison.source != "random_split"
        and comparison.gain is not None
        and comparison.distinct_attacks >= MIN_ATTACKS
        and comparison.distinct_normals >= MIN_NORMALS
    )


def apply_gate(
    evidence: Sequence[ComparisonRows], options: GateOptions, untaught: Sequence[str] = ()
) -> GateResult:
    """Decide whether a challenger is better than the champion.

    It must find more attacks by a margin, at the lower end of the interval, on held-out kinds or on
    the latest labelled batches, and on neither surely fewer; flag no more normals; lose no family
    anywhere; and have been taught every family that the champion was.

    Args:
        evidence: both models on the same rows, a source each; a random split speaks only against.
        options: the margin, the seed of the bootstrap, and how many are weighed.
        untaught: families that the champion was taught, and the challenger was not.

    Returns:
        The verdict. Equal evidence and options give an equal one.
    """
    tests = options.challengers * max(1, sum(one.source != "random_split" for one in evidence))
    comparisons = tuple(compare_models(one, options.seed, tests) for one in evidence)
    deciding = [one for one in comparisons if counts(one)]
    checks = (
        _require_evidence(deciding, comparisons),
        _require_gain(deciding, comparisons, options.margin),
        _require_no_loss(comparisons),
        _require_threshold(comparisons),
        _require_rate(comparisons),
        _require_families(comparisons),
        _require_lessons(untaught),
    )
    failed = [check.says for check in checks if not check.is_passed]
    return GateResult(
        is_better=not failed,
        reason=failed[0] if failed else checks[1].says,
        checks=checks,
        comparisons=comparisons,
    )


def _require_evidence(
    deciding: Sequence[ModelComparison], every: Sequence[ModelComparison]
) -> GateCheck:
    if deciding:
        words = " and ".join(one.name for one in deciding)
        return GateCheck(name="evidence", is_passed=True, says=f"judged on {words}")
    has_split = any(one.source == "random_split" for one in every)
    return GateCheck(
        name="evidence",
        is_passed=False,
        says=(
            f"there is {'only a random split' if has_split else 'nothing'} to evaluate it by: no"
            f" group of attacks could be held out, and no labelled night has {MIN_ATTACKS}"
            f" different attacks and {MIN_NORMALS} different normal connections that are new"
        ),
    )


def _require_gain(
    deciding: Sequence[ModelComparison], every: Sequence[ModelComparison], margin: float
) -> GateCheck:
    better = [one for one in deciding if one.gain and one.gain.low > margin]
    if better:
        best = max(better, key=lambda one: one.gain.low if one.gain else 0.0)
        return GateCheck(
            name="gain", is_passed=True, says=f"it finds more on {best.name}: {_gain(best)}"
        )
    flattering = [
        one for one in every if one.source == "random_split" and one.gain and one.gain.low > 0
    ]
    said = "; ".join(f"{one.name}: {_gain(one)}" for one in deciding)
    only = " It is better on a random split only, which does not count." if flattering else ""
    return GateCheck(
        name="gain",
        is_passed=False,
        says=f"it is not surely better by {margin:.2%}: {said or 'no evidence'}.{only}",
    )


def _require_no_loss(every: Sequence[ModelComparison]) -> GateCheck:
    def is_worse(one: ModelComparison) -> bool:
        if one.gain is None:
            return False
        if not counts(one):
            return one.gain.high < 0 and one.gain.value < -KNOWN_LOST
        return one.gain.high < 0 or one.gain.value < -LOST

    return _require(
        "no loss",
        every,
        is_worse,
        lambda one: f"it finds fewer attacks on {one.name}: {_gain(one)}",
        "it finds no fewer attacks on any evidence",
    )


def _require_threshold(every: Sequence[ModelComparison]) -> GateCheck:
    return _require(
        "threshold",
        every,
        lambda one: one.f1 is not None and _is_lost(one.f1),
        lambda one: f"its own threshold does worse on {one.name}: F1 {_points(one.f1)}",
        "its own threshold does no worse",
    )


def _require_rate(every: Sequence[ModelComparison]) -> GateCheck:
    def is_worse(one: ModelComparison) -> bool:
        rates = one.false_positives
        return rates is not None and (
            rates.value > RATE_LIMIT or (rates.value > RATE_TOLERANCE and rates.low > 0)
        )

    return _require(
        "false positives",
        every,
        is_worse,
        lambda one: (
            f"it flags more normal connections on {one.name}: {_points(one.false_positives)}"
        ),
        "it flags no more normal connections",
    )


def _require_families(every: Sequence[ModelComparison]) -> GateCheck:
    def lost(one: ModelComparison) -> Mapping[str, MetricChange]:
        # At its own threshold fewer attacks may be the price of fewer false alarms.
        rates = one.false_positives
        is_price = rates is not None and rates.value < -RATE_TOLERANCE
        found = (one.families,) if is_price else (one.families_flagged, one.families)
        return {
            name: change
            for families in found
            for name, change in families.items()
            if _is_lost(change)
        }

    return _require(
        "families",
        every,
        lambda one: bool(lost(one)),
        lambda one: (
            f"it loses attacks of a family on {one.name}: "
            + ", ".join(f"{name} {_points(change)}" for name, change in lost(one).items())
        ),
        "it loses no family of attack",
    )


def _require_lessons(untaught: Sequence[str]) -> GateCheck:
    return GateCheck(
        name="lessons",
        is_passed=not untaught,
        says=(
            f"it was taught no attacks of {', '.join(untaught)}, which the champion was: the files"
            " they were in are not among those it was fitted on"
            if untaught
            else "it was taught every family that the champion was"
        ),
    )


def _is_lost(change: MetricChange) -> bool:
    return change.value < -LOST and change.high < 0


def _require(
    name: str,
    every: Sequence[ModelComparison],
    is_worse: Callable[[ModelComparison], bool],
    describe: Callable[[ModelComparison], str],
    otherwise: str,
) -> GateCheck:
    worse = [describe(one) for one in every if is_worse(one)]
    return GateCheck(name=name, is_passed=not worse, says="; ".join(worse) or otherwise)


def _gain(comparison: ModelComparison) -> str:
    """Write both detections and their difference."""
    assert comparison.champion is not None  # noqa: S101 - the caller has looked
    assert comparison.challenger is not None  # noqa: S101 - likewise
    return (
        f"{comparison.challenger:.2%} of attacks at {MATCHED_RATE:.0%} false positives, champion "
        f"{comparison.champion:.2%}, {_points(comparison.gain)}"
    )


def _points(difference: MetricChange | None) -> str:
    """Write a difference of shares in percentage points, with its interval."""
    assert difference is not None  # noqa: S101 - the caller has looked
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.value:+.2f} points (95 %: {low:+.2f} to {high:+.2f})"
