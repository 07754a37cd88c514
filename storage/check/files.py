"""Checks of files: every model version against its manifest, every stage against its receipt.

Belongs here: comparing folders of the model store and the lake with what the database lists. Does
not belong here: how one folder is compared (``storage.lake``, ``storage.model_store``).
"""

from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Engine

from storage import lake as stages
from storage.check.invariants import Problem
from storage.database import available
from storage.lake import is_attempt
from storage.model_files import LEFTOVER, find_model_fault
from storage.model_store import ModelVersion, list_versions
from storage.schema import batch


def check_models(engine: Engine, models: Path) -> Iterator[Problem]:
    """Yield a problem for each model version whose files differ from those registered."""
    folders, trouble = _list(models)  # first: a version may be registered meanwhile
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
            problem="left by a training that was killed"
            if is_leftover
            else "the database does not know this model",
            advice="nothing: the next training removes it"
            if is_leftover
            else "remove it, unless a training is running",
        )


def _check_model(models: Path, known: ModelVersion) -> Iterator[Problem]:
    folder = models / known.version
    try:
        fault = find_model_fault(folder, known.manifest_hash)
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
    """Yield a problem for each stage of a finished batch whose files differ from its receipt."""
    folders: list[Path] = []  # listed before the batches: a batch may arrive meanwhile
    contracts, trouble = _list(lake)
    for contract in contracts:
        if contract.name != "training" and contract.is_dir():  # each training cleans its own
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
                problem="the database does not know this batch of the lake",
                advice="remove it, or restore the database that it belongs to",
            )
        elif status != "received":
            yield from _check_folder(folder)


def _check_folder(folder: Path) -> Iterator[Problem]:
    """Yield the problems of one batch's folder: faulty stages, missing rows, old attempts."""
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
            advice="the database has all results: remove the batch's folder if nobody needs its"
            " files, or restore it from a backup",
        )


def _list(folder: Path) -> tuple[list[Path], list[Problem]]:
    """Return the sorted entries of a folder (none if it does not exist) and a reading problem."""
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
        advice="run the check again as the user who runs the nights",
    )
