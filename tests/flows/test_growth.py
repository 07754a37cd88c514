"""Files that are delivered again with more rows, and files that arrive late."""

import gzip
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from storage.database import connect
from storage.queries import batch_rows, flagged_rows, latest_night
from storage.schema import prediction, quarantined_row, scoring
from tasks.simulation.simulate import simulate_night

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

pytestmark = pytest.mark.usefixtures("settled", "pandas_validation")

FIRST, ALL = 150, 400
"""Rows of the file when it first comes, and when it comes again."""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Header and rows of a night in which some lines are malformed."""
    path = tmp_path_factory.mktemp("growing") / "night.csv"
    simulate_night(path, rows=1_000, seed=3, night=date(2026, 11, 9), scenario="bad_rows")
    return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[: ALL + 1]


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_text("\n".join(lines) + end, encoding="utf-8", errors="surrogateescape")
    return path


def run(noctule: "Callable[..., Ended]", *files: Path) -> list[dict[str, Any]]:
    ended = noctule("run", *files, "--json")
    assert ended.code == 0, ended.out + ended.err
    outcomes: list[dict[str, Any]] = json.loads(ended.out)["files"]
    return outcomes


def stored_rows(home: Path, *batch_ids: str) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Read what became of each row: its scores, or that it is quarantined."""
    engine = connect(None, home)
    columns = [column for column in prediction.c if column.name not in {"scoring_id", "batch_date"}]
    with engine.connect() as connection:
        scores = connection.execute(
            sa.select(*columns)
            .join(scoring, scoring.c.scoring_id == prediction.c.scoring_id)
            .where(scoring.c.batch_id.in_(batch_ids))
            .order_by(prediction.c.row_number)
        ).all()
        bad = connection.scalars(
            sa.select(quarantined_row.c.row_number)
            .where(quarantined_row.c.batch_id.in_(batch_ids))
            .order_by(quarantined_row.c.row_number)
        ).all()
    engine.dispose()
    return [tuple(row) for row in scores], list(bad)


def test_a_file_that_grew_has_only_its_new_rows_scored_and_none_of_them_otherwise(
    home: Path, noctule: "Callable[..., Ended]", lines: list[str], tmp_path: Path
) -> None:
    whole = write(tmp_path / "whole.csv", [*lines, ""])  # a blank line more: another content
    (alone,) = run(noctule, whole)
    expected = stored_rows(home, alone["batch_id"])
    (home / "noctule.db").rename(home / "other.db")
    engine, other = connect(None, home), sa.create_engine(f"sqlite:///{home}/other.db")
    engine.dispose()
    other.dispose()
    _keep_model_only(home)

    first = write(tmp_path / "conn-2026-11-09.csv", lines[: FIRST + 1])
    (came,) = run(noctule, first)
    assert (came["rows_read"], came["rows_known"]) == (FIRST, 0)
    grown = tmp_path / "conn-2026-11-09.csv.gz"
    grown.write_bytes(gzip.compress(write(tmp_path / "x", lines).read_bytes()))
    (again,) = run(noctule, grown)
    assert again["rows_read"] == ALL
    assert again["rows_known"] == FIRST
    assert again["rows_scored"] + again["rows_quarantined"] == ALL - FIRST
    assert f"{FIRST} of {ALL} rows were known from an earlier delivery" in again["advisories"]
    assert stored_rows(home, came["batch_id"], again["batch_id"]) == expected

    (nothing,) = run(noctule, write(tmp_path / "conn-2026-11-09.csv", [*lines, ""]))
    assert nothing["message"] == f"nothing new: all of its {ALL} rows were known"
    assert (nothing["rows_known"], nothing["rows_scored"]) == (ALL, 0)
    engine = connect(None, home)
    rows = {row["batch_id"]: row for row in batch_rows(engine)}
    engine.dispose()
    assert rows[again["batch_id"]]["known_batch_id"] == came["batch_id"]
    assert rows[nothing["batch_id"]]["known_batch_id"] == again["batch_id"]


def _keep_model_only(home: Path) -> None:
    """Empty the batches of a database, so that the same rows can come anew."""
    (home / "other.db").rename(home / "noctule.db")
    engine = connect(None, home)
    with engine.begin() as connection:
        for table in (
            "validation_result", "drift_statistic", "reason", "flagged_connection", "prediction",
            "scoring", "quarantined_row", "run", "delivery", "batch",
        ):  # fmt: skip
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours
    engine.dispose()


def test_a_half_last_line_is_scored_when_it_comes_whole(
    home: Path, noctule: "Callable[..., Ended]", lines: list[str], tmp_path: Path
) -> None:
    good = [lines[0], *(line for line in lines[1:] if line.count(",") == 40)][:62]
    half = [*good[:60], good[60][:30]]
    (first,) = run(noctule, write(tmp_path / "conn.csv", half, end=""))
    assert first["rows_quarantined"] >= 1, "the half line"
    (second,) = run(noctule, write(tmp_path / "conn.csv", good))
    assert (second["rows_read"], second["rows_known"]) == (61, 59)
    rows, bad = stored_rows(home, second["batch_id"])
    assert sorted([*(row[0] for row in rows), *bad]) == [60, 61], "the line that is whole now"


def test_a_late_file_lands_on_its_own_night(
    home: Path, noctule: "Callable[..., Ended]", lines: list[str], tmp_path: Path
) -> None:
    good = [lines[0], *(line for line in lines[1:] if line.count(",") == 40)]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    write(inbox / "conn-2026-11-12.csv", good[:80])
    run(noctule, inbox)
    write(inbox / "conn-2026-11-10.csv", [good[0], *good[100:180]])
    (late,) = run(noctule, inbox)
    assert late["batch_date"] == "2026-11-10"
    engine = connect(None, home)
    nights = [row["batch_date"] for row in batch_rows(engine)]
    assert nights == [date(2026, 11, 12), date(2026, 11, 10)]
    assert latest_night(engine) == date(2026, 11, 12), "what came last is not the latest night"
    late_flags = flagged_rows(engine, night=date(2026, 11, 10))
    engine.dispose()
    assert {row["batch_id"] for row in late_flags} <= {late["batch_id"]}
