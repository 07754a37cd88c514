"""Challengers: fitted on the same rows as the champion's recipe, and judged on the same batches.

Belongs here: what a retraining does with one recipe. Does not belong here: which recipes there are
and which rows (``flows.retrain``), or the decision (``tasks.gate``).
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from expectations.errors import NoctuleError, TrainingDataError
from expectations.registry import get_contract
from tasks.detectors.hybrid import OperatingPointName, flag, load_model
from tasks.encode import Floats, Mask
from tasks.fit import EVIDENCE_FILE, FitSummary, fit_model
from tasks.gate import GateOptions, Verdict, judge
from tasks.holdout import TrainingOptions
from tasks.labels import attack_name, family_of, has_labels, is_attack
from tasks.paired import PairedScores, pair_held_out
from tasks.row_keys import read_row_keys
from tasks.task import task


class FittedChallenger(BaseModel):
    """A recipe fitted on the gathered rows, in a folder of its own."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    folder: Path
    fit: FitSummary


@dataclass(frozen=True)
class JudgedRows:
    """The latest labelled connections, which no model under comparison was fitted on."""

    features: pl.DataFrame
    is_attack: Mask
    """(n_rows,)."""
    family: np.ndarray[tuple[int], np.dtype[np.str_]]
    """(n_rows,), of an attack whose name is known; else empty."""
    rows_seen: int
    """Rows that were left out, because a model was fitted on their like."""


def fit_challenger(
    recipe: str, parts: Sequence[Path], contract: str, options: TrainingOptions, out: Path
) -> FittedChallenger:
    """Fit a recipe in a process of its own, so that one which ends badly ends alone.

    Args:
        recipe: what it is called.
        parts: Parquet files of accepted, labelled connections.
        contract: of these.
        options: how the model is fitted.
        out: an existing folder for the model.

    Returns:
        The fitted model; not registered.

    Raises:
        TrainingDataError: it cannot be fitted, with the reason.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            fit = process.submit(_fit, list(parts), contract, out, options).result()
        except NoctuleError:
            raise
        except BrokenProcessPool:
            message = (
                f"Cannot fit {recipe}: its process was killed, perhaps for want of memory. Fit it "
                "on fewer rows, or leave it out of NOCTULE_CHALLENGERS."
            )
            raise TrainingDataError(message) from None
        except Exception as error:  # of whatever library fits it
            message = f"Cannot fit {recipe}: {type(error).__name__}: {error}"
            raise TrainingDataError(message) from error
    return FittedChallenger(recipe=recipe, folder=out, fit=fit)


def _fit(parts: list[Path], contract: str, out: Path, options: TrainingOptions) -> FitSummary:
    return fit_model(parts, get_contract(contract), out, options)


def read_judged_rows(
    parts: Sequence[Path], contract: Contract, model_folders: Sequence[Path]
) -> JudgedRows:
    """Read labelled connections to judge models by, without those that one was fitted on.

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
        return JudgedRows(nothing, np.zeros(0, np.bool_), np.zeros(0, np.str_), 0)
    every = pl.concat([frame.collect() for frame in frames]).drop_nulls("is_attack")
    seen = np.zeros(every.height, dtype=np.bool_)
    for folder in model_folders:
        keys = read_row_keys(folder)
        if keys is not None:
            seen |= keys.contain(every).to_numpy()
    rows = every.filter(pl.Series(~seen))
    families = contract.families or {}
    return JudgedRows(
        features=rows.select(contract.feature_names),
        is_attack=rows["is_attack"].to_numpy(),
        family=np.array(
            [
                family_of(name, families) if attack and name else ""
                for name, attack in zip(rows["attack"], rows["is_attack"], strict=True)
            ],
            dtype=np.str_,
        ),
        rows_seen=int(seen.sum()),
    )


def weigh_challenger(
    challenger: FittedChallenger,
    baseline: FittedChallenger | None,
    champion_folder: Path,
    judged: JudgedRows,
    operating_point: OperatingPointName,
    options: GateOptions,
) -> Verdict:
    """Weigh a challenger against the champion on the same evidence.

    Held-out families compare recipes: the champion itself was fitted on every family, so its recipe
    is fitted again on the same rows. The latest batches compare the models themselves.

    Args:
        challenger: the model.
        baseline: the champion's recipe on the same rows; None where it could not be fitted.
        champion_folder: the champion itself.
        judged: the latest labelled connections.
        operating_point: whose flags are compared.
        options: of the gate.
    """
    evidence = []
    if baseline is not None:
        own, other = (pl.read_parquet(one.folder / EVIDENCE_FILE) for one in (baseline, challenger))
        evidence += pair_held_out(own, other, operating_point)
    if judged.features.height:
        before, flagged_before = score_judged(champion_folder, judged, operating_point)
        after, flagged_after = score_judged(challenger.folder, judged, operating_point)
        evidence.append(
            PairedScores(
                source="labelled_batches",
                is_attack=judged.is_attack,
                group=judged.family,
                champion=before,
                challenger=after,
                is_flagged_by_champion=flagged_before,
                is_flagged_by_challenger=flagged_after,
            )
        )
    return judge(evidence, options)


def score_judged(
    folder: Path, judged: JudgedRows, operating_point: OperatingPointName
) -> tuple[Floats, Mask]:
    """Score the judged rows by a model; anomaly scores and flags, (n_rows,) each."""
    model = load_model(folder)
    scores = model.score(judged.features)
    flags = flag(scores, operating_point, model.threshold(operating_point))
    return scores["anomaly_score"].to_numpy(), flags.to_numpy()


# Not repeated: a fit that failed will fail again.
fit_challenger_task = task(fit_challenger, name="fit challenger")
