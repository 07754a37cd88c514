"""The results of a study's classifiers: reports by class, curves, and the table of all of them.

Belongs here: what a result holds, the report of flags, and the points of a curve. Does not belong
here: fitting the classifiers (``comparison``), or what the page shows (``page``).
"""

from typing import TypeAlias

import numpy as np
from pydantic import BaseModel

from tasks.arrays import Floats, Mask
from tasks.detectors.names import ClassifierName
from tasks.features.names import SelectionName

CellName: TypeAlias = tuple[SelectionName, ClassifierName]
"""A cell of the table: a selection, and a classifier that reads what it gives."""

CURVE_POINTS = 200
"""Points of a curve that is drawn. A guess: more make no visible difference."""


class Curve(BaseModel, frozen=True):
    """Some points of a curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ClassScores(BaseModel, frozen=True):
    """How well one class is distinguished from the other. An undefined figure is None."""

    precision: float | None
    recall: float | None
    f1: float | None
    rows: int


class ClassificationReport(BaseModel, frozen=True):
    """How well some flags agree with the labels."""

    accuracy: float
    attack: ClassScores
    normal: ClassScores
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """Rows by their label (normal, attack), then by their flag."""

    @property
    def false_positive_rate(self) -> float:
        """The share of normal rows that are flagged; NaN without any normal row."""
        tn, fp = self.confusion[0]
        return fp / (tn + fp) if tn + fp else float("nan")


class ClassifierResult(BaseModel, frozen=True):
    """One classifier on one selection of the first split."""

    selection: SelectionName
    classifier: ClassifierName
    columns: int
    """Number of columns that it reads."""
    train: ClassificationReport
    test: ClassificationReport
    roc_auc: float | None
    roc: Curve
    """False-positive rate and recall, on the test part."""
    precision_recall: Curve
    """Recall and precision, on the test part."""
    fit_s: float
    """Wall time of the classifier's fit, without the selection's."""


class RepeatedResult(BaseModel, frozen=True):
    """One classifier on one selection of the further splits."""

    selection: SelectionName
    classifier: ClassifierName
    is_finalist: bool
    accuracies: tuple[float, ...]
    """Accuracy on the test part of each split."""
    false_positive_rate: float
    """The mean over the test parts."""
    mean: float
    sd: float
    gain_mean: float | None
    """Accuracy less that of the reference cell on the same split; None if the reference could not
    be fitted on each split."""
    gain_sd: float | None
    splits_better: int
    """Splits on which it is more accurate than the reference cell."""


class ClassifierComparison(BaseModel, frozen=True):
    """All cells on the first split, and some of them on the further splits."""

    cells: tuple[ClassifierResult, ...]
    repeated: tuple[RepeatedResult, ...]
    """Results sorted by mean accuracy, the highest first."""
    failed: dict[str, str] = {}
    """Cells that could not be fitted, ``selection/classifier`` -> why."""


def report_flags(truth: Mask, flags: Mask) -> ClassificationReport:
    """Compare flags with labels, which are true for attacks; both are (n_rows,)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = [False, True]
    (tn, fp), (fn, tp) = confusion_matrix(truth, flags, labels=classes).tolist()
    scores = precision_recall_fscore_support(truth, flags, labels=classes, zero_division=np.nan)
    normal, attack = (
        ClassScores(
            **{
                name: None if np.isnan(value) else float(value)
                for name, value in zip(("precision", "recall", "f1"), shares, strict=True)
            },
            rows=int(rows),
        )
        for *shares, rows in zip(*scores, strict=True)
    )
    return ClassificationReport(
        accuracy=(tp + tn) / len(truth),
        attack=attack,
        normal=normal,
        confusion=((tn, fp), (fn, tp)),
    )


def trace_roc(truth: Mask, scores: Floats) -> Curve:
    """Return recall over the false-positive rate, by falling threshold."""
    from sklearn.metrics import roc_curve

    false_positive_rate, recall, _ = roc_curve(truth, scores, drop_intermediate=False)
    return _thin(false_positive_rate, recall)


def trace_precision(truth: Mask, scores: Floats) -> Curve:
    """Return precision over recall, by falling threshold."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, scores)
    return _thin(recall[::-1], precision[::-1])


def _thin(x: Floats, y: Floats) -> Curve:
    """Keep evenly spaced points, both ends among them, so that the curve looks the same."""
    at = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(np.intp))
    return Curve(x=tuple(x[at].round(5).tolist()), y=tuple(y[at].round(5).tolist()))
