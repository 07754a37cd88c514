"""Queries about earlier nights, shadow scorings, and decisions of a retraining."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import sqlalchemy as sa

from storage import schema
from storage.batches import commit_batch, find_batch
from storage.check.tables import check_tables
from storage.claims import ClaimLostError
from storage.decisions import Decision, store_decisions
from storage.model_store import champion
from storage.nights import (
    count_above,
    list_labelled_batches,
    read_earlier_nights,
    read_usual_rate,
)
from storage.queries import (
    batch_rows,
    decision_rows,
    flagged_rows,
    history_rows,
    shadow_rows,
)
from storage.scorings import LabelledRows, ScoringResult
from storage.shadows import ScoringComparison, ShadowResult, commit_shadow
from tests.unit.storage.conftest import BATCH_ID, LATER, NOW

CHAMPION, CHALLENGER = "nsl_kdd-aaaaaaaaaaaa", "nsl_kdd-bbbbbbbbbbbb"
TONIGHT = date(2026, 11, 20)


def shadow_of(example: SimpleNamespace, scores: tuple[float, float], **counts: int) -> ShadowResult:
    """Score the example's two rows as a challenger would, flagging above 2."""
    path = example.folder / "shadow.parquet"
    frame = pl.DataFrame(
        {
            "row_number": [1, 3],
            "classifier_score": [None, None],
            "one_class_score": [0.5, 0.25],
            "anomaly_score": list(scores),
            "is_flagged": [score > 2 for score in scores],
        },
        schema_overrides={"classifier_score": pl.Float64},
    )
    frame.write_parquet(path)
    facts = {"rows_flagged_by_both": 1, "rows_flagged_by_live": 0, "rows_flagged_by_shadow": 1}
    return ShadowResult(
        scoring=ScoringResult(
            model_version=CHALLENGER,
            operating_point="default",
            threshold=2.0,
            target_flag_rate=0.01,
            rows_scored=2,
            rows_flagged=int(frame["is_flagged"].sum()),
            labelled=LabelledRows(
                rows_labelled_normal=1,
                rows_labelled_attack=1,
                rows_flagged_normal=1,
                rows_flagged_attack=1,
            ),
            scores=(path,),
            flagged=(),
            reasons=None,
            drift=None,
            started_at=NOW,
            finished_at=LATER,
        ),
        comparison=ScoringComparison(rows_compared=2, rank_correlation=1.0, **{**facts, **counts}),
    )


def commit_both(example: SimpleNamespace, shadow: ShadowResult) -> None:
    """Claim the batch, and store it and then what a challenger made of it."""
    with example.claim() as held:
        commit_batch(example.engine, held, example.result())
        commit_shadow(example.engine, held, shadow)


@pytest.fixture
def shadowed(example: SimpleNamespace) -> SimpleNamespace:
    """The example batch, with a challenger beside."""
    example.register("b")
    commit_both(example, shadow_of(example, (3.0, 2.5)))
    return example


def test_a_shadow_is_stored_and_counts_nowhere_else(shadowed: SimpleNamespace) -> None:
    (row,) = shadow_rows(shadowed.engine)
    assert (row["model_version"], row["shadow_version"]) == (CHAMPION, CHALLENGER)
    assert (row["rows_flagged"], row["rows_flagged_by_shadow"], row["rows_compared"]) == (1, 2, 2)
    assert (row["rows_flagged_live_only"], row["rows_flagged_shadow_only"]) == (0, 1)
    assert (row["false_positive_rate"], row["false_positive_rate_of_shadow"]) == (None, 1.0)
    (summary,) = batch_rows(shadowed.engine)
    assert (summary["rows_flagged"], summary["model_version"]) == (1, CHAMPION)
    assert [one["model_version"] for one in flagged_rows(shadowed.engine)] == [CHAMPION]
    rows = [one for one in shadowed.read(schema.prediction) if one["classifier_score"] is None]
    assert [one["anomaly_score"] for one in rows] == [3.0, 2.5]
    assert {one["scoring_id"] for one in rows} == {row["shadow_scoring_id"]}
    assert list(check_tables(shadowed.engine)) == []


def test_a_batch_that_is_stored_again_has_the_shadow_of_that_time_or_none(
    example: SimpleNamespace,
) -> None:
    example.register("b")
    with example.claim() as held:
        for _ in range(2):
            commit_batch(example.engine, held, example.result())
            assert shadow_rows(example.engine) == [], "what it was compared with is replaced"
            for scores in ((3.0, 2.5), (3.0, 2.5)):
                commit_shadow(example.engine, held, shadow_of(example, scores))
                assert len(shadow_rows(example.engine)) == 1
            assert len(example.read(schema.prediction)) == 4
        commit_batch(example.engine, held, example.result())
    assert len(example.read(schema.prediction)) == 2
    assert len(example.read(schema.scoring)) == 1
    assert list(check_tables(example.engine)) == []


def lying(shadow: ShadowResult, _folder: Path) -> ShadowResult:
    """Say one flag more than the files hold."""
    said = {**vars(shadow.scoring), "rows_flagged": shadow.scoring.rows_flagged + 1}
    return ShadowResult(scoring=ScoringResult(**said), comparison=shadow.comparison)


def without_a_score(shadow: ShadowResult, _folder: Path) -> ShadowResult:
    """Have no number where a score is due."""
    (path,) = shadow.scoring.scores
    unusable = pl.when(pl.col("row_number") == 3).then(float("nan")).otherwise("anomaly_score")
    pl.read_parquet(path).with_columns(unusable.alias("anomaly_score")).write_parquet(path)
    return shadow


def without_files(shadow: ShadowResult, folder: Path) -> ShadowResult:
    """Have lost the files."""
    said = {**vars(shadow.scoring), "scores": (folder / "gone.parquet",)}
    return ShadowResult(scoring=ScoringResult(**said), comparison=shadow.comparison)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lying, "counts 2 flagged rows, but its files hold 1"),
        (without_a_score, r"(?i)not.null"),
        (without_files, "gone.parquet"),
    ],
)
def test_a_shadow_that_cannot_be_stored_leaves_the_batch_and_nothing_of_itself(
    example: SimpleNamespace,
    spoil: Callable[[ShadowResult, Path], ShadowResult],
    says: str,
) -> None:
    example.register("b")
    with example.claim() as held:
        commit_batch(example.engine, held, example.result())
        stored = example.read_all()
        shadow = spoil(shadow_of(example, (3.0, 1.0)), example.folder)
        with pytest.raises(Exception, match=says):
            commit_shadow(example.engine, held, shadow)
    assert example.read_all() == stored
    assert find_batch(example.engine, BATCH_ID).status == "scored"
    assert len(stored["prediction"]) == 2


def test_a_run_that_lost_its_claim_stores_no_shadow(example: SimpleNamespace) -> None:
    example.register("b")
    with example.claim() as stale:
        pass
    with example.claim() as held:
        commit_batch(example.engine, held, example.result())
    stored = example.read_all()
    with pytest.raises(ClaimLostError, match="this run holds claim 1, but another"):
        commit_shadow(example.engine, stale, shadow_of(example, (3.0, 2.5)))
    assert example.read_all() == stored


def test_a_shadow_of_a_batch_that_is_not_stored_is_refused(example: SimpleNamespace) -> None:
    example.register("b")
    with example.claim() as held, pytest.raises(AssertionError, match="commit_batch comes first"):
        commit_shadow(example.engine, held, shadow_of(example, (3.0, 2.5)))
    assert example.read(schema.scoring) == []


def test_labels_met_are_rates_of_the_batch(example: SimpleNamespace) -> None:
    labelled = LabelledRows(
        rows_labelled_normal=1, rows_labelled_attack=1, rows_flagged_normal=0, rows_flagged_attack=1
    )
    example.commit(labelled=labelled)
    (row,) = batch_rows(example.engine)
    assert (row["false_positive_rate"], row["recall"]) == (0.0, 1.0)
    (found,) = list_labelled_batches(example.engine, "nsl_kdd")
    assert (found.night, found.rows, found.file_name) == (TONIGHT, 2, "night.csv")
    assert list_labelled_batches(example.engine, "other") == []


def ask(example: SimpleNamespace, version: str = CHAMPION, **changes: object) -> list[object]:
    asked = {"before": TONIGHT + timedelta(days=1), "nights": 7, "exceeded_by": 0, "above": 0.1}
    return read_earlier_nights(example.engine, "nsl_kdd", version, **{**asked, **changes})


def test_a_night_tells_the_score_that_so_many_exceed(example: SimpleNamespace) -> None:
    example.commit()  # scores 5 and .5
    assert [(one.night, one.rows, one.score) for one in ask(example)] == [(TONIGHT, 2, 5.0)]
    assert ask(example, exceeded_by=1)[0].score == 0.5
    assert ask(example, exceeded_by=2)[0].score == 0.1, "fewer exceed the bound"
    assert ask(example, above=1.0, exceeded_by=1)[0].score == 1.0
    assert ask(example, version=CHALLENGER)[0].score is None, "another model scored it"
    assert ask(example, before=TONIGHT) == [], "tonight has no part in its own threshold"


def test_the_latest_nights_are_counted_with_all_their_batches(example: SimpleNamespace) -> None:
    example.commit()
    for number, day in ((2, 0), (3, 1), (4, 2)):
        batch_id = f"{number}" * 64
        example.deliver(batch_id, batch_date=TONIGHT + timedelta(days=day))
        example.commit(batch_id, events=())
    later = {"before": TONIGHT + timedelta(days=9)}
    assert [(one.night.day, one.rows) for one in ask(example, **later)] == [
        (22, 2), (21, 2), (20, 4),
    ]  # fmt: skip
    assert [one.night.day for one in ask(example, nights=2, **later)] == [22, 21]
    counted = count_above(example.engine, CHAMPION, [0.1, 1.0, 9.0], nights=2)
    assert [(one.night.day, one.rows, one.counts) for one in counted] == [
        (22, 2, (2, 1, 0)), (21, 2, (2, 1, 0)),
    ]  # fmt: skip
    assert count_above(example.engine, CHALLENGER, [0.1], nights=2) == []


def test_a_shadow_keeps_a_budget_by_what_it_scored_itself(shadowed: SimpleNamespace) -> None:
    (night,) = ask(shadowed, version=CHALLENGER, exceeded_by=1)
    assert (night.rows, night.score) == (2, 2.5), "the rows are counted once"
    (live,) = ask(shadowed, exceeded_by=1)
    assert (live.rows, live.score) == (2, 0.5)
    shadowed.deliver("2" * 64)
    shadowed.commit("2" * 64, events=())
    assert ask(shadowed, version=CHALLENGER)[0].score is None, "it did not score all of the night"


def test_what_is_usual_is_the_median_night_of_the_same_model(example: SimpleNamespace) -> None:
    def usual(**changes: object) -> float | None:
        asked = {"before": TONIGHT + timedelta(days=9), "nights": 7, **changes}
        point = str(asked.pop("point", "default"))
        version = str(asked.pop("version", CHAMPION))
        return read_usual_rate(example.engine, "nsl_kdd", version, point, **asked)

    assert usual() is None
    example.commit()  # one of two is flagged
    assert usual() == 0.5
    assert usual(before=TONIGHT) is None
    assert usual(version=CHALLENGER) is None
    assert usual(point="low_alert") is None


def test_rates_of_a_file_that_a_model_was_fitted_on_are_marked(shadowed: SimpleNamespace) -> None:
    (row,) = shadow_rows(shadowed.engine)
    assert not row["is_model_fitted_on_it"]
    assert not row["is_shadow_fitted_on_it"]
    with shadowed.engine.begin() as connection:
        connection.execute(
            sa.update(schema.model_version)
            .where(schema.model_version.c.model_version_id == CHALLENGER)
            .values(training={"sources": {row["batch_id"]: "night.csv"}})
        )
    (row,) = shadow_rows(shadowed.engine)
    assert not row["is_model_fitted_on_it"]
    assert row["is_shadow_fitted_on_it"]


def test_a_shadow_is_counted_as_its_own_model_scored(shadowed: SimpleNamespace) -> None:
    (counted,) = count_above(shadowed.engine, CHALLENGER, [2.0, 2.75], nights=7)
    assert counted.counts == (2, 1)


def decide(example: SimpleNamespace, *decisions: Decision) -> tuple[Decision, ...]:
    return store_decisions(
        example.engine, example.models, "nsl_kdd", CHAMPION, decisions, who="retrain", now=LATER
    )


PROMOTED = Decision(
    recipe="lightgbm+mahalanobis",
    challenger=CHALLENGER,
    decision="promoted",
    reason="it finds more",
    evidence={"checks": [1]},
)
FAILED = Decision(
    recipe="voting+pca_error", challenger=None, decision="failed", reason="no", evidence={}
)


def test_a_promotion_and_its_decision_are_stored_together(example: SimpleNamespace) -> None:
    example.register("b")
    assert decide(example, PROMOTED, FAILED) == (PROMOTED, FAILED)
    assert champion(example.engine, "nsl_kdd").version == CHALLENGER
    latest = history_rows(example.engine)[0]
    assert (latest["model_version"], latest["promoted_by"], latest["reason"]) == (
        CHALLENGER, "retrain", "it finds more",
    )  # fmt: skip
    rows = decision_rows(example.engine, contract="nsl_kdd")
    assert [(row["recipe"], row["decision"], row["challenger"]) for row in rows] == [
        ("voting+pca_error", "failed", None),
        ("lightgbm+mahalanobis", "promoted", CHALLENGER),
    ]
    assert rows[1]["evidence"] == {"checks": [1]}
    assert {row["champion"] for row in rows} == {CHAMPION}
    assert list(check_tables(example.engine)) == []


def test_what_was_compared_with_another_champion_is_not_promoted(example: SimpleNamespace) -> None:
    for content in ("b", "c"):
        example.register(content)
    decide(example, Decision(**{**vars(PROMOTED), "challenger": "nsl_kdd-cccccccccccc"}))
    (stored,) = decide(example, PROMOTED)
    assert stored.decision == "refused"
    assert "but nsl_kdd-cccccccccccc has become champion since" in stored.reason
    assert champion(example.engine, "nsl_kdd").version == "nsl_kdd-cccccccccccc"
    assert decision_rows(example.engine)[0]["decision"] == "refused"


def test_a_challenger_whose_files_were_altered_is_not_promoted(example: SimpleNamespace) -> None:
    example.register("b")
    (example.models / CHALLENGER / "model.txt").write_text("other trees")
    (stored,) = decide(example, PROMOTED)
    assert stored.decision == "refused"
    assert "Refused model nsl_kdd-bbbbbbbbbbbb: model.txt" in stored.reason
    assert champion(example.engine, "nsl_kdd").version == CHAMPION


def test_a_failure_in_the_middle_stores_neither(example: SimpleNamespace) -> None:
    example.register("b")
    broken = Decision(**{**vars(FAILED), "decision": "liked"})
    with pytest.raises(Exception, match=r"(?i)check|constraint"):
        decide(example, PROMOTED, broken)
    assert champion(example.engine, "nsl_kdd").version == CHAMPION
    with example.engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(schema.promotion_decision)
        assert connection.scalar(count) == 0
