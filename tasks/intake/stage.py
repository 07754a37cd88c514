"""A stage of a batch: its job, and the receipt by which it is done only once.

Belongs here: the job of the stages before any model, and how each stage begins and ends. Does
not belong here: what a stage computes, or what its own result depends on.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from expectations.contract import Contract
from expectations.registry import get_contract
from storage.lake import run_stage
from tasks.intake.content import CONTENT_BYTES
from tasks.intake.label_words import LabelReading
from tasks.intake.lines import LINE_BYTES
from tasks.wording import ID_DIGITS

S = TypeVar("S", bound=BaseModel)

logger = logging.getLogger("noctule.stages")
logger.setLevel(logging.INFO)  # Prefect gives an extra logger handlers, but no level


class FileJob(BaseModel, frozen=True):
    """What the stages before any model need to know about a file: paths, names and numbers."""

    source: Path
    batch_id: str
    content_sha256: str | None = None
    """SHA-256 of the source, where that is not the batch id."""
    contract: str
    folder: Path
    """The batch's folder in the lake."""
    known_bytes: int = 0
    """Bytes at the beginning that another batch accounts for."""
    chunk_rows: int
    """Most rows held in memory at a time."""
    max_quarantine_ratio: float
    """Largest share of rows that may be unusable, in [0, 1]."""
    max_line_bytes: int = LINE_BYTES
    """Longest line that is read."""
    max_file_bytes: int = CONTENT_BYTES
    """Largest content that is read."""
    labels: LabelReading | None = None
    """How labels are read, where they are not the contract's own columns and words."""

    @property
    def declared(self) -> Contract:
        """The contract itself."""
        return get_contract(self.contract)

    @property
    def content(self) -> str:
        """SHA-256 of what the source must hold."""
        return self.content_sha256 or self.batch_id


def once(
    job: FileJob,
    stage: str,
    key: Mapping[str, str],
    summary_type: type[S],
    work: Callable[[Path], S],
) -> S:
    """Do a stage unless its receipt matches, and log its start and its counts, but no row.

    The name of a stage that depends on a model holds the model version; ``key`` is what the result
    depends on. The work gets an empty folder, and writes its files into it.
    """
    batch, name = job.batch_id[:ID_DIGITS], stage.partition("-")[0]
    words = f"{job.source.name}: {name}"
    logger.info("began stage=%s batch=%s", stage, batch, extra={"words": words})
    began = time.perf_counter()
    summary = run_stage(job.folder, stage, key, summary_type, work)
    counts = " ".join(f"{name}={value}" for name, value in summary if name.startswith("rows_"))
    seconds = time.perf_counter() - began
    done = {"words": f"{words}, done"}
    logger.info(
        "finished stage=%s batch=%s %s seconds=%.1f", stage, batch, counts, seconds, extra=done
    )
    return summary
