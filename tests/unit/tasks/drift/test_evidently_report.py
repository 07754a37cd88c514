"""Evidently itself, run once: its import and its report take seconds."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.contract import Column, Contract
from tasks.drift.evidently_report import _label, round_statistic
from tasks.drift.measure import DriftOptions, DriftSummary, build_reference, measure_drift
from tasks.validation.summary import PartFile

CONTRACT = Contract(
    name="five",
    title="Five features",
    source="made for this test",
    columns=(
        Column(name="service", kind="category", meaning="what was asked for"),
        Column(name="src_bytes", kind="count", meaning="bytes sent", unit="bytes"),
        Column(name="error_rate", kind="number", meaning="share of errors", unit="ratio"),
        Column(name="constant", kind="count", meaning="always 0"),
        Column(name="absent", kind="number", meaning="never there", nullable=True),
        Column(name="host", kind="category", meaning="one of very many"),
        Column(name="lacking", kind="interval", meaning="half are missing", nullable=True),
        Column(name="huge", kind="number", meaning="beyond float32"),
        Column(name="counter", kind="count", meaning="up to 2^63 - 1", nullable=True),
    ),
)

ROWS = 2_500

HOSTILE = "</script><script>alert(1)</script>&lt;\x1b\u2028"
LONG = "x" * 10_000


def traffic(seed: int, *, scale: float = 1.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "row_number": np.arange(1, ROWS + 1),
            "service": random.choice(["http", "smtp", "domain_u", HOSTILE, LONG], ROWS),
            "src_bytes": (random.lognormal(5, 2, ROWS) * scale).astype(np.int64),
            "error_rate": random.uniform(0, 1, ROWS),
            "constant": np.zeros(ROWS, dtype=np.int64),
            "absent": pl.Series([None] * ROWS, dtype=pl.Float64),
            "host": [f"host{number}" for number in random.integers(0, 100_000, ROWS)],
            "lacking": [value if value < 0.5 else None for value in random.uniform(0, 1, ROWS)],
            "huge": random.choice([1.7976931348623157e308, -1e308, 4_294_967.295], ROWS),
            "counter": [value or None for value in random.choice([0, 1, 2**63 - 1], ROWS).tolist()],
            "anomaly_score": random.gamma(2.0, 1.0, ROWS),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("batch")


@pytest.fixture(scope="module")
def summary(folder: Path) -> DriftSummary:
    """One batch in two parts whose ``src_bytes`` is eight times the reference's."""
    build_reference(traffic(1), CONTRACT, folder / "model" / "reference", 42)
    current = traffic(2, scale=8.0)
    for number, begin in enumerate((0, 1_500)):
        rows = current[begin : begin + 1_500]
        rows.drop("anomaly_score").write_parquet(folder / f"part-{number}.parquet")
        rows.select("row_number", "anomaly_score").write_parquet(
            folder / f"scores-{number}.parquet"
        )
    out = folder / "drift-ab12"
    out.mkdir()
    return measure(folder, out)


def measure(folder: Path, out: Path) -> DriftSummary:
    """Measure that batch's drift."""
    return measure_drift(
        folder,
        [
            PartFile(path=name, rows=pl.read_parquet(folder / name).height)
            for name in ("part-0.parquet", "part-1.parquet")
        ],
        ["scores-0.parquet", "scores-1.parquet"],
        folder / "model",
        out,
        DriftOptions(sample_rows=2_000),
    )


@pytest.fixture(scope="module")
def evidently(folder: Path, summary: DriftSummary) -> dict[str, dict[str, object]]:
    statistics = pl.read_parquet(folder / summary.statistics).filter(pl.col("method") != "psi")
    return {row["column"]: row for row in statistics.iter_rows(named=True)}


def test_the_drifted_column_is_found_by_both_methods(
    summary: DriftSummary, evidently: dict[str, dict[str, object]]
) -> None:
    assert summary.columns_drifted == ("src_bytes",)
    assert [name for name, row in evidently.items() if row["is_drifted"]] == ["src_bytes"]


def test_statistics_name_the_method_as_evidently_does(
    evidently: dict[str, dict[str, object]],
) -> None:
    assert {name: row["method"] for name, row in evidently.items()} == {
        "service": "Jensen-Shannon distance",
        "src_bytes": "Wasserstein distance (normed) of log1p",
        "error_rate": "Wasserstein distance (normed)",
        "constant": "Jensen-Shannon distance",
        "host": "Jensen-Shannon distance",
        "lacking": "Wasserstein distance (normed)",
        "huge": "Jensen-Shannon distance of log1p",
        "counter": "Jensen-Shannon distance of log1p",
        "anomaly_score": "Wasserstein distance (normed)",
    }


def test_the_statistic_is_evidentlys_own(evidently: dict[str, dict[str, object]]) -> None:
    from scipy.stats import wasserstein_distance

    chosen = np.sort(np.random.default_rng(42).choice(ROWS, 2_000, replace=False, shuffle=False))
    reference = traffic(1)["error_rate"].to_numpy()[chosen]
    current = traffic(2, scale=8.0)["error_rate"].to_numpy()[chosen]

    row = evidently["error_rate"]
    assert row["statistic"] == pytest.approx(
        wasserstein_distance(reference, current) / reference.std()
    )
    assert row["threshold"] == 0.1


def test_statistics_are_the_same_for_any_order_of_categories(
    folder: Path, summary: DriftSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evidently.legacy.calculations.stattests import utils

    name = "get_unique_not_nan_values_list_from_series"
    listed = getattr(utils, name)
    monkeypatch.setattr(utils, name, lambda **sides: sorted(listed(**sides), reverse=True))
    out = folder / "drift-cd34"
    out.mkdir()
    again = measure(folder, out)
    assert pl.read_parquet(folder / again.statistics).equals(
        pl.read_parquet(folder / summary.statistics)
    )


@pytest.mark.parametrize(
    ("value", "method", "kept"),
    [
        (0.025376451706494708, "Jensen-Shannon distance", 0.0253765),
        (1.3e-8, "Jensen-Shannon distance", 0.0),
        (1.23456789012e-30, "Z-test p_value", 1.23456789e-30),
        (float("nan"), "K-S p_value", None),
        (None, "K-S p_value", None),
    ],
)
def test_a_statistic_keeps_the_digits_that_are_reproducible(
    value: float | None, method: str, kept: float | None
) -> None:
    assert round_statistic(value, method) == kept


def test_no_sample_has_more_rows_than_asked_for(
    evidently: dict[str, dict[str, object]],
) -> None:
    seen = {(row["rows_reference"], row["rows_current"]) for row in evidently.values()}
    assert seen == {(2_000, 2_000)}, f"of {ROWS:,} rows of each side"


def test_a_column_without_values_is_left_out_and_named(
    summary: DriftSummary, evidently: dict[str, dict[str, object]]
) -> None:
    assert "absent" not in evidently
    assert summary.notes == ("Evidently found no value of absent",)


def test_very_many_categories_are_one_on_the_page(folder: Path, summary: DriftSummary) -> None:
    assert summary.report_html is not None
    page = (folder / summary.report_html).read_text(encoding="utf-8")
    hosts = pl.read_parquet(folder / "part-0.parquet")["host"]
    assert "(other)" in page
    assert not any(host in page for host in hosts)


def test_the_json_is_evidentlys_answer(folder: Path, summary: DriftSummary) -> None:
    assert summary.report_json == "drift-ab12/drift.json"
    answer = json.loads((folder / summary.report_json).read_bytes())

    assert len(answer["metrics"]) == 9
    assert {test["status"] for test in answer["tests"]} == {"SUCCESS", "FAIL"}


def test_the_page_needs_no_network(folder: Path, summary: DriftSummary) -> None:
    assert summary.report_html == "drift-ab12/drift.html"
    page = (folder / summary.report_html).read_text(encoding="utf-8")

    assert "log1p(src_bytes)" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", page)


def test_a_category_is_plain_text_in_the_page(folder: Path, summary: DriftSummary) -> None:
    assert summary.report_html is not None
    page = (folder / summary.report_html).read_text(encoding="utf-8")

    assert "<script>alert" not in page
    assert HOSTILE not in page
    assert "\u2028" not in page.partition("<body>")[0]
    assert r"\\x3c/script\\x3e\\x3cscript\\x3ealert(1)\\x3c/script\\x3e\\x26lt;" in page
    assert "x" * 100 not in page.partition("<body>")[0].rpartition("<script>")[2]


def test_a_category_is_plain_text_in_the_json(folder: Path, summary: DriftSummary) -> None:
    assert summary.report_json is not None
    answer = (folder / summary.report_json).read_text(encoding="utf-8")

    assert "<script>" not in answer
    assert "x" * 100 not in answer


def test_different_categories_have_different_labels() -> None:
    categories = ["a<b", r"a\x3cb", "a&b", "", " ", "\x00", r"\x00", LONG, LONG + "y", "größe"]
    labels = [_label(name) for name in categories]
    assert len(set(labels)) == len(categories)
    assert labels[-1] == "größe"
    assert all(label.isprintable() and len(label) < 80 for label in labels)
