"""A night with mostly bad files: what is stored and printed for each file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
import sqlalchemy as sa

from storage.queries import batch_rows, flagged_rows, quarantine_rows, validation_rows
from storage.schema import delivery, prediction, run, scoring

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.bad_files_night import NightRun
    from tests.support.prefect_servers import Server


def accounting(night: "NightRun", name: str) -> tuple[str, int, int, int, int]:
    row = night.batch(name)
    counts = ("rows_read", "rows_scored", "rows_quarantined", "rows_rejected")
    assert row["rows_read"] == sum(row[name] for name in (*counts[1:], "rows_known"))
    return (row["status"], *(row[name] for name in counts))


def table_row(night: "NightRun", name: str) -> list[str]:
    """Read a file's line of the printed table: date, status, five counts and the message."""
    lines = [line for line in night.printed.splitlines() if line.startswith(f"│ {name} ")]
    assert len(lines) == 1, f"{len(lines)} lines of the table are of {name}"
    return [cell.strip() for cell in lines[0].split("│")[2:-1]]


def notes(night: "NightRun", name: str) -> list[str]:
    """Read the lines printed below the table about a file, without those of drift and reports."""
    lines = [
        line.removeprefix(f"{name}: ")
        for line in night.printed.splitlines()
        if line.startswith(f"{name}: ")
    ]
    return [line for line in lines if not line.startswith(("drifted: ", "report "))]


def count_stored(night: "NightRun", name: str) -> int:
    """Count the scorings and quarantined rows of a batch."""
    batch_id = night.batch(name)["batch_id"]
    with night.database() as engine, engine.connect() as connection:
        scored = sa.select(sa.func.count()).where(scoring.c.batch_id == batch_id)
        return int(connection.scalar(scored) or 0) + len(quarantine_rows(engine, batch=batch_id))


def test_a_rejected_file_makes_the_command_end_with_3(night: "NightRun") -> None:
    assert night.exit_code == 3


@pytest.mark.parametrize(
    ("name", "rows", "reason"),
    [
        ("empty-2026-11-03.csv", 0, "it is empty"),
        ("header-2026-11-03.csv", 0, "it has a header but no row"),
        ("missing-2026-11-03.csv", 60, "1 of them missing: dst_host_srv_rerror_rate"),
        ("foreign-2026-11-05.csv", 60, "60 of 60 rows (100.0%) were quarantined; most often proto"),
        ("noise-2026-11-06.csv", 2, "no contract knows it. Its first line has"),
        ("cut-2026-11-06.csv.gz", 0, "its compressed content is cut short or damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_rejected_whole_with_its_reason(
    night: "NightRun", name: str, rows: int, reason: str
) -> None:
    rejection = night.batch(name)["rejection"]
    assert reason in rejection
    assert accounting(night, name) == ("rejected", rows, 0, 0, rows)
    assert count_stored(night, name) == 0
    date = name[name.index("2026") :][:10]
    counts = [str(rows), "0", "0", str(rows), "-"]
    assert table_row(night, name) == [date, "rejected", *counts, rejection]
    assert notes(night, name) == []


def test_a_batch_that_validation_rejects_keeps_what_was_expected_of_it(night: "NightRun") -> None:
    with night.database() as engine:
        failed = validation_rows(
            engine, night.batch("foreign-2026-11-05.csv")["batch_id"], is_success=False
        )
    protocol = next(row for row in failed if row["column_name"] == "protocol_type")
    assert (protocol["rows_failed"], protocol["observed"]) == (60, "'gre'")


def test_a_column_that_is_not_declared_is_ignored_and_reported(night: "NightRun") -> None:
    name = "extra-2026-11-04.csv"
    assert accounting(night, name) == ("scored", 60, 60, 0, 0)
    assert table_row(night, name)[:6] == ["2026-11-04", "scored", "60", "60", "0", "0"]
    assert "ignored columns the contract does not declare: site" in notes(night, name)
    with night.database() as engine:
        flagged = flagged_rows(engine, batch=night.batch(name)["batch_id"])
    assert flagged
    assert all("site" not in row["record"] for row in flagged)


def test_labels_are_kept_in_the_lake_and_never_scored_with(night: "NightRun") -> None:
    labelled, plain = night.batch("labelled-2026-11-04.csv"), night.batch("extra-2026-11-04.csv")
    assert accounting(night, "labelled-2026-11-04.csv") == ("scored", 60, 60, 0, 0)
    note = "the file has labels: kept in the lake, not used for scoring"
    assert note in notes(night, "labelled-2026-11-04.csv")
    (part,) = (night.home / "lake" / "nsl_kdd" / labelled["batch_id"] / "ingest").glob("conn*")
    assert pl.read_parquet(part)["class"].unique().to_list() == ["normal"]
    with night.database() as engine:
        rows = [flagged_rows(engine, batch=one["batch_id"]) for one in (labelled, plain)]
        records = [[(row["row_number"], row["anomaly_score"], row["record"]) for row in one]
                   for one in rows]  # fmt: skip
    assert records[0] == records[1], "the same connections score alike with labels and without"


BAD_LINES = [
    (3, "ingest", "expected 41 fields, found 40", "0,tcp,http,"),
    (4, "ingest", "duration: 'soon' is not an integer", "soon,tcp,http,"),
    (5, "validate", "serror_rate: NaN is not a number", "0,tcp,http,"),
    (
        6,
        "validate",
        (
            "rerror_rate: inf is above 1; serror_rate 0.0, rerror_rate inf: a connection of count "
            "has a SYN error or was rejected, not both, so serror_rate and rerror_rate add up to "
            "at most 1"
        ),
        "0,tcp,http,",
    ),
    (7, "validate", "count: -1 is below 0", "0,tcp,http,"),
    (
        8,
        "validate",
        (
            "same_srv_rate: 1.5 is above 1; same_srv_rate 1.5, count 5, srv_count 7: connections "
            "to the same host and service (same_srv_rate of count) are not more than those to the "
            "same service (srv_count)"
        ),
        "0,tcp,http,",
    ),
    (9, "validate", "protocol_type: 'gre' is not one of icmp, tcp, udp", "0,gre,"),
]
"""Number, stage, every reason and beginning of each line that is bad in a way of its own."""


@pytest.mark.parametrize(("line", "stage", "reasons", "begins"), BAD_LINES)
def test_a_bad_line_is_quarantined_with_its_number_reasons_and_bytes(
    night: "NightRun", line: int, stage: str, reasons: str, begins: str
) -> None:
    source = (night.inbox / "cells-2026-11-05.csv").read_text().splitlines()
    with night.database() as engine:
        rows = quarantine_rows(engine, batch=night.batch("cells-2026-11-05.csv")["batch_id"])
    (row,) = [row for row in rows if row["line_number"] == line]
    assert row["row_number"] == line - 1
    assert row["stage"] == stage
    assert row["reasons"] == reasons.split("; ")
    assert row["raw_text"] == source[line - 1]
    assert row["raw_text"].startswith(begins)


def test_the_lines_beside_bad_ones_are_scored(night: "NightRun") -> None:
    name = "cells-2026-11-05.csv"
    assert accounting(night, name) == ("scored", 60, 53, 7, 0)
    assert table_row(night, name)[:6] == ["2026-11-05", "scored", "60", "53", "7", "0"]
    with night.database() as engine, engine.connect() as connection:
        scored = connection.scalars(
            sa.select(prediction.c.row_number)
            .join(scoring, scoring.c.scoring_id == prediction.c.scoring_id)
            .where(scoring.c.batch_id == night.batch(name)["batch_id"])
        )
        assert sorted(scored) == [1, *range(9, 61)]


def test_a_service_never_seen_is_scored_and_reported(night: "NightRun") -> None:
    printed = "service: 1 row, such as 'quic'; expected one of the 70 known values"
    assert printed in notes(night, "cells-2026-11-05.csv")


def test_quarantined_lines_are_printed_with_their_reasons(
    night: "NightRun", noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(night.home))
    ended = noctule("quarantine", "--batch", night.batch("cells-2026-11-05.csv")["batch_id"][:8])
    assert ended.code == 0
    source = (night.inbox / "cells-2026-11-05.csv").read_text().splitlines()
    printed = [line for line in ended.out.splitlines() if "cells-2026-11-05.csv" in line]
    assert [[cell.strip() for cell in line.split("│")[2:-1]] for line in printed] == [
        ["cells-2026-11-05.csv", str(line), stage, reasons, source[line - 1]]
        for line, stage, reasons, _ in BAD_LINES
    ]


def test_a_batch_too_small_for_evidently_says_so(night: "NightRun") -> None:
    assert notes(night, "extra-2026-11-04.csv")[-1] == (
        "Evidently was not run: its thresholds need 2,000 rows, the sample of the batch has 60 and "
        "that of the reference 6,000"
    )


def test_a_file_that_may_not_be_read_is_left_to_do_and_stores_nothing(
    night: "NightRun", server: "Server"
) -> None:
    unreadable = night.named[-1]
    with night.database() as engine, engine.connect() as connection:
        assert unreadable.name not in {row["file_name"] for row in batch_rows(engine)}
        assert unreadable.name not in set(connection.scalars(sa.select(delivery.c.file_name)))
        nightly = connection.scalar(sa.select(run.c.flow_run_id).where(run.c.kind == "nightly"))
    _, status, *counts, message = table_row(night, unreadable.name)
    assert (status, counts) == ("failed", ["0", "0", "0", "0", "-"])
    assert message.startswith(f"Cannot read {unreadable}: ")
    assert message.endswith("Check that this user may read it.")
    last = server.children(nightly)[-1]
    assert last["state_type"] == "FAILED"
    assert message in last["state"]["message"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("copying-2026-11-08.csv.part", "its name says it is temporary"),
        ("growing-2026-11-08.csv", "modified less than 86400 s ago: it may still be growing"),
    ],
)
def test_a_file_that_is_not_there_yet_is_left_for_next_time(
    night: "NightRun", name: str, reason: str
) -> None:
    with night.database() as engine, engine.connect() as connection:
        assert name not in set(connection.scalars(sa.select(delivery.c.file_name)))
    assert f"left for next time: {name}: {reason}" in night.printed.splitlines()


def test_the_same_content_under_another_name_is_one_batch_with_two_deliveries(
    night: "NightRun",
) -> None:
    with night.database() as engine, engine.connect() as connection:
        same = sa.select(delivery.c.batch_id).where(delivery.c.file_name == "same-2026-11-07.csv")
        batch_id = connection.scalar(same)
        names = connection.scalars(
            sa.select(delivery.c.file_name)
            .where(delivery.c.batch_id == batch_id)
            .order_by(delivery.c.delivery_id)
        )
        assert list(names) == ["night-2026-11-02.csv", "same-2026-11-07.csv"]
        (row,) = [row for row in batch_rows(engine) if row["batch_id"] == batch_id]
    assert (row["file_name"], row["rows_scored"]) == ("night-2026-11-02.csv", 2_600)
    assert table_row(night, "same-2026-11-07.csv") == [
        "2026-11-02", "known", "0", "0", "0", "0", "-",
        "scored before, as night-2026-11-02.csv on 2026-11-02",
    ]  # fmt: skip


def test_the_same_name_with_new_content_is_a_new_batch(night: "NightRun") -> None:
    renewed = night.named[0]
    with night.database() as engine, engine.connect() as connection:
        rows = [row for row in batch_rows(engine) if row["file_name"] == renewed.name]
        places = connection.scalars(
            sa.select(delivery.c.source_path)
            .where(delivery.c.file_name == renewed.name)
            .order_by(delivery.c.delivery_id)
        )
        assert [Path(place) for place in places] == [night.inbox / renewed.name, renewed]
    assert sorted(row["rows_scored"] for row in rows) == [60, 2_600]
    assert len({row["batch_id"] for row in rows}) == 2


def test_what_is_rejected_once_is_rejected_again(
    night: "NightRun", home: Path, prefect_server: str, noctule: "Callable[..., Ended]"
) -> None:
    empty = night.inbox / "empty-2026-11-03.csv"
    first, second = noctule("run", empty), noctule("run", empty, "--json")
    assert (first.code, second.code) == (3, 3)
    (outcome,) = json.loads(second.out)["files"]
    assert outcome["status"] == "known"
    assert outcome["message"] == (
        f"rejected before, on 2026-11-03: Cannot read {empty}: it is empty. Expected connections,"
        " one a line."
    )
