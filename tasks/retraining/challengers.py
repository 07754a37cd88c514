"""Challengers: fitted on the rows of the champion's recipe, and compared with it on test rows.

Belongs here: what a retraining does with one recipe. Does not belong here: which recipes and which
rows there are (``flows.retrain``), or what decides (``gate``).
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
from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import NoctuleError, TrainingDataError
from expectations.registry import get_contract
from tasks.arrays import Floats, Mask
from tasks.detectors.model import load_model
from tasks.detectors.model_card import read_card
from tasks.detectors.thresholds import OperatingPointName, flag
from tasks.evaluation.labels import attack_name, has_labels, is_attack, name_families
from tasks.evaluation.metrics import FlagMetrics, compute_flag_metrics
from tasks.evaluation.operating_points import choose_threshold
from tasks.features.row_keys import hash_rows, read_row_keys
from tasks.intake.label_words import ATTACK, IS_ATTACK
from tasks.retraining.comparison_rows import ComparisonRows, ModelSide, join_held_out_scores
from tasks.retraining.gate import GateOptions, GateResult, apply_gate
from tasks.retraining.parent_pipe import exit_with_parent
from tasks.task import task
from tasks.training.fit import FitSummary, fit_model
from tasks.training.held_out_table import HeldOutTable
from tasks.training.options import TrainingOptions


class FittedChallenger(BaseModel, frozen=True):
    """A recipe fitted on the rows of a retraining, in its own folder."""

    recipe: str
    folder: Path
    fit: FitSummary


@dataclass(frozen=True)
class LabelledTestRows:
    """The latest labelled connections, without those that a compared model was fitted on."""

    features: pl.DataFrame
    is_attack: Mask
    """(n_rows,)."""
    family: np.ndarray[tuple[int], np.dtype[np.str_]]
    """(n_rows,), of an attack whose name is known; empty for other rows."""
    alike: npt.NDArray[np.intp]
    """(n_rows,), the same number for rows with the same features."""
    rows_seen: int
    """Rows left out because a model was fitted on a copy of them."""
    without_keys: tuple[str, ...] = ()
    """Models that do not say which rows they were fitted on."""


@dataclass(frozen=True)
class ModelTestScores:
    """How a model scores and flags the test rows."""

    scores: Floats
    """(n_rows,), anomaly scores."""
    is_flagged: Mask
    """(n_rows,), at the operating point that serves."""
    points: Mapping[str, FlagMetrics]


@dataclass(frozen=True)
class ServedPoint:
    """The operating point of the nights, at which models are compared."""

    name: OperatingPointName
    rate: float | None = None
    """Share of normal rows it must flag, if the settings name one; None for the model's own."""


def fit_challenger(
    recipe: str,
    parts: Sequence[Path],
    contract: str,
    options: TrainingOptions,
    out: Path,
    line: Connection,
) -> FittedChallenger:
    """Fit a recipe in its own process, so that a crash of one fit stops no other.

    The parts are Parquet files of accepted, labelled connections; ``out`` is an existing folder.
    The process ends when the other end of ``line`` closes; see ``parent_pipe``. The model is not
    registered.

    Raises:
        TrainingDataError: it cannot be fitted; the message says why.
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
                f"Cannot fit {recipe}: its process was killed, perhaps because memory ran out. Set "
                "NOCTULE_RETRAIN_JOBS or NOCTULE_RETRAIN_MAX_ROWS lower, or leave it out of "
                "NOCTULE_CHALLENGERS."
            )
            raise TrainingDataError(message) from None
        except Exception as error:  # any error of the library that fits it
            message = f"Cannot fit {recipe}: {type(error).__name__}: {error}"
            raise TrainingDataError(message) from error
    return FittedChallenger(recipe=recipe, folder=out, fit=fit)


def _fit(parts: list[Path], contract: str, out: Path, options: TrainingOptions) -> FitSummary:
    return fit_model(parts, get_contract(contract), out, options)


def read_test_rows(
    parts: Sequence[Path], contract: Contract, model_folders: Sequence[Path]
) -> LabelledTestRows:
    """Read the labelled test rows, without copies of rows that a compared model was fitted on.

    A part without labels, and a row without one, is left out.
    """
    frames = []
    for part in parts:
        columns = pl.read_parquet_schema(part).keys()
        if has_labels(contract, columns):
            label, name = is_attack(contract, columns), attack_name(contract, columns)
            frames.append(pl.scan_parquet(part).select(*contract.feature_names, label, name))
    features = {name: contract.schema[name] for name in contract.feature_names}
    empty = pl.LazyFrame(schema={**features, IS_ATTACK: pl.Boolean, ATTACK: pl.String})
    every = pl.concat([frame.collect() for frame in frames or [empty]]).drop_nulls(IS_ATTACK)
    seen = np.zeros(every.height, dtype=np.bool_)
    without_keys = []
    for folder in model_folders if frames else ():
        keys = read_row_keys(folder)
        if keys is None:
            without_keys.append(folder.name)
        else:
            seen |= keys.match(every).to_numpy()
    rows = every.filter(pl.Series(~seen))
    families = name_families(rows[ATTACK].drop_nulls().unique(), contract)
    return LabelledTestRows(
        features=rows.select(contract.feature_names),
        is_attack=rows[IS_ATTACK].to_numpy(),
        family=np.array(
            [
                families[name] if attack and name else ""
                for name, attack in zip(rows[ATTACK], rows[IS_ATTACK], strict=True)
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
    test_rows: LabelledTestRows,
    point: ServedPoint,
    options: GateOptions,
) -> GateResult:
    """Compare a challenger with the champion on the same rows, and apply the gate.

    Held-out groups of attacks compare recipes: the champion itself was fitted on every group, so
    its recipe is fitted again on the same rows. The latest batches compare the models themselves.

    ``baseline`` is the champion's recipe on the same rows, None where it could not be fitted.
    ``champion`` is the champion's folder, and its scores of the test rows. The flags of ``point``
    are compared.
    """
    rows = [] if baseline is None else join_fits(baseline, challenger, point)
    folder, before = champion
    if test_rows.features.height:
        after = score_test_rows(challenger.folder, test_rows, point)
        rows.append(
            ComparisonRows(
                source="labelled_batches",
                is_attack=test_rows.is_attack,
                group=test_rows.family,
                champion=before.scores,
                challenger=after.scores,
                is_flagged_by_champion=before.is_flagged,
                is_flagged_by_challenger=after.is_flagged,
                alike=test_rows.alike,
                points={"champion": before.points, "challenger": after.points},
            )
        )
    return apply_gate(rows, options, list_missing_families(folder, challenger.folder))


def join_fits(
    baseline: FittedChallenger, challenger: FittedChallenger, point: ServedPoint
) -> list[ComparisonRows]:
    """Join the held-out scores of two fits on the same rows, and add their reported metrics."""
    fits: dict[ModelSide, FittedChallenger] = {"champion": baseline, "challenger": challenger}
    own, other = (HeldOutTable.read(one.folder) for one in fits.values())
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


def score_test_rows(folder: Path, rows: LabelledTestRows, point: ServedPoint) -> ModelTestScores:
    """Score and flag the test rows with a model."""
    model = load_model(folder)
    scores = model.score(rows.features)
    chosen = choose_threshold(model.card, point.name, rate=point.rate).threshold
    thresholds = {
        name: chosen if name == point.name else model.card.thresholds.value(name)
        for name in model.card.operating_points
    }
    flags = {name: flag(scores, name, at).to_numpy() for name, at in thresholds.items()}
    return ModelTestScores(
        scores=scores["anomaly_score"].to_numpy(),
        is_flagged=flags[point.name],
        points={
            name: compute_flag_metrics(rows.is_attack, flags[name], at)
            for name, at in thresholds.items()
        },
    )


def list_missing_families(champion: Path, challenger: Path) -> list[str]:
    """List the families that the champion was fitted on and a challenger was not.

    A model whose files name no attacks was fitted on no family.
    """
    cards = [read_card(folder) for folder in (champion, challenger)]
    contract = get_contract(cards[0].contract)
    before, after = (set(name_families(card.attacks or (), contract).values()) for card in cards)
    return sorted(before - after)


# No retry: a fit that failed fails again.
fit_challenger_task = task(fit_challenger, name="fit challenger")
