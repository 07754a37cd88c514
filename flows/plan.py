"""From settings to jobs: what the stages are told, and nothing they could look up themselves."""

from pathlib import Path

from flows.settings import Settings
from storage.lake import batch_folder
from tasks.stages import BatchJob, FileJob


def plan_file(settings: Settings, source: Path, batch_id: str, lake: Path | None = None) -> FileJob:
    """Say how a file is read and checked.

    Args:
        settings: sizes and limits.
        source: the file.
        batch_id: what its content is known by.
        lake: where its batch's folder is; the nights' lake if None.
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
    )


def plan_scoring(
    settings: Settings, file: FileJob, model_version: str, model_folder: Path
) -> BatchJob:
    """Say how a file is scored, by which model."""
    return BatchJob(
        **file.model_dump(),
        model_version=model_version,
        model_folder=model_folder,
        operating_point=settings.operating_point,
        explain_top=settings.explain_top,
        max_quarantined_rows=settings.max_quarantined_rows,
        drift_sample_rows=settings.drift_sample_rows,
        threads=settings.threads,
        seed=settings.seed,
    )
