"""The labelled connections of the lake: those to fit on, and those to compare models on.

Belongs here: choosing batches and finding their accepted rows. Does not belong here: reading the
rows, or fitting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate, groupby
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Engine

from expectations.contract import Contract
from expectations.errors import TrainingDataError, UsageError
from expectations.registry import get_contract
from storage.lake import VALIDATE, batch_folder, read_accepted, read_key
from storage.nights import list_labelled_batches
from storage.queries import training_sources
from storage.text import printable
from tasks.evaluation.labels import find_unclear_labels, holds_labels
from tasks.task import task
from tasks.validation.accept import FEATURES
from tasks.validation.summary import PartFile, ValidationSummary
from tasks.wording import clause, plural


class RetrainingRows(BaseModel, frozen=True):
    """The rows of a retraining, as Parquet files."""

    fit_parts: tuple[Path, ...]
    """Rows to fit on."""
    sources: dict[str, str]
    """Their SHA-256 of the content -> the file's name; the last file may be used in part."""
    test_parts: tuple[Path, ...]
    """Rows to compare models on; no model of the retraining is fitted on them."""
    test_nights: tuple[date, ...]
    rows_fit: int
    rows_test: int
    """Rows of the files, among them rows without a label and copies of rows that are fitted on,
    which are left out later."""
    notes: tuple[str, ...]
    """What could not be used, and why."""


def find_retraining_rows(
    engine: Engine,
    lakes: Sequence[Path],
    contract_name: str,
    champion: str,
    files: Mapping[str, str],
    *,
    test_nights: int,
    max_rows: int,
    refused: Sequence[str] = (),
) -> RetrainingRows:
    """Find the rows to fit on, and the test rows.

    The test rows are the latest nights with labels that the champion was not fitted on. All other
    labelled nights, the files given, and the files that the champion was fitted on are to fit on:
    the latest first, up to the limit. What cannot be used is left out and noted.

    ``lakes`` are the folders that may hold a batch's folder. ``files`` maps the SHA-256 to the name
    of further files in one of them; ``refused`` has notes on files that are in none. The limit is
    ``max_rows`` to fit on, and as many test rows; whole parts of files are taken.

    Raises:
        TrainingDataError: no labelled rows to fit on were found.
    """
    contract = get_contract(contract_name)
    sources = training_sources(engine, champion)
    labelled = list_labelled_batches(engine, contract_name)
    notes = list(refused)
    test = _Parts(lakes, contract, max_rows, notes)
    nights: list[date] = []
    to_test: dict[str, str] = {}
    fresh = [one for one in labelled if one.batch_id not in sources]
    for night, batches in groupby(fresh, key=lambda one: one.night):
        if len(nights) == test_nights or test.is_full:
            break
        of_night = {one.batch_id: one.file_name for one in batches}
        to_test |= of_night
        if test.take(of_night):
            nights.append(night)
    to_fit = {**{one.batch_id: one.file_name for one in labelled}, **files, **sources}
    fit = _Parts(lakes, contract, max_rows, notes)
    fit.take({key: name for key, name in to_fit.items() if key not in to_test})
    if not fit.paths:
        why = f" ({'; '.join(notes)})" if notes else ""
        message = (
            "Cannot retrain: no labelled connections could be found to fit on"
            f"{why}. Run labelled files, put some into the training folder, or train on them:"
            " noctule train FILE"
        )
        raise TrainingDataError(message)
    return RetrainingRows(
        fit_parts=tuple(fit.paths),
        sources=fit.sources,
        test_parts=tuple(test.paths),
        test_nights=tuple(nights),
        rows_fit=fit.rows,
        rows_test=test.rows,
        notes=tuple(notes),
    )


@dataclass
class _Parts:
    """Accepted rows of files, by whole parts, up to a limit."""

    lakes: Sequence[Path]
    contract: Contract
    max_rows: int
    notes: list[str]
    """What is left out, and why; extended."""
    paths: list[Path] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    is_full: bool = False

    def take(self, files: Mapping[str, str]) -> bool:
        """Take files (SHA-256 -> name) in order up to the limit; return whether any rows came."""
        before = self.rows
        for done, (key, name) in enumerate(files.items()):
            if self.is_full:
                more = clause(len(files) - done, "more file", "is", "are")
                self.notes.append(f"{more} beyond NOCTULE_RETRAIN_MAX_ROWS")
                break
            self._take_file(key, name)
        return self.rows > before

    def _take_file(self, key: str, name: str) -> None:
        """Take the first parts of a file, as many as the limit allows."""
        called = printable(name)
        accepted = self._read_accepted(key)
        if accepted is None:
            self.notes.append(f"{called} is no longer complete in the lake")
            return
        folder, parts = accepted
        own = self.contract.feature_fingerprint
        if read_key(folder / VALIDATE).get(FEATURES, own) != own:  # earlier versions kept none
            self.notes.append(
                f"{called} was read before the features of contract {self.contract.name} changed"
            )
            return
        unfit = _find_unfit([folder / part.path for part in parts], self.contract)
        if unfit is not None:
            self.notes.append(f"{called} {unfit}")
            return
        if parts[0].rows > self.max_rows:
            self.notes.append(
                f"{called} comes in parts of {plural(parts[0].rows, 'row')}, more than"
                f" NOCTULE_RETRAIN_MAX_ROWS, {self.max_rows:,}: set that higher, or"
                " NOCTULE_CHUNK_ROWS lower before such a file is read"
            )
            return
        ends = accumulate((part.rows for part in parts), initial=self.rows)
        fitting = sum(end <= self.max_rows for end in ends) - 1
        taken, rest = parts[:fitting], sum(part.rows for part in parts[fitting:])
        if taken:
            self.paths += [folder / part.path for part in taken]
            self.sources[key] = name
            self.rows += sum(part.rows for part in taken)
        if rest:
            beyond = clause(rest, "row", "is", "are")
            self.notes.append(f"{called}: {beyond} beyond NOCTULE_RETRAIN_MAX_ROWS")
        self.is_full = rest > 0 or self.rows == self.max_rows

    def _read_accepted(self, key: str) -> tuple[Path, Sequence[PartFile]] | None:
        """List the accepted parts of a file, in the first lake that has all of them."""
        for lake in self.lakes:
            folder = batch_folder(lake, self.contract.name, key)
            try:
                parts = read_accepted(folder, ValidationSummary).parts
            except UsageError:
                continue
            if parts:
                return folder, parts
        return None


def _find_unfit(parts: Sequence[Path], contract: Contract) -> str | None:
    """Return why a file can be used neither to fit nor to test; None if it can."""
    if not holds_labels(parts, contract):
        return "does not say which connections are attacks"
    unclear = find_unclear_labels(parts, contract)
    return None if unclear is None else f"is left out: {unclear}"


find_rows_task = task(find_retraining_rows, name="gather labelled rows")
