"""Training as flows call it: labelled parts become a registered model version.

Belongs here: joining the fit with the model store. Does not belong here: how a model is fitted
(``tasks.training.fit``), or which version should be champion.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Engine

from expectations.contract import Contract
from expectations.registry import get_contract
from storage.contract_views import make_contract_view
from storage.lake import room_on_disk
from storage.model_store import FINGERPRINT, champion, register_model
from tasks.intake.label_words import LabelReading
from tasks.task import task
from tasks.training.fit import FitSummary, fit_model
from tasks.training.options import TrainingOptions
from tasks.training.rows import MIN_DISTINCT
from tasks.wording import OutsideText

LIBRARIES = ("noctule", "numpy", "polars", "scikit-learn", "lightgbm", "keras", "jax")
"""Libraries that a model depends on; their versions are kept with it."""

logger = logging.getLogger("noctule.training")
logger.setLevel(logging.INFO)  # Prefect sets the handlers of an extra logger, and no level


class TrainingOutcome(BaseModel, frozen=True):
    """The result of a training."""

    model_version: str
    is_champion: bool
    """Whether it scores from now on, as the first model of a contract does."""
    fit: FitSummary
    rows_quarantined: int
    """Rows of the training files that could not be used."""
    advisories: tuple[OutsideText, ...] = ()
    """What a reader should know about the training files, one sentence each."""


def train_model(  # noqa: PLR0913 - the last four only go into the report, each by its name
    engine: Engine,
    models: Path,
    parts: Sequence[Path],
    contract_name: str,
    options: TrainingOptions,
    now: datetime,
    *,
    sources: Mapping[str, str],
    rows_quarantined: int,
    advisories: Sequence[str] = (),
    labels: Mapping[str, LabelReading] | None = None,
) -> TrainingOutcome:
    """Fit a model on connections and register it.

    All parts, Parquet files of accepted connections, are labelled or none. The model store's folder
    is made if absent. ``sources`` and ``labels`` are those of ``describe_training``;
    ``rows_quarantined`` and ``advisories`` of those files only go into the report.

    Raises:
        TrainingDataError: labels that are not clear, one class, or too few rows.
        ServiceUnavailableError: the disk is full, or the database cannot be reached.
    """
    contract = get_contract(contract_name)
    models.mkdir(parents=True, exist_ok=True)
    with (
        room_on_disk(models),
        tempfile.TemporaryDirectory(prefix=".fit-", dir=models) as work_folder,
    ):
        folder = Path(work_folder)
        fit = fit_model(parts, contract, folder, options, _tell)
        registered = register_model(
            engine,
            models,
            folder,
            contract=contract_name,
            content_hash=fit.content_hash,
            rows_trained=fit.rows,
            training=describe_training(options, contract, sources, labels or {}),
            metrics=fit.metrics.model_dump(mode="json"),
            registered_at=now,
            registered_by="noctule train",
        )
    no_view = make_contract_view(engine, contract)
    return TrainingOutcome(
        model_version=registered.version,
        is_champion=champion(engine, contract_name).version == registered.version,
        fit=fit,
        rows_quarantined=rows_quarantined,
        advisories=(*describe_rows(fit), *advisories, *([no_view] if no_view else [])),
    )


def describe_training(
    options: TrainingOptions,
    contract: Contract,
    sources: Mapping[str, str],
    labels: Mapping[str, LabelReading] | None = None,
) -> dict[str, object]:
    """Return what a model depends on, as JSON that is kept with it.

    ``sources`` maps the SHA-256 of each file's content to its name; ``labels`` to how its labels
    were read, where the contract does not say how.
    """
    read = {key: reading.model_dump(mode="json") for key, reading in (labels or {}).items()}
    return {
        "options": options.model_dump(mode="json"),
        FINGERPRINT: contract.feature_fingerprint,
        "sources": dict(sources),
        **({"labels": read} if read else {}),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def describe_rows(fit: FitSummary) -> Iterator[str]:
    """Yield what a reader of the metrics should know about the rows, one sentence each."""
    metrics = fit.metrics
    if metrics.known is None:
        yield (
            f"no file says which of its connections are attacks: all {fit.rows:,} were treated as"
            " normal, and only the one-class detector was fitted. How many attacks it finds is not"
            " known; evaluate it on a labelled file"
        )
    elif not metrics.unknown:
        yield "no group of attacks could be held out: the metrics are those of a random split alone"
    distinct = fit.rows - metrics.rows_duplicated
    if distinct < MIN_DISTINCT:
        yield (
            f"only {distinct:,} of the {fit.rows:,} connections are different: the model knows"
            " little of the traffic"
        )
    if metrics.rows_conflicting:
        yield (
            "rows whose features are labelled normal in one row and attack in another:"
            f" {metrics.rows_conflicting:,}; they were used as they are"
        )
    if metrics.rows_duplicated:
        yield (
            f"rows with the features of an earlier row: {metrics.rows_duplicated:,}; copies were"
            " held out together, so that no model is evaluated on a copy of a row it was fitted on"
        )


def _tell(step: str) -> None:
    """Log a step of the fit before it is done."""
    logger.info("training step=%r", step, extra={"words": f"training: {step}"})


train_model_task = task(train_model, name="fit and register")
