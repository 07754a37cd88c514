"""The stages of a night without Prefect, for one file after another, on a real database and lake.

Belongs here: the order of the stages. Does not belong here: what must become of a file (see
``file_requirements``), or what takes the place of the slow libraries (``stand_ins``).

It follows ``flows.batch.finish_batch``: a change of the order of the calls there must be made here
too. The database and the lake are in memory where the system offers that (``/dev/shm``), because
flushing to a disk would cost most of the time, and no test here is about power cuts.
"""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import polars as pl
from sqlalchemy import Engine

from expectations.errors import NoctuleError
from flows.batch import plan_batch
from flows.settings import Settings
from storage.claims import Claim, claim
from storage.database import DATABASE_FILE, connect
from storage.lake import batch_folder, discard_attempts
from storage.model_store import register_model
from storage.revisions import upgrade
from tasks.drift.measure import DriftSummary
from tasks.intake.ingest import IngestSummary
from tasks.intake.receive import Arrival, receive_file
from tasks.intake.stage import FileJob
from tasks.scoring.stage import BatchJob, explain, score
from tasks.store import StageSummaries, store_known, store_rejected, store_scored
from tasks.validation.accept import KnownFile, Refusal, accept, ingest, validate
from tasks.validation.summary import ValidationSummary
from tests.support.memory import memory_folder
from tests.support.pipeline.stand_ins import stand_in_models, stand_in_suites

NIGHT: Final = date(2026, 11, 20)
NOW: Final = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
DATABASE_FILES: Final = 100
"""Files after which the database is emptied: each delivery is compared with every stored batch."""
CONTRACT: Final = "nsl_kdd"
EXPLAINED: Final = 3
DRIFT_FILE: Final = "statistics.parquet"

TABLES: Final[Mapping[str, str]] = {
    "batch": "batch_id = :batch",
    "batch_prefix": "batch_id = :batch",
    "delivery": "batch_id = :batch",
    "dismissal": "delivery_id IN (SELECT delivery_id FROM delivery WHERE batch_id = :batch)",
    "quarantined_row": "batch_id = :batch",
    "validation_result": "batch_id = :batch",
    "outbox": "event_key LIKE :batch || ':%'",
    "scoring": "batch_id = :batch",
    **dict.fromkeys(
        ("prediction", "flagged_connection", "reason", "drift_statistic"),
        "scoring_id IN (SELECT scoring_id FROM scoring WHERE batch_id = :batch)",
    ),
}
"""Which rows of each table are of one batch."""

Stored = Mapping[str, list[dict[str, Any]]]
"""All stored rows of one batch, by table."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    batch_id: str | None
    """None if it was not received."""
    error: NoctuleError | None
    """The error that ended the work before the batch was decided."""
    is_known: bool = False
    """Whether the batch was decided before."""


class Pipeline:
    """A database, a lake and an inbox, through which one process sends many files."""

    def __init__(self, folder: Path) -> None:
        """Create the inbox, and a database with a registered model, in an empty folder."""
        self.folder = folder
        self.engine: Engine
        self._inbox = folder / "inbox"
        self._inbox.mkdir()
        self._settings = Settings(home=folder / "home", contract=CONTRACT, explain_top=EXPLAINED)
        template = Settings(home=folder / "template")
        self._template = template.home
        self._made = 0
        engine = connect(None, template.home)
        upgrade(engine)
        fitted = folder / "fitted"
        fitted.mkdir()
        (fitted / "model.txt").write_text("a hash")
        register_model(
            engine,
            template.models,
            fitted,
            contract=CONTRACT,
            content_hash="a" * 64,
            rows_trained=1,
            training={},
            metrics={},
            registered_at=NOW,
            registered_by="fuzz",
        )
        engine.dispose()
        drift = BytesIO()
        pl.DataFrame(
            {
                "column": ["duration"],
                "method": ["psi"],
                "statistic": [0.01],
                "threshold": [0.2],
                "is_drifted": [False],
                "rows_reference": [1],
                "rows_current": [1],
            }
        ).write_parquet(drift)
        self._drift = drift.getvalue()
        self._begin()

    def _begin(self) -> None:
        """Start with an empty database and an empty lake."""
        shutil.rmtree(self._settings.home, ignore_errors=True)
        shutil.copytree(self._template, self._settings.home)
        self.engine = connect(None, self._settings.home)
        self._reader = sqlite3.connect(self._settings.home / DATABASE_FILE, isolation_level=None)
        self._reader.row_factory = sqlite3.Row

    def close(self) -> None:
        """Close all connections."""
        self._reader.close()
        self.engine.dispose()

    def put(self, stored: bytes) -> Path:
        """Write a file with a new name into the inbox."""
        if self._made and self._made % DATABASE_FILES == 0:
            self.close()
            self._begin()
        self._made += 1
        path = self._inbox / f"night-{self._made:06d}"
        path.write_bytes(stored)
        return path

    def clear(self) -> None:
        """Empty the inbox and the lake."""
        for folder in (self._inbox, self._settings.lake):
            shutil.rmtree(folder, ignore_errors=True)
        self._inbox.mkdir()

    def deliver(
        self,
        source: Path,
        *,
        asks_suite: bool = False,
        before: Callable[[str], None] = lambda _: None,
    ) -> Outcome:
        """Send one file through all stages, as the flow does.

        Args:
            source: the file.
            asks_suite: whether Great Expectations validates it.
            before: called with the name of each stage before the stage begins.

        Returns:
            What became of it. Errors of other libraries go through.
        """
        batch_id = None
        try:
            arrival = receive_file(
                self.engine,
                source,
                self._settings.contract,
                NIGHT,
                NOW,
                self._settings.max_file_bytes,
            )
            batch_id = arrival.record.batch_id
            folder = batch_folder(self._settings.lake, arrival.record.contract, batch_id)
            with claim(self.engine, folder, batch_id) as held:
                assert held is not None
                if held.is_finished:
                    return Outcome(batch_id, None, is_known=True)
                discard_attempts(folder)
                job = plan_batch(self._settings, self.engine, arrival, held)
                with nullcontext() if asks_suite else stand_in_suites():
                    self._decide(held, job, arrival, before)
        except NoctuleError as error:
            return Outcome(batch_id, error)
        return Outcome(batch_id, None)

    def _decide(
        self, held: Claim, job: BatchJob, arrival: Arrival, before: Callable[[str], None]
    ) -> None:
        """Run the stages of a batch, and store the result."""

        def ingest_told(job: FileJob, damage: str | None) -> IngestSummary | Refusal:
            before("ingest")
            return ingest(job, damage)

        def validate_told(job: FileJob, ingested: IngestSummary) -> ValidationSummary | Refusal:
            before("validate")
            return validate(job, ingested)

        accepted = accept(job, arrival.damage, ingest_told, validate_told)
        if isinstance(accepted, Refusal):
            store_rejected(self.engine, held, arrival, accepted, NOW, NOW)
            return
        if isinstance(accepted, KnownFile):
            store_known(self.engine, held, arrival, accepted.ingested, NOW, NOW)
            return
        validated = accepted.validated
        before("score")
        scored = score(job, validated)
        explained = explain(job, validated, scored)
        (job.folder / DRIFT_FILE).write_bytes(self._drift)
        drifted = DriftSummary(
            rows_reference=1,
            rows_current=scored.rows_scored,
            columns_drifted=(),
            is_score_drifted=False,
            statistics=DRIFT_FILE,
            report_html=None,
            report_json=None,
            notes=(),
        )
        made = StageSummaries(
            ingested=accepted.ingested,
            validated=validated,
            scored=scored,
            explained=explained,
            drifted=drifted,
        )
        store_scored(self.engine, held, job, arrival, made, NOW, NOW)

    def read(self, batch_id: str) -> Stored:
        """Read all stored rows of a batch, without our own code."""
        return {
            table: [
                dict(row)
                for row in self._reader.execute(
                    f"SELECT * FROM {table} WHERE {of_batch}",  # noqa: S608 - both written above
                    {"batch": batch_id},
                )
            ]
            for table, of_batch in TABLES.items()
        }


@contextmanager
def open_pipeline(folder: Path | None = None) -> Iterator[Pipeline]:
    """Open an empty pipeline, and remove it afterwards.

    Args:
        folder: an empty folder; None for a new one in memory.
    """
    place = folder or Path(mkdtemp(prefix="noctule-fuzz-", dir=memory_folder()))
    with ExitStack() as stack:
        if folder is None:
            stack.callback(shutil.rmtree, place, ignore_errors=True)
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)  # a line for each stage of each file
        stack.enter_context(stand_in_models())
        yield stack.enter_context(closing(Pipeline(place)))
