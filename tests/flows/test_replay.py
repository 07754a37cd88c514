"""``noctule replay``: the open rows of a batch are processed again, and corrected once."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from expectations.contract import Contract
from storage.database import connect
from storage.queries import batch_rows, flagged_rows, quarantine_rows
from storage.schema import batch, correction
from tasks.intake.source import Source
from tasks.intake.sources import open_source
from tasks.simulation.simulate import simulate_night
from tests.support.sources import NSL_KDD

if TYPE_CHECKING:
    from tests.flows.conftest import Ended, Kept

pytestmark = pytest.mark.usefixtures("settled", "pandas_validation")

Replay = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A header and sixty good rows."""
    path = tmp_path_factory.mktemp("good") / "night.csv"
    simulate_night(path, rows=1_000, seed=5, night=date(2026, 11, 9))
    return path.read_text().splitlines()[:61]


def change(line: str, **cells: str) -> str:
    values = line.split(",")
    for name, value in cells.items():
        values[NSL_KDD.feature_names.index(name)] = value
    return ",".join(values)


@pytest.fixture(scope="module")
def spoilt(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of sixty rows, of which rows 2, 5 and 9 cannot be scored as they are."""
    rows = list(lines)
    rows[2] = change(rows[2], protocol_type="gre")
    rows[5] = change(rows[5], duration="soon")
    rows[9] = rows[9].rsplit(",", 3)[0]
    path = tmp_path_factory.mktemp("spoilt") / "spoilt-2026-11-09.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def outcome(noctule: "Callable[..., Ended]") -> Replay:
    """Run a command and return what became of its one file."""

    def ask(*arguments: object, code: int = 0) -> dict[str, Any]:
        ended = noctule(*arguments, "--json")
        assert ended.code == code, ended.out + ended.err
        (file,) = json.loads(ended.out)["files"]
        found: dict[str, Any] = file
        return found

    return ask


@pytest.fixture
def came(kept: "Kept", home: Path, outcome: Replay, spoilt: Path) -> dict[str, Any]:
    """Run the spoilt file, and say what became of it."""
    return kept.make("spoilt", home, lambda: outcome("run", spoilt))


def quarantined(home: Path, batch_id: str) -> list[tuple[int, str | None]]:
    engine = connect(None, home)
    rows = quarantine_rows(engine, batch=batch_id)
    engine.dispose()
    return [(row["row_number"], row["corrected_by"]) for row in rows]


def write(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_corrected_rows_are_scored_in_a_batch_of_their_own_as_the_right_file_would_have_been(
    home: Path,
    outcome: Replay,
    noctule: "Callable[..., Ended]",
    came: dict[str, Any],
    lines: list[str],
    tmp_path: Path,
) -> None:
    assert (came["rows_scored"], came["rows_quarantined"]) == (57, 3)
    fixed = write(tmp_path / "fixed.csv", [lines[0], lines[2], lines[5], lines[9]])
    done = outcome("replay", came["batch_id"][:10], fixed)
    assert (done["status"], done["rows_read"], done["rows_scored"]) == ("scored", 3, 3)
    assert done["batch_id"] != came["batch_id"]
    assert done["batch_date"] == came["batch_date"]
    assert quarantined(home, came["batch_id"]) == [(row, done["batch_id"]) for row in (2, 5, 9)]

    whole = outcome("run", write(tmp_path / "whole.csv", lines))
    engine = connect(None, home)
    records = {
        row["row_number"]: (row["anomaly_score"], row["record"])
        for row in flagged_rows(engine, batch=whole["batch_id"])
    }
    replayed = {
        row["row_number"]: (row["anomaly_score"], row["record"])
        for row in flagged_rows(engine, batch=done["batch_id"])
    }
    engine.dispose()
    of_whole = {1: 2, 2: 5, 3: 9}
    assert replayed == {row: records[other] for row, other in of_whole.items() if other in records}

    nothing = outcome("replay", came["batch_id"])
    assert nothing["message"] == "nothing to replay: no quarantined row is open"
    ended = noctule("replay", came["batch_id"], fixed)
    assert ended.code == 0
    assert "nothing to replay" in ended.out


def test_a_file_that_spells_names_otherwise_is_scored_as_the_exact_one_and_so_are_its_replays(
    home: Path, outcome: Replay, lines: list[str], tmp_path: Path
) -> None:
    exact = outcome("run", write(tmp_path / "exact.csv", lines))
    order = [*range(4), 5, 4, *range(6, 41)]  # src_bytes and dst_bytes in each other's place
    swapped = [",".join([line.split(",")[place] for place in order]) for line in lines]
    swapped[0] = swapped[0].replace("_", " ").title()
    fixed = swapped[5]
    swapped[5] = fixed.replace(fixed.partition(",")[0], "soon", 1)
    other = tmp_path / "other.csv"
    other.write_text("\r".join(swapped) + "\r", newline="")  # as an old Macintosh ends lines
    came = outcome("run", other)
    assert (came["rows_read"], came["rows_scored"], came["rows_quarantined"]) == (60, 59, 1)
    assert came["advisories"][0].startswith(
        "column names are spelled differently and were matched: 'Duration' as duration, 'Protocol"
    )
    again = outcome("replay", came["batch_id"], code=3)
    assert "duration: 'soon' is not an integer" in again["message"]
    corrected = tmp_path / "corrected.csv"
    corrected.write_text("\r".join([swapped[0].upper(), fixed]) + "\r", newline="")
    done = outcome("replay", came["batch_id"], corrected)
    assert (done["status"], done["rows_scored"]) == ("scored", 1)
    engine = connect(None, home)
    expected, first, second = (
        {row["row_number"]: (row["anomaly_score"], row["record"]) for row in rows}
        for rows in (flagged_rows(engine, batch=one["batch_id"]) for one in (exact, came, done))
    )
    engine.dispose()
    assert second.keys() <= {1}
    assert first | dict(zip([5], second.values(), strict=False)) == expected


def test_of_a_whole_corrected_file_only_the_open_rows_are_read(
    home: Path, outcome: Replay, came: dict[str, Any], lines: list[str], tmp_path: Path
) -> None:
    partly = list(lines)
    partly[5] = change(partly[5], duration="later")
    done = outcome("replay", came["batch_id"], write(tmp_path / "whole.csv", partly))
    assert (done["rows_read"], done["rows_scored"], done["rows_quarantined"]) == (3, 2, 1)
    open_now = [
        row for row, corrected_by in quarantined(home, came["batch_id"]) if not corrected_by
    ]
    assert open_now == [5]
    rest = outcome("replay", done["batch_id"], write(tmp_path / "row.csv", [lines[5]]))
    assert (rest["rows_read"], rest["rows_scored"]) == (1, 1), "without a header, by the file's own"
    assert all(corrected_by for _, corrected_by in quarantined(home, came["batch_id"]))


def test_a_corrected_file_that_changes_once_it_is_known_is_not_read(
    home: Path,
    outcome: Replay,
    noctule: "Callable[..., Ended]",
    came: dict[str, Any],
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixed = write(tmp_path / "fixed.csv", [lines[0], lines[2], lines[5], lines[9]])

    def open_changed(corrected: Path, contract: Contract) -> Source:
        write(fixed, [lines[0], lines[2], lines[5], lines[10]])
        return open_source(corrected, contract)

    with monkeypatch.context() as patch:
        patch.setattr("tasks.intake.replay.open_source", open_changed)
        refused = noctule("replay", came["batch_id"], fixed)
    assert refused.code == 3
    assert "fixed.csv changed while it was worked on" in refused.out + refused.err
    assert {corrected_by for _, corrected_by in quarantined(home, came["batch_id"])} == {None}
    done = outcome("replay", came["batch_id"], fixed)
    assert (done["rows_read"], done["rows_scored"]) == (3, 3)


def test_rows_are_read_again_as_they_came_once_the_contract_admits_them(
    home: Path, outcome: Replay, came: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = outcome("replay", came["batch_id"], code=3)
    assert refused["status"] == "rejected"
    assert refused["message"].startswith("3 of 3 rows (100.0%) were quarantined")
    again = outcome("replay", came["batch_id"], code=3)
    assert (again["status"], again["batch_id"]) == ("known", refused["batch_id"])

    columns = tuple(
        replace(column, values=("icmp", "tcp", "udp", "gre"))
        if column.name == "protocol_type"
        else column
        for column in NSL_KDD.columns
    )
    admitting = replace(NSL_KDD, columns=columns, row_rules=())
    monkeypatch.setattr("expectations.registry._read_ours", {"nsl_kdd": admitting}.__getitem__)
    monkeypatch.setattr("expectations.registry._our_names", lambda: ("nsl_kdd",))
    done = outcome("replay", came["batch_id"])
    assert (done["rows_read"], done["rows_scored"], done["rows_quarantined"]) == (3, 1, 2)
    assert quarantined(home, came["batch_id"])[0] == (2, done["batch_id"])


def test_a_batch_rejected_whole_goes_through_again_under_another_limit(
    home: Path, outcome: Replay, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [lines[0], *(change(line, protocol_type="gre") for line in lines[1:41]), *lines[41:]]
    came = outcome("run", write(tmp_path / "rows-2026-11-09.csv", rows), code=3)
    assert (came["status"], came["rows_rejected"]) == ("rejected", 60)
    monkeypatch.setenv("NOCTULE_MAX_QUARANTINE_RATIO", "0.9")
    done = outcome("replay", came["batch_id"])
    assert (done["rows_read"], done["rows_scored"], done["rows_quarantined"]) == (60, 20, 40)
    fixed = outcome(
        "replay", came["batch_id"], write(tmp_path / "fixed.csv", [lines[0], *lines[1:41]])
    )
    assert (fixed["rows_read"], fixed["rows_scored"]) == (40, 40), "what is open of the replay"
    engine = connect(None, home)
    kept = {row["batch_id"]: row for row in batch_rows(engine)}
    with engine.connect() as connection:
        corrected = connection.execute(
            sa.select(correction.c.corrected_batch_id, sa.func.count()).group_by(
                correction.c.corrected_batch_id
            )
        ).all()
    engine.dispose()
    assert kept[came["batch_id"]]["status"] == "rejected", "its account stays what it was"
    assert kept[done["batch_id"]]["replayed_batch_id"] == came["batch_id"]
    assert kept[fixed["batch_id"]]["replayed_batch_id"] == done["batch_id"]
    assert [tuple(row) for row in corrected] == [(done["batch_id"], 40)]


def test_what_cannot_be_replayed_is_refused_in_words(
    home: Path,
    outcome: Replay,
    noctule: "Callable[..., Ended]",
    spoilt: Path,
    lines: list[str],
    tmp_path: Path,
) -> None:
    unknown = noctule("replay", "beef")
    assert unknown.code == 2
    assert "No batch has an id that begins with 'beef'" in unknown.err
    empty = outcome("run", write(tmp_path / "e.csv", [lines[0]]), code=3)
    (tmp_path / "e.csv").unlink()
    gone = noctule("replay", empty["batch_id"])
    assert gone.code == 3
    assert "Give the file, or a corrected one: noctule replay BATCH FILE" in gone.out + gone.err
    twenty = write(tmp_path / "few.csv", lines[:20])
    bad = [lines[0], *(change(line, protocol_type="gre") for line in lines[1:])]
    refused = outcome("run", write(tmp_path / "bad.csv", bad), code=3)
    few = noctule("replay", refused["batch_id"], twenty)
    assert few.code == 3
    assert "rejected whole, with 60 rows, and the file has 19 rows" in few.out + few.err
    came = outcome("run", spoilt)
    wrong = noctule("replay", came["batch_id"], write(tmp_path / "two.csv", lines[:3]))
    assert wrong.code == 3
    assert "it has 2 rows, expected the 3 rows that are open" in wrong.out + wrong.err
    engine = connect(None, home)
    with engine.begin() as connection:
        connection.execute(
            sa.update(batch)
            .where(batch.c.batch_id == came["batch_id"])
            .values(status="received", field_names=None)
        )
    engine.dispose()
    unfinished = noctule("replay", came["batch_id"])
    assert unfinished.code == 2
    assert "it is not finished. Run its file first" in unfinished.err
