"""What a retraining fits on and judges by: the labelled connections that lie in the lake.

Belongs here: choosing batches and finding their accepted rows. Does not belong here: reading the
rows, or fitting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from expectations.contract import Contract
from expectations.errors import TrainingDataError, UsageError
from expectations.registry import get_contract
from storage.lake import batch_folder, read_summary
from storage.nights import list_labelled_batches
from storage.queries import training_sources
from storage.text import printable
from tasks.shown import plural
from tasks.task import task
from tasks.training_data import is_labelled
from tasks.validate import ValidationSummary


class Gathered(BaseModel):
    """The rows of a retraining, as files."""

    model_config = ConfigDict(frozen=True)

    fit: tuple[Path, ...]
    """Parquet parts to fit on."""
    sources: dict[str, str]
    """Of those: SHA-256 of the content -> the file's name."""
    judged: tuple[Path, ...]
    """Parquet parts to judge by; no model is fitted on them."""
    judged_nights: tuple[date, ...]
    rows_fit: int
    rows_judged: int
    """Rows of the files; those without a label and copies of rows fitted on are left out later."""
    notes: tuple[str, ...]
    """What could not be used, and why."""


@dataclass
class _Found:
    parts: list[Path] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    rows: int = 0


def gather_rows(
    engine: Engine,
    lakes: Sequence[Path],
    contract_name: str,
    champion: str,
    files: Mapping[str, str],
    *,
    judged_nights: int,
    max_rows: int,
) -> Gathered:
    """Find what to fit on and what to judge by.

    Judged by are the latest nights with labels that the champion was not fitted on. Fitted on are
    all other labelled nights, the files given, and what the champion was fitted on: the latest
    first, as far as the limit allows.

    Args:
        engine: the database.
        lakes: where a batch's folder may lie.
        contract_name: of the batches.
        champion: the version whose sources count too.
        files: SHA-256 -> name of further files, which lie in one of the lakes.
        judged_nights: how many nights are kept to judge by.
        max_rows: most rows to fit on, and to judge by; whole files.

    Returns:
        The parts.

    Raises:
        TrainingDataError: nothing labelled could be found to fit on, or labels are not clear.
    """
    contract = get_contract(contract_name)
    sources = training_sources(engine, champion)
    labelled = list_labelled_batches(engine, contract_name)
    fresh = [one for one in labelled if one.batch_id not in sources]
    nights = sorted({one.night for one in fresh}, reverse=True)[:judged_nights]
    to_judge = {one.batch_id: one.file_name for one in fresh if one.night in nights}
    to_fit = {
        **{one.batch_id: one.file_name for one in labelled if one.batch_id not in to_judge},
        **{key: name for key, name in files.items() if key not in to_judge},
        **{key: name for key, name in sources.items() if key not in to_judge},
    }
    notes: list[str] = []
    fit = _find(to_fit.items(), lakes, contract, max_rows, notes)
    judged = _find(to_judge.items(), lakes, contract, max_rows, notes)
    if not fit.parts:
        why = f" ({'; '.join(notes)})" if notes else ""
        message = (
            "Cannot retrain: no labelled connections could be found to fit on"
            f"{why}. Run labelled files, put some into the training folder, or train on them:"
            " noctule train FILE"
        )
        raise TrainingDataError(message)
    return Gathered(
        fit=tuple(fit.parts),
        sources=fit.sources,
        judged=tuple(judged.parts),
        judged_nights=tuple(nights) if judged.parts else (),
        rows_fit=fit.rows,
        rows_judged=judged.rows,
        notes=tuple(notes),
    )


def _find(
    wanted: Iterable[tuple[str, str]],
    lakes: Sequence[Path],
    contract: Contract,
    max_rows: int,
    notes: list[str],
) -> _Found:
    """Find the accepted rows of files, in order, until there are enough."""
    found = _Found()
    for key, name in wanted:
        called = printable(name)
        accepted = _read_accepted(key, lakes, contract)
        if accepted is None:
            notes.append(f"{called} is not whole in the lake any more")
            continue
        folder, summary = accepted
        parts = [folder / part.path for part in summary.parts]
        rows = sum(part.rows for part in summary.parts)
        if not is_labelled(called, parts, contract):
            notes.append(f"{called} says of no connection whether it is an attack")
        elif found.parts and found.rows + rows > max_rows:
            notes.append(f"{called}, {plural(rows, 'row')}, is beyond NOCTULE_RETRAIN_MAX_ROWS")
        else:
            found.parts += parts
            found.sources[key] = name
            found.rows += rows
    return found


def _read_accepted(
    key: str, lakes: Sequence[Path], contract: Contract
) -> tuple[Path, ValidationSummary] | None:
    """Read what validation left of a batch, in the first lake that has it."""
    for lake in lakes:
        folder = batch_folder(lake, contract.name, key)
        try:
            return folder, read_summary(folder / "validate", ValidationSummary)
        except UsageError:
            continue
    return None


gather_task = task(gather_rows, name="gather labelled rows")
