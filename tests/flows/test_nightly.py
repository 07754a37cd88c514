"""A night: its order, states, artifacts and rows; a second run changes no row."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from flows import batch
from flows.nightly import nightly
from storage.batches import BatchRejection, reject_batch
from storage.claims import claim
from storage.database import connect
from storage.deliveries import Delivery, record_delivery
from storage.lake import batch_folder
from storage.queries import batch_rows, flagged_rows, quarantine_rows
from storage.row_counts import RowCounts
from storage.schema import outbox, prediction, run, scoring
from storage.text import printable
from tasks.intake.content import hash_content
from tasks.intake.ingest import IngestSummary
from tasks.intake.receive import Arrival
from tasks.intake.stage import FileJob

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.bad_files_night import NightRun
    from tests.support.prefect_servers import Server

GOOD = "night-2026-11-02.csv"


@pytest.fixture
def nightly_run(night: "NightRun", server: "Server") -> dict[str, Any]:
    """Prefect's record of the night."""
    with night.database() as engine, engine.connect() as connection:
        flow_run_id = connection.scalar(
            sa.select(run.c.flow_run_id).where(run.c.kind == "nightly").order_by(run.c.run_id)
        )
    return server.flow_run(flow_run_id)


@pytest.fixture
def children(nightly_run: dict[str, Any], server: "Server") -> list[dict[str, Any]]:
    """Prefect's records of the night's batches, in the order they began."""
    return server.children(nightly_run["id"])


@pytest.fixture
def put(night: "NightRun", tmp_path: Path) -> Callable[[str, slice], Path]:
    """Write some of the night's connections to a file of a new inbox."""
    header, *rows = (night.inbox / GOOD).read_text().splitlines()
    inbox = tmp_path / "inbox"
    inbox.mkdir()

    def write(name: str, chosen: slice) -> Path:
        path = inbox / name
        path.write_text("\n".join([header, *rows[chosen]]) + "\n")
        return path

    return write


@pytest.fixture
def engine_of_home(home: Path) -> Iterator[Engine]:
    engine = connect(None, home)
    yield engine
    engine.dispose()


def of_night(engine: Engine) -> dict[str, dict[str, Any]]:
    return {row["file_name"]: row for row in batch_rows(engine)}


# What the operator sees


def test_files_are_worked_on_oldest_first_then_those_named(
    children: list[dict[str, Any]], night: "NightRun"
) -> None:
    arrived = sorted(night.inbox.iterdir(), key=lambda path: path.stat().st_mtime)
    whole = [path.name for path in arrived if path.suffix != ".part" and "growing" not in path.name]
    names = [run["name"].rsplit(" ", 1)[0] for run in children]
    assert names == [*whole, *(path.name for path in night.named)]


def test_runs_are_named_by_file_and_date_and_tagged(
    nightly_run: dict[str, Any], children: list[dict[str, Any]], night: "NightRun"
) -> None:
    assert nightly_run["name"] == f"night of {night.started_at.date()}"
    dates = dict(run["name"].rsplit(" ", 1) for run in children)
    assert dates["foreign-2026-11-05.csv"] == "2026-11-05"
    assert {tuple(sorted(run["tags"])) for run in (nightly_run, *children)} == {("noctule",)}


def test_a_bad_file_fails_with_its_reason_and_never_stops_the_others(
    children: list[dict[str, Any]], night: "NightRun"
) -> None:
    ended = [(run["state_type"], run["state"]["message"]) for run in children]
    states = dict(zip([run["name"] for run in children], ended, strict=True))
    reason = night.batch("foreign-2026-11-05.csv")["rejection"]
    assert states["foreign-2026-11-05.csv 2026-11-05"] == ("FAILED", f"rejected: {reason}")
    assert states["cells-2026-11-05.csv 2026-11-05"][0] == "COMPLETED"
    assert [state for state, _ in ended].count("FAILED") == 7
    assert ended[-2][0] == "COMPLETED", "a good file after six bad ones is scored"


def test_the_night_fails_and_names_the_files_that_need_someone(
    nightly_run: dict[str, Any], night: "NightRun"
) -> None:
    message = nightly_run["state"]["message"]
    assert nightly_run["state_type"] == "FAILED"
    assert message.startswith("13 files: 5 scored, 1 known, 6 rejected, 1 failed; ")
    for name in ("empty", "header", "missing", "foreign", "noise", "cut"):
        (file,) = night.inbox.glob(f"{name}-*")
        assert f"{file.name}: {night.batch(file)['rejection']}" in message
    assert "cells" not in message


def test_a_scored_batch_has_its_summary_flags_validation_drift_and_progress(
    children: list[dict[str, Any]], server: "Server"
) -> None:
    found = server.artifacts(children[0]["id"])
    assert sorted(found) == ["batch", "drift", "flagged", "progress", "validation"]
    assert {one["key"].partition("-")[2] for one in found.values()} == {
        found["batch"]["key"].removeprefix("batch-")
    }
    assert found["progress"]["data"] == 100
    assert found["batch"]["data"].startswith(f"# {GOOD}\n")
    assert "| Rows read | 2,600 |" in found["batch"]["data"]
    flagged = json.loads(found["flagged"]["data"])
    assert len(flagged) == 25
    scores = [row["anomaly_score"] for row in flagged]
    assert scores == sorted(scores, reverse=True)
    assert "(expected " in flagged[0]["reasons"]


def test_a_rejected_batch_shows_its_reason_and_what_validation_found(
    children: list[dict[str, Any]], server: "Server", night: "NightRun"
) -> None:
    (rejected,) = [run for run in children if run["name"].startswith("foreign")]
    found = server.artifacts(rejected["id"])
    assert sorted(found) == ["batch", "validation"]
    assert "60 of 60 rows (100.0%) were quarantined" in found["batch"]["data"]
    first, *_ = json.loads(found["validation"]["data"])
    assert first["is_success"] is False


def test_the_night_has_a_summary_of_all_its_files(
    nightly_run: dict[str, Any], server: "Server", night: "NightRun"
) -> None:
    summary = server.artifacts(nightly_run["id"])["night"]
    assert summary["description"].startswith("13 files: 5 scored")
    for path in (*night.inbox.iterdir(), *night.named):
        assert path.name in summary["data"]


def test_a_batch_is_at_most_thirty_task_runs(
    children: list[dict[str, Any]], server: "Server"
) -> None:
    for child in children:
        tasks = server.read("task_runs", flow_runs={"id": {"any_": [child["id"]]}})
        assert 1 <= len(tasks) <= 30
        # Each tag would be a slot to ask the server for before the task may begin.
        assert not any(task["tags"] for task in tasks)


def test_every_event_is_told_to_prefect_once_its_batch_is_stored(
    night: "NightRun", server: "Server", wait_for: Callable[..., Any]
) -> None:
    with night.database() as engine, engine.connect() as connection:
        told = connection.execute(sa.select(outbox)).all()
    assert len(told) == 11
    assert all(row.published_at >= row.created_at for row in told)

    def heard() -> list[Any]:
        recent = {"since": night.started_at.isoformat()}
        chosen = {"event": {"prefix": ["noctule."]}, "occurred": recent}
        found = server.read("events", filter=chosen, limit=50)["events"]
        ours = {row.payload["batch_id"] for row in told}
        return [one for one in found if one["payload"].get("batch_id") in ours]

    wait_for(lambda: len(heard()) == len(told), limit_s=30)
    assert {(one["event"], one["payload"]["file_name"]) for one in heard()} == {
        (row.event, row.payload["file_name"]) for row in told
    }


# What is stored


def test_every_row_of_every_file_is_accounted_for(night: "NightRun") -> None:
    with night.database() as engine, engine.connect() as connection:
        rows = batch_rows(engine)
        assert len(rows) == 11
        for row in rows:
            scored = connection.scalar(
                sa.select(sa.func.count())
                .select_from(
                    prediction.join(scoring, scoring.c.scoring_id == prediction.c.scoring_id)
                )
                .where(scoring.c.batch_id == row["batch_id"])
            )
            quarantined = len(quarantine_rows(engine, batch=row["batch_id"]))
            assert (scored, quarantined) == (row["rows_scored"], row["rows_quarantined"])
            counts = ("rows_scored", "rows_quarantined", "rows_rejected", "rows_known")
            assert row["rows_read"] == sum(row[name] for name in counts)


def test_flagged_connections_are_above_the_threshold_and_say_why(night: "NightRun") -> None:
    with night.database() as engine:
        (good,) = [row for row in batch_rows(engine) if row["rows_scored"] == 2_600]
        flagged = flagged_rows(engine, batch=good["batch_id"])
    assert 0 < len(flagged) == good["rows_flagged"] < good["rows_scored"]
    assert all(row["anomaly_score"] > row["threshold"] == good["threshold"] for row in flagged)
    assert all(len(row["reasons"]) == 5 for row in flagged)
    source = (night.inbox / GOOD).read_text().splitlines()
    for row in flagged[:3]:
        line = source[row["line_number"] - 1].split(",")
        assert row["record"]["service"] == line[source[0].split(",").index("service")]


def test_the_view_of_the_contract_has_its_features_as_columns(night: "NightRun") -> None:
    with night.database() as engine, engine.connect() as connection:
        typed = connection.execute(
            sa.text("SELECT service, src_bytes, serror_rate, batch_id FROM flagged_nsl_kdd")
        ).all()
        assert len(typed) == sum(row["rows_flagged"] or 0 for row in batch_rows(engine))
    kinds = {(type(row.service), type(row.src_bytes), type(row.serror_rate)) for row in typed}
    assert kinds == {(str, int, float)}


def test_reports_lie_in_the_lake_and_their_places_are_printed(night: "NightRun") -> None:
    printed = [
        Path(line.partition(": report ")[2])
        for line in night.printed.splitlines()
        if ": report " in line
    ]
    assert all(path.is_file() for path in printed)
    assert [path.name for path in printed].count("validation.html") == 6
    drift = next(path for path in printed if path.name == "drift.html")
    assert json.loads(drift.with_suffix(".json").read_text())


def test_running_again_changes_no_table_but_run_and_delivery(
    night: "NightRun",
    tmp_path: Path,
    home: Path,
    noctule: "Callable[..., Ended]",
    content: Callable[[Path], dict[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = tmp_path / "again"
    shutil.copytree(night.home, again)
    monkeypatch.setenv("NOCTULE_HOME", str(again))
    before = content(again)
    good, cells = night.inbox / GOOD, night.inbox / "cells-2026-11-05.csv"
    ended = noctule("run", good, cells, "--json")
    after = content(again)
    assert {name for name in before if before[name] != after[name]} == {"run"}
    assert ended.code == 0
    printed = json.loads(ended.out)
    assert set(printed) == {"files", "skipped", "open_rejections", "message"}
    assert printed["message"] == "2 files: 2 known; 0 flagged"
    assert [(file["file_name"], file["status"], file["message"]) for file in printed["files"]] == [
        (GOOD, "known", "scored before, on 2026-11-02"),
        ("cells-2026-11-05.csv", "known", "scored before, on 2026-11-05"),
    ]
    counts = {file[name] for file in printed["files"] for name in file if name.startswith("rows_")}
    assert counts == {0, None}, "what was counted before is not counted again"


def test_an_inbox_that_was_worked_through_holds_nothing_new(
    night: "NightRun", noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    shutil.copy(night.home / "noctule.db", home / "noctule.db")
    monkeypatch.setenv("NOCTULE_SETTLE_S", "86400")
    ended = noctule("run", night.inbox)
    summary, *lines = ended.out.splitlines()
    assert summary == (
        "Nothing to do: no new file, 2 left for next time; 6 earlier rejections open."
    )
    opened = {line.split(" ")[1] for line in lines if line.startswith("open: ")}
    assert len(opened) == 6
    assert {name.partition("-")[0] for name in opened} == {
        "empty", "header", "missing", "foreign", "noise", "cut"
    }  # fmt: skip
    assert ended.code == 3


# Single nights


@pytest.mark.usefixtures("settled")
def test_a_night_of_good_files_is_completed(
    put: Callable[[str, slice], Path], server: "Server", engine_of_home: Engine
) -> None:
    file = put("any name.csv", slice(200, 260))
    state = nightly([file.parent], date(2026, 11, 20), return_state=True)
    flagged = of_night(engine_of_home)["any name.csv"]["rows_flagged"]
    assert state.is_completed()
    assert state.message == f"1 file: 1 scored; {flagged} flagged"
    night = server.flow_run(str(state.state_details.flow_run_id))
    assert night["name"] == "night of 2026-11-20"
    (child,) = server.children(night["id"])
    assert child["name"] == "any name.csv 2026-11-20"
    assert of_night(engine_of_home)["any name.csv"]["batch_date"] == date(2026, 11, 20)


@pytest.mark.usefixtures("settled")
def test_an_empty_inbox_is_a_completed_night(home: Path, engine_of_home: Engine) -> None:
    (home / "inbox").mkdir()
    state = nightly(return_state=True)
    assert (state.type.value, state.message) == ("COMPLETED", "no new file")
    assert not batch_rows(engine_of_home)


@pytest.mark.usefixtures("settled")
def test_a_bug_in_one_batch_stops_no_other_and_is_made_good_next_time(
    put: Callable[[str, slice], Path], monkeypatch: pytest.MonkeyPatch, engine_of_home: Engine
) -> None:
    first, second = put("a.csv", slice(0, 20)), put("b.csv", slice(20, 40))

    def fail_on_first(job: FileJob, ingested: IngestSummary) -> object:
        if job.source == first:
            msg = "a bug of ours"
            raise RuntimeError(msg)
        return validate(job, ingested)

    validate = batch.validate_task
    with monkeypatch.context() as broken:
        broken.setattr(batch, "validate_task", fail_on_first)
        state = nightly([first, second], return_state=True)
    outcomes = state.result(raise_on_failure=False)
    assert [(one.status, one.exit_code) for one in outcomes.files] == [("failed", 1), ("scored", 0)]
    assert outcomes.exit_code == 1
    assert "a.csv: Failed: a bug of ours" in state.message
    assert of_night(engine_of_home)["a.csv"]["status"] == "received"

    state = nightly([first, second], return_state=True)
    assert [one.status for one in state.result().files] == ["scored", "known"]


@pytest.mark.usefixtures("settled")
def test_a_batch_whose_artifacts_are_lost_is_stored_all_the_same(
    put: Callable[[str, slice], Path], monkeypatch: pytest.MonkeyPatch, engine_of_home: Engine
) -> None:
    def refuse(*_: object, **__: object) -> None:
        msg = "Prefect has no room for artifacts"
        raise RuntimeError(msg)

    monkeypatch.setattr("prefect.artifacts.create_markdown_artifact", refuse)
    state = nightly([put("c.csv", slice(40, 60))], return_state=True)
    assert state.is_completed()
    assert of_night(engine_of_home)["c.csv"]["status"] == "scored"


@pytest.mark.usefixtures("settled")
def test_a_batch_that_another_run_holds_is_left_to_it(
    put: Callable[[str, slice], Path], home: Path, engine_of_home: Engine
) -> None:
    file = put("d.csv", slice(60, 80))
    batch_id = hash_content(file).sha256
    now = datetime.now(UTC)
    record_delivery(
        engine_of_home,
        Delivery(
            content_sha256=batch_id,
            contract="nsl_kdd",
            batch_date=now.date(),
            source=file,
            size_bytes=file.stat().st_size,
            content_bytes=file.stat().st_size,
            modified_at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
            arrived_at=now,
        ),
    )
    folder = batch_folder(home / "lake", "nsl_kdd", batch_id)
    with claim(engine_of_home, folder, batch_id):
        state = nightly([file], return_state=True)
    (outcome,) = state.result().files
    assert (outcome.status, outcome.message) == ("busy", "another run is working on it")
    assert of_night(engine_of_home)["d.csv"]["status"] == "received"


@pytest.mark.usefixtures("settled")
def test_a_batch_that_another_run_rejected_before_the_claim_fails_with_its_reason(
    put: Callable[[str, slice], Path],
    home: Path,
    engine_of_home: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, receive = put("e.csv", slice(80, 100)), batch.receive_task
    now = datetime.now(UTC)
    faults = BatchRejection(
        reason="all is noise", rows=RowCounts.of_rejected(20), started_at=now, finished_at=now
    )

    def receive_slowly(*arguments: Any) -> Arrival:  # noqa: ANN401 - those of the task
        arrival = receive(*arguments)
        batch_id = arrival.record.batch_id
        with claim(
            engine_of_home, batch_folder(home / "lake", "nsl_kdd", batch_id), batch_id
        ) as held:
            reject_batch(engine_of_home, held, faults)
        return arrival

    monkeypatch.setattr(batch, "receive_task", receive_slowly)
    state = nightly([file], return_state=True)
    assert state.is_failed()
    (outcome,) = state.result(raise_on_failure=False).files
    assert (outcome.status, outcome.exit_code) == ("known", 3)
    assert outcome.message == f"rejected before, on {outcome.batch_date}: all is noise"
    assert (outcome.rows_read, outcome.rows_rejected) == (0, 0), "counted by the run that did it"


# A rejection that is open


@pytest.fixture
def inbox(settled: None, home: Path) -> Path:
    """A rejected file in the inbox of the home, alone."""
    inbox = home / "inbox"
    inbox.mkdir()
    (inbox / "bad-2026-11-20.csv").write_text("duration,service\n")
    return inbox


def test_a_night_stays_failed_for_a_rejection_until_it_is_dismissed(
    inbox: Path, server: "Server", noctule: "Callable[..., Ended]", engine_of_home: Engine
) -> None:
    first = nightly(return_state=True)
    assert first.is_failed()
    batch_id = of_night(engine_of_home)["bad-2026-11-20.csv"]["batch_id"][:12]
    reason = of_night(engine_of_home)["bad-2026-11-20.csv"]["rejection"]
    for _ in range(2):
        again = nightly(return_state=True)
        assert again.is_failed()
        assert again.message == (
            "no new file; 1 earlier rejection open;"
            f" open: bad-2026-11-20.csv (2026-11-20, batch {batch_id}): {printable(reason, 200)};"
            " a rejected file is open until it is delivered again, replayed"
            f" (noctule replay {batch_id}) or dismissed (noctule dismiss {batch_id} --reason WHY)"
        )
    page = server.artifacts(str(again.state_details.flow_run_id))["night"]["data"]
    assert "## Rejected earlier, and still open\n\n- bad-2026-11-20.csv (2026-11-20, batch " in page
    ended = noctule("run", "--json")
    (told,) = json.loads(ended.out)["open_rejections"]
    assert (ended.code, told["file_name"]) == (3, "bad-2026-11-20.csv")
    assert "rejected, open" in noctule("batches").out
    ended = noctule("dismiss", batch_id, "--reason", "a test file")
    assert (ended.code, ended.out) == (
        0, f"batch {batch_id} is dismissed: bad-2026-11-20.csv\n0 rejections left open\n"
    )  # fmt: skip
    assert "rejected, dismissed" in noctule("batches").out
    assert nightly(return_state=True).message == "no new file"
    named = nightly([inbox / "bad-2026-11-20.csv"], return_state=True)
    (outcome,) = named.result().files
    assert (outcome.status, outcome.exit_code) == ("known", 0)
    assert outcome.message.startswith(
        "rejected before, on 2026-11-20, and dismissed or scored since: "
    )


def test_a_night_is_mended_by_a_file_delivered_anew(
    inbox: Path, put: Callable[[str, slice], Path], engine_of_home: Engine
) -> None:
    nightly(return_state=True)
    bad = inbox / "bad-2026-11-20.csv"
    shutil.copy(put("good.csv", slice(300, 340)), bad)
    mended = nightly(return_state=True)
    assert mended.is_completed(), mended.message
    assert mended.message.startswith("1 file: 1 scored; ")
    assert nightly(return_state=True).message == "no new file"


def test_a_run_of_named_files_tells_of_theirs_alone(
    inbox: Path, put: Callable[[str, slice], Path]
) -> None:
    nightly(return_state=True)
    good = put("good.csv", slice(300, 340))
    assert nightly([good], return_state=True).is_completed()
    assert nightly([good.parent], return_state=True).is_completed()
    state = nightly([inbox], return_state=True)
    assert state.is_failed()
    assert state.message.startswith("no new file; 1 earlier rejection open; open: bad-2026")
    state = nightly([inbox / "bad-2026-11-20.csv"], return_state=True)
    assert state.is_failed()
    assert state.message.startswith("1 file: 1 known; 0 flagged; bad-2026-11-20.csv: rejected bef")


def test_without_a_model_no_file_is_touched(
    tmp_path: Path, home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "fresh"))
    ended = noctule("run", tmp_path)
    assert ended.code == 2
    assert "noctule train" in ended.err
    engine = connect(None, tmp_path / "fresh")
    assert batch_rows(engine) == []
    engine.dispose()
