"""``noctule study``: all methods are compared on a labelled file.

Belongs here: which file is studied, and where the report goes. Does not belong here: any part of
the study (``tasks.study``), or its tables (``flows.cli.study_tables``). No flow runs: the study
decides nothing, and no night waits for it.
"""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from expectations.contract import Contract
from expectations.errors import UsageError
from flows.cli.labelled_file import accept_labelled, plan_labelled
from flows.cli.progress import shown_progress
from flows.settings import Settings
from storage.lake import room_on_disk, write_atomically
from storage.text import printable
from tasks.intake.header import call_as_declared
from tasks.intake.label_words import LabelReading
from tasks.intake.sources import open_source
from tasks.study.page import render_study
from tasks.study.study import StudyReport, StudySource, study_rows
from tasks.training.rows import read_training_rows

logger = logging.getLogger("noctule.study")
logger.setLevel(logging.INFO)


@dataclass(frozen=True)
class Studied:
    """A report, and the files that hold it."""

    report: StudyReport
    data: Path
    page: Path


def run_study(
    settings: Settings,
    file: Path,
    folder: Path,
    beside: Path | None,
    jobs: int,
    asked: LabelReading,
) -> Studied:
    """Study a labelled file with ``jobs`` processes, and write the report as JSON and as a page.

    The folder gets ``<name>-study.json`` and ``<name>-study.html``. The columns of the file
    ``beside`` are compared with the file's.

    Raises:
        InputRejectedError: a file is refused.
        TrainingDataError: there is no label, labels are not clear, or a class has too few rows.
        UsageError: the folder is a file or may not be written, or the file has no such label
            column.
    """
    with (
        shown_progress(f"reading {file.name}"),
        tempfile.TemporaryDirectory(prefix="noctule-study-") as work_folder,
    ):
        job = plan_labelled(settings, file, Path(work_folder), asked, "study")
        make_folder(folder)  # fails before the file is read whole
        accepted = accept_labelled(job, "study")
        contract = accepted.job.declared
        source = StudySource(
            name=accepted.name,
            content_sha256=accepted.ingested.content_sha256,
            columns=call_as_declared(accepted.ingested.field_names, contract),
            rows_quarantined=accepted.rows_quarantined,
            advisories=accepted.notes,
            other=None if beside is None else read_columns(beside, contract),
        )
        inputs = Path(work_folder) / "study"
        inputs.mkdir()
        rows = read_training_rows(accepted.parts, contract)
        report = study_rows(rows, contract, source, inputs, jobs, _tell)
    stem = file.name.partition(".")[0] or file.name
    data, page = folder / f"{stem}-study.json", folder / f"{stem}-study.html"
    with room_on_disk(folder):
        write_atomically(data, (report.model_dump_json(indent=1) + "\n").encode())
        write_atomically(page, render_study(report).encode())
    return Studied(report, data, page)


def make_folder(folder: Path) -> None:
    """Create the folder for the report, if it is absent.

    Raises:
        UsageError: it cannot be created, is a file, or may not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        problem = "it is a file" if is_file and folder.is_file() else error.strerror
        message = f"Cannot write the study to {folder}: {problem}. Name a folder with --out"
        raise UsageError(message) from None


def read_columns(file: Path, contract: Contract) -> tuple[str, tuple[str, ...]]:
    """Return a file's name, and its fields' names; a declared field has the contract's name.

    Raises:
        InputRejectedError: it cannot be read, or is of another source.
    """
    source = open_source(file, contract)
    names = source.read_names() or source.read_layout().names
    return printable(file.name), call_as_declared(names, contract)


def _tell(step: str) -> None:
    """Log a step of the study before it begins."""
    logger.info("study step=%r", step, extra={"words": step})
