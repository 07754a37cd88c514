"""Every selection with every classifier, on one split and, for those that matter, on five more.

Belongs here: fitting and judging the cells of the table. Does not belong here: the split
(``tasks.study.split``), what the user sees of it, or any choice for a night.

One split flatters: between splits of one file a forest moves by a dozen errors of five thousand.
So the first split only proposes; the further ones, whose seeds were fixed before, decide, and
differences are taken split by split.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from pydantic import BaseModel, ConfigDict

from expectations.errors import ServiceUnavailableError
from tasks.arrays import Floats, Mask
from tasks.detectors.names import CLASSIFIER_NAMES, ClassifierName
from tasks.detectors.registry import CLASSIFIERS, fit_classifier
from tasks.evaluation.metrics import roc_auc
from tasks.features.names import SELECTIONS, SelectionName
from tasks.features.selection import fit_selection
from tasks.ratios import ratio
from tasks.study.curves import Curve, trace_precision, trace_roc
from tasks.study.split import FURTHER_SEEDS, SEED, Split

REFERENCE: tuple[SelectionName, ClassifierName] = ("forest", "random_forest")
"""The first work's best cell, which all others are compared with."""

NOTEBOOK_CELLS: tuple[tuple[SelectionName, ClassifierName], ...] = tuple(
    (selection, classifier)
    for classifier in ("random_forest", "neural_network")
    for selection in ("forest", "pca", "autoencoder")
)
"""What the first work had itself."""

FINALISTS = 3
"""Cells of the first split that are tried on the further ones beside the notebook's."""


class ClassScores(BaseModel):
    """How well one class is told from the other. A figure is None where there is none to divide."""

    model_config = ConfigDict(frozen=True)

    precision: float | None
    recall: float | None
    f1: float | None
    rows: int


class ClassificationReport(BaseModel):
    """What a classifier makes of some rows, cut at even odds."""

    model_config = ConfigDict(frozen=True)

    accuracy: float
    anomaly: ClassScores
    normal: ClassScores
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """Rows by what they are (normal, anomaly) and by what they are taken for."""

    @property
    def false_positive_rate(self) -> float:
        """The share of normal rows that are taken for anomalies; NaN without any."""
        rests, alarms = self.confusion[0]
        return alarms / (rests + alarms) if rests + alarms else float("nan")


class ClassifierResult(BaseModel):
    """One classifier on one selection of the first split."""

    model_config = ConfigDict(frozen=True)

    selection: SelectionName
    classifier: ClassifierName
    columns: int
    """That it reads."""
    train: ClassificationReport
    test: ClassificationReport
    roc_auc: float | None
    roc: Curve
    """False-positive rate and recall, on the test part."""
    precision_recall: Curve
    """Recall and precision, likewise."""
    fit_s: float
    """Wall time of the classifier's fit, without the selection's."""


class RepeatedResult(BaseModel):
    """One classifier on one selection of the further splits."""

    model_config = ConfigDict(frozen=True)

    selection: SelectionName
    classifier: ClassifierName
    is_finalist: bool
    accuracies: tuple[float, ...]
    """Of the test part, a split each."""
    false_positive_rate: float
    """The mean of the splits' test parts."""
    mean: float
    sd: float
    gain_mean: float | None
    """Accuracy above that of the first work's best cell on the same split; None if that cell could
    not be fitted on each."""
    gain_sd: float | None
    splits_better: int
    """On which it is more accurate than that cell."""


class ClassifierComparison(BaseModel):
    """The table, and what the further splits say."""

    model_config = ConfigDict(frozen=True)

    cells: tuple[ClassifierResult, ...]
    repeated: tuple[RepeatedResult, ...]
    """By mean accuracy, the highest first."""
    failed: dict[str, str] = {}
    """Cells that could not be fitted, ``selection/classifier``, and why."""


@dataclass(frozen=True)
class SelectionFiles:
    """Where the selected columns of a split lie, for processes to map into memory."""

    folder: Path
    seed: int
    selection: SelectionName

    @property
    def stem(self) -> str:
        """Of the files' names."""
        return f"{self.seed}-{self.selection}"


def compare_classifiers(
    make_split: Callable[[int], Split],
    workshop: Path,
    jobs: int,
    progress: Callable[[str], None],
    selections: Sequence[SelectionName] = SELECTIONS,
    classifiers: Sequence[ClassifierName] = CLASSIFIER_NAMES,
) -> ClassifierComparison:
    """Fit and judge every cell.

    Args:
        make_split: from a seed to a split.
        workshop: an empty folder.
        jobs: processes, each of which fits on one thread.
        progress: told what is done.
        selections: rows of the table.
        classifiers: columns of the table.

    Returns:
        The cells in the order of the names. Three finalists of the first split, and the first
        work's cells, are judged on the further splits, none of which had a part in the choice.
    """
    with _workers(jobs) as pool:
        progress("selecting columns of the first split")
        wanted = [(selection, name) for selection in selections for name in classifiers]
        found, failed = _judge(pool, make_split(SEED), workshop, wanted, progress)
        cells = tuple(found[cell] for cell in wanted if cell in found)
        finalists = choose_finalists(cells)
        again = [cell for cell in NOTEBOOK_CELLS if cell in found]
        again += [cell for cell in finalists if cell not in again]
        accuracies: dict[tuple[SelectionName, ClassifierName], list[float]] = {
            cell: [] for cell in again
        }
        alarms: dict[tuple[SelectionName, ClassifierName], list[float]] = {
            cell: [] for cell in again
        }
        for number, seed in enumerate(FURTHER_SEEDS, start=1):
            progress(f"further split {number} of {len(FURTHER_SEEDS)}")
            judged, more = _judge(pool, make_split(seed), workshop, again, progress)
            failed |= more
            for cell in again:
                test = judged[cell].test if cell in judged else None
                accuracies[cell].append(np.nan if test is None else test.accuracy)
                alarms[cell].append(np.nan if test is None else test.false_positive_rate)
    reference = accuracies.get(REFERENCE, [np.nan] * len(FURTHER_SEEDS))
    repeated = [
        _summarise(cell, values, alarms[cell], reference, is_finalist=cell in finalists)
        for cell, values in accuracies.items()
        if not np.isnan(values).any()
    ]
    return ClassifierComparison(
        cells=cells,
        repeated=tuple(sorted(repeated, key=lambda one: -one.mean)),
        failed=failed,
    )


def choose_finalists(
    cells: Sequence[ClassifierResult],
) -> list[tuple[SelectionName, ClassifierName]]:
    """Name the most accurate cells of the first split that are not the first work's own.

    Of equals, those that rank better, then the first by name.
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
    """Start processes of their own: a fork of one with threads or with JAX in it may hang.

    Raises:
        ServiceUnavailableError: one of them was killed.
    """
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield pool
    except BrokenProcessPool:
        message = (
            "Cannot finish the study: a process that fits was killed, perhaps for want of memory."
            " Study again with a lower --jobs; nothing was written."
        )
        raise ServiceUnavailableError(message) from None


def _judge(
    pool: ProcessPoolExecutor,
    split: Split,
    workshop: Path,
    wanted: Sequence[tuple[SelectionName, ClassifierName]],
    progress: Callable[[str], None],
) -> tuple[dict[tuple[SelectionName, ClassifierName], ClassifierResult], dict[str, str]]:
    """Judge some cells on one split; say of those that cannot be fitted why."""
    whole = SelectionFiles(workshop, split.seed, "none")
    _write(whole, split)
    np.save(workshop / f"{split.seed}-names.npy", np.array(split.names))
    selections = dict.fromkeys(selection for selection, _ in wanted)
    failed: dict[str, str] = {}
    made = {
        selection: pool.submit(write_selection, SelectionFiles(workshop, split.seed, selection))
        for selection in selections
        if selection != "none"
    }
    for selection, future in made.items():
        if error := future.exception():
            failed |= {f"{one}/{name}": str(error) for one, name in wanted if one == selection}
    running = {
        (selection, name): pool.submit(
            evaluate_classifier, SelectionFiles(workshop, split.seed, selection), name
        )
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
    for path in workshop.glob(f"{split.seed}-*.npy"):
        path.unlink()
    return found, failed


def _write(inputs: SelectionFiles, split: Split) -> None:
    for part, matrix in (("train", split.train), ("test", split.test)):
        np.save(inputs.folder / f"{inputs.stem}-{part}.npy", matrix)
    np.save(inputs.folder / f"{inputs.seed}-train-is_attack.npy", split.train_is_attack)
    np.save(inputs.folder / f"{inputs.seed}-test-is_attack.npy", split.test_is_attack)


def write_selection(inputs: SelectionFiles) -> None:
    """Fit a selection on the training part of a split and write what it makes of both parts."""
    folder, seed = inputs.folder, inputs.seed
    train = np.load(folder / f"{seed}-none-train.npy")
    is_attack = np.load(folder / f"{seed}-train-is_attack.npy")
    names = [str(name) for name in np.load(folder / f"{seed}-names.npy")]
    selection = fit_selection(inputs.selection, train, is_attack, names, SEED)
    np.save(folder / f"{inputs.stem}-train.npy", selection.transform(train))
    test = np.load(folder / f"{seed}-none-test.npy")
    np.save(folder / f"{inputs.stem}-test.npy", selection.transform(test))


def evaluate_classifier(inputs: SelectionFiles, classifier: ClassifierName) -> ClassifierResult:
    """Fit a classifier on the training part and judge it on both."""
    folder, seed = inputs.folder, inputs.seed
    train = np.load(folder / f"{inputs.stem}-train.npy")
    test = np.load(folder / f"{inputs.stem}-test.npy")
    train_truth = np.load(folder / f"{seed}-train-is_attack.npy")
    test_truth = np.load(folder / f"{seed}-test-is_attack.npy")
    began = time.perf_counter()
    detector = fit_classifier(CLASSIFIERS[classifier].options(), train, train_truth, SEED)  # type: ignore[arg-type]  # of one of the kinds
    fit_s = time.perf_counter() - began
    scores = detector.anomaly_scores(test)
    return ClassifierResult(
        selection=inputs.selection,
        classifier=classifier,
        columns=train.shape[1],
        train=report_log_odds(train_truth, detector.anomaly_scores(train)),
        test=report_log_odds(test_truth, scores),
        roc_auc=roc_auc(test_truth, scores),
        roc=trace_roc(test_truth, scores),
        precision_recall=trace_precision(test_truth, scores),
        fit_s=fit_s,
    )


def report_log_odds(truth: Mask, odds: Floats) -> ClassificationReport:
    """Judge log-odds, cut at even ones."""
    return report_flags(truth, odds > 0)


def report_flags(truth: Mask, flags: Mask) -> ClassificationReport:
    """Judge which rows are taken for anomalies."""
    counts = [[int(((truth == is_) & (flags == as_)).sum()) for as_ in (0, 1)] for is_ in (0, 1)]
    (rests, alarms), (misses, hits) = counts
    return ClassificationReport(
        accuracy=(hits + rests) / len(truth),
        anomaly=_score_class(hits, alarms, misses),
        normal=_score_class(rests, misses, alarms),
        confusion=((rests, alarms), (misses, hits)),
    )


def _score_class(right: int, wrongly_in: int, wrongly_out: int) -> ClassScores:
    return ClassScores(
        precision=ratio(right, right + wrongly_in),
        recall=ratio(right, right + wrongly_out),
        f1=ratio(2 * right, 2 * right + wrongly_in + wrongly_out),
        rows=right + wrongly_out,
    )


def _summarise(
    cell: tuple[SelectionName, ClassifierName],
    accuracies: Sequence[float],
    alarms: Sequence[float],
    reference: Sequence[float],
    *,
    is_finalist: bool,
) -> RepeatedResult:
    gains = [one - other for one, other in zip(accuracies, reference, strict=True)]
    return RepeatedResult(
        selection=cell[0],
        classifier=cell[1],
        is_finalist=is_finalist,
        accuracies=tuple(accuracies),
        false_positive_rate=mean(alarms),
        mean=mean(accuracies),
        sd=stdev(accuracies),
        gain_mean=None if np.isnan(gains).any() else mean(gains),
        gain_sd=None if np.isnan(gains).any() else stdev(gains),
        splits_better=sum(gain > 0 for gain in gains),
    )
