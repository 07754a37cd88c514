"""From settings to jobs: what the stages are told, and nothing they could look up themselves."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from flows.settings import Settings
from storage.lake import batch_folder
from storage.nights import read_earlier_nights
from tasks.detectors.model_card import read_card
from tasks.evaluation.operating_points import EarlierNight, choose_threshold
from tasks.intake.labelling import LabelReading
from tasks.intake.stage import FileJob
from tasks.scoring.stage import BatchJob


def plan_file(
    settings: Settings,
    source: Path,
    batch_id: str,
    lake: Path | None = None,
    labels: LabelReading | None = None,
) -> FileJob:
    """Say how a file is read and checked.

    Args:
        settings: sizes and limits.
        source: the file.
        batch_id: what its content is known by.
        lake: where its batch's folder is; the nights' lake if None.
        labels: how its labels are read, where they are not in the contract's columns and words.
    """
    return FileJob(
        source=source,
        batch_id=batch_id,
        contract=settings.contract,
        folder=batch_folder(lake or settings.lake, settings.contract, batch_id),
        chunk_rows=settings.chunk_rows,
        max_quarantine_ratio=settings.max_quarantine_ratio,
        max_line_bytes=settings.max_line_bytes,
        max_file_bytes=settings.max_file_bytes,
        labels=labels,
    )


def plan_scoring(
    settings: Settings,
    file: FileJob,
    model_version: str,
    model_folder: Path,
    nights: Sequence[EarlierNight] = (),
) -> BatchJob:
    """Say how a file is scored, by which model and threshold.

    Args:
        settings: sizes, limits and the operating point.
        file: how it is read.
        model_version: of the model that scores.
        model_folder: its files.
        nights: the nights before, where an alert budget is kept by them.
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
    """Read the nights by which an alert budget is kept; none where there is no budget."""
    if settings.alert_budget is None:
        return []
    earlier = read_earlier_nights(
        engine,
        settings.contract,
        model_version,
        before=before,
        nights=settings.budget_nights,
        exceeded_by=settings.alert_budget,
        above=read_card(model_folder).thresholds.default,
    )
    return [EarlierNight(night.rows, night.score) for night in earlier]
