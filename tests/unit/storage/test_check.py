"""``db check`` finds damaged files, unfinished work, and altered models and stages."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from storage import schema
from storage.check.files import check_lake, check_models
from storage.check.invariants import BY_HAND, RESTORE, Problem
from storage.check.tables import check_tables, is_damaged
from storage.check.work import check_work
from storage.claims import claim
from storage.database import DATABASE_FILE, connect, write
from storage.lake import batch_folder, run_stage
from storage.outbox import mark_published, pending_events
from storage.replays import find_target, record_replay
from storage.runs import finish_run, open_run
from tests.unit.storage.conftest import BATCH_ID, LATER, NOW, commit, deliver, register

REPLAY = "1" * 64
MODEL = "nsl_kdd-aaaaaaaaaaaa"


# SQLite's file


@pytest.fixture
def file(upgraded_sqlite: Path, tmp_path: Path) -> Path:
    """Fill a SQLite file that is the test's own."""
    shutil.copy(upgraded_sqlite, tmp_path / DATABASE_FILE)
    engine = connect(None, tmp_path)
    register(engine, tmp_path)
    deliver(engine)
    commit(engine, tmp_path)
    engine.dispose()
    return tmp_path / DATABASE_FILE


def check_file(file: Path) -> list[Problem]:
    engine = connect(None, file.parent)
    try:
        return list(check_tables(engine))
    finally:
        engine.dispose()


def test_a_value_that_its_table_forbids_is_found_by_sqlite_too(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE batch SET rows_read = 5")
    connection.close()
    by_sqlite, by_rule = check_file(file)
    assert (by_sqlite.subject, by_sqlite.problem) == (
        "database",
        "CHECK constraint failed in batch",
    )
    assert by_rule.subject == f"batch {BATCH_ID}"
    assert by_sqlite.advice == by_rule.advice == BY_HAND


@pytest.mark.parametrize("table", ["prediction", "flagged_connection", "ix_batch_batch_date"])
@pytest.mark.parametrize("part", ["all of it", "its end"])
def test_a_page_that_rotted_is_found_and_the_check_comes_to_an_end(
    file: Path, table: str, part: str
) -> None:
    with sqlite3.connect(file) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with file.open("r+b") as content:
        rotten = size if part == "all of it" else 200
        content.seek(page * size - rotten)
        content.write(b"\xa5" * rotten)
    found = check_file(file)
    assert {(one.severity, one.subject, one.advice) for one in found} == {
        ("error", "database", RESTORE)
    }
    assert found[-1].problem == "database disk image is malformed"
    assert is_damaged(found)


def test_text_that_rotted_is_found_though_its_page_is_in_order(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE promotion SET contract = CAST(x'a5a5' AS TEXT)")
    connection.close()
    (found,) = check_file(file)
    assert found.problem.startswith("Could not decode to UTF-8 column 'contract'")
    assert is_damaged([found])


# What was begun


def test_a_batch_that_was_not_finished_is_noted_with_the_command_to_run(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    example.deliver("c" * 64, source=Path("/in box/o'clock.csv"))
    noted = list(check_work(example.engine, tmp_path))
    assert {one.severity for one in noted} == {"note"}
    assert {one.subject: one.advice for one in noted} == {
        f"batch {BATCH_ID}": "run it again: noctule run /inbox/night.csv",
        f"batch {'c' * 64}": """run it again: noctule run '/in box/o'"'"'clock.csv'""",
    }
    assert {one.problem for one in noted} == {
        "it arrived at 2026-11-21 04:30 UTC and is not finished"
    }


def test_a_replay_that_was_not_finished_is_noted_with_its_own_command(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    example.commit(events=())
    target = find_target(example.engine, BATCH_ID)
    assert target is not None
    record_replay(example.engine, REPLAY, target, "night.csv", NOW)
    (noted,) = check_work(example.engine, tmp_path)
    assert (noted.subject, noted.advice) == (
        f"batch {REPLAY}",
        f"run it again: noctule replay {BATCH_ID}",
    )


def test_a_replay_with_a_corrected_file_is_noted_with_the_files_name(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    example.commit(events=())
    target = find_target(example.engine, BATCH_ID)
    assert target is not None
    record_replay(example.engine, REPLAY, target, "fixed rows.csv", NOW)
    (noted,) = check_work(example.engine, tmp_path)
    assert noted.advice == f"run it again: noctule replay {BATCH_ID} 'fixed rows.csv'"


def test_a_replay_of_which_nothing_is_open_any_more_needs_nothing(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    example.commit(events=())
    target = find_target(example.engine, BATCH_ID)
    assert target is not None
    record_replay(example.engine, REPLAY, target, "night.csv", NOW)
    with write(example.engine) as connection:
        connection.execute(sa.delete(schema.quarantined_row))
    (noted,) = check_work(example.engine, tmp_path)
    assert noted.advice == "nothing: another batch has scored its rows since"


def test_a_batch_whose_delivery_is_lost_is_noted_all_the_same(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    with write(example.engine) as connection:
        connection.execute(sa.delete(schema.delivery))
    (noted,) = check_work(example.engine, tmp_path)
    assert noted.advice == "run it again: noctule run FILE"


def test_a_batch_that_a_run_is_working_on_is_not_noted(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    folder = batch_folder(tmp_path, "nsl_kdd", BATCH_ID)
    with claim(example.engine, folder, BATCH_ID):
        assert list(check_work(example.engine, tmp_path)) == []


def test_a_run_that_was_killed_is_noted_and_one_that_lives_is_not(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    example.commit(events=())
    with open_run(example.engine, "nightly", NOW):
        pass  # ends without closing its row
    (killed,) = example.read(schema.run)
    with open_run(example.engine, "train", NOW) as run_id:
        (noted,) = check_work(example.engine, tmp_path)
        assert (noted.severity, noted.subject) == ("note", f"run {killed['run_id']}")
        assert noted.problem == "this run of nightly ended without recording how"
        finish_run(example.engine, run_id, "completed", "", LATER)


def test_events_that_wait_are_noted_until_they_are_sent(
    example: SimpleNamespace, tmp_path: Path
) -> None:
    example.commit()
    (noted,) = check_work(example.engine, tmp_path)
    assert (noted.severity, noted.subject) == ("note", "outbox")
    assert noted.problem == "1 events have not been sent to a Prefect server"
    sent = [event.outbox_id for event in pending_events(example.engine)]
    mark_published(example.engine, sent, LATER)
    assert list(check_work(example.engine, tmp_path)) == []


# Models


def models_of(example: SimpleNamespace) -> list[tuple[str, str, str]]:
    found = check_models(example.engine, example.models)
    return [(one.severity, one.subject, one.problem) for one in found]


def test_models_as_they_were_registered_are_sound(example: SimpleNamespace) -> None:
    assert models_of(example) == []


@pytest.mark.parametrize(
    ("alter", "fault"),
    [
        (
            lambda folder: (folder / "model.txt").write_text("trees of b"),
            "model.txt was altered since it was registered",
        ),
        (
            lambda folder: (folder / "model.txt").unlink(),
            "model.txt is missing, or is no regular file",
        ),
        (
            lambda folder: (folder / "new.py").touch(),
            "new.py was not there when it was registered",
        ),
        (shutil.rmtree, "manifest.json is missing"),
    ],
    ids=["altered", "missing", "added", "gone"],
)
def test_a_model_that_is_not_as_registered_is_an_error_that_names_it(
    example: SimpleNamespace, alter: Callable[[Path], object], fault: str
) -> None:
    folder = example.models / MODEL
    alter(folder)
    assert models_of(example) == [("error", f"model {MODEL}", f"{fault} (in {folder})")]


def test_what_lies_among_the_models_and_is_none_is_noted(example: SimpleNamespace) -> None:
    left = example.models / f".{MODEL}-{'0' * 12}"
    strange = example.models / "notes"
    left.mkdir()
    strange.mkdir()
    assert models_of(example) == [
        ("note", str(left), "left by a training that was killed"),
        ("note", str(strange), "the database does not know this model"),
    ]


# The lake


class Nothing(BaseModel):
    """A stage's summary."""


def write_rows(out: Path) -> Nothing:
    (out / "parts").mkdir()
    (out / "parts" / "rows.txt").write_text("1,2,3")
    return Nothing()


@pytest.fixture
def lake(example: SimpleNamespace) -> Path:
    """Finish the example batch, with two stages in its folder."""
    example.commit()
    lake: Path = example.folder / "lake"
    for stage in ("ingest", "score"):
        run_stage(lake / "nsl_kdd" / BATCH_ID, stage, {}, Nothing, write_rows)
    return lake


def lake_of(example: SimpleNamespace, lake: Path) -> list[tuple[str, str, str]]:
    found = check_lake(example.engine, lake)
    return [(one.severity, one.subject, one.problem) for one in found]


def test_stages_as_they_were_done_are_sound_and_so_is_a_lake_that_was_emptied(
    example: SimpleNamespace, lake: Path
) -> None:
    assert lake_of(example, lake) == []
    shutil.rmtree(lake / "nsl_kdd" / BATCH_ID)
    assert lake_of(example, lake) == []
    shutil.rmtree(lake)
    assert lake_of(example, lake) == []


@pytest.mark.parametrize(
    ("alter", "fault"),
    [
        (
            lambda stage: (stage / "parts" / "rows.txt").write_text("1,2,4"),
            "parts/rows.txt was altered since the stage was done",
        ),
        (
            lambda stage: (stage / "parts" / "rows.txt").unlink(),
            "parts/rows.txt is missing, or is no regular file",
        ),
        (
            lambda stage: (stage / "more.txt").touch(),
            "more.txt was not there when the stage was done",
        ),
        (
            lambda stage: (stage / "receipt.json").write_text("{"),
            "receipt.json cannot be read (JSONDecodeError)",
        ),
        (
            lambda stage: (stage / "receipt.json").unlink(),
            "receipt.json cannot be read (FileNotFoundError)",
        ),
        (
            lambda stage: (stage / "receipt.json").write_text(json.dumps([])),
            "receipt.json cannot be read (TypeError)",
        ),
    ],
    ids=["altered", "missing", "added", "torn receipt", "no receipt", "no mapping"],
)
def test_a_stage_that_is_not_as_it_was_done_is_an_error_that_names_its_folder(
    example: SimpleNamespace, lake: Path, alter: Callable[[Path], object], fault: str
) -> None:
    stage = lake / "nsl_kdd" / BATCH_ID / "score"
    alter(stage)
    assert lake_of(example, lake) == [("error", str(stage), fault)]


class Accepted(BaseModel):
    """What of validation's summary names the accepted rows."""

    parts: tuple[dict[str, str], ...]


@pytest.mark.parametrize("name", ["parts/rows.txt", "parts/more.txt"])
def test_rows_that_validation_accepted_are_demanded_where_they_lay(
    example: SimpleNamespace, lake: Path, name: str
) -> None:
    batch = lake / "nsl_kdd" / BATCH_ID
    accepted = Accepted(parts=({"path": f"ingest/{name}"}, {"path": "validate/accepted.txt"}))

    def accept(out: Path) -> Accepted:
        (out / "accepted.txt").write_text("4,5,6")
        return accepted

    run_stage(batch, "validate", {}, Accepted, accept)
    lost = ("error", str(batch / "ingest"), f"{name}, which has accepted rows, is missing")
    assert lake_of(example, lake) == ([] if name == "parts/rows.txt" else [lost])
    shutil.rmtree(batch / "ingest")
    assert lake_of(example, lake) == [lost]


def test_what_a_killed_run_left_and_a_batch_of_another_database_are_noted(
    example: SimpleNamespace, lake: Path
) -> None:
    left = lake / "nsl_kdd" / BATCH_ID / ".attempt-0123456789ab"
    strange = lake / "nsl_kdd" / ("f" * 64)
    left.mkdir()
    strange.mkdir()
    assert lake_of(example, lake) == [
        ("note", str(left), "left by a run that was killed"),
        ("note", str(strange), "the database does not know this batch of the lake"),
    ]


def test_a_batch_that_comes_while_the_lake_is_looked_through_is_not_taken_for_a_strange_one(
    example: SimpleNamespace, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deliver_first(folder: Path) -> Iterator[Path]:
        if folder == lake / "nsl_kdd":
            example.deliver("c" * 64)
            (folder / ("c" * 64)).mkdir()
        yield from listed(folder)

    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", deliver_first)
    assert lake_of(example, lake) == []


def test_what_is_not_finished_and_what_trainings_keep_is_left_alone(
    example: SimpleNamespace, lake: Path
) -> None:
    example.deliver("c" * 64)
    (lake / "nsl_kdd" / ("c" * 64) / "ingest").mkdir(parents=True)
    (lake / "training" / "nsl_kdd" / ("f" * 64)).mkdir(parents=True)
    (lake / "notes.txt").touch()
    assert lake_of(example, lake) == []


def test_a_folder_that_cannot_be_listed_is_an_error_and_no_bug(
    example: SimpleNamespace, lake: Path
) -> None:
    shutil.rmtree(lake)
    lake.touch()
    assert lake_of(example, lake) == [("error", str(lake), "it cannot be read: Not a directory")]
