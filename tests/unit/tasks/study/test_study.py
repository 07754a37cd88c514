"""The study repeats the notebooks exactly, and decides by splits that had no part in a choice."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.preprocessing import MinMaxScaler

from expectations.errors import ServiceUnavailableError, TrainingDataError
from tasks.study.comparison import NOTEBOOK_CELLS, _summarise, _workers, choose_finalists
from tasks.study.figures import draw_figures
from tasks.study.overview import describe_data, draw_box
from tasks.study.page import render_study
from tasks.study.results import (
    ClassificationReport,
    ClassifierResult,
    ClassScores,
    Curve,
    report_flags,
    trace_precision,
    trace_roc,
)
from tasks.study.split import MOST_VALUES, encode_rows, split_rows
from tasks.study.study import StudyReport, StudySource, study_rows
from tasks.training.rows import TrainingRows, read_training_rows
from tests.support.sources import NSL_KDD, column, contract

NAME = "night</script><b>.csv"


@pytest.fixture(scope="module")
def rows(
    make_connections: Callable[..., pl.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> TrainingRows:
    part = tmp_path_factory.mktemp("study") / "part.parquet"
    make_connections(360, seed=2).write_parquet(part)
    return read_training_rows([part], NSL_KDD)


@pytest.fixture(scope="module")
def report(
    rows: TrainingRows, quick_study: None, tmp_path_factory: pytest.TempPathFactory
) -> StudyReport:
    told: list[str] = []
    source = StudySource(
        name=NAME,
        content_sha256="c" * 64,
        columns=(*NSL_KDD.feature_names, "attack"),
        rows_quarantined=2,
        advisories=("one <i>thing</i>",),
        other=("other.csv", (*NSL_KDD.feature_names[1:], "class")),
    )
    found = study_rows(
        rows,
        NSL_KDD,
        source,
        tmp_path_factory.mktemp("work_folder"),
        1,
        told.append,
        selections=("none", "forest", "pca"),
        classifiers=("lightgbm", "random_forest", "bernoulli_naive_bayes"),
    )
    assert "further split 5 of 5" in told
    return found


# The split of the notebook


def test_rows_are_encoded_as_pandas_and_scaled_as_scikit_learn_would(rows: TrainingRows) -> None:
    encoded, names = encode_rows(rows.features, NSL_KDD.features)
    frame = rows.features.to_pandas()
    numbers = [name for name in frame if frame[name].dtype.kind in "if"]
    texts = sorted(set(frame) - set(numbers))
    dummies = pd.get_dummies(frame, columns=texts, drop_first=True)
    assert [name.replace("=", "_") for name in names] == list(dummies.columns)
    np.testing.assert_array_equal(encoded, dummies.to_numpy().astype(float))
    split = split_rows(encoded, names, rows.is_attack, 42)
    scaler = MinMaxScaler().fit(encoded[split.train_rows])
    for part, at in ((split.train, split.train_rows), (split.test, split.test_rows)):
        np.testing.assert_allclose(part, scaler.transform(encoded[at]), atol=1e-6)


def test_a_split_is_stratified_and_takes_every_row_once(rows: TrainingRows) -> None:
    encoded, names = encode_rows(rows.features, NSL_KDD.features)
    split = split_rows(encoded, names, rows.is_attack, 42)
    assert sorted([*split.train_rows, *split.test_rows]) == list(range(rows.count))
    assert len(split.test) == round(rows.count / 5)
    assert split.test_is_attack.mean() == pytest.approx(rows.is_attack.mean(), abs=0.01)
    np.testing.assert_array_equal(split.test_is_attack, rows.is_attack[split.test_rows])
    assert (
        split_rows(encoded, names, rows.is_attack, 1).test_rows.tolist() != split.test_rows.tolist()
    )


# The comparison of classifiers


def cell(selection: str, classifier: str, accuracy: float, auc: float = 0.9) -> ClassifierResult:
    none = ClassScores(precision=None, recall=None, f1=None, rows=0)
    reported = ClassificationReport(
        accuracy=accuracy, attack=none, normal=none, confusion=((0, 0), (0, 0))
    )
    curve = Curve(x=(0.0, 1.0), y=(0.0, 1.0))
    return ClassifierResult.model_validate(
        {
            "selection": selection,
            "classifier": classifier,
            "columns": 1,
            "train": reported,
            "test": reported,
            "roc_auc": auc,
            "roc": curve,
            "precision_recall": curve,
            "fit_s": 1.0,
        }
    )


def test_finalists_are_the_most_accurate_cells_beside_those_of_the_first_work() -> None:
    cells = [
        cell("forest", "random_forest", 0.999),
        cell("none", "adaboost", 0.5),
        cell("none", "lightgbm", 0.99, 0.91),
        cell("pca", "lightgbm", 0.99, 0.95),
        cell("rfe", "voting", 0.98),
    ]
    assert choose_finalists(cells) == [("pca", "lightgbm"), ("none", "lightgbm"), ("rfe", "voting")]


def test_a_constant_column_is_left_out(
    make_connections: Callable[..., pl.DataFrame],
) -> None:
    features = make_connections(40, seed=2).with_columns(pl.lit("tcp").alias("protocol_type"))
    encoded, names = encode_rows(features, NSL_KDD.features)
    assert encoded.shape == (40, len(names))
    assert not [name for name in names if name.startswith("protocol_type")]


def test_a_process_that_is_killed_ends_the_study_with_a_message() -> None:
    with pytest.raises(ServiceUnavailableError, match="a lower --jobs"), _workers(1) as pool:  # noqa: PT012 - a block of a pool
        assert pool.submit(os._exit, 9).exception() is not None
        pool.submit(os.getpid)


def test_gains_over_a_reference_that_failed_are_undefined() -> None:
    nothing = [float("nan"), 0.99]
    made = _summarise(("none", "voting"), [0.98, 0.99], [0.1, 0.3], nothing, is_finalist=True)
    assert (made.gain_mean, made.gain_sd, made.splits_better) == (None, None, 0)
    assert made.false_positive_rate == pytest.approx(0.2)


def test_flags_are_reported_by_class() -> None:
    truth = np.array([True, True, True, False, False])
    reported = report_flags(truth, np.array([True, True, False, True, False]))
    assert reported.confusion == ((1, 1), (1, 2))
    assert reported.accuracy == 0.6
    assert reported.attack == ClassScores(precision=2 / 3, recall=2 / 3, f1=2 / 3, rows=3)
    assert reported.normal == ClassScores(precision=0.5, recall=0.5, f1=0.5, rows=2)
    nothing = report_flags(truth, np.zeros(5, dtype=np.bool_))
    assert nothing.attack.precision is None


def test_every_cell_is_evaluated_once_and_finalists_five_times_more(
    report: StudyReport,
) -> None:
    cells = report.comparison.cells
    assert len(cells) == 9
    assert report.comparison.failed == {}
    assert all(one.train.attack.rows + one.train.normal.rows == 288 for one in cells)
    assert all(one.test.attack.rows + one.test.normal.rows == 72 for one in cells)
    again = {(one.selection, one.classifier): one for one in report.comparison.repeated}
    own = {one for one in NOTEBOOK_CELLS if one[1] == "random_forest" and one[0] != "autoencoder"}
    assert own <= set(again)
    assert {one for one in again if again[one].is_finalist} == set(choose_finalists(cells))
    reference = again["forest", "random_forest"]
    assert (reference.gain_mean, reference.gain_sd, reference.splits_better) == (0, 0, 0)
    for one in again.values():
        assert len(one.accuracies) == 5
        gains = np.subtract(one.accuracies, reference.accuracies)
        assert one.gain_mean == pytest.approx(gains.mean())
        assert one.gain_sd == pytest.approx(gains.std(ddof=1))
        assert one.splits_better == (gains > 0).sum()


def test_three_unsupervised_methods_and_both_autoencoders_are_reported(report: StudyReport) -> None:
    methods = [one.method for one in report.unsupervised]
    assert methods == ["isolation forest", "local outlier factor", "DBSCAN"]
    for one in report.reconstructions:
        assert [at.percentile for at in one.thresholds] == [95, 98]
        assert one.thresholds[0].threshold < one.thresholds[1].threshold
        assert len(one.history) >= 1
        assert sum(one.histogram.normal) + sum(one.histogram.attack) == 72
    described, default = report.reconstructions
    assert [name for name, *_ in described.layers].count("dropout_0") == 1
    assert all("dropout" not in name for name, *_ in default.layers)
    assert default.roc_auc is not None
    assert default.roc_auc > 0.9


def test_curves_run_from_corner_to_corner() -> None:
    truth = np.array([False, True, False, True])
    roc = trace_roc(truth, np.array([0.1, 0.9, 0.5, 0.5]))
    assert list(zip(roc.x, roc.y, strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]
    precision = trace_precision(truth, np.array([0.1, 0.9, 0.5, 0.5]))
    assert precision.y == (1.0, 1.0, 0.66667, 0.5)


def test_missing_values_and_many_texts_are_split_too() -> None:
    count = 2 * MOST_VALUES
    features = pl.DataFrame(
        {
            "is_attack": [None, *map(float, range(count - 1))],
            "empty": pl.Series([None] * count, dtype=pl.Float64),
            "rows": [None, *(f"name {number:04}" for number in range(count - 1))],
        }
    )
    odd = contract(
        "odd", column("is_attack", "number"), column("empty", "number"), column("rows", "category")
    )
    encoded, names = encode_rows(features, odd.features)
    assert len(names) == 2 + MOST_VALUES - 1
    is_attack = np.arange(count) % 2 == 0
    split = split_rows(encoded, names, is_attack, 1)
    assert np.isfinite(split.train).all()
    assert np.isfinite(split.test).all()
    assert describe_data(features, is_attack, odd, names).classes == {
        "normal": MOST_VALUES, "attack": MOST_VALUES,
    }  # fmt: skip


# The overview of the data


def test_the_data_is_described_and_compared() -> None:
    features = pl.DataFrame({name: [0, 0, 5] for name in NSL_KDD.feature_names}).with_columns(
        protocol_type=pl.Series(["tcp", "tcp", "udp"]),
        service=pl.lit("http"),
        flag=pl.lit("SF"),
        src_bytes=pl.Series([1, 1, 900]),
    )
    found = describe_data(
        features, np.array([True, False, False]), NSL_KDD, ["a", "b"], ("o.csv", ["b", "c"])
    )
    assert found.classes == {"normal": 2, "attack": 1}
    assert (found.duplicates, found.conflicts) == (1, 2)
    assert (found.only_here, found.only_there) == (("a",), ("c",))
    by_name = {column.name: column for column in found.columns}
    assert by_name["protocol_type"].commonest == "tcp"
    src = by_name["src_bytes"]
    assert (src.distinct, src.zeros, src.minimum, src.maximum) == (2, 0, 1, 900)
    together = found.correlations
    assert (
        together.coefficients[together.names.index("duration")][together.names.index("count")] == 1
    )


def test_a_box_counts_its_outliers() -> None:
    box = draw_box(np.array([1, 1, 2, 2, 3, 3, 1e6]))
    assert box.outliers == 1
    assert box.drawn == (6.0,)
    assert box.whisker_high == pytest.approx(np.log10(4))
    assert box.median == pytest.approx(np.log10(3))


# The page


def test_the_page_is_whole_and_escapes_what_comes_from_the_file(report: StudyReport) -> None:
    page = render_study(report)
    assert len(page.encode()) < 8_000_000
    assert NAME not in page
    assert "night&lt;/script&gt;&lt;b&gt;.csv" in page
    assert "<i>thing</i>" not in page
    without_library = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=", without_library), "it fetches nothing"
    for place in draw_figures(report):
        assert page.count(f'id="{place}"') == 1
    data = re.search(r'type="application/json">(.*?)</script>', page, flags=re.DOTALL)
    assert data is not None
    assert json.loads(data[1]).keys() == draw_figures(report).keys()


def test_the_report_can_be_read_back_from_its_json(report: StudyReport) -> None:
    assert StudyReport.model_validate_json(report.model_dump_json()) == report


def test_rows_of_one_class_are_refused(
    rows: TrainingRows, report: StudyReport, tmp_path: Path
) -> None:
    from dataclasses import replace

    one = replace(rows, is_attack=np.zeros(rows.count, dtype=np.bool_))
    source = StudySource(
        name="n.csv", content_sha256="c", columns=(), rows_quarantined=0, advisories=()
    )
    with pytest.raises(TrainingDataError, match="at least 20 attack connections, got 0 of 360"):
        study_rows(one, NSL_KDD, source, tmp_path, 1, lambda _: None)
    assert report.rows_quarantined == 2
