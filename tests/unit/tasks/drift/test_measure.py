from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from expectations.contract import Column, Contract, Labels
from expectations.errors import ModelRefusedError
from tasks.drift.measure import DriftOptions, DriftSummary, build_reference, measure_drift

CONTRACT = Contract(
    name="three",
    title="Three features and a label",
    source="made for this test",
    columns=(
        Column(name="service", kind="category", meaning="what was asked for"),
        Column(name="src_bytes", kind="count", meaning="bytes sent", unit="bytes"),
        Column(name="num_outbound_cmds", kind="count", meaning="always 0"),
        Column(name="class", kind="category", meaning="normal or not", role="label"),
    ),
    labels=Labels(column="class", normal=("normal",)),
)


@dataclass(frozen=True)
class Part:
    path: str
    rows: int


def traffic(rows: int, seed: int, *, scale: float = 1.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "row_number": np.arange(1, rows + 1),
            "service": random.choice(["http", "smtp", "domain_u"], rows, p=[0.6, 0.3, 0.1]),
            "src_bytes": (random.lognormal(5, 2, rows) * scale).astype(np.int64),
            "num_outbound_cmds": np.zeros(rows, dtype=np.int64),
            "class": ["normal"] * rows,
            "anomaly_score": random.gamma(2.0, scale, rows),
        }
    )


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build_reference(traffic(5_000, seed=1), CONTRACT, folder / "reference", 42, sample_rows=300)
    return folder


def measure(
    folder: Path, frame: pl.DataFrame, model_folder: Path, *, part_rows: int = 400
) -> DriftSummary:
    parts, scores = [], []
    for number, begin in enumerate(range(0, frame.height, part_rows)):
        rows = frame[begin : begin + part_rows]
        parts.append(Part(f"part-{number}.parquet", rows.height))
        scores.append(f"scores-{number}.parquet")
        rows.drop("anomaly_score").write_parquet(folder / parts[-1].path)
        rows.select("row_number", "anomaly_score").write_parquet(folder / scores[-1])
    out = folder / "drift-ab12"
    out.mkdir(exist_ok=True)
    return measure_drift(folder, parts, scores, model_folder, out, DriftOptions())


def test_traffic_like_the_reference_has_not_drifted(tmp_path: Path, model_folder: Path) -> None:
    summary = measure(tmp_path, traffic(1_000, seed=2), model_folder)

    assert summary.columns_drifted == ()
    assert not summary.is_score_drifted
    assert (summary.rows_reference, summary.rows_current) == (5_000, 1_000)


def test_a_drifted_column_and_a_drifted_score_are_named(tmp_path: Path, model_folder: Path) -> None:
    summary = measure(tmp_path, traffic(1_000, seed=2, scale=8.0), model_folder)

    assert summary.columns_drifted == ("src_bytes",)
    assert summary.is_score_drifted


def test_statistics_have_a_row_for_every_feature_and_the_score(
    tmp_path: Path, model_folder: Path
) -> None:
    summary = measure(tmp_path, traffic(1_000, seed=2), model_folder)
    statistics = pl.read_parquet(tmp_path / summary.statistics)

    assert summary.statistics == "drift-ab12/statistics.parquet"
    assert statistics["column"].to_list() == [
        "service",
        "src_bytes",
        "num_outbound_cmds",
        "anomaly_score",
    ]
    assert set(statistics["method"]) == {"psi"}
    assert set(statistics["rows_reference"]) == {5_000}
    assert set(statistics["rows_current"]) == {1_000}


def test_a_constant_that_is_no_longer_constant_has_drifted(
    tmp_path: Path, model_folder: Path
) -> None:
    frame = traffic(1_000, seed=2).with_columns(num_outbound_cmds=pl.col("row_number") % 2)

    assert measure(tmp_path, frame, model_folder).columns_drifted == ("num_outbound_cmds",)


def test_the_result_does_not_depend_on_the_division_into_parts(
    tmp_path: Path, model_folder: Path
) -> None:
    frame = traffic(1_000, seed=2, scale=2.0)
    results = []
    for part_rows in (1_000, 333, 7):
        folder = tmp_path / str(part_rows)
        folder.mkdir()
        summary = measure(folder, frame, model_folder, part_rows=part_rows)
        results.append((summary, pl.read_parquet(folder / summary.statistics)))

    for summary, statistics in results[1:]:
        assert summary == results[0][0]
        assert_frame_equal(statistics, results[0][1])


def test_a_small_batch_is_measured_without_evidently_with_a_note(
    tmp_path: Path, model_folder: Path
) -> None:
    summary = measure(tmp_path, traffic(1_000, seed=2), model_folder)

    assert summary.report_html is None
    assert summary.report_json is None
    (note,) = summary.notes
    assert note == (
        "Evidently was not run: its thresholds need 2,000 rows, the sample of the batch has 1,000 "
        "and that of the reference 300"
    )


def test_a_batch_of_no_rows_has_no_statistics(tmp_path: Path, model_folder: Path) -> None:
    summary = measure(tmp_path, traffic(1, seed=2).clear(), model_folder)

    assert summary.rows_current == 0
    assert summary.columns_drifted == ()
    assert pl.read_parquet(tmp_path / summary.statistics).height == 0


def test_equal_frames_give_equal_reference_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_reference(traffic(900, seed=1), CONTRACT, tmp_path / name, 42, sample_rows=100)

    for file in ("bins.json", "sample.parquet"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_reference_keeps_features_and_score_and_never_the_label(model_folder: Path) -> None:
    sample = pl.read_parquet(model_folder / "reference" / "sample.parquet")

    assert sample.columns == ["service", "src_bytes", "num_outbound_cmds", "anomaly_score"]
    assert sample.height == 300


def test_a_model_without_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match=r"expected the model's reference in .*bins\.json"):
        measure(tmp_path, traffic(10, seed=2), tmp_path / "nowhere")


def test_a_reference_that_was_altered_is_refused(tmp_path: Path) -> None:
    build_reference(traffic(50, seed=1), CONTRACT, tmp_path / "reference", 42)
    (tmp_path / "reference" / "bins.json").write_text('{"rows": 50}')

    with pytest.raises(ModelRefusedError, match="ValidationError"):
        measure(tmp_path, traffic(10, seed=2), tmp_path)


def test_scores_of_other_rows_are_refused(tmp_path: Path, model_folder: Path) -> None:
    frame = traffic(4, seed=2)
    frame.write_parquet(tmp_path / "part.parquet")
    frame.reverse().write_parquet(tmp_path / "scores.parquet")

    with pytest.raises(ValueError, match=r"expected scores\.parquet to score the 4 rows"):
        measure_drift(
            tmp_path,
            [Part("part.parquet", 4)],
            ["scores.parquet"],
            model_folder,
            tmp_path,
            DriftOptions(),
        )
