"""Checking: does all that is stored add up, and are the files still those it was made from?

Belongs here: the invariants, and what to do where one does not hold. Does not belong here: mending
anything. A check only reads.

Most invariants are also constraints of the schema, or follow from how a batch is committed. They
are checked all the same: a disk may rot, a backup be of two moments, and somebody may have been at
the database by hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage import lake as stages
from storage.claims import is_held
from storage.database import available
from storage.lake import batch_folder, is_attempt
from storage.model_store import LEFTOVER, ModelVersion, find_fault, list_versions
from storage.runs import is_over
from storage.schema import batch, delivery, outbox, run

Severity = Literal["error", "note"]

RESTORE: Final = "restore the database from a backup, or run the batch's file into an empty one"
BY_HAND: Final = "somebody changed the database by hand, or this is a bug: " + RESTORE

EXAMPLES: Final = 20
"""Most findings of one rule that are listed. A guess: what is wrong everywhere is one fault."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be."""

    severity: Severity
    """``error``: what is stored cannot be relied on; ``note``: all is well once it is seen to."""
    subject: str
    """What it is about: a batch, a model version, a file."""
    problem: str
    advice: str


@dataclass(frozen=True)
class Rule:
    """An invariant of the tables: a query that finds what breaks it."""

    problem: str
    """With ``{0}``, ``{1}`` ... for the columns of a row found, after the first."""
    query: str
    """Its first column is what the finding is about."""
    advice: str = BY_HAND


RULES: Final = (
    Rule(
        "{0} rows read, but {1} scored, {2} quarantined, {3} rejected and {4} known",
        "SELECT batch_id, rows_read, rows_scored, rows_quarantined, rows_rejected, rows_known"
        " FROM batch WHERE status <> 'received' AND coalesce(rows_read <> rows_scored"
        " + rows_quarantined + rows_rejected + rows_known, true)",
    ),
    Rule(
        "it is rejected, but {0} rows of it are not accounted for as rejected or known",
        "SELECT batch_id, rows_scored + rows_quarantined FROM batch"
        " WHERE status = 'rejected' AND rows_scored + rows_quarantined > 0",
    ),
    Rule(
        "its account says {0} scored rows, and there are {1} predictions",
        "SELECT b.batch_id, b.rows_scored, count(p.row_number) FROM batch AS b"
        " LEFT JOIN scoring AS s ON b.batch_id = s.batch_id AND s.purpose = 'live'"
        " LEFT JOIN prediction AS p"
        " ON s.scoring_id = p.scoring_id AND p.batch_date = b.batch_date"
        " WHERE b.status <> 'received' GROUP BY b.batch_id, b.rows_scored"
        " HAVING count(p.row_number) <> b.rows_scored",
    ),
    Rule(
        "a scoring of it says {0} flagged rows, its predictions say {1}",
        "SELECT s.batch_id, s.rows_flagged, count(p.row_number) FROM scoring AS s"
        " LEFT JOIN prediction AS p ON s.scoring_id = p.scoring_id AND p.is_flagged"
        " GROUP BY s.scoring_id, s.batch_id, s.rows_flagged"
        " HAVING count(p.row_number) <> s.rows_flagged",
    ),
    Rule(
        "a scoring of it says {0} flagged rows, and there are {1} flagged connections",
        "SELECT s.batch_id, s.rows_flagged, count(f.row_number) FROM scoring AS s"
        " LEFT JOIN flagged_connection AS f ON s.scoring_id = f.scoring_id"
        " GROUP BY s.scoring_id, s.batch_id, s.rows_flagged"
        " HAVING count(f.row_number) <> s.rows_flagged",
    ),
    Rule(
        "row {0} is a flagged connection, and its prediction is missing or says otherwise",
        "SELECT f.batch_id, f.row_number FROM flagged_connection AS f"
        " INNER JOIN scoring AS s ON f.scoring_id = s.scoring_id"
        " INNER JOIN batch AS b ON s.batch_id = b.batch_id"
        " LEFT JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = f.scoring_id AND p.row_number = f.row_number"
        " WHERE p.row_number IS NULL OR NOT p.is_flagged OR p.anomaly_score <> f.anomaly_score",
    ),
    Rule(
        "{0} predictions are flagged against their threshold",
        "SELECT s.batch_id, count(*) FROM prediction AS p"
        " INNER JOIN scoring AS s ON p.scoring_id = s.scoring_id"
        " WHERE p.is_flagged <> (p.anomaly_score > s.threshold) GROUP BY s.batch_id",
    ),
    Rule(
        "{0} predictions of {1} belong to no scoring",
        "SELECT 'scoring ' || p.scoring_id, count(*), p.batch_date FROM prediction AS p"
        " WHERE NOT EXISTS (SELECT 1 FROM scoring AS s WHERE s.scoring_id = p.scoring_id)"
        " GROUP BY p.scoring_id, p.batch_date",
    ),
    Rule(
        "{0} predictions are of another night than the batch",
        "SELECT b.batch_id, count(*) FROM prediction AS p"
        " INNER JOIN scoring AS s ON p.scoring_id = s.scoring_id"
        " INNER JOIN batch AS b ON s.batch_id = b.batch_id"
        " WHERE p.batch_date <> b.batch_date GROUP BY b.batch_id",
    ),
    Rule(
        "row {0} is scored and quarantined",
        "SELECT q.batch_id, q.row_number FROM quarantined_row AS q"
        " INNER JOIN batch AS b ON q.batch_id = b.batch_id"
        " INNER JOIN scoring AS s ON q.batch_id = s.batch_id AND s.purpose = 'live'"
        " INNER JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = s.scoring_id AND p.row_number = q.row_number",
    ),
    Rule(
        "its account says {0} quarantined rows, of which {1} are kept",
        "SELECT b.batch_id, b.rows_quarantined, count(q.row_number) FROM batch AS b"
        " LEFT JOIN quarantined_row AS q ON b.batch_id = q.batch_id"
        " WHERE b.status <> 'received'"
        " GROUP BY b.batch_id, b.rows_quarantined, b.quarantine_limit"
        " HAVING count(q.row_number) <> CASE WHEN b.quarantine_limit < b.rows_quarantined"
        " THEN b.quarantine_limit ELSE b.rows_quarantined END",
    ),
    Rule(
        "it has {0} known rows, and batch {1}, which should account for them, does not",
        "SELECT b.batch_id, b.rows_known, b.known_batch_id FROM batch AS b"
        " LEFT JOIN batch AS k ON b.known_batch_id = k.batch_id"
        " WHERE b.rows_known > 0 AND (k.batch_id IS NULL OR k.status = 'received'"
        " OR b.rows_known > k.rows_read)",
    ),
    Rule(
        "it replays batch {0}, which is not finished or not there",
        "SELECT b.batch_id, b.replayed_batch_id FROM batch AS b"
        " LEFT JOIN batch AS r ON b.replayed_batch_id = r.batch_id"
        " WHERE b.replayed_batch_id IS NOT NULL AND (r.batch_id IS NULL OR r.status = 'received')",
    ),
    Rule(
        "it is said to have scored row {0} of batch {1}, and has no prediction of it",
        "SELECT c.batch_id, c.corrected_row_number, c.corrected_batch_id FROM correction AS c"
        " INNER JOIN batch AS b ON c.batch_id = b.batch_id"
        " LEFT JOIN scoring AS s ON c.batch_id = s.batch_id AND s.purpose = 'live'"
        " LEFT JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = s.scoring_id AND p.row_number = c.row_number"
        " WHERE c.is_scored AND p.row_number IS NULL",
    ),
    Rule(
        "row {0} is said to be explained, and {1} reasons are kept of it",
        "SELECT f.batch_id, f.row_number, count(r.rank) FROM flagged_connection AS f"
        " LEFT JOIN reason AS r ON f.scoring_id = r.scoring_id AND f.row_number = r.row_number"
        " GROUP BY f.scoring_id, f.batch_id, f.row_number, f.is_explained"
        " HAVING f.is_explained <> (count(r.rank) > 0)",
    ),
)


def check_tables(engine: Engine) -> Iterator[Finding]:
    """Find what does not add up in the tables, as one moment sees them.

    Raises:
        ServiceUnavailableError: the database went away.
    """
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with available(engine), engine.connect().execution_options(**options) as connection:
        if engine.dialect.name == "sqlite":
            yield from _check_file(connection)
        for rule in RULES:
            found = connection.execute(sa.text(rule.query).execution_options(stream_results=True))
            rows = found.fetchmany(EXAMPLES + 1)
            found.close()
            for subject, *details in rows[:EXAMPLES]:
                problem = rule.problem.format(*details)
                if len(rows) > EXAMPLES and subject == rows[EXAMPLES - 1][0]:
                    problem += "; and more like this"
                yield Finding(
                    severity="error", subject=_name(subject), problem=problem, advice=rule.advice
                )


def _check_file(connection: Connection) -> Iterator[Finding]:
    """Ask SQLite whether its file is sound and every reference leads somewhere."""
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
        if said != "ok":
            yield Finding(severity="error", subject="database", problem=said, advice=RESTORE)
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(
        EXAMPLES
    ):
        yield Finding(
            severity="error",
            subject=f"{table} {row}",
            problem=f"it refers to a row of {parent} that is not there",
            advice=BY_HAND,
        )


def _name(subject: object) -> str:
    """Name what a finding is about: a batch by its id, anything else by what it is."""
    text = str(subject)
    return f"batch {text}" if len(text) == 64 else text  # noqa: PLR2004 - of a batch id


def check_work(engine: Engine, lake: Path) -> Iterator[Finding]:
    """Find what was begun and is not finished: batches, runs and events."""
    source = (
        sa.select(delivery.c.source_path)
        .where(delivery.c.batch_id == batch.c.batch_id)
        .order_by(delivery.c.delivery_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(
        batch.c.batch_id, batch.c.contract, batch.c.received_at, batch.c.replayed_batch_id, source
    ).where(batch.c.status == "received")
    with available(engine), engine.connect() as connection:
        unfinished = connection.execute(query.order_by(batch.c.received_at)).all()
        open_runs = connection.execute(
            sa.select(run.c.run_id, run.c.kind).where(run.c.state == "running")
        ).all()
        waiting = connection.scalar(
            sa.select(sa.func.count()).where(outbox.c.published_at.is_(None))
        )
    for batch_id, contract, received_at, replayed, path in unfinished:
        if is_held(engine, batch_folder(lake, contract, batch_id), batch_id):
            continue  # somebody is at it
        again = f"noctule replay {replayed[:12]}" if replayed else f"noctule run '{path}'"
        yield Finding(
            severity="note",
            subject=f"batch {batch_id}",
            problem=f"it came at {received_at:%Y-%m-%d %H:%M} UTC and is not finished",
            advice=f"run it again: {again}",
        )
    for run_id, kind in open_runs:
        if is_over(engine, run_id):
            yield Finding(
                severity="note",
                subject=f"run {run_id}",
                problem=f"this run of {kind} ended without a word",
                advice="nothing: the next run of any kind closes it",
            )
    if waiting:
        yield Finding(
            severity="note",
            subject="outbox",
            problem=f"{waiting:,} events were not yet taken by a Prefect server",
            advice="nothing: the next night sends them",
        )


def check_models(engine: Engine, models: Path) -> Iterator[Finding]:
    """Compare every model version's files with those that were registered."""
    versions = {known.version: known for known in list_versions(engine)}
    for known in versions.values():
        yield from _check_model(models, known)
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        if folder.name in versions:
            continue
        is_leftover = LEFTOVER.fullmatch(folder.name) is not None
        yield Finding(
            severity="note",
            subject=str(folder),
            problem="left by a training that was killed" if is_leftover else "no model known here",
            advice="nothing: the next training removes it" if is_leftover else "remove it",
        )


def _check_model(models: Path, known: ModelVersion) -> Iterator[Finding]:
    fault = find_fault(models / known.version, known.manifest_hash)
    if fault is not None:
        yield Finding(
            severity="error",
            subject=f"model {known.version}",
            problem=f"{fault} (in {models / known.version})",
            advice="restore the folder from a backup, or train again on the same files",
        )


def check_lake(engine: Engine, lake: Path) -> Iterator[Finding]:
    """Compare the files of every finished batch with the receipts of the stages that made them."""
    query = sa.select(batch.c.batch_id, batch.c.contract, batch.c.status)
    with available(engine), engine.connect() as connection:
        known = {(contract, name): status for name, contract, status in connection.execute(query)}
    folders = sorted(folder for folder in lake.glob("*/*") if folder.is_dir())
    for folder in folders:
        contract = folder.parent.name
        if contract == "training":
            continue  # its stages are tidied and redone by each training
        status = known.get((contract, folder.name))
        if status is None:
            yield Finding(
                severity="note",
                subject=str(folder),
                problem="the lake has a batch that the database does not know",
                advice="remove it, or restore the database that it belongs to",
            )
        elif status != "received":
            yield from _check_folder(folder)


def _check_folder(folder: Path) -> Iterator[Finding]:
    """Check one batch's folder: every stage against its receipt, and nothing half-written."""
    for entry in sorted(folder.iterdir()):
        if is_attempt(entry):
            yield Finding(
                severity="note",
                subject=str(entry),
                problem="left by a run that was killed",
                advice="remove it",
            )
            continue
        fault = stages.find_fault(entry)
        if fault is not None:
            yield Finding(
                severity="error",
                subject=str(entry),
                problem=fault,
                advice="the database holds what counts: remove the folder if its files are not"
                " needed as evidence, or restore it from a backup",
            )
