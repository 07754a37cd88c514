"""How good scores are, where labels are known: the figures behind ``noctule evaluate``.

Belongs here: which figures a report has, and their rows. Does not belong here: the metrics
themselves (see ``metrics``), scoring, or anything that changes a model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.detectors.model_card import ModelCard, read_card
from tasks.detectors.thresholds import OperatingPointName, flag
from tasks.evaluation.labels import (
    CORRECT_LABELS,
    attack_name,
    family_of,
    find_unclear_labels,
    has_labels,
    is_attack,
)
from tasks.evaluation.metrics import (
    FlagMetrics,
    ProbabilityCalibration,
    average_precision,
    compute_calibration,
    compute_flag_metrics,
    roc_auc,
)
from tasks.features.row_keys import RowKeys, read_row_keys

if TYPE_CHECKING:
    from tasks.validation.summary import PartFile

EVERY_FAMILY = "all"
"""What the totals over families stand under."""


class AttackRecall(BaseModel):
    """How many of some attacks are flagged."""

    model_config = ConfigDict(frozen=True)

    family: str
    name: str | None = None
    """Of the attack; None for all of the family."""
    is_seen: bool | None
    """Whether the model was taught attacks of that name; None where it is not known of which."""
    rows: int
    recall: dict[str, float]
    """By operating point."""


class ScoreMetrics(BaseModel):
    """How some labelled rows fare."""

    model_config = ConfigDict(frozen=True)

    rows: int
    """Labelled rows that were scored."""
    roc_auc: float | None
    """Of ``anomaly_score``; None if all rows are of one class, as ``average_precision``."""
    average_precision: float | None
    operating_points: dict[str, FlagMetrics]
    """``default``, ``low_alert`` and, of a model with a classifier, ``p50``."""
    recall_by_attack: dict[str, float]
    """At ``default``; empty where the file names no attacks."""
    recall_by_family: dict[str, float]
    """Likewise."""
    attacks: tuple[AttackRecall, ...] = ()
    """The same with every operating point, an attack each."""
    families: tuple[AttackRecall, ...] = ()
    """Attacks the model was taught and those it was not, apart: first of all families, then of
    each."""
    calibration: ProbabilityCalibration | None = None
    """Of the classifier's probabilities; None from a model without one."""


class Evaluation(ScoreMetrics):
    """The object ``noctule evaluate --json`` prints."""

    rows_seen_in_training: int = 0
    """Rows whose features are those of a row the model was fitted on, copies that flatter it."""
    without_seen: ScoreMetrics | None = None
    """All figures without those rows; None where there are none, and where no row is left."""
    rows_unlabelled: int = 0
    """Rows that could not be judged, for want of a label; not among ``rows``."""
    rows_quarantined: int = 0
    """Rows that could not be scored; not among ``rows`` either."""
    advisories: tuple[str, ...] = ()
    """What is reported of the file, such as attacks the contract does not know; a sentence each."""

    @property
    def cleanest(self) -> ScoreMetrics:
        """The figures without copies of training rows, where there are any left."""
        return self.without_seen or self


def evaluate_batch(
    folder: Path,
    parts: Sequence["PartFile"],
    scores: Sequence[str],
    model_folder: Path,
    contract: Contract,
    card: ModelCard | None = None,
) -> Evaluation:
    """Judge the scores of a labelled batch.

    Ranking needs every row at once, so memory grows with the file, by about 80 bytes a row at the
    peak: two scores, label, attack and flags, and what sorting takes. (Measured once while
    building, on made-up parts of 250,000 rows: 234 MB for a million rows, 546 MB for five.)

    Args:
        folder: the batch's folder; parts and scores are named relative to it.
        parts: the accepted rows, with their labels.
        scores: the scores, one file a part, of the same rows in the same order.
        model_folder: of the model that scored them.
        contract: names the label, attack and families.
        card: whose thresholds flag; those of the model by default.

    Returns:
        The evaluation over the rows that have a label. Of quarantined rows and of advisories it
        knows nothing.

    Raises:
        InputRejectedError: the batch has no labels, or some that are not clear.
    """
    trained_on = read_row_keys(model_folder)
    every = pl.concat(
        [
            pl.concat(
                [
                    _read_labels(folder / part.path, contract),
                    _read_scores(folder / name),
                    _find_seen(folder / part.path, contract, trained_on),
                ],
                how="horizontal",
            )
            for part, name in zip(parts, scores, strict=True)
        ]
    )
    if unclear := find_unclear_labels([folder / part.path for part in parts], contract):
        message = f"Cannot evaluate: {unclear} {CORRECT_LABELS}"
        raise InputRejectedError(message)
    judged = every.drop_nulls("is_attack")
    return evaluate_scores(
        judged,
        card or read_card(model_folder),
        contract.families or {},
        rows_unlabelled=every.height - judged.height,
    )


def evaluate_scores(
    judged: pl.DataFrame, card: ModelCard, families: Mapping[str, str], *, rows_unlabelled: int = 0
) -> Evaluation:
    """Judge scores against labels, flagged by the model's own thresholds.

    Args:
        judged: as for ``evaluate_flags``.
        card: of the model that scored; its thresholds are judged.
        families: attack name to family.
        rows_unlabelled: how many more rows there are, without a label.

    Returns:
        The evaluation.
    """
    flags = {
        name: flag(judged, name, card.thresholds.value(name)) for name in card.operating_points
    }
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
        judged: one row per connection: ``is_attack``, ``attack`` (its name, null if not known),
            ``anomaly_score``, ``classifier_score`` (null from a model without one) and, where that
            is known, ``is_seen`` (whether the model was fitted on such a row).
        flags: for each operating point, Boolean (n_rows,).
        card: its thresholds are reported, and which attacks it was taught.
        families: attack name to family.
        rows_unlabelled: how many more rows there are, without a label.

    Returns:
        The evaluation.
    """
    flagged = judged.with_columns(one.alias(f"flagged_{name}") for name, one in flags.items())
    is_seen = judged["is_seen"] if "is_seen" in judged.columns else None
    rows_seen = 0 if is_seen is None else int(is_seen.sum())
    return Evaluation(
        **dict(_compute_metrics(flagged, tuple(flags), card, families)),
        rows_seen_in_training=rows_seen,
        without_seen=(
            _compute_metrics(flagged.filter(~is_seen), tuple(flags), card, families)
            if is_seen is not None and 0 < rows_seen < judged.height
            else None
        ),
        rows_unlabelled=rows_unlabelled,
    )


def _compute_metrics(
    flagged: pl.DataFrame,
    points: tuple[OperatingPointName, ...],
    card: ModelCard,
    families: Mapping[str, str],
) -> ScoreMetrics:
    """Judge rows whose flags are in columns ``flagged_<operating point>``."""
    truth = flagged["is_attack"].to_numpy()
    scores = flagged["anomaly_score"].to_numpy()
    attacks = _recall_by_name(flagged, card, families, points)
    by_family = _sum_recalls(attacks, ("family",), points)
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
        recall_by_attack={one["name"]: one["default"] / one["rows"] for one in attacks},
        recall_by_family={one["family"]: one["default"] / one["rows"] for one in by_family},
        attacks=_recalls(attacks, points),
        families=(
            *_recalls(_sum_recalls(attacks, ("is_seen",), points), points),
            *_recalls(_sum_recalls(attacks, ("family", "is_seen"), points), points),
        ),
        calibration=_judge_classifier(flagged),
    )


def _judge_classifier(judged: pl.DataFrame) -> ProbabilityCalibration | None:
    log_odds = judged["classifier_score"]
    if log_odds.null_count() == judged.height:
        return None
    return compute_calibration(judged["is_attack"].to_numpy(), log_odds.to_numpy())


def _recall_by_name(
    flagged: pl.DataFrame,
    card: ModelCard,
    families: Mapping[str, str],
    points: tuple[OperatingPointName, ...],
) -> list[dict[str, Any]]:
    """Count the attacks that have a name, by name.

    Returns:
        ``name family is_seen rows`` of each and, for each operating point, those it flags.
    """
    counted = (
        flagged.filter(pl.col("is_attack") & pl.col("attack").is_not_null())
        .group_by(name=pl.col("attack").cast(pl.String))
        .agg(pl.len().alias("rows"), *(pl.col(f"flagged_{one}").sum().alias(one) for one in points))
        .sort("name")
    )
    taught = card.attacks
    return [
        {
            **row,
            "family": family_of(row["name"], families),
            "is_seen": None if taught is None else row["name"] in taught,
        }
        for row in counted.iter_rows(named=True)
    ]


def _sum_recalls(
    counted: Sequence[Mapping[str, Any]],
    keys: tuple[str, ...],
    points: tuple[OperatingPointName, ...],
) -> list[dict[str, Any]]:
    """Add up counts of attacks that agree in some keys, in the keys' order; seen before unseen."""
    summed: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in counted:
        key = tuple(one[name] for name in keys)
        total = summed.setdefault(
            key,
            {
                "family": EVERY_FAMILY,
                "is_seen": None,
                **dict(zip(keys, key, strict=True)),
                **dict.fromkeys(("rows", *points), 0),
            },
        )
        for name in ("rows", *points):
            total[name] += one[name]
    return sorted(summed.values(), key=lambda one: (one["family"], one["is_seen"] is False))


def _recalls(
    counted: Sequence[Mapping[str, Any]], points: tuple[OperatingPointName, ...]
) -> tuple[AttackRecall, ...]:
    return tuple(
        AttackRecall(
            family=one["family"],
            name=one.get("name"),
            is_seen=one["is_seen"],
            rows=one["rows"],
            recall={point: one[point] / one["rows"] for point in points},
        )
        for one in counted
    )


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


def _find_seen(part: Path, contract: Contract, trained_on: RowKeys | None) -> pl.DataFrame:
    """Tell of each row whether the model was fitted on its like; no column if that is not kept."""
    if trained_on is None:
        return pl.DataFrame()
    features = pl.read_parquet(part, columns=list(contract.feature_names))
    return pl.DataFrame({"is_seen": trained_on.contain(features)})
