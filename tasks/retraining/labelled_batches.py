"""What a retraining fits on and judges by: the labelled connections that lie in the lake.

Belongs here: choosing batches and finding their accepted rows. Does not belong here: reading the
rows, or fitting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate, groupby
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from expectations.contract import Contract
from expectations.errors import TrainingDataError, UsageError
from expectations.registry import get_contract
from storage.lake import batch_folder, read_accepted
from storage.nights import list_labelled_batches
from storage.queries import training_sources
from storage.text import printable
from tasks.evaluation.labels import find_unclear_labels, has_labels
from tasks.task import task
from tasks.validation.summary import PartFile, ValidationSummary
from tasks.wording import clause, plural


class RetrainingRows(BaseModel):
    """The rows of a retraining, as files."""

    model_config = ConfigDict(frozen=True)

    fit: tuple[Path, ...]
    """Parquet parts to fit on."""
    sources: dict[str, str]
    """Of those: SHA-256 of the content -> the file's name; of the last one, not all rows may be
    among them."""
    judged: tuple[Path, ...]
    """Parquet parts to evaluate by; no model is fitted on them."""
    judged_nights: tuple[date, ...]
    rows_fit: int
    rows_judged: int
    """Rows of the files; those without a label and copies of rows fitted on are left out later."""
    notes: tuple[str, ...]
    """What could not be used, and why."""


def find_retraining_rows(
    engine: Engine,
    lakes: Sequence[Path],
    contract_name: str,
    champion: str,
    files: Mapping[str, str],
    *,
    judged_nights: int,
    max_rows: int,
    refused: Sequence[str] = (),
) -> RetrainingRows:
    """Find what to fit on and what to evaluate by.

    Judged by are the latest nights with labels that the champion was not fitted on. Fitted on are
    all other labelled nights, the files given, and what the champion was fitted on: the latest
    first, as far as the limit allows. What cannot be used is left out, and said.

    Args:
        engine: the database.
        lakes: where a batch's folder may lie.
        contract_name: of the batches.
        champion: the version whose sources count too.
        files: SHA-256 -> name of further files, which lie in one of the lakes.
        judged_nights: how many nights are kept to evaluate by.
        max_rows: most rows to fit on, and to evaluate by; whole parts of files are taken.
        refused: what is to be said of files that came into no lake.

    Returns:
        The parts.

    Raises:
        TrainingDataError: nothing labelled could be found to fit on.
    """
    contract = get_contract(contract_name)
    sources = training_sources(engine, champion)
    labelled = list_labelled_batches(engine, contract_name)
    notes = list(refused)
    judged = _Parts(lakes, contract, max_rows, notes)
    nights: list[date] = []
    to_judge: dict[str, str] = {}
    fresh = [one for one in labelled if one.batch_id not in sources]
    for night, batches in groupby(fresh, key=lambda one: one.night):
        if len(nights) == judged_nights or judged.is_full:
            break
        of_night = {one.batch_id: one.file_name for one in batches}
        to_judge |= of_night
        if judged.take(of_night):
            nights.append(night)
    to_fit = {**{one.batch_id: one.file_name for one in labelled}, **files, **sources}
    fit = _Parts(lakes, contract, max_rows, notes)
    fit.take({key: name for key, name in to_fit.items() if key not in to_judge})
    if not fit.paths:
        why = f" ({'; '.join(notes)})" if notes else ""
        message = (
            "Cannot retrain: no labelled connections could be found to fit on"
            f"{why}. Run labelled files, put some into the training folder, or train on them:"
            " noctule train FILE"
        )
        raise TrainingDataError(message)
    return RetrainingRows(
        fit=tuple(fit.paths),
        sources=fit.sources,
        judged=tuple(judged.paths),
        judged_nights=tuple(nights),
        rows_fit=fit.rows,
        rows_judged=judged.rows,
        notes=tuple(notes),
    )


@dataclass
class _Parts:
    """Accepted rows of files, by whole parts, up to a limit."""

    lakes: Sequence[Path]
    contract: Contract
    max_rows: int
    notes: list[str]
    """Gets what is left out, and why."""
    paths: list[Path] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    is_full: bool = False

    def take(self, files: Mapping[str, str]) -> bool:
        """Take files in order until no more fits; tell whether rows of any were taken.

        Args:
            files: SHA-256 -> name.
        """
        before = self.rows
        for looked_at, (key, name) in enumerate(files.items()):
            if self.is_full:
                more = clause(len(files) - looked_at, "more file", "is", "are")
                self.notes.append(f"{more} beyond NOCTULE_RETRAIN_MAX_ROWS")
                break
            self._take_file(key, name)
        return self.rows > before

    def _take_file(self, key: str, name: str) -> None:
        """Take as many parts of a file as there is room for, from its first on."""
        called = printable(name)
        accepted = self._read_accepted(key)
        if accepted is None:
            self.notes.append(f"{called} is not whole in the lake any more")
            return
        folder, parts = accepted
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
        """List the accepted parts of a file, in the first lake that has them whole."""
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
    """Say why no model may be fitted on a file, or judged by it; None if one may."""
    if not all(has_labels(contract, pl.read_parquet_schema(part).keys()) for part in parts):
        return "says of no connection whether it is an attack"
    unclear = find_unclear_labels(parts, contract)
    return None if unclear is None else f"is left out: {unclear}"


find_rows_task = task(find_retraining_rows, name="gather labelled rows")
