"""The evaluation of scores against labels: the metrics behind ``noctule evaluate``.

Belongs here: which metrics a report has, and for which rows. Does not belong here: the metrics
themselves (``metrics``), scoring, or anything that changes a model. It flags by the thresholds of
the model's card (``tasks.detectors.thresholds``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.detectors.model_card import ModelCard, read_card
from tasks.detectors.thresholds import OperatingPointName, flag
from tasks.evaluation.labels import (
    CORRECT_LABELS,
    attack_name,
    expect_labels,
    find_unclear_labels,
    has_labels,
    is_attack,
    name_families,
)
from tasks.evaluation.metrics import (
    FlagMetrics,
    ProbabilityCalibration,
    average_precision,
    compute_calibration,
    compute_flag_metrics,
    roc_auc,
)
from tasks.evaluation.single_feature import FOLDS, FeatureAuc, find_best_feature
from tasks.features.row_keys import RowKeys, hash_rows, read_row_keys
from tasks.intake.label_words import ATTACK, IS_ATTACK
from tasks.ratios import ratio
from tasks.validation.summary import PartFile

KEY = "_key"
"""The column with the key of each row's features; equal rows have equal keys."""

EVERY_FAMILY = "all"
"""The family name of totals over all families."""

Points: TypeAlias = tuple[OperatingPointName, ...]


class AttackRecall(BaseModel, frozen=True):
    """The recall of some attacks."""

    family: str
    name: str | None = None
    """The attack's name; None for all attacks of the family."""
    is_seen: bool | None
    """Whether the training rows had attacks of that name; None where that is not known."""
    rows: int
    recall: dict[str, float]
    """The recall by operating point."""


class ScoreMetrics(BaseModel, frozen=True):
    """The metrics of some labelled rows."""

    rows: int
    """Labelled rows that were scored."""
    roc_auc: float | None
    """Of ``anomaly_score``; None if all rows are of one class, as ``average_precision``."""
    average_precision: float | None
    operating_points: dict[str, FlagMetrics]
    """``default``, ``low_alert`` and, of a model with a classifier, ``p50``."""
    recall_by_attack: dict[str, float]
    """The recall at ``default``; empty if the file names no attacks."""
    recall_by_family: dict[str, float]
    """The recall at ``default`` by family."""
    attacks: tuple[AttackRecall, ...] = ()
    """One for each attack, at every operating point."""
    families: tuple[AttackRecall, ...] = ()
    """Attacks the model was trained on apart from others: first over all families, then for each
    family."""
    calibration: ProbabilityCalibration | None = None
    """Of the classifier's probabilities; None from a model without one."""


class Evaluation(ScoreMetrics, frozen=True):
    """The object ``noctule evaluate --json`` prints."""

    best_feature: FeatureAuc | None = None
    """The feature with the highest ROC AUC by itself, on the rows of ``cleanest``; None if all
    rows are of one class."""
    rows_duplicated: int = 0
    """Rows with the features of an earlier row."""
    duplicate_share: float | None = None
    """Their share of the rows; None where there is no row."""
    rows_seen_in_training: int = 0
    """Rows with the features of a training row: copies that make the metrics too good."""
    without_seen: ScoreMetrics | None = None
    """All metrics without those rows; None if there are none, or if no row is left."""
    rows_unlabelled: int = 0
    """Rows without a label; not among ``rows``."""
    rows_quarantined: int = 0
    """Rows that could not be scored; not among ``rows`` either."""
    advisories: tuple[str, ...] = ()
    """What is reported of the file, such as attacks the contract does not know; a sentence each."""

    @property
    def cleanest(self) -> ScoreMetrics:
        """The metrics without copies of training rows, where any rows are left."""
        return self.without_seen or self


def evaluate_batch(
    folder: Path,
    parts: Sequence[PartFile],
    scores: Sequence[str],
    model_folder: Path,
    contract: Contract,
    card: ModelCard | None = None,
) -> Evaluation:
    """Evaluate the scores of a labelled batch.

    Ranking needs every row at once, so that memory grows with the file, by about 80 bytes a row at
    the peak: two scores, label, attack and flags, and the memory that sorting takes. (Measured once
    while building, on made-up parts of 250,000 rows: 234 MB for a million rows, 546 MB for five.)

    ``scores`` names one file a part, of the same rows in the same order; parts and scores are named
    relative to the batch's folder. The thresholds of ``card`` flag, by default those of the model.

    Returns:
        The evaluation over the rows with a label, without quarantined rows and advisories.

    Raises:
        InputRejectedError: the batch has no labels, or some that are not clear.
    """
    seen = read_row_keys(model_folder)
    every = pl.concat(
        pl.concat(
            [
                _read_labels(folder / part.path, contract),
                pl.read_parquet(folder / name, columns=["anomaly_score", "classifier_score"]),
                _find_keys(folder / part.path, contract, seen),
            ],
            how="horizontal",
        )
        for part, name in zip(parts, scores, strict=True)
    )
    if unclear := find_unclear_labels([folder / part.path for part in parts], contract):
        message = f"Cannot evaluate: {unclear} {CORRECT_LABELS}"
        raise InputRejectedError(message)
    labelled = every.drop_nulls(IS_ATTACK)
    evaluation = evaluate_scores(
        labelled,
        card or read_card(model_folder),
        contract,
        rows_unlabelled=every.height - labelled.height,
    )
    is_kept = every[IS_ATTACK].is_not_null()
    if evaluation.without_seen is not None:
        is_kept &= ~every["is_seen"]
    kept = every.filter(is_kept)
    best = find_best_feature(
        _StoredFeatures([folder / part.path for part in parts], is_kept),
        contract.features,
        kept[IS_ATTACK].to_numpy(),
        (kept[KEY].to_numpy() % FOLDS).astype(np.intp),
    )
    return compare_simply(evaluation, best, labelled.height - labelled[KEY].n_unique())


def compare_simply(
    evaluation: Evaluation, best: FeatureAuc | None, rows_duplicated: int
) -> Evaluation:
    """Add to an evaluation what its figures should be compared with."""
    share = ratio(rows_duplicated, evaluation.rows)
    added = {"best_feature": best, "rows_duplicated": rows_duplicated, "duplicate_share": share}
    return evaluation.model_copy(update=added)


def evaluate_scores(
    labelled: pl.DataFrame,
    card: ModelCard,
    contract: Contract,
    *,
    rows_unlabelled: int = 0,
) -> Evaluation:
    """Evaluate scores against labels, by the card's thresholds; see ``evaluate_flags``."""
    flags = {
        name: flag(labelled, name, card.thresholds.value(name)) for name in card.operating_points
    }
    return evaluate_flags(labelled, flags, card, contract, rows_unlabelled=rows_unlabelled)


def evaluate_flags(
    labelled: pl.DataFrame,
    flags: Mapping[OperatingPointName, pl.Series],
    card: ModelCard,
    contract: Contract,
    *,
    rows_unlabelled: int = 0,
) -> Evaluation:
    """Evaluate scores and flags against labels.

    Args:
        labelled: one row per connection: ``_is_attack``, ``_attack`` (its name, null if not
            known), ``anomaly_score``, ``classifier_score`` (null from a model without one) and,
            where that is known, ``is_seen`` (whether the model was fitted on such a row).
        flags: for each operating point, Boolean (n_rows,).
        card: gives the reported thresholds, and the attacks of the training rows.
        contract: has the families of the attacks.
        rows_unlabelled: number of further rows without a label.
    """
    flagged = labelled.with_columns(one.alias(f"flagged_{name}") for name, one in flags.items())
    is_seen = labelled["is_seen"] if "is_seen" in labelled.columns else None
    rows_seen = 0 if is_seen is None else int(is_seen.sum())
    return Evaluation(
        **dict(_compute_metrics(flagged, tuple(flags), card, contract)),
        rows_seen_in_training=rows_seen,
        without_seen=(
            _compute_metrics(flagged.filter(~is_seen), tuple(flags), card, contract)
            if is_seen is not None and 0 < rows_seen < labelled.height
            else None
        ),
        rows_unlabelled=rows_unlabelled,
    )


def _compute_metrics(
    flagged: pl.DataFrame, points: Points, card: ModelCard, contract: Contract
) -> ScoreMetrics:
    """Return the metrics of rows whose flags are in columns ``flagged_<operating point>``."""
    truth = flagged[IS_ATTACK].to_numpy()
    scores = flagged["anomaly_score"].to_numpy()
    counts = _count_attacks(flagged, points, card, contract)
    attacks = _list_recalls(counts, ["name", "family", "is_seen"], points)
    log_odds = flagged["classifier_score"]
    return ScoreMetrics(
        rows=flagged.height,
        roc_auc=roc_auc(truth, scores),
        average_precision=average_precision(truth, scores),
        operating_points={
            name: compute_flag_metrics(
                truth, flagged[f"flagged_{name}"].to_numpy(), card.thresholds.value(name)
            )
            for name in points
        },
        recall_by_attack={str(one.name): one.recall["default"] for one in attacks},
        recall_by_family={
            one.family: one.recall["default"] for one in _list_recalls(counts, ["family"], points)
        },
        attacks=attacks,
        families=(
            *_list_recalls(counts, ["is_seen"], points),
            *_list_recalls(counts, ["family", "is_seen"], points),
        ),
        calibration=(
            None
            if log_odds.null_count() == flagged.height
            else compute_calibration(truth, log_odds.to_numpy())
        ),
    )


def _count_attacks(
    flagged: pl.DataFrame, points: Points, card: ModelCard, contract: Contract
) -> pl.DataFrame:
    """Count the attacks that have a name.

    Returns:
        One row per name: ``name family is_seen rows``, and how many each operating point flags.
    """
    name = pl.col("name")
    counts = (
        flagged.filter(pl.col(IS_ATTACK) & pl.col(ATTACK).is_not_null())
        .group_by(name=pl.col(ATTACK).cast(pl.String))
        .agg(pl.len().alias("rows"), *(pl.col(f"flagged_{one}").sum().alias(one) for one in points))
    )
    families = name_families(counts["name"], contract)
    return counts.with_columns(
        family=name.replace_strict(families, return_dtype=pl.String),
        is_seen=None if card.attacks is None else name.is_in(list(card.attacks)),
    )


def _list_recalls(
    counts: pl.DataFrame, keys: Sequence[str], points: Points
) -> tuple[AttackRecall, ...]:
    """Return the recall of attacks that agree in some keys, by the keys; seen before unseen."""
    summed = counts.group_by(keys).agg(pl.col("rows", *points).sum())
    ordered = summed.sort(keys, descending=[key == "is_seen" for key in keys])
    return tuple(
        AttackRecall(
            family=one.get("family", EVERY_FAMILY),
            name=one.get("name"),
            is_seen=one.get("is_seen"),
            rows=one["rows"],
            recall={point: one[point] / one["rows"] for point in points},
        )
        for one in ordered.iter_rows(named=True)
    )


def _read_labels(part: Path, contract: Contract) -> pl.DataFrame:
    columns = pl.read_parquet_schema(part).keys()
    if not has_labels(contract, columns):
        message = (
            "Cannot evaluate: the file does not say which connections are attacks. "
            f"{expect_labels(contract)} Evaluate a labelled file, or score this one with `noctule"
            " run`."
        )
        raise InputRejectedError(message)
    return (
        pl.scan_parquet(part)
        .select(is_attack(contract, columns), attack_name(contract, columns).cast(pl.Categorical))
        .collect()
    )


def _find_keys(part: Path, contract: Contract, seen: RowKeys | None) -> pl.DataFrame:
    """Return each row's key, and whether the model was fitted on an equal row.

    There is no column ``is_seen`` where the model's keys are not known.
    """
    names = contract.feature_names if seen is None else seen.features
    keys = hash_rows(pl.read_parquet(part, columns=list(names)).select(names))
    found = pl.DataFrame({KEY: keys})
    return found if seen is None else found.with_columns(seen.match_keys(keys))


@dataclass(frozen=True)
class _StoredFeatures:
    """The features of some rows of a batch, each read when it is asked for."""

    parts: Sequence[Path]
    is_kept: pl.Series
    """Boolean (n_rows,), the rows of all parts that count."""

    def __getitem__(self, name: str) -> pl.Series:
        """Return the values of a feature."""
        return pl.read_parquet(list(self.parts), columns=[name])[name].filter(self.is_kept)
