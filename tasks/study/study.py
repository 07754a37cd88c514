"""The study as a whole: labelled rows in, a report out.

Belongs here: the order of its parts, and what the report holds. Does not belong here: how a part
works, or the page (``page``).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import TrainingDataError
from tasks.detectors.names import CLASSIFIER_NAMES, ClassifierName
from tasks.features.names import SELECTIONS, SelectionName
from tasks.features.selection import ColumnSubset, fit_selection
from tasks.study.comparison import compare_classifiers
from tasks.study.overview import DataOverview, Embedding, describe_data, embed
from tasks.study.reconstruction import Reconstruction, evaluate_autoencoders
from tasks.study.results import ClassifierComparison
from tasks.study.split import FURTHER_SEEDS, SEED, TEST_SHARE, encode_rows, split_rows
from tasks.study.unsupervised import Agreement, evaluate_unsupervised
from tasks.training.rows import TrainingRows
from tasks.training.steps import StepTimer

IMPORTANCES = 20
"""Columns whose importance is reported. A guess: one screen."""

MIN_CLASS_ROWS = 20
"""Fewest rows of each class: a fifth of them are test rows, and stacking needs three folds."""


class Importance(BaseModel, frozen=True):
    """A column and its importance to a random forest."""

    column: str
    importance: float


class StudyReport(BaseModel, frozen=True):
    """All results of a study."""

    file_name: str
    content_sha256: str
    contract: str
    seed: int = SEED
    further_seeds: tuple[int, ...] = FURTHER_SEEDS
    test_share: float = TEST_SHARE
    glance: DataOverview
    comparison: ClassifierComparison
    unsupervised: tuple[Agreement, ...]
    reconstructions: tuple[Reconstruction, ...]
    importances: tuple[Importance, ...]
    embedding: Embedding
    rows_quarantined: int
    advisories: tuple[str, ...]
    seconds: dict[str, float]
    """Wall time of each part."""


class StudySource(BaseModel, frozen=True):
    """The file that is studied."""

    name: str
    content_sha256: str
    columns: tuple[str, ...]
    """The columns of the file, labels included."""
    rows_quarantined: int
    advisories: tuple[str, ...]
    other: tuple[str, tuple[str, ...]] | None = None
    """Name and columns of a file to compare columns with."""


def study_rows(
    rows: TrainingRows,
    contract: Contract,
    source: StudySource,
    work_folder: Path,
    jobs: int,
    progress: Callable[[str], None],
    selections: Sequence[SelectionName] = SELECTIONS,
    classifiers: Sequence[ClassifierName] = CLASSIFIER_NAMES,
) -> StudyReport:
    """Repeat both works on labelled rows, with further classifiers and splits.

    ``work_folder`` is an empty folder; ``jobs`` processes fit at once.

    Raises:
        TrainingDataError: a class has too few rows.
    """
    require_both_classes(rows, source.name)
    steps = StepTimer(progress)
    steps.begin("looking at the data")
    overview = describe_data(rows.features, rows.is_attack, contract, source.columns, source.other)
    encoded, names = encode_rows(rows.features, contract.features)
    split = split_rows(encoded, names, rows.is_attack, SEED)
    steps.begin("comparing selections and classifiers")
    comparison = compare_classifiers(
        lambda seed: split_rows(encoded, names, rows.is_attack, seed),
        work_folder,
        jobs,
        progress,
        selections,
        classifiers,
    )
    steps.begin("running the unsupervised three")
    unsupervised = evaluate_unsupervised(split)
    steps.begin("training autoencoders")
    reconstructions = evaluate_autoencoders(rows.features, contract, split)
    steps.begin("ranking columns")
    ranked = fit_selection("forest", split.train, split.train_is_attack, names, SEED, IMPORTANCES)
    steps.begin("laying out a sample by t-SNE")
    embedding = embed(split.train, split.train_is_attack)
    return StudyReport(
        file_name=source.name,
        content_sha256=source.content_sha256,
        contract=contract.name,
        glance=overview,
        comparison=comparison,
        unsupervised=unsupervised,
        reconstructions=reconstructions,
        importances=tuple(
            Importance(column=name, importance=value)
            for name, value in zip(
                ranked.names,
                ranked.importances if isinstance(ranked, ColumnSubset) else (),
                strict=True,
            )
        ),
        embedding=embedding,
        rows_quarantined=source.rows_quarantined,
        advisories=source.advisories,
        seconds={name: round(seconds, 2) for name, seconds in steps.end().items()},
    )


def require_both_classes(rows: TrainingRows, name: str) -> None:
    """Refuse rows that cannot be split.

    Raises:
        TrainingDataError: a class has too few rows.
    """
    attacks = int(rows.is_attack.sum())
    for label, count in (("attack", attacks), ("normal", rows.count - attacks)):
        if count < MIN_CLASS_ROWS:
            message = (
                f"Cannot study {name}: expected at least {MIN_CLASS_ROWS} {label} connections, got "
                f"{count} of {rows.count}. Give a file with both."
            )
            raise TrainingDataError(message)
