"""Every classifier on every selection of one split, and the best of them on five further splits.

Belongs here: fitting and evaluating the cells of the table, in several processes. Does not belong
here: the split (``split``), what a result holds (``results``), or any choice for a night.

One split can mislead: from split to split of one file a forest differs by a dozen errors of five
thousand. So the first split only chooses finalists. The further splits, whose seeds were fixed
before, decide, and cells are compared split by split.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from expectations.errors import ServiceUnavailableError
from tasks.detectors.names import ClassifierName
from tasks.detectors.registry import CLASSIFIERS, fit_classifier
from tasks.evaluation.metrics import roc_auc
from tasks.features.names import SelectionName
from tasks.features.selection import fit_selection
from tasks.study.results import (
    CellName,
    ClassifierComparison,
    ClassifierResult,
    RepeatedResult,
    report_flags,
    trace_precision,
    trace_roc,
)
from tasks.study.split import FURTHER_SEEDS, SEED, Split

REFERENCE: CellName = ("forest", "random_forest")
"""The best cell of the first work, which all others are compared with."""

NOTEBOOK_CELLS: tuple[CellName, ...] = tuple(
    (selection, classifier)
    for classifier in ("random_forest", "neural_network")
    for selection in ("forest", "pca", "autoencoder")
)
"""The cells of the first work."""

FINALISTS = 3
"""Other cells of the first split that are repeated on the further splits."""


@dataclass(frozen=True)
class SelectionFiles:
    """Files of a split's selected columns, which processes share."""

    folder: Path
    seed: int
    selection: SelectionName

    def save(self, part: str, values: npt.NDArray[np.generic]) -> None:
        """Write an array: ``train`` or ``test``, or with ``none`` the labels and column names."""
        np.save(self._path(part), values)

    def load(self, part: str) -> Any:  # noqa: ANN401 - an array of the type that was saved
        """Read an array that ``save`` wrote."""
        return np.load(self._path(part))

    @property
    def of_split(self) -> "SelectionFiles":
        """The files of all columns of the split, and of its labels and column names."""
        return replace(self, selection="none")

    def _path(self, part: str) -> Path:
        return self.folder / f"{self.seed}-{self.selection}-{part}.npy"


def compare_classifiers(
    make_split: Callable[[int], Split],
    work_folder: Path,
    jobs: int,
    progress: Callable[[str], None],
    selections: Sequence[SelectionName],
    classifiers: Sequence[ClassifierName],
) -> ClassifierComparison:
    """Fit and evaluate every cell, in ``jobs`` processes, each of which fits on one thread.

    The cells come in the order of the names. Three finalists of the first split, and the cells of
    the first work, are evaluated on the further splits, which had no part in the choice.
    ``make_split`` makes a split of a seed; ``work_folder`` is empty.
    """
    with _workers(jobs) as pool:
        progress("selecting columns of the first split")
        wanted = [(selection, name) for selection in selections for name in classifiers]
        found, failed = _evaluate(pool, make_split(SEED), work_folder, wanted, progress)
        cells = tuple(found[cell] for cell in wanted if cell in found)
        finalists = choose_finalists(cells)
        again = [cell for cell in NOTEBOOK_CELLS if cell in found]
        again += [cell for cell in finalists if cell not in again]
        splits: list[dict[CellName, ClassifierResult]] = []
        for number, seed in enumerate(FURTHER_SEEDS, start=1):
            progress(f"further split {number} of {len(FURTHER_SEEDS)}")
            results, more = _evaluate(pool, make_split(seed), work_folder, again, progress)
            failed |= more
            splits.append(results)
    reference = [one[REFERENCE].test.accuracy if REFERENCE in one else np.nan for one in splits]
    repeated = [
        _summarise(
            cell,
            [one[cell].test.accuracy for one in splits],
            [one[cell].test.false_positive_rate for one in splits],
            reference,
            is_finalist=cell in finalists,
        )
        for cell in again
        if all(cell in one for one in splits)
    ]
    return ClassifierComparison(
        cells=cells,
        repeated=tuple(sorted(repeated, key=lambda one: -one.mean)),
        failed=failed,
    )


def choose_finalists(cells: Sequence[ClassifierResult]) -> list[CellName]:
    """Return the most accurate cells of the first split that are not the first work's.

    Of equals, the one with the higher ROC AUC comes first, then the first by name.
    """
    order = sorted(
        cells,
        key=lambda cell: (
            -cell.test.accuracy, -(cell.roc_auc or 0), cell.selection, cell.classifier,
        ),
    )  # fmt: skip
    names = [(cell.selection, cell.classifier) for cell in order]
    return [name for name in names if name not in NOTEBOOK_CELLS][:FINALISTS]


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes by spawn: the fork of a process with threads or JAX may hang.

    Raises:
        ServiceUnavailableError: one of them was killed.
    """
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield pool
    except BrokenProcessPool:
        message = (
            "Cannot finish the study: a process that fits was killed, perhaps because memory ran"
            " out. Study again with a lower --jobs; nothing was written."
        )
        raise ServiceUnavailableError(message) from None


def _evaluate(
    pool: ProcessPoolExecutor,
    split: Split,
    work_folder: Path,
    wanted: Sequence[CellName],
    progress: Callable[[str], None],
) -> tuple[dict[CellName, ClassifierResult], dict[str, str]]:
    """Evaluate some cells on one split; return the reasons of those that cannot be fitted."""
    of_split = SelectionFiles(work_folder, split.seed, "none")
    of_split.save("train", split.train)
    of_split.save("test", split.test)
    of_split.save("train-is_attack", split.train_is_attack)
    of_split.save("test-is_attack", split.test_is_attack)
    of_split.save("names", np.array(split.names))
    files = {selection: replace(of_split, selection=selection) for selection, _ in wanted}
    failed: dict[str, str] = {}
    written = {
        selection: pool.submit(write_selection, of_selection)
        for selection, of_selection in files.items()
        if selection != "none"
    }
    for selection, future in written.items():
        if error := future.exception():
            failed |= {f"{one}/{name}": str(error) for one, name in wanted if one == selection}
    running = {
        (selection, name): pool.submit(evaluate_classifier, files[selection], name)
        for selection, name in wanted
        if f"{selection}/{name}" not in failed
    }
    found = {}
    for number, (cell, fitting) in enumerate(running.items(), start=1):
        progress(f"split {split.seed}: {' with '.join(cell[::-1])}, {number} of {len(running)}")
        if error := fitting.exception():
            failed["/".join(cell)] = str(error)
        else:
            found[cell] = fitting.result()
    for path in work_folder.glob(f"{split.seed}-*.npy"):
        path.unlink()
    return found, failed


def write_selection(files: SelectionFiles) -> None:
    """Fit a selection on the training part of a split, and write its columns of both parts."""
    split = files.of_split
    names = [str(name) for name in split.load("names")]
    is_attack = split.load("train-is_attack")
    selection = fit_selection(files.selection, split.load("train"), is_attack, names, SEED)
    for part in ("train", "test"):
        files.save(part, selection.transform(split.load(part)))


def evaluate_classifier(files: SelectionFiles, classifier: ClassifierName) -> ClassifierResult:
    """Fit a classifier on the training part, and evaluate it at even odds on both parts."""
    train, test = files.load("train"), files.load("test")
    train_truth, test_truth = (
        files.of_split.load(f"{part}-is_attack") for part in ("train", "test")
    )
    began = time.perf_counter()
    detector = fit_classifier(CLASSIFIERS[classifier].options(), train, train_truth, SEED)  # type: ignore[arg-type]  # of one of the kinds
    fit_s = time.perf_counter() - began
    log_odds = detector.anomaly_scores(test)
    return ClassifierResult(
        selection=files.selection,
        classifier=classifier,
        columns=train.shape[1],
        train=report_flags(train_truth, detector.anomaly_scores(train) > 0),
        test=report_flags(test_truth, log_odds > 0),
        roc_auc=roc_auc(test_truth, log_odds),
        roc=trace_roc(test_truth, log_odds),
        precision_recall=trace_precision(test_truth, log_odds),
        fit_s=fit_s,
    )


def _summarise(
    cell: CellName,
    accuracies: Sequence[float],
    false_positive_rates: Sequence[float],
    reference: Sequence[float],
    *,
    is_finalist: bool,
) -> RepeatedResult:
    gains = [one - other for one, other in zip(accuracies, reference, strict=True)]
    is_known = not np.isnan(gains).any()
    return RepeatedResult(
        selection=cell[0],
        classifier=cell[1],
        is_finalist=is_finalist,
        accuracies=tuple(accuracies),
        false_positive_rate=mean(false_positive_rates),
        mean=mean(accuracies),
        sd=stdev(accuracies),
        gain_mean=mean(gains) if is_known else None,
        gain_sd=stdev(gains) if is_known else None,
        splits_better=sum(gain > 0 for gain in gains),
    )
