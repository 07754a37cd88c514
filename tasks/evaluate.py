"""How good scores are, where labels are known: the figures behind ``noctule evaluate``.

Belongs here: metrics from scores and labels. Does not belong here: scoring, or anything that
changes a model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.detectors.hybrid import OPERATING_POINTS, ModelCard, OperatingPointName, flag, read_card
from tasks.encode import Floats, Mask
from tasks.labels import attack_name, family_of, find_unclear_labels, has_labels, is_attack
from tasks.ratios import ratio

if TYPE_CHECKING:
    from tasks.validate import PartFile


class OperatingPoint(BaseModel):
    """What one threshold does. A figure is None where it is not defined: no row to divide by."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    """Of ``anomaly_score``; for ``p50``, of the classifier's log-odds."""
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    false_positive_rate: float | None
    flag_rate: float | None
    """Share of all rows that are flagged."""


class Evaluation(BaseModel):
    """The object ``noctule evaluate --json`` prints."""

    model_config = ConfigDict(frozen=True)

    rows: int
    """Labelled rows that were scored."""
    roc_auc: float | None
    """Of ``anomaly_score``; None if all rows are of one class, as ``average_precision``."""
    average_precision: float | None
    operating_points: dict[str, OperatingPoint]
    """``default``, ``low_alert`` and ``p50``."""
    recall_by_attack: dict[str, float]
    """At ``default``; empty where the file names no attacks."""
    recall_by_family: dict[str, float]
    """Likewise."""
    rows_unlabelled: int = 0
    """Rows that could not be judged, for want of a label; not among ``rows``."""
    rows_quarantined: int = 0
    """Rows that could not be scored; not among ``rows`` either."""
    advisories: tuple[str, ...] = ()
    """What is reported of the file, such as attacks the contract does not know; a sentence each."""


def evaluate_batch(
    folder: Path,
    parts: Sequence["PartFile"],
    scores: Sequence[str],
    model_folder: Path,
    contract: Contract,
) -> Evaluation:
    """Judge the scores of a labelled batch.

    Ranking needs every row at once, so memory grows with the file, by about 80 bytes a row at the
    peak: two scores, label, attack and flags, and what sorting takes. (Measured once while
    building, on made-up parts of 250,000 rows: 234 MB for a million rows, 546 MB for five.)

    Args:
        folder: the batch's folder; parts and scores are named relative to it.
        parts: the accepted rows, with their labels.
        scores: the scores, one file a part, of the same rows in the same order.
        model_folder: of the model that scored them; its thresholds are read.
        contract: names the label, attack and families.

    Returns:
        The evaluation over the rows that have a label. Of quarantined rows and of advisories it
        knows nothing.

    Raises:
        InputRejectedError: the batch has no labels, or some that are not clear.
    """
    every = pl.concat(
        [
            pl.concat(
                [_read_labels(folder / part.path, contract), _read_scores(folder / name)],
                how="horizontal",
            )
            for part, name in zip(parts, scores, strict=True)
        ]
    )
    if unclear := find_unclear_labels([folder / part.path for part in parts], contract):
        message = f"Cannot evaluate: {unclear}"
        raise InputRejectedError(message)
    judged = every.drop_nulls("is_attack")
    return evaluate_scores(
        judged,
        read_card(model_folder),
        contract.families or {},
        rows_unlabelled=every.height - judged.height,
    )


def evaluate_scores(
    judged: pl.DataFrame, card: ModelCard, families: Mapping[str, str], *, rows_unlabelled: int = 0
) -> Evaluation:
    """Judge scores against labels, flagged by the model's own thresholds.

    Args:
        judged: one row per connection: ``is_attack``, ``attack`` (its name, null if not known),
            ``anomaly_score`` and ``classifier_score``.
        card: of the model that scored; its thresholds are judged.
        families: attack name to family.
        rows_unlabelled: how many more rows there are, without a label.

    Returns:
        The evaluation.
    """
    flags = {name: flag(judged, name, card.threshold(name)) for name in OPERATING_POINTS}
    return evaluate_flags(judged, flags, card, families, rows_unlabelled=rows_unlabelled)


def evaluate_flags(
    judged: pl.DataFrame,
    flags: Mapping[OperatingPointName, pl.Series],
    card: ModelCard,
    families: Mapping[str, str],
    *,
    rows_unlabelled: int = 0,
) -> Evaluation:
    """Judge scores and flags against labels.

    Args:
        judged: one row per connection: ``is_attack``, ``attack`` (its name, null if not known) and
            ``anomaly_score``.
        flags: for each operating point, Boolean (n_rows,).
        card: its thresholds are reported.
        families: attack name to family.
        rows_unlabelled: how many more rows there are, without a label.

    Returns:
        The evaluation.
    """
    truth = judged["is_attack"].to_numpy()
    scores = judged["anomaly_score"].to_numpy()
    by_attack = _count_by_attack(judged, flags["default"])
    by_family = (
        by_attack.with_columns(
            name=pl.Series(
                [family_of(attack, families) for attack in by_attack["name"]], dtype=pl.String
            )
        )
        .group_by("name")
        .sum()
    )
    return Evaluation(
        rows=judged.height,
        roc_auc=roc_auc(truth, scores),
        average_precision=average_precision(truth, scores),
        operating_points={
            name: _judge_flags(truth, flags[name], card.threshold(name))
            for name in OPERATING_POINTS
        },
        recall_by_attack=_recalls(by_attack),
        recall_by_family=_recalls(by_family),
        rows_unlabelled=rows_unlabelled,
    )


def roc_auc(truth: Mask, scores: Floats) -> float | None:
    """Return the probability that an attack outscores a normal connection, ties counting half.

    Source: Hanley & McNeil 1982: the Mann-Whitney statistic of average ranks.
    """
    attacks, normals = int(truth.sum()), int((~truth).sum())
    if not attacks or not normals:
        return None
    ranks = pl.Series(scores).rank("average").to_numpy()
    above = float(ranks[truth].sum()) - attacks * (attacks + 1) / 2
    return above / (attacks * normals)


def average_precision(truth: Mask, scores: Floats) -> float | None:
    """Return the mean of precision over recall, a step for each distinct score."""
    attacks = int(truth.sum())
    if not attacks or attacks == len(truth):
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, [True])
    found = np.cumsum(truth[order])[last_of_tie]
    flagged = np.flatnonzero(last_of_tie) + 1
    gained = np.diff(found, prepend=0)
    return float((gained * (found / flagged)).sum() / attacks)


def _judge_flags(truth: Mask, is_flagged: pl.Series, threshold: float) -> OperatingPoint:
    flagged = is_flagged.to_numpy()
    hits, alarms = int((flagged & truth).sum()), int((flagged & ~truth).sum())
    misses, rests = int((~flagged & truth).sum()), int((~flagged & ~truth).sum())
    return OperatingPoint(
        threshold=threshold,
        accuracy=ratio(hits + rests, len(truth)),
        precision=ratio(hits, hits + alarms),
        recall=ratio(hits, hits + misses),
        f1=ratio(2 * hits, 2 * hits + alarms + misses),
        false_positive_rate=ratio(alarms, alarms + rests),
        flag_rate=ratio(hits + alarms, len(truth)),
    )


def _count_by_attack(judged: pl.DataFrame, is_flagged: pl.Series) -> pl.DataFrame:
    """Count the named attacks and the flagged ones: ``name``, ``rows``, ``flagged``."""
    return (
        judged.select(pl.col("attack").alias("name"), "is_attack", is_flagged.alias("is_flagged"))
        .filter(pl.col("is_attack") & pl.col("name").is_not_null())
        .group_by("name")
        .agg(rows=pl.len(), flagged=pl.col("is_flagged").sum())
        .with_columns(pl.col("name").cast(pl.String))
    )


def _recalls(counted: pl.DataFrame) -> dict[str, float]:
    ordered = counted.sort("name")
    return {name: flagged / rows for name, rows, flagged in ordered.iter_rows()}


def _read_labels(part: Path, contract: Contract) -> pl.DataFrame:
    columns = pl.read_parquet_schema(part).keys()
    if not has_labels(contract, columns):
        message = (
            "Cannot evaluate: the file says of no connection whether it is an attack. Expected a "
            f"column {contract.label!r} or {contract.attack!r}, got neither. Evaluate a labelled "
            "file, or score this one with `noctule run`."
        )
        raise InputRejectedError(message)
    return (
        pl.scan_parquet(part)
        .select(is_attack(contract, columns), attack_name(contract, columns).cast(pl.Categorical))
        .collect()
    )


def _read_scores(part: Path) -> pl.DataFrame:
    return pl.read_parquet(part, columns=["anomaly_score", "classifier_score"])
