"""Validation as a stage: which rows pass, what is kept of the others, and when a batch does not."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.intake.content import SourceChangedError, hash_content
from tasks.intake.ingest import IngestSummary, ingest_file
from tasks.intake.source import IngestOptions
from tasks.validation.summary import ValidationSummary
from tasks.validation.validate import ValidateOptions, validate_batch
from tests.support.sources import NSL_KDD

HTTP = {
    "duration": 0, "protocol_type": "tcp", "service": "http", "flag": "SF", "src_bytes": 232,
    "dst_bytes": 8153, "logged_in": 1, "count": 5, "srv_count": 5, "same_srv_rate": 1.0,
    "dst_host_count": 30, "dst_host_srv_count": 255, "dst_host_same_srv_rate": 1.0,
}  # fmt: skip
PING = HTTP | {
    "protocol_type": "icmp", "service": "eco_i", "src_bytes": 8, "dst_bytes": 0, "logged_in": 0,
}  # fmt: skip

DISJOINT = (
    "a connection of count has a SYN error or was rejected, not both, so serror_rate and "
    "rerror_rate add up to at most 1"
)
UNANSWERED = "with flag S0, RSTOS0, SH no reply was seen, so dst_bytes is 0"


class Delivery:
    """A small file, ingested, and its validation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "batch"
        self.source = folder / "night.csv"
        self.out = self.folder / "validate"
        (self.folder / "ingest").mkdir(parents=True)
        self.out.mkdir()

    def ingest(self, *rows: dict[str, Any], chunk_rows: int = 1_000) -> IngestSummary:
        names = NSL_KDD.feature_names
        lines = [",".join(names)]
        lines += [",".join(str(row.get(name, 0)) for name in names) for row in rows]
        self.source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ingest_file(
            self.source,
            NSL_KDD,
            self.folder / "ingest",
            hash_content(self.source).sha256,
            IngestOptions(chunk_rows=chunk_rows),
        )

    def validate(
        self, ingested: IngestSummary, options: ValidateOptions | None = None
    ) -> ValidationSummary:
        return validate_batch(self.folder, ingested, NSL_KDD, self.source, self.out, options)

    def quarantined(self, summary: ValidationSummary) -> list[dict[str, Any]]:
        assert summary.quarantine is not None
        return pl.read_parquet(self.folder / summary.quarantine).to_dicts()

    def accepted(self, summary: ValidationSummary) -> list[int]:
        numbers: list[int] = []
        for part in summary.parts:
            frame = pl.read_parquet(self.folder / part.path)
            assert frame.height == part.rows
            numbers += frame["row_number"].to_list()
        return numbers


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    return Delivery(tmp_path)


def failures(summary: ValidationSummary) -> dict[str, int]:
    return {
        str(outcome.column): outcome.rows_failed
        for outcome in summary.results
        if outcome.suite == "rows" and not outcome.is_success
    }


def test_clean_parts_are_passed_on_where_they_are(delivery: Delivery) -> None:
    ingested = delivery.ingest(HTTP, PING, HTTP, chunk_rows=2)
    summary = delivery.validate(ingested)
    assert [(part.path, part.rows) for part in summary.parts] == [
        ("ingest/connections-00000.parquet", 2),
        ("ingest/connections-00001.parquet", 1),
    ]
    assert (summary.rows_accepted, summary.rows_quarantined) == (3, 0)
    assert not summary.is_rejected
    assert summary.quarantine is None
    assert [path.name for path in delivery.out.iterdir()] == ["validation.html"]
    assert ValidationSummary.model_validate_json(summary.model_dump_json()) == summary


def test_each_kind_of_bad_row_is_quarantined_with_every_reason(delivery: Delivery) -> None:
    ingested = delivery.ingest(
        HTTP,
        HTTP | {"serror_rate": 1.7},
        HTTP | {"serror_rate": "NaN", "rerror_rate": "inf"},
        HTTP | {"count": -3},
        HTTP | {"protocol_type": "sctp"},
        HTTP | {"flag": "S0"},
        HTTP | {"su_attempted": 2},
        PING,
        chunk_rows=3,
    )
    summary = delivery.validate(ingested, ValidateOptions(max_quarantine_ratio=0.7))
    rows = delivery.quarantined(summary)
    assert {row["row_number"]: row["reasons"] for row in rows} == {
        2: [
            "serror_rate: 1.7 is above 1",
            f"serror_rate 1.7, rerror_rate 0.0: {DISJOINT}",
        ],
        3: ["serror_rate: NaN is not a number", "rerror_rate: inf is above 1"],
        4: ["count: -3 is below 0"],
        5: ["protocol_type: 'sctp' is not one of icmp, tcp, udp"],
        6: [f"flag 'S0', dst_bytes 8153: {UNANSWERED}"],
    }
    lines = delivery.source.read_bytes().split(b"\n")
    assert [row["raw"] for row in rows] == [lines[row["line_number"] - 1] for row in rows]
    assert {row["stage"] for row in rows} == {"validate"}
    assert delivery.accepted(summary) == [1, 7, 8]
    assert [part.path for part in summary.parts] == [
        "validate/accepted-00000.parquet",
        "ingest/connections-00002.parquet",
    ]
    assert summary.rows_accepted + summary.rows_quarantined == ingested.rows_read == 8


def test_values_at_their_bounds_are_accepted(delivery: Delivery) -> None:
    edge = HTTP | {
        "count": 511,
        "srv_count": 511,
        "serror_rate": 1,
        "land": 1,
        "src_bytes": 2**63 - 1,
    }
    summary = delivery.validate(delivery.ingest(edge, HTTP | {"count": 0, "same_srv_rate": 0}))
    assert summary.rows_accepted == 2
    assert failures(summary) == {"windows_hold_the_connection": 1}


def test_an_unknown_service_is_scored_and_reported(delivery: Delivery) -> None:
    summary = delivery.validate(
        delivery.ingest(HTTP, HTTP | {"service": "tftp9"}, HTTP | {"service": "quic"}, PING)
    )
    assert summary.rows_accepted == 4
    assert failures(summary) == {"service": 2}
    assert summary.advisories[0] == (
        "service: 2 rows, such as 'tftp9'; 'quic'; expected one of the 70 known values"
    )


def test_of_a_refused_row_only_what_refused_it_is_reported(delivery: Delivery) -> None:
    row = HTTP | {"service": "tftp9", "count": -1}
    assert failures(delivery.validate(delivery.ingest(HTTP, row, PING))) == {"count": 1}


def test_chunks_add_up_to_one_outcome_an_expectation(delivery: Delivery) -> None:
    rows = [HTTP | {"serror_rate": 2 + i} for i in range(4)] + [HTTP] * 5
    summary = delivery.validate(delivery.ingest(*rows, chunk_rows=2))
    (outcome,) = [
        one for one in summary.results if one.column == "serror_rate" and not one.is_success
    ]
    assert (outcome.rows_checked, outcome.rows_failed) == (9, 4)
    assert outcome.observed == "2.0; 3.0; 4.0"
    keys = [(one.suite, one.expectation, one.column) for one in summary.results]
    assert len(keys) == len(set(keys))


def test_a_batch_of_bad_rows_is_rejected_with_what_they_have_in_common(delivery: Delivery) -> None:
    summary = delivery.validate(delivery.ingest(*[HTTP | {"rerror_rate": 1.5}] * 3))
    assert summary.is_rejected
    assert summary.rejection == (
        "3 of 3 rows (100.0%) were quarantined; most often rerror_rate, expected from 0 to 1 "
        "(3 rows, such as 1.5)"
    )
    assert (summary.rows_accepted, summary.rows_quarantined, summary.parts) == (0, 3, ())
    assert len(delivery.quarantined(summary)) == 3


def test_the_tolerated_share_of_quarantined_rows_is_a_setting(delivery: Delivery) -> None:
    ingested = delivery.ingest(HTTP, HTTP, PING, HTTP | {"count": -1})
    assert not delivery.validate(ingested, ValidateOptions(max_quarantine_ratio=0.25)).is_rejected
    summary = delivery.validate(ingested, ValidateOptions(max_quarantine_ratio=0.24))
    assert summary.rejection == (
        "1 of 4 rows (25.0%) were quarantined, more than the 24.0% allowed; most often count, "
        "expected at least 0 (1 row, such as -1)"
    )
    assert list(delivery.out.glob("accepted-*")) == []


def test_rows_that_would_not_parse_count_against_the_batch(delivery: Delivery) -> None:
    ingested = delivery.ingest(HTTP, *[HTTP | {"duration": "word"}] * 3)
    summary = delivery.validate(ingested)
    assert summary.rejection == (
        "3 of 4 rows (75.0%) were quarantined, more than the 50.0% allowed; most often they would "
        "not parse (3 rows, such as line 3: duration: 'word' is not an integer)"
    )
    assert summary.rows_quarantined == 0


def test_a_batch_of_which_nothing_parsed_is_rejected(delivery: Delivery) -> None:
    summary = delivery.validate(delivery.ingest(HTTP | {"duration": "word"}))
    assert summary.is_rejected
    assert summary.rejection == (
        "1 of 1 row (100.0%) were quarantined; most often they would not parse (1 row, such as "
        "line 2: duration: 'word' is not an integer)"
    )


def test_a_part_of_other_types_than_declared_is_rejected(delivery: Delivery) -> None:
    ingested = delivery.ingest(HTTP, PING)
    part = delivery.folder / ingested.parts[0]
    pl.read_parquet(part).with_columns(pl.col("count").cast(pl.String)).write_parquet(part)
    summary = delivery.validate(ingested)
    assert summary.rejection == (
        "the batch cannot be scored: its dtype.count is String, expected stored as Int64"
    )


def test_nulls_in_a_part_are_caught_in_every_type(delivery: Delivery) -> None:
    ingested = delivery.ingest(HTTP, PING, HTTP)
    part = delivery.folder / ingested.parts[0]
    frame = pl.read_parquet(part)
    is_first = pl.col("row_number") == 1
    nulled = [pl.when(~is_first).then(pl.col(name)) for name in ("count", "serror_rate", "service")]
    frame.with_columns(nulled).write_parquet(part)
    (row,) = delivery.quarantined(delivery.validate(ingested))
    assert row["reasons"] == ["service: no value", "count: no value", "serror_rate: no value"]


def test_a_file_that_changed_since_it_was_read_is_refused(delivery: Delivery) -> None:
    ingested = delivery.ingest(HTTP, HTTP | {"count": -1})
    lines = delivery.source.read_text().splitlines()
    delivery.source.write_text("\n".join(["x" * len(line) for line in lines]) + "\n")
    with pytest.raises(SourceChangedError, match="changed while it was worked on"):
        delivery.validate(ingested)


def test_lines_are_fetched_in_bounded_portions(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.validation.validate.WAITING_ROWS", 3)
    monkeypatch.setattr("tasks.validation.row_checks.DESCRIBED_ROWS", 2)
    ingested = delivery.ingest(*[HTTP | {"count": -i} for i in range(6)], chunk_rows=4)
    summary = delivery.validate(ingested, ValidateOptions(max_quarantine_ratio=1))
    rows = delivery.quarantined(summary)
    assert [row["row_number"] for row in rows] == [2, 3, 4, 5, 6]
    assert [row["reasons"] for row in rows] == [[f"count: {-i} is below 0"] for i in range(1, 6)]


def test_the_page_is_written(delivery: Delivery) -> None:
    summary = delivery.validate(delivery.ingest(HTTP, PING, HTTP | {"protocol_type": "<b>"}))
    page = (delivery.folder / summary.report).read_text(encoding="utf-8")
    assert "protocol_type: &#39;&lt;b&gt;&#39; is not one of icmp, tcp, udp" in page
    assert "<b>" not in page


def test_great_expectations_logs_no_line_and_makes_no_folder(
    delivery: Delivery, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a folder for pages that nobody builds")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    ingested = delivery.ingest(HTTP, HTTP | {"duration": -1}, PING)
    assert delivery.validate(ingested).rows_quarantined == 1
    lines = [one.message for one in caplog.records if one.name.startswith("great_expectations")]
    assert lines == []
