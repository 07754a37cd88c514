"""The study of a labelled file: both works that Noctule grew from, repeated in one go.

Belongs here: which file, where the report goes, and what is printed of it. Does not belong here:
any part of the study (``tasks.study``). It is no flow: it decides nothing, no night waits for it.
"""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from expectations.contract import Contract
from expectations.errors import UsageError
from flows.cli.labelled_file import accept_labelled
from flows.cli.printing import say
from flows.cli.progress import shown_progress
from flows.cli.tables import show_rows
from flows.settings import Settings
from storage.lake import room_on_disk, write_atomically
from storage.text import printable
from tasks.intake.header import call_as_declared
from tasks.intake.labelling import LabelReading
from tasks.intake.sources import open_source
from tasks.study.page import render_study, tabulate
from tasks.study.study import StudyReport, StudySource, study_rows
from tasks.training.rows import read_training_rows
from tasks.wording import plural

logger = logging.getLogger("noctule.study")
logger.setLevel(logging.INFO)


@dataclass(frozen=True)
class Studied:
    """A report and where it is kept."""

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
    """Study a labelled file; keep the report as JSON and as a page.

    Args:
        settings: where things are.
        file: the labelled file.
        folder: gets ``<name>-study.json`` and ``<name>-study.html``; made if absent.
        beside: a file whose columns are compared with its.
        jobs: processes that fit at once.
        asked: what the user says of the labels.

    Raises:
        InputRejectedError: a file is refused.
        TrainingDataError: no label, labels that are not clear, or too few rows of a class.
        UsageError: the folder is a file or may not be written, or the file has no such label
            column.
    """
    with (
        shown_progress(f"reading {file.name}"),
        tempfile.TemporaryDirectory(prefix="noctule-study-") as workshop,
    ):
        accepted = accept_labelled(settings, file, Path(workshop), asked, "study")
        make_folder(folder)  # before hours are spent on what nobody can keep
        contract = accepted.job.declared
        source = StudySource(
            name=accepted.name,
            content_sha256=accepted.ingested.content_sha256,
            columns=call_as_declared(accepted.ingested.field_names, contract),
            rows_quarantined=accepted.rows_quarantined,
            advisories=accepted.notes,
            other=None if beside is None else read_columns(beside, contract),
        )
        inputs = Path(workshop) / "study"
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
    """Make the folder that a report is written to, where it is absent.

    Raises:
        UsageError: it cannot be made, is a file, or may not be written.
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
    """Return a file's name and what its fields are called, declared ones as in the contract.

    Raises:
        InputRejectedError: it cannot be read, or is of another source.
    """
    names = open_source(file, contract).read_names()
    return printable(file.name), call_as_declared(names, contract)


def show_study(studied: Studied) -> None:
    """Print the tables of a study."""
    report = studied.report
    table = tabulate(report)
    show_rows(
        [
            {
                "classifier": name,
                **{
                    selection: None
                    if cell is None
                    else f"{cell.test.accuracy:.2%} {cell.test.false_positive_rate:.2%}"
                    for selection, cell in row.items()
                },
            }
            for name, row in table.items()
        ],
        ["classifier", *next(iter(table.values()), {})],
        empty="no cell could be fitted",
        title=f"Accuracy on one split, seed {report.seed}, and the false-positive rate",
    )
    show_rows(
        [
            {
                "classifier": one.classifier,
                "selection": one.selection,
                "mean": f"{one.mean:.3%}",
                "sd": f"{one.sd:.3%}",
                "FPR": f"{one.false_positive_rate:.3%}",
                "gain": None if one.gain_mean is None else f"{one.gain_mean * 100:+.3f}",
                "gain sd": None if one.gain_sd is None else f"{one.gain_sd * 100:.3f}",
                "better on": f"{one.splits_better} of {len(one.accuracies)}",
                "": "finalist" if one.is_finalist else "first work",
            }
            for one in report.comparison.repeated
        ],
        ["classifier", "selection", "mean", "sd", "FPR", "gain", "gain sd", "better on", ""],
        empty="",
        title="Five further splits; gain in points over forest and random_forest",
    )
    show_rows(
        [
            {
                "method": one.method,
                "ARI train": one.refused if one.ari_train is None else f"{one.ari_train:.5f}",
                "ARI test": None if one.ari_test is None else f"{one.ari_test:.5f}",
                "outliers train": one.flagged_train,
                "outliers test": one.flagged_test,
            }
            for one in report.unsupervised
        ],
        ["method", "ARI train", "ARI test", "outliers train", "outliers test"],
        empty="",
        title="Without labels",
    )
    show_rows(
        [
            {
                "autoencoder": one.recipe,
                "ROC AUC": "-" if one.roc_auc is None else f"{one.roc_auc:.4f}",
                "percentile": at.percentile,
                "accuracy": f"{at.test.accuracy:.2%}",
                "recall": "-"
                if at.test.anomaly.recall is None
                else f"{at.test.anomaly.recall:.2%}",
                "false positives": _percent(at.test.normal.recall, is_rest=True),
            }
            for one in report.reconstructions
            for at in one.thresholds
        ],
        ["autoencoder", "ROC AUC", "percentile", "accuracy", "recall", "false positives"],
        empty="",
        title="Autoencoders, cut at percentiles of the errors of normal training rows",
    )
    for cell, why in report.comparison.failed.items():
        say(f"could not be fitted: {cell}: {why}")
    say(
        f"{plural(report.glance.rows, 'labelled row')}, {report.glance.duplicates:,} of them"
        f" duplicates, {report.glance.conflicts:,} both normal and anomaly"
    )
    for advisory in report.advisories:
        say(f"reported: {advisory}")
    say(f"page: {studied.page}")
    say(f"data: {studied.data}")


def _percent(share: float | None, *, is_rest: bool = False) -> str:
    """Write a share, or what is left of it."""
    if share is None:
        return "-"
    return f"{1 - share if is_rest else share:.2%}"


def _tell(step: str) -> None:
    """Log a step of the study, before it is done."""
    logger.info("study step=%r", step, extra={"words": step})
