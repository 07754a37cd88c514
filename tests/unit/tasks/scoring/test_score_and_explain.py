"""A batch is scored part by part; every flagged row keeps its record, and each kind has reasons."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.contract import Column, Contract
from expectations.errors import InputRejectedError
from tasks.detectors.model import Model
from tasks.detectors.thresholds import OperatingPointName
from tasks.scoring.explain import (
    REASONS_SCHEMA,
    ExplainOptions,
    ExplainSummary,
    choose_rows,
    explain_batch,
    explain_rows,
    find_kinds,
    record_of,
)
from tasks.scoring.score import ScoreOptions, ScoreSummary, UnseenValues, score_batch
from tasks.validation.summary import PartFile
from tests.support.sources import NSL_KDD

MakeConnections = Callable[..., pl.DataFrame]

PARTS = (PartFile(path="a.parquet", rows=20), PartFile(path="b.parquet", rows=40))


@pytest.fixture(scope="module")
def folder(make_connections: MakeConnections, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    frame = make_connections(60, seed=5)
    frame[:20].write_parquet(folder / "a.parquet")
    frame[20:].write_parquet(folder / "b.parquet")
    return folder


@pytest.fixture(scope="module")
def scored(folder: Path, tiny_model_folder: Path) -> ScoreSummary:
    (folder / "score-1").mkdir()
    return score_batch(folder, PARTS, tiny_model_folder, folder / "score-1", ScoreOptions())


def explain(
    folder: Path, scored: ScoreSummary, model_folder: Path, out: Path, **options: int
) -> ExplainSummary:
    return explain_batch(folder, PARTS, scored.parts, model_folder, out, ExplainOptions(**options))


def test_every_accepted_row_gets_scores_in_its_part(folder: Path, scored: ScoreSummary) -> None:
    assert scored.parts == ("score-1/scores-00000.parquet", "score-1/scores-00001.parquet")
    scores = [pl.read_parquet(folder / part) for part in scored.parts]
    assert [frame.height for frame in scores] == [20, 40]
    assert scores[0].columns == [
        "row_number",
        "classifier_score",
        "one_class_score",
        "classifier_tail",
        "one_class_tail",
        "anomaly_score",
        "is_flagged",
    ]
    assert pl.concat(scores)["row_number"].to_list() == list(range(1, 61))
    assert scored.rows_scored == 60


def test_flags_are_the_scores_above_the_operating_point(
    folder: Path, scored: ScoreSummary, tiny_model: Model
) -> None:
    scores = pl.concat([pl.read_parquet(folder / part) for part in scored.parts])
    above = scores["anomaly_score"] > tiny_model.card.thresholds.default
    assert scores["is_flagged"].to_list() == above.to_list()
    assert scored.rows_flagged == above.sum() > 0


def test_another_operating_point_flags_by_its_own_score(
    folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    options = ScoreOptions(operating_point="p50")
    summary = score_batch(folder, PARTS, tiny_model_folder, tmp_path, options)
    scores = pl.read_parquet(tmp_path / "scores-00001.parquet")
    assert scores["is_flagged"].to_list() == (scores["classifier_score"] > 0).to_list()
    assert summary.threshold == 0


@pytest.mark.parametrize(
    ("operating_point", "rate"), [("default", 0.0), ("low_alert", 0.001), ("p50", None)]
)
def test_the_target_is_the_share_of_held_out_normals_that_the_threshold_flags(
    operating_point: OperatingPointName,
    rate: float | None,
    folder: Path,
    tiny_model_folder: Path,
    tmp_path: Path,
) -> None:
    options = ScoreOptions(operating_point=operating_point)
    summary = score_batch(folder, PARTS[:1], tiny_model_folder, tmp_path, options)
    assert summary.target_flag_rate == rate


def test_progress_ends_at_one(folder: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    told: list[float] = []
    score_batch(folder, PARTS, tiny_model_folder, tmp_path, ScoreOptions(), told.append)
    assert told == pytest.approx([1 / 3, 1.0])


def test_labels_never_reach_the_model(
    folder: Path, scored: ScoreSummary, tiny_model_folder: Path, tmp_path: Path
) -> None:
    for part in PARTS:
        pl.read_parquet(folder / part.path).drop("class", "attack").write_parquet(
            tmp_path / part.path
        )
    (tmp_path / "score-1").mkdir()
    score_batch(tmp_path, PARTS, tiny_model_folder, tmp_path / "score-1", ScoreOptions())
    for part in scored.parts:
        assert pl.read_parquet(tmp_path / part).equals(pl.read_parquet(folder / part))


def test_a_part_without_a_feature_is_refused(
    folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    pl.read_parquet(folder / "a.parquet").drop("dst_bytes").write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputRejectedError, match="lacks dst_bytes"):
        score_batch(tmp_path, PARTS[:1], tiny_model_folder, tmp_path, ScoreOptions())


def test_every_flagged_row_keeps_its_record_without_labels(
    folder: Path, scored: ScoreSummary, tiny_model_folder: Path, tmp_path: Path
) -> None:
    summary = explain(folder, scored, tiny_model_folder, tmp_path, top_k=3)
    flagged = pl.concat([pl.read_parquet(tmp_path / Path(name).name) for name in summary.flagged])
    assert flagged.columns == [
        "row_number",
        "line_number",
        "anomaly_score",
        "record",
        "is_explained",
        "attack_category",
        "category_probability",
        "attack_technique",
    ]
    assert flagged.height == summary.rows_flagged == scored.rows_flagged
    source = pl.concat([pl.read_parquet(folder / part.path) for part in PARTS])
    first = flagged.row(0, named=True)
    expected = source.row(first["row_number"] - 1, named=True)
    assert json.loads(first["record"]) == {name: expected[name] for name in NSL_KDD.feature_names}
    assert first["line_number"] == expected["line_number"]


def test_at_most_top_k_rows_are_explained(
    folder: Path, scored: ScoreSummary, tiny_model_folder: Path, tmp_path: Path
) -> None:
    summary = explain(folder, scored, tiny_model_folder, tmp_path, top_k=3)
    flagged = pl.concat([pl.read_parquet(tmp_path / Path(name).name) for name in summary.flagged])
    best = flagged.sort(["anomaly_score", "row_number"], descending=[True, False])
    explained = flagged.filter("is_explained")["row_number"]
    assert summary.rows_explained == explained.len() == 3
    assert best["row_number"][0] in explained, "its kind comes first, and it within its kind"
    reasons = pl.read_parquet(tmp_path / "reasons.parquet")
    assert reasons.schema == REASONS_SCHEMA
    assert set(reasons["row_number"]) == set(explained)


@pytest.fixture
def usual(tiny_model: Model) -> pl.DataFrame:
    """One row: the ordinary normal connection."""
    row = tiny_model.encoder.make_frame(tiny_model.card.typical)
    return row.with_columns(pl.col(one.name).cast(one.dtype) for one in NSL_KDD.features)


Choose = Callable[..., list[int]]


@pytest.fixture
def choose(tiny_model: Model, tmp_path: Path) -> Choose:
    """Choose among rows with these scores, which come in parts of so many."""

    def choose(
        rows: pl.DataFrame, scores: Sequence[float], top_k: int, size: int = 99
    ) -> list[int]:
        number = pl.int_range(1, rows.height + 1, dtype=pl.Int64, eager=True).alias("row_number")
        scored = pl.DataFrame({"row_number": number, "anomaly_score": scores})
        scored = scored.with_columns(is_flagged=pl.col("anomaly_score") > 0)
        parts, names = [], []
        for first in range(0, rows.height, size):
            parts.append(PartFile(path=f"{first}.parquet", rows=size))
            names.append(f"scores-{first}.parquet")
            rows.slice(first, size).write_parquet(tmp_path / parts[-1].path)
            scored.slice(first, size).write_parquet(tmp_path / names[-1])
        return choose_rows(tmp_path, parts, names, tiny_model.encoder, top_k).to_list()

    return choose


def test_each_kind_is_explained_before_the_copies_of_a_flood(
    usual: pl.DataFrame, choose: Choose
) -> None:
    flood = usual.with_columns(flag=pl.lit("S0"), count=pl.lit(511).cast(pl.Int64))
    small = [
        usual.with_columns(service=pl.lit("telnet"), num_failed_logins=pl.lit(3).cast(pl.Int64)),
        usual.with_columns(service=pl.lit("telnet")),
        usual.with_columns(flag=pl.lit("REJ"), rerror_rate=pl.lit(1.0)),
        usual.with_columns(src_bytes=pl.lit(10**9).cast(pl.Int64)),
    ]
    rows = pl.concat([*[flood] * 40, *small])
    scores = [9.0] * 20 + [9.5] * 20 + [2.0, 1.5, 1.0, 0.5]
    assert choose(rows, scores, 7) == [21, 41, 42, 43, 44, 22, 23]
    assert choose(rows, scores, 3) == [21, 41, 42], "of more kinds, those with the highest scores"
    scores[42] = 0.0
    assert choose(rows, scores, 5) == [21, 41, 42, 44, 22], "what is not flagged is not explained"


@pytest.mark.parametrize("top_k", [1, 4, 11, 60])
def test_the_choice_does_not_depend_on_how_rows_are_cut_into_parts(
    make_connections: MakeConnections, tiny_model: Model, choose: Choose, top_k: int
) -> None:
    rows = make_connections(90, seed=11).select(NSL_KDD.feature_names)
    scores = np.random.default_rng(3).integers(0, 12, 90).astype(float).tolist()
    kinds = find_kinds(rows, tiny_model.encoder).rows()
    order = sorted((row for row in range(90) if scores[row] > 0), key=lambda row: -scores[row])
    firsts = [
        row for at, row in enumerate(order) if kinds[row] not in {kinds[one] for one in order[:at]}
    ]
    rest = [row for row in order if row not in firsts]
    expected = [row + 1 for row in [*firsts, *rest][:top_k]]
    assert len(firsts) > 4
    assert choose(rows, scores, top_k) == expected
    assert choose(rows, scores, top_k, size=7) == expected


def test_a_kind_is_its_categories_and_its_farthest_quantities_with_their_sides(
    usual: pl.DataFrame, tiny_model: Model
) -> None:
    def kind(**values: object) -> tuple[object, ...]:
        changed = usual.with_columns(
            pl.lit(value).cast(usual.schema[name]).alias(name) for name, value in values.items()
        )
        (found,) = find_kinds(changed, tiny_model.encoder).rows()
        return found

    assert kind() == kind(dst_bytes=usual["dst_bytes"][0] + 1), "not far"
    assert kind(root_shell=1) != kind(), "the first departure from a constant"
    assert kind(hot=40) == kind(hot=90) != kind()
    assert kind(hot=40) != kind(urgent=40)
    assert kind(hot=40, urgent=40) == kind(hot=90, urgent=30)
    assert kind(src_bytes=10**9) != kind(src_bytes=0) != kind()
    assert kind(service="telnet") != kind(service="ftp") != kind(), "unseen ones too"


def test_nothing_is_explained_with_a_limit_of_zero(
    folder: Path, scored: ScoreSummary, tiny_model_folder: Path, tmp_path: Path
) -> None:
    summary = explain(folder, scored, tiny_model_folder, tmp_path, top_k=0)
    assert summary.rows_explained == 0
    assert summary.rows_flagged == scored.rows_flagged
    assert pl.read_parquet(tmp_path / "reasons.parquet").schema == REASONS_SCHEMA


def test_reasons_are_ranked_by_contribution_across_both_models(
    folder: Path, scored: ScoreSummary, tiny_model_folder: Path, tmp_path: Path
) -> None:
    explain(folder, scored, tiny_model_folder, tmp_path, top_k=10)
    reasons = pl.read_parquet(tmp_path / "reasons.parquet")
    assert set(reasons["model"]) == {"classifier", "autoencoder"}
    for _, row in reasons.group_by("row_number"):
        assert row["rank"].to_list() == list(range(1, row.height + 1))
        assert row.height <= 5
        assert row["contribution"].is_sorted(descending=True)
        assert (row["contribution"] > 0).all()


def test_all_of_a_row_s_contributions_add_up_to_its_score(
    tiny_model: Model, make_connections: MakeConnections
) -> None:
    frame = make_connections(12, seed=7)
    scores = tiny_model.score(frame)
    every = 2 * len(tiny_model.features)
    reasons = explain_rows(frame.hstack(scores), tiny_model, every)
    totals = reasons.group_by("row_number").agg(pl.col("contribution").sum()).sort("row_number")
    assert totals["contribution"].to_list() == pytest.approx(scores["anomaly_score"].to_list())


def test_a_reason_shows_the_observed_and_the_expected_value(
    tiny_model: Model, make_connections: MakeConnections
) -> None:
    usual = make_connections(1, seed=7)
    odd = usual.with_columns(
        pl.lit("tftp_u").alias("service"), pl.lit(54_540).cast(pl.Int64).alias("hot")
    )
    rows = odd.hstack(tiny_model.score(odd))
    reasons = explain_rows(rows, tiny_model, 82).filter(pl.col("model") == "autoencoder")
    hot = reasons.row(by_predicate=pl.col("feature") == "hot", named=True)
    service = reasons.row(by_predicate=pl.col("feature") == "service", named=True)
    assert (hot["observed"], hot["rank"]) == ("54,540", reasons["rank"].min())
    assert service["observed"] == "tftp_u"
    assert service["expected"] in {"http", "domain_u"}


def test_unseen_values_are_counted_over_all_parts(
    folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    for name, service in (("a", "tftp_u"), ("b", "gopher")):
        part = pl.read_parquet(folder / f"{name}.parquet")
        first_two = pl.int_range(pl.len()) < 2
        service_column = pl.when(first_two).then(pl.lit(service)).otherwise("service")
        part.with_columns(service=service_column).write_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "score-1").mkdir()
    scored = score_batch(tmp_path, PARTS, tiny_model_folder, tmp_path / "score-1", ScoreOptions())
    assert scored.rows_scored == 60
    assert scored.notes == ("service: values never seen in training in 4 rows (gopher, tftp_u)",)


def test_a_note_quotes_a_value_in_printable_form(scored: ScoreSummary) -> None:
    found = UnseenValues(feature="service", rows=1, examples=("\x1b[2J", "x" * 1_000_000))
    (note,) = scored.model_copy(update={"unseen": (found,)}).notes
    assert note == (rf"service: values never seen in training in 1 row (\x1b[2J, {'x' * 37}...)")


def test_a_note_says_what_is_missing_and_was_in_every_training_row(
    folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        part = pl.read_parquet(folder / f"{name}.parquet")
        lacking = part.with_columns(count=pl.lit(None, pl.Int64))
        lacking.write_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "score-1").mkdir()
    scored = score_batch(tmp_path, PARTS, tiny_model_folder, tmp_path / "score-1", ScoreOptions())
    assert scored.notes == ("count: missing in 60 rows, in no row of the training",)


def test_a_batch_of_known_values_has_no_such_note(scored: ScoreSummary) -> None:
    assert scored.notes == ()


def test_a_record_begins_with_who_and_when_and_has_no_label() -> None:
    columns = (
        Column(name="src_bytes", kind="count", meaning="Sent."),
        Column(name="rate", kind="number", meaning="Rate.", nullable=True),
        Column(name="label", kind="category", meaning="Label.", role="label"),
        Column(name="started_at", kind="time", meaning="Start.", role="identifier"),
        Column(name="dst_port", kind="port", meaning="Port.", role="identifier"),
        Column(name="note", kind="category", meaning="Note.", role="ignored"),
    )
    contract = Contract(name="flows", title="Flows", source="none", columns=columns)
    epoch_us = [1_499_415_720_000_005, 253_402_300_800_000_000, None]
    rows = pl.DataFrame(
        {
            "row_number": [1, 2, 3],
            "src_bytes": [2**63 - 1, 0, 0],
            "rate": [1e308, float("nan"), None],
            "label": ["x"] * 3,
            "started_at": pl.Series(epoch_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "dst_port": [443, None, 1],
            "note": ["y"] * 3,
        }
    )
    records = rows.select(record_of(rows, contract)).to_series().to_list()
    assert [list(json.loads(record)) for record in records] == [
        ["started_at", "dst_port", "src_bytes", "rate"]
    ] * 3
    assert [tuple(json.loads(record).values()) for record in records] == [
        ("2017-07-07T08:22:00.000005Z", 443, 2**63 - 1, 1e308),
        (None, None, 0, None),
        (None, 1, 0, None),
    ]
