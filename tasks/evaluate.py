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
from tasks.detectors.hybrid import OPERATING_POINTS, ModelCard, flag, read_card
from tasks.encode import Floats, Mask
from tasks.labels import attack_column, family_of, has_labels, is_attack

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


def evaluate_batch(
    folder: Path,
    parts: Sequence["PartFile"],
    scores: Sequence[str],
    model_folder: Path,
    contract: Contract,
) -> Evaluation:
    """Judge the scores of a labelled batch.

    Args:
        folder: the batch's folder; parts and scores are named relative to it.
        parts: the accepted rows, with their labels.
        scores: the scores, one file a part, of the same rows in the same order.
        model_folder: of the model that scored them; its thresholds are read.
        contract: names the label, attack and families.

    Returns:
        The evaluation over the rows that have a label.

    Raises:
        InputRejectedError: the batch has no labels.
    """
    frames = [
        pl.concat(
            [_read_labels(folder / part.path, contract), pl.read_parquet(folder / name)],
            how="horizontal",
        )
        for part, name in zip(parts, scores, strict=True)
    ]
    # A null in a file without attack names concatenates with text in one that has them.
    judged = pl.concat(frames, how="vertical_relaxed").drop_nulls("is_attack")
    return evaluate_scores(judged, read_card(model_folder), contract.families or {})


def evaluate_scores(
    judged: pl.DataFrame, card: ModelCard, families: Mapping[str, str]
) -> Evaluation:
    """Judge scores against labels.

    Args:
        judged: one row per connection: ``is_attack``, ``attack`` (its name, null if not known),
            ``anomaly_score`` and ``classifier_score``.
        card: of the model that scored; its thresholds are judged.
        families: attack name to family.

    Returns:
        The evaluation.
    """
    truth = judged["is_attack"].to_numpy()
    scores = judged["anomaly_score"].to_numpy()
    flagged = flag(judged, "default", card.threshold("default"))
    named = judged.select("attack", flagged).filter(pl.Series(truth)).drop_nulls("attack")
    family = named["attack"].map_elements(
        lambda name: family_of(name, families), return_dtype=pl.String
    )
    return Evaluation(
        rows=judged.height,
        roc_auc=roc_auc(truth, scores),
        average_precision=average_precision(truth, scores),
        operating_points={
            name: _judge_flags(truth, flag(judged, name, threshold), threshold)
            for name in OPERATING_POINTS
            for threshold in [card.threshold(name)]
        },
        recall_by_attack=_recall_by(named["attack"], named["is_flagged"]),
        recall_by_family=_recall_by(family, named["is_flagged"]),
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
        accuracy=_ratio(hits + rests, len(truth)),
        precision=_ratio(hits, hits + alarms),
        recall=_ratio(hits, hits + misses),
        f1=_ratio(2 * hits, 2 * hits + alarms + misses),
        false_positive_rate=_ratio(alarms, alarms + rests),
        flag_rate=_ratio(hits + alarms, len(truth)),
    )


def _recall_by(names: pl.Series, is_flagged: pl.Series) -> dict[str, float]:
    recall = (
        pl.DataFrame({"name": names, "is_flagged": is_flagged})
        .group_by("name")
        .agg(pl.col("is_flagged").mean())
        .sort("name")
    )
    return dict(recall.iter_rows())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _read_labels(part: Path, contract: Contract) -> pl.DataFrame:
    columns = pl.read_parquet_schema(part).keys()
    if not has_labels(contract, columns):
        message = (
            "Cannot evaluate: the file says of no connection whether it is an attack. Expected a "
            f"column {contract.label!r} or {contract.attack!r}, got neither. Evaluate a labelled "
            "file, or score this one with `noctule run`."
        )
        raise InputRejectedError(message)
    attack = attack_column(contract, columns)
    return (
        pl.scan_parquet(part)
        .select(
            is_attack(contract, columns),
            (pl.col(attack) if attack else pl.lit(None, dtype=pl.String)).alias("attack"),
        )
        .collect()
    )
