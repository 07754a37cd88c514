"""The study as a whole: a labelled file in, a report out, to be printed, kept and drawn.

Belongs here: the order of its parts, and what the report holds. Does not belong here: how any part
works, or the page (``tasks.study.page``).
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from expectations.errors import TrainingDataError
from tasks.detectors.names import CLASSIFIER_NAMES, ClassifierName
from tasks.features.names import SELECTIONS, SelectionName
from tasks.features.selection import ColumnSubset, fit_selection
from tasks.study.comparison import ClassifierComparison, compare_classifiers
from tasks.study.embedding import Embedding, embed
from tasks.study.overview import DataOverview, describe_data
from tasks.study.reconstruction import Reconstruction, evaluate_autoencoders
from tasks.study.split import FURTHER_SEEDS, SEED, TEST_SHARE, encode_rows, split_rows
from tasks.study.unsupervised import Agreement, evaluate_unsupervised
from tasks.training.rows import TrainingRows

IMPORTANCES = 20
"""Columns whose importance is shown. A guess: one screen."""

MIN_CLASS_ROWS = 20
"""Fewest rows of each class: a fifth of them are judged, and three folds of the rest stack."""


class Importance(BaseModel):
    """A column and how much a random forest makes of it."""

    model_config = ConfigDict(frozen=True)

    column: str
    importance: float


class StudyReport(BaseModel):
    """All that a study found."""

    model_config = ConfigDict(frozen=True)

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


class StudySource(BaseModel):
    """The file that is studied."""

    model_config = ConfigDict(frozen=True)

    name: str
    content_sha256: str
    columns: tuple[str, ...]
    """What it has, labels among them."""
    rows_quarantined: int
    advisories: tuple[str, ...]
    other: tuple[str, tuple[str, ...]] | None = None
    """Name and columns of a file to compare columns with."""


def study_rows(
    rows: TrainingRows,
    contract: Contract,
    source: StudySource,
    workshop: Path,
    jobs: int,
    progress: Callable[[str], None],
    selections: Sequence[SelectionName] = SELECTIONS,
    classifiers: Sequence[ClassifierName] = CLASSIFIER_NAMES,
) -> StudyReport:
    """Repeat both works on labelled rows, and go beyond them.

    Args:
        rows: the file's labelled rows.
        contract: declares their features.
        source: what the report says of the file.
        workshop: an empty folder.
        jobs: processes that fit at once.
        progress: told what is done.
        selections: rows of the table.
        classifiers: columns of the table.

    Raises:
        TrainingDataError: a class has too few rows to be split.
    """
    require_both_classes(rows, source.name)
    clock = _Clock(progress)
    clock.begin("looking at the data")
    glance = describe_data(rows.features, rows.is_attack, contract, source.columns, source.other)
    encoded, names = encode_rows(rows.features, contract.features)
    split = split_rows(encoded, names, rows.is_attack, SEED)
    clock.begin("comparing selections and classifiers")
    comparison = compare_classifiers(
        lambda seed: split_rows(encoded, names, rows.is_attack, seed),
        workshop,
        jobs,
        progress,
        selections,
        classifiers,
    )
    clock.begin("running the unsupervised three")
    unsupervised = evaluate_unsupervised(split)
    clock.begin("training autoencoders")
    reconstructions = evaluate_autoencoders(rows.features, contract, split)
    clock.begin("ranking columns")
    ranked = fit_selection("forest", split.train, split.train_is_attack, names, SEED, IMPORTANCES)
    clock.begin("laying out a sample by t-SNE")
    embedding = embed(split.train, split.train_is_attack)
    return StudyReport(
        file_name=source.name,
        content_sha256=source.content_sha256,
        contract=contract.name,
        glance=glance,
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
        seconds=clock.end(),
    )


def require_both_classes(rows: TrainingRows, name: str) -> None:
    """Refuse rows that cannot be split.

    Raises:
        TrainingDataError: a class has too few.
    """
    attacks = int(rows.is_attack.sum())
    for kind, count in (("attack", attacks), ("normal", rows.count - attacks)):
        if count < MIN_CLASS_ROWS:
            message = (
                f"Cannot study {name}: expected at least {MIN_CLASS_ROWS} {kind} connections, got "
                f"{count} of {rows.count}. Give a file with both."
            )
            raise TrainingDataError(message)


def columns_of(parts: Sequence[Path]) -> tuple[str, ...]:
    """List the columns of accepted parts but those that ingest adds."""
    names = pl.read_parquet_schema(parts[0]).keys()
    return tuple(name for name in names if name not in {"row_number", "line_number"})


class _Clock:
    """Tells what is begun, and how long each part took."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._current: tuple[str, float] | None = None

    def begin(self, name: str) -> None:
        self.end()
        self._current = (name, time.perf_counter())
        self._progress(name)

    def end(self) -> dict[str, float]:
        if self._current is not None:
            name, began = self._current
            self._seconds[name] = float(np.round(time.perf_counter() - began, 2))
            self._current = None
        return self._seconds
