"""Metrics agree with scikit-learn and with counting by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from expectations.contract import Contract, Labels
from expectations.errors import InputRejectedError
from tasks.detectors.member import MemberCard
from tasks.detectors.model_card import ModelCard
from tasks.detectors.thresholds import Thresholds
from tasks.evaluation.evaluate import evaluate_batch, evaluate_flags, evaluate_scores
from tasks.evaluation.metrics import average_precision, compute_calibration, interval, roc_auc
from tasks.scoring.score import ScoreOptions, score_batch
from tasks.validation.summary import PartFile
from tests.support.sources import NSL_KDD

CARD = ModelCard(contract="nsl_kdd", thresholds=Thresholds(default=2.0, low_alert=3.5))

LABELLED = pl.DataFrame(
    {
        "_is_attack": [True, True, True, False, False, False],
        "_attack": ["neptune", "satan", "neptune", None, None, None],
        "anomaly_score": [4.0, 1.0, 3.0, 2.5, 1.0, 0.5],
        "classifier_score": [5.0, -1.0, 2.0, -3.0, 0.5, -4.0],
    }
)

SMALL = Contract(
    name="small",
    title="",
    source="",
    columns=(),
    labels=Labels(column="class", normal=("normal",), names="attack"),
)


def families(**family: str) -> Contract:
    """Return a contract with families of attacks."""
    assert SMALL.labels
    return replace(SMALL, labels=replace(SMALL.labels, families=family))


labelled_scores = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5).map(float)), min_size=2, max_size=40
).filter(lambda rows: len({truth for truth, _ in rows}) == 2)


@given(labelled_scores)
def test_ranking_metrics_agree_with_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    truth, scores = (np.array(column) for column in zip(*rows, strict=True))
    assert roc_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))


def test_the_metrics_of_each_operating_point_agree_with_counting() -> None:
    points = evaluate_scores(LABELLED, CARD, SMALL).operating_points
    assert points["default"].false_positive_rate_interval == pytest.approx(
        (0.0615, 0.7923), abs=1e-4
    )
    assert points["default"].model_dump(exclude={"false_positive_rate_interval"}) == pytest.approx(
        {
            "threshold": 2.0,
            "accuracy": 4 / 6,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
            "false_positive_rate": 1 / 3,
            "flag_rate": 3 / 6,
            "alerts_per_10000": 5_000,
        }
    )
    assert points["low_alert"].recall == pytest.approx(1 / 3)
    assert points["low_alert"].false_positive_rate == 0
    assert points["p50"].threshold == 0
    assert points["p50"].flag_rate == pytest.approx(3 / 6)


def test_recall_is_given_by_attack_and_by_family() -> None:
    evaluation = evaluate_scores(LABELLED, CARD, families(neptune="DoS"))
    assert evaluation.recall_by_attack == {"neptune": 1.0, "satan": 0.0}
    assert evaluation.recall_by_family == {"DoS": 1.0, "other": 0.0}


def test_flags_of_other_thresholds_are_evaluated_as_given() -> None:
    flags = {
        name: pl.Series([True, True, True, False, False, False])
        for name in ("default", "low_alert", "p50")
    }
    evaluation = evaluate_flags(LABELLED, flags, CARD, SMALL)
    assert evaluation.operating_points["low_alert"].threshold == 3.5
    assert evaluation.operating_points["low_alert"].accuracy == 1
    assert evaluation.recall_by_attack == {"neptune": 1.0, "satan": 1.0}


def test_seen_and_unseen_attacks_are_counted_apart() -> None:
    card = CARD.model_copy(update={"attacks": ("neptune",)})
    evaluation = evaluate_scores(LABELLED, card, families(neptune="DoS", satan="Probe"))
    shown = [
        (one.family, one.is_seen, one.rows, one.recall["default"]) for one in evaluation.families
    ]
    assert shown == [
        ("all", True, 2, 1.0), ("all", False, 1, 0.0), ("DoS", True, 2, 1.0),
        ("Probe", False, 1, 0.0),
    ]  # fmt: skip
    assert [(one.name, one.is_seen, one.rows) for one in evaluation.attacks] == [
        ("neptune", True, 2), ("satan", False, 1),
    ]  # fmt: skip
    assert evaluation.attacks[0].recall == {"default": 1.0, "low_alert": 0.5, "p50": 1.0}


def test_training_rows_are_counted_and_left_out_of_second_metrics() -> None:
    labelled = LABELLED.with_columns(is_seen=pl.Series([True, False, False, False, False, True]))
    evaluation = evaluate_scores(labelled, CARD, SMALL)
    assert (evaluation.rows, evaluation.rows_seen_in_training) == (6, 2)
    assert evaluation.without_seen is not None
    assert evaluation.without_seen.rows == 4
    assert evaluation.without_seen.operating_points["default"].recall == 1 / 2
    assert evaluation.without_seen.operating_points["default"].false_positive_rate == 1 / 2
    assert evaluation.cleanest is evaluation.without_seen
    assert evaluation.without_seen.calibration != evaluation.calibration
    assert sum(one.rows for one in evaluation.without_seen.attacks) < sum(
        one.rows for one in evaluation.attacks
    )
    assert evaluate_scores(LABELLED, CARD, SMALL).without_seen is None
    every = evaluate_scores(LABELLED.with_columns(is_seen=pl.lit(value=True)), CARD, SMALL)
    assert (every.rows_seen_in_training, every.without_seen) == (6, None)


def test_a_model_without_a_classifier_has_neither_p50_nor_calibration() -> None:
    member = MemberCard(kind="autoencoder", stem="one_class", reads="neural")
    card = CARD.model_copy(update={"members": {"one_class": member}})
    labelled = LABELLED.with_columns(classifier_score=pl.lit(None, pl.Float64))
    evaluation = evaluate_scores(labelled, card, SMALL)
    assert set(evaluation.operating_points) == {"default", "low_alert"}
    assert evaluation.calibration is None


@given(st.integers(0, 400), st.integers(1, 400))
def test_an_interval_contains_its_share_and_narrows_with_rows(found: int, among: int) -> None:
    found = min(found, among)
    low, high = interval(found, among)
    assert 0 <= low <= found / among <= high <= 1
    narrower = interval(10 * found, 10 * among)
    assert narrower[1] - narrower[0] < high - low


def test_an_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263, method 3.
    assert interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert interval(0, 0) is None


def test_calibrated_probabilities_have_no_expected_error() -> None:
    # A tenth of those at 10 % are attacks, and nine tenths of those at 90 %.
    truth = np.array([True] + [False] * 9 + [True] * 9 + [False])
    odds = np.log(np.where(np.arange(20) < 10, 1 / 9, 9.0))
    calibrated = compute_calibration(truth, odds)
    assert calibrated.expected_error == pytest.approx(0, abs=1e-12)
    assert calibrated.brier == pytest.approx(0.09)
    assert [(one.rows, one.attack_rate) for one in calibrated.bins] == [(10, 0.1), (10, 0.9)]
    wrong = compute_calibration(~truth, odds)
    assert wrong.expected_error == pytest.approx(0.8)


def test_without_attack_names_there_is_no_recall_by_attack() -> None:
    unnamed = LABELLED.with_columns(_attack=pl.lit(None, dtype=pl.String))
    evaluation = evaluate_scores(unnamed, CARD, families(neptune="DoS"))
    assert evaluation.recall_by_attack == {}
    assert evaluation.recall_by_family == {}


def test_metrics_that_need_both_classes_are_none_for_one() -> None:
    evaluation = evaluate_scores(LABELLED.filter(~pl.col("_is_attack")), CARD, SMALL)
    assert evaluation.roc_auc is None
    assert evaluation.average_precision is None
    assert evaluation.operating_points["default"].recall is None
    assert evaluation.operating_points["low_alert"].precision is None


def test_the_object_has_the_agreed_keys() -> None:
    assert list(evaluate_scores(LABELLED, CARD, SMALL).model_dump()) == [
        "rows",
        "roc_auc",
        "average_precision",
        "operating_points",
        "recall_by_attack",
        "recall_by_family",
        "attacks",
        "families",
        "calibration",
        "best_feature",
        "rows_duplicated",
        "duplicate_share",
        "rows_seen_in_training",
        "without_seen",
        "rows_unlabelled",
        "rows_quarantined",
        "advisories",
    ]


def test_a_batch_is_evaluated_over_all_its_labelled_rows(
    tiny_model_folder: Path, make_connections: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    frame = make_connections(60, seed=5)
    unlabelled = frame.with_columns(pl.when(pl.col("row_number") > 3).then("class").alias("class"))
    unlabelled[:30].write_parquet(tmp_path / "a.parquet")
    unlabelled[30:].write_parquet(tmp_path / "b.parquet")
    parts = [PartFile(path="a.parquet", rows=30), PartFile(path="b.parquet", rows=30)]
    out = tmp_path / "score-1"
    out.mkdir()
    scored = score_batch(tmp_path, parts, tiny_model_folder, out, ScoreOptions())
    evaluation = evaluate_batch(tmp_path, parts, scored.parts, tiny_model_folder, NSL_KDD)
    assert (evaluation.rows, evaluation.rows_unlabelled) == (57, 3)
    assert set(evaluation.recall_by_attack) == {"neptune", "satan", "guess_passwd"}
    assert set(evaluation.recall_by_family) == {"DoS", "Probe", "R2L"}


def test_parts_with_and_without_attack_names_are_evaluated_together(
    tiny_model_folder: Path, make_connections: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    make_connections(12, seed=5).write_parquet(tmp_path / "a.parquet")
    make_connections(6, seed=6).drop("attack").write_parquet(tmp_path / "b.parquet")
    parts = [PartFile(path="a.parquet", rows=12), PartFile(path="b.parquet", rows=6)]
    out = tmp_path / "score-1"
    out.mkdir()
    scored = score_batch(tmp_path, parts, tiny_model_folder, out, ScoreOptions())
    evaluation = evaluate_batch(tmp_path, parts, scored.parts, tiny_model_folder, NSL_KDD)
    assert (evaluation.rows, evaluation.rows_unlabelled) == (18, 0)
    assert list(evaluation.recall_by_attack) == ["guess_passwd", "neptune", "satan"]


def test_a_batch_with_unclear_labels_is_refused(
    tiny_model_folder: Path, make_connections: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    frame = make_connections(6, seed=5).with_columns(
        pl.col("class").replace("normal", "benign").alias("class")
    )
    frame.write_parquet(tmp_path / "a.parquet")
    parts = [PartFile(path="a.parquet", rows=6)]
    out = tmp_path / "score-1"
    out.mkdir()
    scored = score_batch(tmp_path, parts, tiny_model_folder, out, ScoreOptions())
    with pytest.raises(InputRejectedError, match=r"unclear labels in 3 rows: class 'benign' in 3"):
        evaluate_batch(tmp_path, parts, scored.parts, tiny_model_folder, NSL_KDD)


def test_a_batch_without_labels_is_refused(
    tiny_model_folder: Path, make_connections: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
    make_connections(6, seed=5).drop("class", "attack").write_parquet(tmp_path / "a.parquet")
    parts = [PartFile(path="a.parquet", rows=6)]
    with pytest.raises(InputRejectedError, match="noctule run"):
        evaluate_batch(tmp_path, parts, ["a.parquet"], tiny_model_folder, NSL_KDD)
