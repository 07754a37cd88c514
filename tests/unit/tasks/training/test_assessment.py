"""The metrics of a model are out of sample: no row is assessed by what it helped to choose."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.detectors.model_card import ModelCard
from tasks.training.assessment import BLOCKS, assess_fit
from tasks.training.attack_groups import AttackGroups, group_attacks
from tasks.training.calibration import HeldOutScores, calibrate, score_group
from tasks.training.held_out import HeldOutGroupScores, OutOfFoldScores, score_out_of_fold
from tasks.training.held_out_table import HELD_OUT_FILE, HELD_OUT_SCHEMA, HeldOutTable
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows, assign_blocks, assign_folds, read_training_rows
from tasks.training.threshold_choice import LOW_ALERT_RATE
from tasks.training.training_metrics import TrainingMetrics
from tests.support.sources import NSL_KDD

MakeConnections = Callable[..., pl.DataFrame]

OPTIONS = TrainingOptions(folds=2)


def made_up(is_attack: np.ndarray, scores: np.ndarray) -> tuple[TrainingRows, HeldOutScores]:
    """Different rows; the classifier scores them as given, the autoencoder all the same."""
    count = len(is_attack)
    rows = TrainingRows(
        features=pl.DataFrame({"id": range(count)}),
        columns=(),
        is_attack=is_attack,
        attacks=None,
        alike=np.arange(count),
        rows_unlabelled=0,
    )
    flat = np.ones(count)
    return rows, HeldOutScores(
        is_attack, OutOfFoldScores({"classifier": scores, "one_class": flat}, flat), {}
    )


def assess(
    rows: TrainingRows, held_out: HeldOutScores, groups: AttackGroups | None = None
) -> TrainingMetrics:
    every = np.ones(rows.count, dtype=np.bool_)
    card = ModelCard(contract="nsl_kdd", thresholds=calibrate(held_out, every).thresholds)
    nothing = AttackGroups("cluster", np.full(rows.count, ""), ())
    metrics, _ = assess_fit(rows, NSL_KDD, [held_out], [groups or nothing], card, OPTIONS)
    return metrics


def with_groups(**scores: np.ndarray) -> tuple[TrainingRows, HeldOutScores, AttackGroups]:
    """Normals at 0 to 9.99; attacks at 20, and as given by models without their group."""
    normal = np.arange(1_000) / 100
    names = np.concatenate([np.full(1_000, ""), *(np.full(len(s), n) for n, s in scores.items())])
    known = np.full(len(names) - 1_000, 20.0)
    rows, held_out = made_up(names != "", np.concatenate([normal, known]))
    groups = {
        name: HeldOutGroupScores(np.flatnonzero(names == name), novel, np.arange(1_000), normal)
        for name, novel in scores.items()
    }
    return rows, replace(held_out, groups=groups), AttackGroups("family", names, tuple(scores))


def test_rows_that_are_not_kept_have_no_part_in_a_calibration() -> None:
    rows, held_out, _ = with_groups(DoS=np.full(300, 15.0), R2L=np.full(100, 9.7))
    keep = np.random.default_rng(1).random(rows.count) < 0.7
    garbage = np.where(keep, 0.0, 1e6)
    raw = held_out.out_of_fold
    spoiled = HeldOutScores(
        is_attack=np.where(keep, rows.is_attack, ~rows.is_attack),
        out_of_fold=OutOfFoldScores(
            {role: scores + garbage for role, scores in raw.scores.items()},
            raw.one_class_as_new + garbage,
        ),
        groups={
            name: replace(
                group,
                classifier=group.classifier + garbage[group.rows],
                classifier_of_normals=group.classifier_of_normals + garbage[group.normals],
            )
            for name, group in held_out.groups.items()
        },
    )
    assert calibrate(spoiled, keep) == calibrate(held_out, keep)


def test_the_false_positive_rate_is_not_lowered_by_the_choice_of_the_threshold() -> None:
    # One block's normals score unlike all others. A threshold chosen with them would flag one in a
    # thousand, as the one that serves does.
    is_attack = np.arange(2_000) < 1_000
    rows, _ = made_up(is_attack, np.zeros(2_000))
    strange = ~is_attack & (assign_blocks(rows, OPTIONS.folds, BLOCKS, OPTIONS.seed) == 0)
    scores = np.random.default_rng(2).normal(0, 1, 2_000) + 50 * strange + 100 * is_attack
    rows, held_out = made_up(is_attack, scores)
    point = assess(rows, held_out).known.operating_points["low_alert"]
    assert point.false_positive_rate == pytest.approx(0.2, abs=0.005)
    seen = calibrate(held_out, np.ones(2_000, dtype=np.bool_))
    flagged = seen.score(held_out.out_of_fold)[~is_attack] > seen.thresholds.low_alert
    assert flagged.mean() <= LOW_ALERT_RATE


def test_random_scores_are_not_reported_to_keep_the_rate() -> None:
    rates = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        rows, held_out = made_up(np.arange(8_000) < 4_000, random.normal(0, 1, 8_000))
        known = assess(rows, held_out).known
        assert known.roc_auc == pytest.approx(0.5, abs=0.06)
        # The lowest threshold has the best F1 here, so the default flags almost everything.
        rates.append(known.operating_points["low_alert"].false_positive_rate)
    # In sample none would be above.
    assert max(rates) > LOW_ALERT_RATE


def test_flags_agree_with_assessing_one_row_at_a_time() -> None:
    random = np.random.default_rng(4)
    is_attack = np.arange(240) % 3 == 0
    rows, held_out = made_up(is_attack, random.normal(0, 1, 240) + 2 * is_attack)
    block = assign_blocks(rows, OPTIONS.folds, BLOCKS, OPTIONS.seed)
    flagged = []
    for row in range(240):
        calibration = calibrate(held_out, block != block[row])
        score = calibration.score(held_out.out_of_fold)[row]
        flagged.append(score > calibration.thresholds.default)
    point = assess(rows, held_out).known.operating_points["default"]
    hits = sum(flag and attack for flag, attack in zip(flagged, is_attack, strict=True))
    assert point.recall == pytest.approx(hits / 80)
    assert point.flag_rate == pytest.approx(sum(flagged) / 240)


def test_a_group_of_attacks_is_assessed_by_a_threshold_chosen_without_it() -> None:
    rows, held_out, groups = with_groups(DoS=np.full(1_000, 20.0), R2L=np.full(100, 9.7))
    metrics = assess(rows, held_out, groups)
    # R2L lowers the threshold that serves. The one chosen without R2L knows attacks at 20 only.
    served = calibrate(held_out, np.ones(rows.count, dtype=np.bool_))
    every = np.ones(rows.count, dtype=np.bool_)
    scores = score_group(
        held_out.groups["R2L"], held_out.out_of_fold, served.tails["one_class"], every
    )
    assert (scores > served.thresholds.default).all()
    assert metrics.unknown["R2L"].recall_default == 0
    assert metrics.unknown["DoS"].recall_default == 1


def test_the_false_alarms_of_a_held_out_group_are_at_its_own_thresholds() -> None:
    rows, held_out, groups = with_groups(DoS=np.full(1_000, 20.0), R2L=np.full(300, 9.2))
    metrics = assess(rows, held_out, groups)
    # R2L lowers the threshold that serves, which then flags normals; without R2L it flags none.
    served = metrics.known.operating_points["default"]
    assert served.false_positive_rate == pytest.approx(0.08, abs=0.01)
    assert metrics.unknown["R2L"].false_positive_rate_default < 0.02
    assert metrics.unknown["R2L"].recall_default == 0
    assert metrics.unknown["DoS"].false_positive_rate_default == pytest.approx(0.08, abs=0.01)
    mixed = metrics.mixed["default"]
    rates = [group.false_positive_rate_default for group in metrics.unknown.values()]
    assert mixed.false_positive_rate == pytest.approx(np.mean(rates))
    assert mixed.recall == pytest.approx(0.7 + 0.3 * 0.5)


def test_the_known_figures_carry_the_threshold_that_serves() -> None:
    rows, held_out, groups = with_groups(DoS=np.full(300, 15.0), R2L=np.full(100, 9.7))
    served = calibrate(held_out, np.ones(rows.count, dtype=np.bool_)).thresholds
    points = assess(rows, held_out, groups).known.operating_points
    assert points["default"].threshold == served.default
    assert points["low_alert"].threshold == served.low_alert


def test_every_block_has_a_share_of_every_fold(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(300, seed=1)
    pl.concat([frame, frame.head(100)]).write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    fold, block = assign_folds(rows, 4, seed=0), assign_blocks(rows, 4, 5, seed=0)
    assert (block[:100] == block[300:]).all()
    for is_attack in (True, False):
        chosen = rows.is_attack[:300] == is_attack
        cells = np.bincount(fold[:300][chosen] * 5 + block[:300][chosen], minlength=20)
        assert set(cells) <= {7, 8}


@pytest.fixture(scope="module")
def renamed(make_connections: MakeConnections, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Connections whose guessed passwords share all category values with normal traffic."""
    part = tmp_path_factory.mktemp("renamed") / "part.parquet"
    service = pl.when(pl.col("service") == "telnet").then(pl.lit("http")).otherwise("service")
    make_connections(300, seed=1).with_columns(service=service).write_parquet(part)
    return part


def test_category_values_of_a_held_out_group_are_hidden_from_the_autoencoder(
    renamed: Path, tiny_options: TrainingOptions
) -> None:
    rows = read_training_rows([renamed], NSL_KDD)
    groupings = group_attacks(rows, NSL_KDD, seed=0)
    fold = assign_folds(rows, 2, seed=0)
    groups, scores = (
        groupings[0],
        score_out_of_fold(rows, fold, groupings, tiny_options, lambda _: None)[0],
    )
    differs = scores.one_class_as_new != scores.scores["one_class"]
    # Floods alone have the flag S0 and probes alone REJ; guesses share theirs with normal traffic.
    assert differs.tolist() == np.isin(groups.of_row, ["DoS", "Probe"]).tolist()


def test_rows_without_a_label_are_counted(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(300, seed=1)
    frame.with_columns(
        pl.when(pl.col("row_number") > 4).then("class").alias("class")
    ).write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    assert (rows.count, rows.rows_unlabelled) == (296, 4)


def test_the_table_names_the_group_of_attacks_too_rare_to_be_held_out(tmp_path: Path) -> None:
    rows, held_out, groups = with_groups(DoS=np.full(300, 15.0), R2L=np.full(100, 9.7))
    only = replace(held_out, groups={"DoS": held_out.groups["DoS"]})
    every = np.ones(rows.count, dtype=np.bool_)
    card = ModelCard(contract="nsl_kdd", thresholds=calibrate(only, every).thresholds)
    _, table = assess_fit(rows, NSL_KDD, [only], [groups], card, OPTIONS)
    assert (table.group == np.where(rows.is_attack, groups.of_row, "")).all()
    assert np.isnan(table.novel_score[table.group == "R2L"]).all()
    table.write(tmp_path)
    frame = pl.read_parquet(tmp_path / HELD_OUT_FILE)
    assert frame.schema == HELD_OUT_SCHEMA
    assert frame["novel_score"].null_count() == frame["novel_flagged_default"].null_count() == 1_100
    again = HeldOutTable.read(tmp_path)
    assert again.has_rows_of(table)
    np.testing.assert_array_equal(again.novel_score, table.novel_score)
    np.testing.assert_array_equal(again.novel_flags["default"], table.novel_flags["default"])
