"""A retraining promotes one challenger, and none that a person rolled back."""

from datetime import UTC, datetime
from types import SimpleNamespace

from storage.model_store import champion, promote, rollback
from storage.promotions import list_rolled_back
from storage.queries import decision_rows, history_rows
from tasks.detectors.thresholds import Thresholds
from tasks.retraining.challengers import FittedChallenger
from tasks.retraining.comparison import MetricChange, ModelComparison
from tasks.retraining.decide import Challenger, EvaluatedChallengers, RetrainOutcome, decide
from tasks.retraining.gate import GateResult
from tasks.retraining.labelled_batches import RetrainingRows
from tasks.training.fit import FitSummary
from tasks.training.options import TrainingOptions
from tasks.training.training_metrics import TrainingMetrics

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
FIRST, SECOND, THIRD = (f"nsl_kdd-{digit * 12}" for digit in "abc")
FOUND = RetrainingRows(
    fit_parts=(), sources={"1" * 64: "labelled.csv"}, test_parts=(), test_nights=(), rows_fit=4,
    rows_test=0, notes=(),
)  # fmt: skip


def gate(surest: float | None) -> GateResult:
    """Make the gate's result: its surest gain, or None where the challenger does not pass."""
    if surest is None:
        return GateResult(
            is_better=False, reason="it is not surely better", checks=(), comparisons=()
        )
    gain = MetricChange(value=surest + 0.1, low=surest, high=surest + 0.2)
    compared = ModelComparison(
        source="held_out_families", made_from="family", rows=4_000, attacks=900,
        distinct_normals=3_000, distinct_attacks=900, champion=0.5, challenger=0.6, gain=gain,
        f1=None, false_positives=None, families={}, families_flagged={}, points={},
    )  # fmt: skip
    return GateResult(is_better=True, reason="it finds more", checks=(), comparisons=(compared,))


def evaluated(example: SimpleNamespace, **surest: float | None) -> EvaluatedChallengers:
    """Make challengers, each named by the digit of its content."""
    challengers = []
    for content, gain in surest.items():
        folder = example.folder / f"fitted-{content}"
        (folder / "reference").mkdir(parents=True, exist_ok=True)
        (folder / "model.txt").write_text(f"trees of {content}")
        (folder / "reference" / "bins.json").write_text("{}")
        fit = FitSummary(
            content_hash=content * 64,
            rows=4,
            classes={"normal": 2, "attack": 2},
            thresholds=Thresholds(default=1.0, low_alert=2.0),
            metrics=TrainingMetrics(
                known=None, unknown_made_from="family", unknown={}, rows_conflicting=0
            ),
            seconds={},
        )
        fitted = FittedChallenger(recipe=content, folder=folder, fit=fit)
        challengers.append(Challenger(recipe=content, fitted=fitted, gate=gate(gain)))
    return EvaluatedChallengers(challengers=tuple(challengers), rows_tested=0, rows_seen=0)


def retrain(example: SimpleNamespace, **surest: float | None) -> RetrainOutcome:
    options = dict.fromkeys(surest, TrainingOptions())
    live = champion(example.engine, "nsl_kdd")
    return decide(
        example.engine, example.models, live, evaluated(example, **surest), FOUND, options, NOW
    )


def test_of_two_that_pass_the_surer_gain_is_promoted(example: SimpleNamespace) -> None:
    outcome = retrain(example, a=None, b=0.01, c=0.04)
    assert [one.decision for one in outcome.decisions] == ["refused", "refused", "promoted"]
    assert outcome.decisions[0].reason == "the same rows and recipe give the champion again"
    assert outcome.decisions[1].reason == "it would pass, but the gain of c is more certain"
    assert champion(example.engine, "nsl_kdd").version == outcome.champion_now == THIRD
    assert len(decision_rows(example.engine)) == 3


def test_a_version_that_a_person_rolled_back_is_not_promoted_again(
    example: SimpleNamespace,
) -> None:
    assert retrain(example, b=0.04).champion_now == SECOND
    rollback(
        example.engine, example.models, "nsl_kdd", who="bob", reason="three times the flags",
        now=NOW,
    )  # fmt: skip
    outcome = retrain(example, b=0.04)
    (refused,) = outcome.decisions
    assert refused.reason == (
        "it would pass, and was rolled back: 'three times the flags'. A person may promote it."
    )
    assert outcome.champion_now == FIRST
    assert len(history_rows(example.engine)) == 3
    assert retrain(example, b=0.04, c=0.01).champion_now == THIRD, "the next one may pass"


def test_a_version_stays_rolled_back_until_it_is_promoted_again(example: SimpleNamespace) -> None:
    example.register("b")

    def change() -> None:
        promote(example.engine, example.models, SECOND, who="ada", reason="again", now=NOW)

    change()
    assert list_rolled_back(example.engine, "nsl_kdd") == {}
    rollback(example.engine, example.models, "nsl_kdd", who="bob", reason="worse", now=NOW)
    assert list_rolled_back(example.engine, "nsl_kdd") == {SECOND: "worse"}
    change()
    assert list_rolled_back(example.engine, "nsl_kdd") == {}


def test_a_challenger_that_could_not_be_compared_is_stored_with_the_reason(
    example: SimpleNamespace,
) -> None:
    lost = Challenger(recipe="b", failure="Cannot compare b with the champion: its file is damaged")
    live = champion(example.engine, "nsl_kdd")
    both = evaluated(example, c=0.04)
    both = both.model_copy(update={"challengers": (lost, *both.challengers)})
    options = {"c": TrainingOptions()}
    outcome = decide(example.engine, example.models, live, both, FOUND, options, NOW)
    assert [one.decision for one in outcome.decisions] == ["failed", "promoted"]
    assert outcome.decisions[0].reason == "Cannot compare b with the champion: its file is damaged"
    assert outcome.message == f"{THIRD} is champion instead of {FIRST}"
