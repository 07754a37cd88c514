"""Challengers: fitted on the same rows as the champion's recipe, and judged on the same batches.

Belongs here: what a retraining does with one recipe. Does not belong here: which recipes there are
and which rows (``flows.retrain``), or the decision (``tasks.retraining.gate``).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from expectations.errors import NoctuleError, TrainingDataError
from expectations.registry import get_contract
from tasks.arrays import Floats, Mask
from tasks.detectors.model import load_model
from tasks.detectors.model_card import read_card
from tasks.detectors.thresholds import OperatingPointName, flag
from tasks.evaluation.labels import attack_name, family_of, has_labels, is_attack
from tasks.evaluation.metrics import FlagMetrics, compute_flag_metrics
from tasks.evaluation.operating_points import choose_threshold
from tasks.features.row_keys import hash_rows, read_row_keys
from tasks.retraining.comparison import ComparisonRows, ModelSide, join_held_out_scores
from tasks.retraining.gate import GateOptions, GateResult, apply_gate
from tasks.retraining.parent_pipe import exit_with_parent
from tasks.task import task
from tasks.training.fit import HELD_OUT_FILE, FitSummary, fit_model
from tasks.training.options import TrainingOptions


class FittedChallenger(BaseModel):
    """A recipe fitted on the gathered rows, in a folder of its own."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    folder: Path
    fit: FitSummary


@dataclass(frozen=True)
class LabelledTestRows:
    """The latest labelled connections, which no model under comparison was fitted on."""

    features: pl.DataFrame
    is_attack: Mask
    """(n_rows,)."""
    family: np.ndarray[tuple[int], np.dtype[np.str_]]
    """(n_rows,), of an attack whose name is known; else empty."""
    alike: npt.NDArray[np.intp]
    """(n_rows,), the same number for rows with the same features."""
    rows_seen: int
    """Rows that were left out, because a model was fitted on their like."""
    without_keys: tuple[str, ...] = ()
    """Models of which it is not known which rows they were fitted on."""


@dataclass(frozen=True)
class ModelTestScores:
    """What a model makes of the judged rows."""

    scores: Floats
    """(n_rows,), anomaly scores."""
    is_flagged: Mask
    """(n_rows,), at the operating point that serves."""
    points: Mapping[str, FlagMetrics]


@dataclass(frozen=True)
class ServedPoint:
    """The operating point at which models are compared: that of the nights."""

    name: OperatingPointName
    rate: float | None = None
    """Share of normals it is to flag, where the settings ask for one; None for the model's own."""


def fit_challenger(
    recipe: str,
    parts: Sequence[Path],
    contract: str,
    options: TrainingOptions,
    out: Path,
    line: Connection,
) -> FittedChallenger:
    """Fit a recipe in a process of its own, so that one which ends badly ends alone.

    Args:
        recipe: what it is called.
        parts: Parquet files of accepted, labelled connections.
        contract: of these.
        options: how the model is fitted.
        out: an existing folder for the model.
        line: what the process hangs on; see ``parent_pipe``.

    Returns:
        The fitted model; not registered.

    Raises:
        TrainingDataError: it cannot be fitted, with the reason.
    """
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=exit_with_parent, initargs=(line,)
    ) as process:
        try:
            fit = process.submit(_fit, list(parts), contract, out, options).result()
        except NoctuleError:
            raise
        except BrokenProcessPool:
            message = (
                f"Cannot fit {recipe}: its process was killed, perhaps for want of memory. Set "
                "NOCTULE_RETRAIN_JOBS or NOCTULE_RETRAIN_MAX_ROWS lower, or leave it out of "
                "NOCTULE_CHALLENGERS."
            )
            raise TrainingDataError(message) from None
        except Exception as error:  # of whatever library fits it
            message = f"Cannot fit {recipe}: {type(error).__name__}: {error}"
            raise TrainingDataError(message) from error
    return FittedChallenger(recipe=recipe, folder=out, fit=fit)


def _fit(parts: list[Path], contract: str, out: Path, options: TrainingOptions) -> FitSummary:
    return fit_model(parts, get_contract(contract), out, options)


def read_test_rows(
    parts: Sequence[Path], contract: Contract, model_folders: Sequence[Path]
) -> LabelledTestRows:
    """Read labelled connections to evaluate models by, without those that one was fitted on.

    Args:
        parts: accepted connections; a part without labels, and a row without one, is left out.
        contract: names the features, the label and the families.
        model_folders: of the models under comparison.
    """
    frames = []
    for part in parts:
        columns = pl.read_parquet_schema(part).keys()
        if has_labels(contract, columns):
            label, name = is_attack(contract, columns), attack_name(contract, columns)
            frames.append(pl.scan_parquet(part).select(*contract.feature_names, label, name))
    if not frames:
        nothing = pl.DataFrame(
            schema={name: contract.schema[name] for name in contract.feature_names}
        )
        none = np.zeros(0, np.intp)
        return LabelledTestRows(nothing, none.astype(np.bool_), none.astype(np.str_), none, 0)
    every = pl.concat([frame.collect() for frame in frames]).drop_nulls("is_attack")
    seen = np.zeros(every.height, dtype=np.bool_)
    without_keys = []
    for folder in model_folders:
        keys = read_row_keys(folder)
        if keys is None:
            without_keys.append(folder.name)
        else:
            seen |= keys.contain(every).to_numpy()
    rows = every.filter(pl.Series(~seen))
    families = contract.families or {}
    return LabelledTestRows(
        features=rows.select(contract.feature_names),
        is_attack=rows["is_attack"].to_numpy(),
        family=np.array(
            [
                family_of(name, families) if attack and name else ""
                for name, attack in zip(rows["attack"], rows["is_attack"], strict=True)
            ],
            dtype=np.str_,
        ),
        alike=np.unique(hash_rows(rows.select(contract.feature_names)), return_inverse=True)[1],
        rows_seen=int(seen.sum()),
        without_keys=tuple(without_keys),
    )


def evaluate_challenger(
    challenger: FittedChallenger,
    baseline: FittedChallenger | None,
    champion: tuple[Path, ModelTestScores],
    judged: LabelledTestRows,
    point: ServedPoint,
    options: GateOptions,
) -> GateResult:
    """Weigh a challenger against the champion on the same evidence.

    Held-out kinds compare recipes: the champion itself was fitted on every kind, so its recipe is
    fitted again on the same rows. The latest batches compare the models themselves.

    Args:
        challenger: the model.
        baseline: the champion's recipe on the same rows; None where it could not be fitted.
        champion: its folder, and what it makes of the judged rows.
        judged: the latest labelled connections.
        point: whose flags are compared.
        options: of the gate.
    """
    evidence = [] if baseline is None else join_fits(baseline, challenger, point)
    folder, before = champion
    if judged.features.height:
        after = score_test_rows(challenger.folder, judged, point)
        evidence.append(
            ComparisonRows(
                source="labelled_batches",
                is_attack=judged.is_attack,
                group=judged.family,
                champion=before.scores,
                challenger=after.scores,
                is_flagged_by_champion=before.is_flagged,
                is_flagged_by_challenger=after.is_flagged,
                alike=judged.alike,
                points={"champion": before.points, "challenger": after.points},
            )
        )
    return apply_gate(evidence, options, list_missing_families(folder, challenger.folder))


def join_fits(
    baseline: FittedChallenger, challenger: FittedChallenger, point: ServedPoint
) -> list[ComparisonRows]:
    """Pair the held-out scores of two fits on the same rows, with what their reports say."""
    fits: dict[ModelSide, FittedChallenger] = {"champion": baseline, "challenger": challenger}
    own, other = (pl.read_parquet(one.folder / HELD_OUT_FILE) for one in fits.values())
    made_from = challenger.fit.metrics.unknown_made_from
    return [
        replace(
            pair,
            points={
                side: one.fit.metrics.mixed
                if pair.source == "held_out_families"
                else (one.fit.metrics.known.operating_points if one.fit.metrics.known else {})
                for side, one in fits.items()
            },
        )
        for pair in join_held_out_scores(own, other, point.name, made_from, rate=point.rate)
    ]


def score_test_rows(folder: Path, judged: LabelledTestRows, point: ServedPoint) -> ModelTestScores:
    """Score the judged rows by a model."""
    model = load_model(folder)
    scores = model.score(judged.features)
    threshold = choose_threshold(model.card, point.name, rate=point.rate).threshold
    flags = {
        name: flag(
            scores, name, threshold if name == point.name else model.card.thresholds.value(name)
        )
        for name in model.card.operating_points
    }
    return ModelTestScores(
        scores=scores["anomaly_score"].to_numpy(),
        is_flagged=flags[point.name].to_numpy(),
        points={
            name: compute_flag_metrics(
                judged.is_attack,
                flagged.to_numpy(),
                threshold if name == point.name else model.card.thresholds.value(name),
            )
            for name, flagged in flags.items()
        },
    )


def list_missing_families(champion: Path, challenger: Path) -> list[str]:
    """List the families that the champion was taught and a challenger was not.

    One whose files name no attacks was taught none.
    """
    taught = [read_card(folder) for folder in (champion, challenger)]
    families = get_contract(taught[0].contract).families or {}
    before, after = ({family_of(name, families) for name in card.attacks or ()} for card in taught)
    return sorted(before - after)


# Not repeated: a fit that failed will fail again.
fit_challenger_task = task(fit_challenger, name="fit challenger")
