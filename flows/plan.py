"""Jobs made from the settings: everything that the stages of a file need to know.

Belongs here: which setting becomes which field of a job. Does not belong here: what the stages do
with it (``tasks``).
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from flows.settings import Settings
from storage.batch_ids import name_batch, stored_content
from storage.lake import batch_folder
from storage.nights import EarlierNight, read_earlier_nights
from tasks.detectors.model_card import read_card
from tasks.evaluation.operating_points import choose_threshold
from tasks.intake.label_words import LabelReading
from tasks.intake.stage import FileJob
from tasks.scoring.stage import BatchJob


def plan_file(
    settings: Settings,
    contract: str,
    source: Path,
    batch_id: str,
    lake: Path | None = None,
    labels: LabelReading | None = None,
    content_sha256: str | None = None,
) -> FileJob:
    """Return the job of reading and checking a file.

    The batch's folder is in the nights' lake if ``lake`` is None. The contract's own label columns
    and words are used if ``labels`` is None. ``content_sha256`` is needed where the batch id is
    another hash.
    """
    return FileJob(
        source=source,
        batch_id=batch_id,
        content_sha256=content_sha256,
        contract=contract,
        folder=batch_folder(lake or settings.lake, contract, batch_id),
        chunk_rows=settings.chunk_rows,
        max_quarantine_ratio=settings.max_quarantine_ratio,
        max_line_bytes=settings.max_line_bytes,
        max_file_bytes=settings.max_file_bytes,
        labels=labels,
    )


def plan_content(
    settings: Settings,
    contract: str,
    source: Path,
    content_sha256: str,
    lake: Path,
    labels: LabelReading | None = None,
) -> FileJob:
    """Return the job of reading a file of a content, which needs not to have been received."""
    batch_id = name_batch(contract, content_sha256)
    stored = stored_content(batch_id, content_sha256)
    return plan_file(settings, contract, source, batch_id, lake, labels, stored)


def plan_scoring(
    settings: Settings,
    file: FileJob,
    model_version: str,
    model_folder: Path,
    nights: Sequence[EarlierNight] = (),
) -> BatchJob:
    """Return the job of scoring a file, with the model and its threshold.

    The threshold for an alert budget is computed from ``nights``, the nights before.
    """
    chosen: dict[str, object] = {}  # the model's own threshold
    if settings.low_alert_rate is not None or settings.alert_budget is not None:
        choice = choose_threshold(
            read_card(model_folder),
            settings.operating_point,
            rate=settings.low_alert_rate,
            budget=settings.alert_budget,
            nights=nights,
        )
        chosen = choice.model_dump()
    return BatchJob(
        **file.model_dump(),
        model_version=model_version,
        model_folder=model_folder,
        operating_point=settings.operating_point,
        **chosen,
        explain_top=settings.explain_top,
        max_quarantined_rows=settings.max_quarantined_rows,
        drift_sample_rows=settings.drift_sample_rows,
        threads=settings.threads,
        seed=settings.seed,
    )


def look_back(
    settings: Settings, engine: Engine, model_version: str, model_folder: Path, before: date
) -> list[EarlierNight]:
    """Return the nights before, from which the threshold for an alert budget is computed.

    Returns:
        An empty list if there is no budget.
    """
    if settings.alert_budget is None:
        return []
    card = read_card(model_folder)
    return read_earlier_nights(
        engine,
        card.contract,
        model_version,
        before=before,
        nights=settings.budget_nights,
        exceeded_by=settings.alert_budget,
        above=card.thresholds.default,
    )
