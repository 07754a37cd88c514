"""A model is fitted from labelled parts, the same one each time, with metrics on held-out rows."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.errors import TrainingDataError
from tasks.detectors.model import Model, load_model
from tasks.evaluation.evaluate import evaluate_batch
from tasks.scoring.score import ScoreOptions, score_batch
from tasks.training.attack_groups import group_attacks
from tasks.training.fit import FitSummary, fit_model
from tasks.training.options import TrainingOptions
from tasks.training.register import describe_rows
from tasks.training.rows import assign_folds, read_training_rows
from tasks.training.threshold_choice import choose_thresholds
from tasks.validation.summary import PartFile
from tests.support.sources import NSL_KDD

MakeConnections = Callable[..., pl.DataFrame]


def test_the_same_rows_options_and_seed_give_the_same_model(
    tiny_fit: tuple[Path, FitSummary],
    training_part: Path,
    tiny_options: TrainingOptions,
    tiny_model: Model,
    tmp_path: Path,
    make_connections: MakeConnections,
) -> None:
    again = fit_model(
        [training_part], NSL_KDD, tmp_path, tiny_options.model_copy(update={"threads": 2})
    )
    assert again.content_hash == tiny_fit[1].content_hash
    frame = make_connections(30, seed=2)
    assert load_model(tmp_path).score(frame).equals(tiny_model.score(frame))


def test_a_part_stored_without_rounding_trains_as_a_rounded_one(
    training_part: Path, tmp_path: Path
) -> None:
    clean = pl.read_parquet(training_part)
    dusty = tmp_path / "dusty.parquet"
    clean.with_columns(pl.col("serror_rate") + 1e-17).write_parquet(dusty)
    assert not pl.read_parquet(dusty).equals(clean)
    rows = [read_training_rows([part], NSL_KDD).features for part in (training_part, dusty)]
    assert rows[0].equals(rows[1])


def test_the_summary_counts_rows_and_classes(tiny_fit: tuple[Path, FitSummary]) -> None:
    summary = tiny_fit[1]
    assert summary.rows == 600
    assert summary.classes == {"normal": 300, "attack": 300}
    assert summary.metrics.known.rows == 600
    assert summary.metrics.known.roc_auc == pytest.approx(1.0, abs=0.02)
    assert summary.thresholds.low_alert >= summary.thresholds.default


def test_families_are_held_out_where_the_file_names_attacks(
    tiny_fit: tuple[Path, FitSummary],
) -> None:
    metrics = tiny_fit[1].metrics
    assert metrics.unknown_made_from == "family"
    assert {group: held.rows for group, held in metrics.unknown.items()} == {
        "DoS": 100,
        "Probe": 100,
        "R2L": 100,
    }
    assert metrics.unknown_attacks == {}, "each family has one name, so both groupings are one"


def test_the_folder_holds_data_files_only(
    tiny_fit: tuple[Path, FitSummary],
) -> None:
    folder, summary = tiny_fit
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "model.json",
        "encoder.json",
        "tails.json",
        "classifier.txt",
        "one_class.onnx",
        "autoencoder.json",
        "autoencoder.weights.h5",
        "category.json",
        "category.txt",
        "evidence.parquet",
        "row_keys.parquet",
        "metrics.json",
        "training.json",
        "reference/sample.parquet",
        "reference/bins.json",
    }
    assert json.loads((folder / "metrics.json").read_text()) == summary.metrics.model_dump(
        mode="json"
    )
    history = json.loads((folder / "training.json").read_text())["autoencoder"]
    assert len(history) == 3
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_reference_keeps_features_and_held_out_scores(
    tiny_fit: tuple[Path, FitSummary],
) -> None:
    sample = pl.read_parquet(tiny_fit[0] / "reference" / "sample.parquet")
    assert sample.columns == [*NSL_KDD.feature_names, "anomaly_score"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.filter(pl.col("class") == "normal"), "different attack .* got 0"),
        (lambda frame: frame.filter(pl.col("class") != "normal"), "different normal .* got 0"),
        (lambda frame: frame.head(60), r"different attack .* got 30 \(30 of 60 rows"),
        (lambda frame: pl.concat([frame.head(60)] * 9), r"got 30 \(270 of 540 rows"),
        (
            lambda frame: frame.with_columns(pl.col("class").replace("normal", "benign")),
            r"unclear labels in 100 rows: class 'benign' in 100 rows\. Expected 'normal' or 'ano",
        ),
        (
            lambda frame: frame.drop("class").with_columns(pl.col("attack").replace("normal", "0")),
            r"unclear labels in 100 rows: attack '0' in 100 rows\. Expected 'normal' or 'anomaly'",
        ),
    ],
    ids=["one class", "other class", "too few", "too few different", "label", "name"],
)
def test_data_that_cannot_be_fitted_is_refused_with_the_reason(
    make_connections: MakeConnections,
    tmp_path: Path,
    spoil: Callable[[pl.DataFrame], pl.DataFrame],
    says: str,
) -> None:
    spoil(make_connections(200, seed=1)).write_parquet(tmp_path / "part.parquet")
    with pytest.raises(TrainingDataError, match=says):
        read_training_rows([tmp_path / "part.parquet"], NSL_KDD)


def test_traffic_of_few_shapes_is_enough_without_labels(
    make_connections: MakeConnections, tiny_options: TrainingOptions, tmp_path: Path
) -> None:
    frame = make_connections(12, seed=1).drop("class", "attack")
    frame.write_parquet(tmp_path / "few.parquet")
    with pytest.raises(TrainingDataError, match=r"at least 50 .* got 12 connections, 12 "):
        read_training_rows([tmp_path / "few.parquet"], NSL_KDD)
    pl.concat([frame.head(9)] * 10).write_parquet(tmp_path / "few.parquet")
    with pytest.raises(TrainingDataError, match="10 of them different, got 90 connections, 9 "):
        read_training_rows([tmp_path / "few.parquet"], NSL_KDD)
    pl.concat([frame] * 10).write_parquet(tmp_path / "few.parquet")
    (tmp_path / "model").mkdir()
    fit = fit_model([tmp_path / "few.parquet"], NSL_KDD, tmp_path / "model", tiny_options)
    assert fit.classes == {"unlabelled": 120}
    assert any("only 12 of the 120 connections are different" in one for one in describe_rows(fit))


def test_no_files_are_refused() -> None:
    with pytest.raises(TrainingDataError, match="no files"):
        read_training_rows([], NSL_KDD)


def test_rows_with_both_labels_are_counted(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(300, seed=1)
    words = {"class": "anomaly", "attack": "neptune"}
    twin = frame.head(1).with_columns(pl.lit(word).alias(name) for name, word in words.items())
    pl.concat([frame, twin, twin]).write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    assert rows.count_conflicts() == 3
    assert rows.count_duplicates() == 2


def test_what_is_unusual_about_the_rows_is_reported(tiny_fit: tuple[Path, FitSummary]) -> None:
    metrics = tiny_fit[1].metrics.model_copy(update={"rows_conflicting": 3, "rows_duplicated": 2})
    said = list(describe_rows(tiny_fit[1].model_copy(update={"metrics": metrics})))
    assert said[0].startswith("rows whose features are labelled normal in one row and attack")
    assert said[1].startswith("rows with the features of an earlier row: 2; ")
    alone = metrics.model_copy(update={"unknown": {}})
    said = list(describe_rows(tiny_fit[1].model_copy(update={"metrics": alone})))
    assert said[0].startswith("no group of attacks could be held out: the metrics are those of ")


def test_labelled_files_beside_unlabelled_ones_are_refused(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    make_connections(300, seed=1).write_parquet(tmp_path / "a.parquet")
    make_connections(300, seed=2).drop("class", "attack").write_parquet(tmp_path / "b.parquet")
    with pytest.raises(TrainingDataError, match=r"b\.parquet together with .*a\.parquet"):
        read_training_rows([tmp_path / "a.parquet", tmp_path / "b.parquet"], NSL_KDD)
    rows = read_training_rows([tmp_path / "b.parquet"], NSL_KDD)
    assert (rows.is_labelled, int(rows.is_attack.sum()), rows.count) == (False, 0, 300)


def test_copies_of_a_connection_share_a_fold(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(300, seed=1)
    pl.concat([frame, frame, frame.head(50)]).write_parquet(tmp_path / "part.parquet")
    fold = assign_folds(read_training_rows([tmp_path / "part.parquet"], NSL_KDD), 4, seed=0)
    assert (fold[:300] == fold[300:600]).all()
    assert (fold[:50] == fold[600:]).all()
    assert np.bincount(fold[:300]).min() >= 74


def test_attacks_without_names_are_grouped_by_clustering(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(600, seed=1)
    frame.drop("attack").write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    groups, *_ = group_attacks(rows, NSL_KDD, seed=0)
    assert groups.made_from == "cluster"
    assert len(groups.held_out) >= 2
    # Each cluster holds one attack: attacks differ far more than connections of one attack.
    attack = frame["attack"].to_numpy()
    for group in groups.held_out:
        assert len(set(attack[groups.of_row == group])) == 1


def nameless(frame: pl.DataFrame, share: float, word: str | None = None) -> pl.DataFrame:
    """Remove the names of a share of the attacks."""
    is_taken = (pl.col("class") == "anomaly") & (pl.col("row_number") % 100 < 100 * share)
    return frame.with_columns(attack=pl.when(is_taken).then(pl.lit(word)).otherwise("attack"))


@pytest.mark.parametrize("word", [None, ""])
def test_an_attack_without_a_name_is_trained_on_and_in_no_group(
    make_connections: MakeConnections, tmp_path: Path, word: str | None
) -> None:
    frame = nameless(make_connections(600, seed=1), 0.2, word)
    frame.write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    groups, *_ = group_attacks(rows, NSL_KDD, seed=0)
    assert (rows.count, int(rows.is_attack.sum()), rows.rows_unlabelled) == (600, 300, 0)
    assert groups.made_from == "family"
    assert set(groups.of_row) == {"", "DoS", "Probe", "R2L"}
    families = {"neptune": "DoS", "satan": "Probe", "guess_passwd": "R2L"}
    slowly = [families.get(name or "", "") for name in frame["attack"]]
    assert groups.of_row.tolist() == slowly


def test_a_fit_without_a_group_leaves_out_attacks_without_a_name_too(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = nameless(make_connections(600, seed=1), 0.2)
    frame.write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    groups, *_ = group_attacks(rows, NSL_KDD, seed=0)
    hidden = groups.may_belong("DoS", rows.is_attack)
    assert hidden.tolist() == [name in {None, "neptune"} for name in frame["attack"]]


def test_attacks_that_mostly_have_no_name_are_grouped_by_clustering(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(600, seed=1)
    for name, part in (("a", nameless(frame, 0.6)), ("b", frame.head(6).drop("attack"))):
        part.write_parquet(tmp_path / name)
    rows = read_training_rows([tmp_path / "a", tmp_path / "b"], NSL_KDD)
    groups, *_ = group_attacks(rows, NSL_KDD, seed=0)
    assert groups.made_from == "cluster"
    assert not (rows.is_attack & (groups.of_row == "")).any()


def test_training_and_evaluation_name_the_same_attacks(
    make_connections: MakeConnections, tiny_options: TrainingOptions, tmp_path: Path
) -> None:
    frame = nameless(make_connections(600, seed=1), 0.2)
    frame.write_parquet(tmp_path / "part.parquet")
    (tmp_path / "model").mkdir()
    fit = fit_model([tmp_path / "part.parquet"], NSL_KDD, tmp_path / "model", tiny_options)
    (tmp_path / "score").mkdir()
    parts = [PartFile(path="part.parquet", rows=600)]
    scored = score_batch(tmp_path, parts, tmp_path / "model", tmp_path / "score", ScoreOptions())
    evaluated = evaluate_batch(tmp_path, parts, scored.parts, tmp_path / "model", NSL_KDD)
    named = {"guess_passwd", "neptune", "satan"}
    assert set(fit.metrics.known.recall_by_attack) == set(evaluated.recall_by_attack) == named
    assert fit.metrics.known.rows == evaluated.rows == 600
    assert sum(group.rows for group in fit.metrics.unknown.values()) == 240


def test_a_single_group_of_attacks_is_never_held_out(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(600, seed=1).filter(pl.col("attack").is_in(["normal", "neptune"]))
    frame.write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    assert [one.held_out for one in group_attacks(rows, NSL_KDD, seed=0)] == [()]


def test_names_are_held_out_where_families_cannot_be(
    make_connections: MakeConnections, tmp_path: Path
) -> None:
    frame = make_connections(600, seed=1).with_columns(pl.col("attack").replace("satan", "smurf"))
    frame.write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    several, finer = group_attacks(rows, NSL_KDD, seed=0)
    assert (set(several.held_out), len(finer.held_out)) == ({"DoS", "R2L"}, 3)
    flood = frame.filter(pl.col("attack") != "guess_passwd")
    flood.write_parquet(tmp_path / "part.parquet")
    rows = read_training_rows([tmp_path / "part.parquet"], NSL_KDD)
    (only,) = group_attacks(rows, NSL_KDD, seed=0)
    assert (only.made_from, set(only.held_out)) == ("attack", {"neptune", "smurf"})


def test_the_default_threshold_falls_for_attacks_of_a_novel_group() -> None:
    normal = np.arange(1_000) / 100
    known = np.full(1_000, 20.0)
    unknown = {"R2L": np.full(100, 9.7)}
    assert choose_thresholds(normal, known, {}).default == pytest.approx(9.99)
    assert choose_thresholds(normal, known, unknown).default == pytest.approx(9.69)


def test_rare_attacks_raise_the_default_threshold() -> None:
    normal = np.arange(1_000) / 100
    unknown = {"R2L": np.full(100, 9.7)}
    assert choose_thresholds(normal, np.full(20, 20.0), unknown).default == pytest.approx(9.99)


def test_the_default_threshold_agrees_with_trying_every_threshold() -> None:
    random = np.random.default_rng(8)
    normal, known, novel = random.normal(0, 1, 80), random.normal(4, 1, 60), random.normal(2, 2, 40)

    def f1(cut: float) -> float:
        hits = 60 * (0.7 * sum(known > cut) / 60 + 0.3 * sum(novel > cut) / 40)
        precision, recall = hits / (hits + sum(normal > cut)), hits / 60
        return float(2 * precision * recall / (precision + recall))

    chosen = choose_thresholds(normal, known, {"any": novel}).default
    assert f1(chosen) == pytest.approx(max(f1(cut) for cut in normal))


def test_low_alert_leaves_at_most_one_normal_in_a_thousand() -> None:
    normal = np.arange(10_000) / 1_000
    thresholds = choose_thresholds(normal, np.full(5, 5.0), {})
    assert 0.0005 < (normal > thresholds.low_alert).mean() <= 0.001
