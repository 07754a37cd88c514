"""Checking: does all that is stored add up, and are the files still those it was made from?

Belongs here: asking the tables (``invariants`` says what must hold), looking at files, and what to
do where something is wrong. Does not belong here: mending anything. A check only reads.
"""

import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage import lake as stages
from storage.claims import is_held
from storage.database import available
from storage.invariants import BY_HAND, INVARIANTS, RESTORE, WITH_COUNTED, Invariant
from storage.lake import batch_folder, is_attempt
from storage.model_store import LEFTOVER, ModelVersion, find_fault, list_versions
from storage.replays import find_target
from storage.runs import is_over
from storage.schema import batch, delivery, model_version, outbox, promotion, run

Severity = Literal["error", "note"]

FORBIDDEN_VALUE: Final = "CHECK constraint failed"
"""How SQLite's findings begin that are about a value, and not about the file."""

UNDECODABLE: Final = "Could not decode"
"""How its driver's error begins where text is none."""

EXAMPLES: Final = 20
"""Most findings of one rule that are listed. A guess: what is wrong everywhere is one fault."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is not as it should be."""

    severity: Severity
    """``error``: what is stored cannot be relied on; ``note``: all is well once it is seen to."""
    subject: str
    """What it is about: a batch, a model version, a file."""
    problem: str
    advice: str


def check_tables(engine: Engine) -> Iterator[Problem]:
    """Find what does not add up in the tables, as one moment sees them.

    Raises:
        ServiceUnavailableError: the database went away.
    """
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with available(engine), engine.connect().execution_options(**options) as connection:
        try:
            yield from check_rows(connection)
        except DBAPIError as error:
            if not _is_damage(error):
                raise
            yield _of_file(str(error.orig))


def check_rows(connection: Connection) -> Iterator[Problem]:
    """Find what does not add up, as one transaction sees it."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        found = list(_check_file(connection))
        yield from found
        if is_damaged(found):
            return  # no table can be relied on to be read to its end
    for rule in INVARIANTS:
        if rule.dialect in {None, dialect}:
            yield from _ask(connection, rule)
    yield from _check_history(connection)


def is_damaged(found: Iterable[Problem]) -> bool:
    """Tell whether the database's file is such that nothing can be read from it for certain."""
    return any(finding.advice == RESTORE for finding in found)


def _ask(connection: Connection, rule: Invariant) -> Iterator[Problem]:
    """Find what breaks a rule, up to so many examples."""
    query = sa.text(f"{WITH_COUNTED} {rule.query} ORDER BY 1, 2")
    with connection.execute(query.execution_options(stream_results=True)) as found:
        rows = found.fetchmany(EXAMPLES + 1)
    for place, (subject, *details) in enumerate(rows[:EXAMPLES], start=1):
        problem = rule.problem.format(*details)
        if place == EXAMPLES < len(rows):
            problem += "; and more like this"
        yield Problem(severity="error", subject=_name(subject), problem=problem, advice=rule.advice)


def _name(subject: object) -> str:
    """Name what a finding is about: a batch by its id, anything else by what it is."""
    text = str(subject)
    return f"batch {text}" if len(text) == 64 else text  # noqa: PLR2004 - of a batch id


def _check_file(connection: Connection) -> Iterator[Problem]:
    """Ask SQLite whether its file is sound, and every row as its table was declared."""
    for (said,) in connection.exec_driver_sql(f"PRAGMA integrity_check({EXAMPLES})"):
        if said != "ok":
            is_of_a_value = said.startswith(FORBIDDEN_VALUE)
            yield _of_file(" ".join(said.split()), BY_HAND if is_of_a_value else RESTORE)


def _of_file(said: str, advice: str = RESTORE) -> Problem:
    return Problem(severity="error", subject="database", problem=said, advice=advice)


def _is_damage(error: DBAPIError) -> bool:
    """Tell a SQLite file whose pages are not in order from any other trouble."""
    # The low byte is the primary code.
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_CORRUPT or str(error.orig).startswith(UNDECODABLE)


def _check_history(connection: Connection) -> Iterator[Problem]:
    """Follow the promotions: each rollback leads back to the champion before, and one is left."""
    champions: dict[str, list[str]] = {
        contract: [] for contract in connection.scalars(sa.select(model_version.c.contract))
    }
    query = sa.select(
        promotion.c.promotion_id,
        promotion.c.contract,
        promotion.c.kind,
        promotion.c.model_version_id,
    )
    for key, contract, kind, version in connection.execute(
        query.order_by(promotion.c.promotion_id)
    ):
        line = champions.setdefault(contract, [])
        if kind == "promote":
            line.append(version)
            continue
        before = line[-2] if len(line) > 1 else "none"
        del line[-1:]
        if version != before:
            yield Problem(
                severity="error",
                subject=f"promotion {key}",
                problem=f"it rolls {contract} back to {version}, and the champion before was"
                f" {before}",
                advice=BY_HAND,
            )
    for contract, line in champions.items():
        if not line:
            yield Problem(
                severity="error",
                subject=f"contract {contract}",
                problem="it has models and no champion",
                advice="choose one: noctule promote VERSION --reason WHY",
            )


def check_work(engine: Engine, lake: Path) -> Iterator[Problem]:
    """Find what was begun and is not finished: batches, runs and events."""
    source = (
        sa.select(delivery.c.source_path)
        .where(delivery.c.batch_id == batch.c.batch_id)
        .order_by(delivery.c.delivery_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(
        batch.c.batch_id,
        batch.c.contract,
        batch.c.file_name,
        batch.c.received_at,
        batch.c.replayed_batch_id,
        source,
    ).where(batch.c.status == "received")
    with available(engine), engine.connect() as connection:
        unfinished = connection.execute(query.order_by(batch.c.received_at)).all()
        open_runs = connection.execute(
            sa.select(run.c.run_id, run.c.kind).where(run.c.state == "running")
        ).all()
        waiting = connection.scalar(
            sa.select(sa.func.count()).where(outbox.c.published_at.is_(None))
        )
    for batch_id, contract, name, received_at, replayed, path in unfinished:
        if is_held(engine, batch_folder(lake, contract, batch_id), batch_id):
            continue  # somebody is at it
        again = f"run it again: noctule run {'FILE' if path is None else shlex.quote(path)}"
        yield Problem(
            severity="note",
            subject=f"batch {batch_id}",
            problem=f"it came at {received_at:%Y-%m-%d %H:%M} UTC and is not finished",
            advice=again if replayed is None else _advise_replay(engine, replayed, name),
        )
    for run_id, kind in open_runs:
        if is_over(engine, run_id):
            yield Problem(
                severity="note",
                subject=f"run {run_id}",
                problem=f"this run of {kind} ended without a word",
                advice="nothing: the next run of any kind closes it",
            )
    if waiting:
        yield Problem(
            severity="note",
            subject="outbox",
            problem=f"{waiting:,} events were not yet taken by a Prefect server",
            advice="nothing: the next night sends them",
        )


def _advise_replay(engine: Engine, replayed: str, file_name: str) -> str:
    """Say how a replay that was not finished is, if anything of its batch is still open.

    Args:
        engine: the database.
        replayed: the batch whose rows it was to put through again.
        file_name: what the replay is shown as: the name of the corrected file, if it had one.
    """
    target = find_target(engine, replayed)
    if target is None or not target.rows_open:
        return "nothing: its rows were scored by another batch since"
    file = "" if file_name == target.file_name else f" {shlex.quote(file_name)}"
    return f"run it again: noctule replay {replayed}{file}"


def check_models(engine: Engine, models: Path) -> Iterator[Problem]:
    """Compare every model version's files with those that were registered."""
    folders, trouble = _list(models)  # before the versions are asked for: one may come meanwhile
    versions = {known.version: known for known in list_versions(engine)}
    for known in versions.values():
        yield from _check_model(models, known)
    yield from trouble
    for folder in folders:
        if folder.name in versions:
            continue
        is_leftover = LEFTOVER.fullmatch(folder.name) is not None
        yield Problem(
            severity="note",
            subject=str(folder),
            problem="left by a training that was killed" if is_leftover else "no model known here",
            advice="nothing: the next training removes it"
            if is_leftover
            else "remove it, unless a training is running",
        )


def _check_model(models: Path, known: ModelVersion) -> Iterator[Problem]:
    folder = models / known.version
    try:
        fault = find_fault(folder, known.manifest_hash)
    except OSError as error:
        yield _unreadable(folder, error)
        return
    if fault is not None:
        yield Problem(
            severity="error",
            subject=f"model {known.version}",
            problem=f"{fault} (in {folder})",
            advice="restore the folder from a backup, or train again on the same files",
        )


def check_lake(engine: Engine, lake: Path) -> Iterator[Problem]:
    """Compare the files of every finished batch with the receipts of the stages that made them."""
    folders: list[Path] = []  # before the batches are asked for: one may come meanwhile
    contracts, trouble = _list(lake)
    for contract in contracts:
        if contract.name != "training" and contract.is_dir():  # whose stages each training tidies
            listed, more = _list(contract)
            folders += listed
            trouble += more
    yield from trouble
    query = sa.select(batch.c.batch_id, batch.c.contract, batch.c.status)
    with available(engine), engine.connect() as connection:
        known = {(contract, name): status for name, contract, status in connection.execute(query)}
    for folder in folders:
        status = known.get((folder.parent.name, folder.name))
        if status is None:
            yield Problem(
                severity="note",
                subject=str(folder),
                problem="the lake has a batch that the database does not know",
                advice="remove it, or restore the database that it belongs to",
            )
        elif status != "received":
            yield from _check_folder(folder)


def _check_folder(folder: Path) -> Iterator[Problem]:
    """Check one batch's folder: every stage by its receipt, its rows, and nothing half-written."""
    entries, trouble = _list(folder)
    yield from trouble
    faults: dict[str, str] = {}
    for entry in entries:
        if is_attempt(entry):
            yield Problem(
                severity="note",
                subject=str(entry),
                problem="left by a run that was killed",
                advice="remove it",
            )
        elif (fault := stages.find_fault(entry)) is not None:
            faults[entry.name] = fault
    for stage, names in stages.list_accepted(folder).items():
        lost = None if stage in faults else stages.find_lost(folder / stage, names)
        if lost is not None:
            faults[stage] = lost
    for stage, fault in sorted(faults.items()):
        yield Problem(
            severity="error",
            subject=str(folder / stage),
            problem=fault,
            advice="the database holds what counts: remove the batch's folder if its files are not"
            " needed as evidence, or restore it from a backup",
        )


def _list(folder: Path) -> tuple[list[Path], list[Problem]]:
    """List what lies in a folder, by name; nothing if it is not there."""
    try:
        return sorted(folder.iterdir()), []
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [_unreadable(folder, error)]


def _unreadable(folder: Path, error: OSError) -> Problem:
    return Problem(
        severity="error",
        subject=str(folder),
        problem=f"it cannot be read: {error.strerror}",
        advice="check it again as the user who runs the nights",
    )
