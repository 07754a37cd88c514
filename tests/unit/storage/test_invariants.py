"""Every invariant of the tables, broken by hand, is found and named; a sound database has none."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage import schema
from storage.batch_ids import name_batch
from storage.batches import BatchRejection, reject_batch
from storage.check.invariants import BY_HAND
from storage.check.tables import EXAMPLES, INVARIANTS, check_rows, check_tables
from storage.check.work import check_work
from storage.claims import claim
from storage.database import connect
from storage.dismissals import dismiss
from storage.model_store import promote, rollback
from storage.replays import find_target, record_replay
from storage.revisions import upgrade
from storage.row_counts import RowCounts
from tests.support.postgresql import fresh_database
from tests.unit.storage.breaks import (
    CORRECTED,
    DISMISSED,
    LIMITED,
    LONGER,
    MODEL,
    OTHER_MODEL,
    PREDICTION,
    REJECTED,
    REPLAY,
    REPLAY_WHOLE,
    SCORED,
    SHORTER,
    Break,
    add,
    of_batch,
)
from tests.unit.storage.breaks_of_references import REFERENCE_BREAKS
from tests.unit.storage.breaks_of_rules import RULE_BREAKS
from tests.unit.storage.conftest import LATER, NOW, commit, deliver, example_result, register

BREAKS = (*RULE_BREAKS, *REFERENCE_BREAKS)

INVARIANTS_BY_NAME = {one.name: one for one in INVARIANTS}


# A database with one of everything


def fill(engine: Engine, folder: Path) -> None:
    """Store a batch of every kind there is."""
    folder.mkdir(exist_ok=True)
    register(engine, folder)
    deliver(engine, SCORED, content_bytes=100)
    commit(engine, folder, SCORED, events=())
    deliver(engine, REJECTED, content_bytes=150)
    _reject(engine, folder, REJECTED)
    deliver(engine, DISMISSED, content_bytes=155, source=Path("/inbox/other.csv"))
    _reject(engine, folder, DISMISSED)
    dismiss(engine, DISMISSED, who="ada", reason="a test file", now=NOW)
    deliver(engine, LIMITED, content_bytes=160)
    commit(engine, folder, LIMITED, quarantine_limit=1, events=())
    _fill_growth(engine, folder)
    _fill_replays(engine, folder)


def _fill_growth(engine: Engine, folder: Path) -> None:
    deliver(engine, SHORTER, content_bytes=200, prefixes=(SCORED,))
    deliver(engine, LONGER, content_bytes=300, prefixes=(SCORED, SHORTER))
    later_rows = folder / "later rows"
    later_rows.mkdir()
    made = example_result(later_rows)
    assert made.scoring is not None
    for path in (*made.scoring.scores, *made.scoring.flagged, *made.quarantine):
        pl.read_parquet(path).with_columns(pl.col("row_number") + 4).write_parquet(path)
    assert made.scoring.reasons is not None
    pl.read_parquet(made.scoring.reasons).with_columns(pl.col("row_number") + 4).write_parquet(
        made.scoring.reasons
    )
    files = {name: getattr(made.scoring, name) for name in ("scores", "flagged", "reasons")}
    commit(
        engine, folder, LONGER, rows_read=8, rows_known=4, quarantine=made.quarantine, events=(),
        **files,
    )  # fmt: skip
    commit(
        engine, folder, SHORTER, rows_read=6, rows_known=6, rows_scored=0, rows_quarantined=0,
        scoring=None, quarantine=(), validation=(), events=(),
    )  # fmt: skip


def _fill_replays(engine: Engine, folder: Path) -> None:
    for replay, of, content in ((REPLAY, SCORED, None), (REPLAY_WHOLE, REJECTED, CORRECTED)):
        target = find_target(engine, of)
        assert target is not None
        record_replay(engine, replay, target, "night.csv", NOW, content)
    commit(engine, folder, REPLAY_WHOLE, events=())
    deliver(engine, CORRECTED, content_bytes=170)
    commit(
        engine, folder, CORRECTED, rows_read=4, rows_known=4, rows_scored=0, rows_quarantined=0,
        scoring=None, quarantine=(), validation=(), events=(),
    )  # fmt: skip
    made = example_result(folder)
    assert made.scoring is not None
    scores, quarantine = folder / "row.parquet", folder / "still bad.parquet"
    pl.read_parquet(made.scoring.scores[0]).head(1).write_parquet(scores)
    pl.read_parquet(made.quarantine[0]).write_parquet(quarantine)
    corrections = folder / "corrections.parquet"
    pl.DataFrame({"row_number": [1, 2], "corrected_row_number": [2, 4]}).write_parquet(corrections)
    commit(
        engine, folder, REPLAY, rows_read=2, rows_scored=1, rows_quarantined=1, scores=(scores,),
        quarantine=(quarantine,), corrections=corrections, events=(),
    )  # fmt: skip


def _reject(engine: Engine, folder: Path, batch_id: str) -> None:
    with claim(engine, folder / batch_id, batch_id) as held:
        assert held is not None
        faults = BatchRejection(
            reason="noise", rows=RowCounts.of_rejected(4), started_at=NOW, finished_at=LATER
        )
        reject_batch(engine, held, faults)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Fill a database that no test changes for good."""
    home = tmp_path_factory.mktemp("filled")
    with ExitStack() as stack:
        url = None
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres_server")
            url = stack.enter_context(fresh_database(server))
        engine = connect(url, home)
        upgrade(engine)
        fill(engine, home / "work")
        yield engine
        engine.dispose()


@contextmanager
def lawless(engine: Engine) -> Iterator[Connection]:
    """Open a transaction in which no constraint holds, and which is never committed."""
    with engine.connect() as connection:
        try:
            if engine.dialect.name == "sqlite":
                driver = connection.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                driver.execute("PRAGMA foreign_keys = OFF")  # takes no effect in a transaction
                driver.execute("PRAGMA ignore_check_constraints = ON")
            else:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
                for name in checks_of(schema.batch):
                    connection.exec_driver_sql(f"ALTER TABLE batch DROP CONSTRAINT {name}")
            yield connection
        finally:
            connection.rollback()
            connection.invalidate()  # with what it was told of constraints


def checks_of(table: sa.Table) -> list[str]:
    return [str(check.name) for check in table.constraints if isinstance(check, sa.CheckConstraint)]


# Every invariant


def test_every_invariant_is_broken_here() -> None:
    assert len(INVARIANTS_BY_NAME) == len(INVARIANTS), "names are unique"
    assert {broken.invariant for broken in BREAKS} == set(INVARIANTS_BY_NAME)


def test_a_batch_of_every_kind_is_sound(filled: Engine, tmp_path: Path) -> None:
    assert list(check_tables(filled)) == []
    assert list(check_work(filled, tmp_path)) == []


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.invariant)
def test_what_breaks_an_invariant_is_found_and_named(filled: Engine, broken: Break) -> None:
    with lawless(filled) as connection:
        limited = connection.scalar(sa.select(of_batch(LIMITED)))
        for statement in broken.statements:
            if INVARIANTS_BY_NAME[broken.invariant].dialect not in {None, filled.dialect.name}:
                with pytest.raises(DBAPIError, match="invalid input syntax for type json"):
                    connection.execute(statement)
                return
            connection.execute(statement)
        found = list(check_rows(connection))
    assert [(one.subject, one.problem) for one in found] == [
        *broken.also,
        (broken.subject.format(limited=limited), broken.problem),
    ]
    assert {(one.severity, one.advice) for one in found} == {("error", BY_HAND)}


def test_what_is_broken_everywhere_is_listed_so_far(filled: Engine) -> None:
    with lawless(filled) as connection:
        for key in range(900, 901 + EXAMPLES):
            connection.execute(add(schema.prediction, scoring_id=key, row_number=1, **PREDICTION))
        found = list(check_rows(connection))
    assert [one.subject for one in found] == [f"scoring {900 + n}" for n in range(EXAMPLES)]
    assert [one.problem.endswith("; and more like this") for one in found] == [
        *[False] * (EXAMPLES - 1),
        True,
    ]


# The history of champions


@pytest.mark.parametrize(
    ("kind", "version", "problem"),
    [
        ("rollback", MODEL, f"it rolls nsl_kdd back to {MODEL}, but the champion before was none"),
        (
            "rollback",
            "other",
            "it rolls nsl_kdd back to other, but the champion before was none",
        ),
    ],
)
def test_a_rollback_that_leads_nowhere_is_found(
    filled: Engine, kind: str, version: str, problem: str
) -> None:
    with lawless(filled) as connection:
        connection.execute(add(schema.model_version, **OTHER_MODEL))
        promotion = {"contract": "nsl_kdd", "model_version_id": version, "kind": kind,
                     "promoted_by": "ada", "reason": "worse", "promoted_at": NOW}  # fmt: skip
        connection.execute(add(schema.promotion, promotion_id=99, **promotion))
        found = list(check_rows(connection))
    assert [(one.severity, one.subject, one.problem) for one in found] == [
        ("error", "promotion 99", problem),
        ("error", "contract nsl_kdd", "it has models but no champion"),
    ]


def test_models_without_a_champion_are_found_with_the_way_out(filled: Engine) -> None:
    with lawless(filled) as connection:
        connection.execute(add(schema.model_version, **{**OTHER_MODEL, "contract": "zeek"}))
        (found,) = check_rows(connection)
    assert (found.subject, found.problem) == ("contract zeek", "it has models but no champion")
    assert found.advice == "choose one: noctule promote VERSION --reason WHY"


def test_promotions_and_rollbacks_in_their_order_are_sound(example: SimpleNamespace) -> None:
    example.register("b")
    who = {"who": "ada", "reason": "better", "now": NOW}
    for _ in range(2):
        promote(example.engine, example.models, f"nsl_kdd-{'b' * 12}", **who)
        rollback(example.engine, example.models, "nsl_kdd", **who)
    assert list(check_tables(example.engine)) == []


# The ids of batches


def test_the_id_of_a_batch_is_that_of_its_content_under_its_contract(filled: Engine) -> None:
    deliver(filled, "5" * 64, contract="zeek", content_bytes=180)
    with lawless(filled) as connection:
        assert list(check_rows(connection)) == []
        of_zeek = schema.batch.c.contract == "zeek"
        connection.execute(sa.update(schema.batch).where(of_zeek).values(content_sha256="6" * 64))
        (found,) = check_rows(connection)
    assert found.subject == f"batch {name_batch('zeek', '5' * 64)}"
    assert found.problem == f"its id is not that of content {'6' * 64} under contract zeek"
    assert (found.severity, found.advice) == ("error", BY_HAND)
