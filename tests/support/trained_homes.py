"""Homes with a small trained model, on either database.

Belongs here: making such a home, and using it. Does not belong here: what is run in it.
"""

import os
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from storage.database import DATABASE_FILE, connect
from storage.model_store import champion, list_champion_contracts, register_model
from storage.revisions import upgrade

TRAINED_AT = datetime(2026, 11, 1, 6, tzinfo=UTC)
LABELLED = "labelled.csv"
"""The file on which the model of a trained home was fitted; it is in the home."""


def quick_options() -> dict[str, Any]:
    """Return the training options of a model that is fitted in two seconds."""
    from tasks.detectors.autoencoder import AutoencoderOptions
    from tasks.detectors.gradient_boosting import LightGBMOptions

    return {
        "folds": 2,
        "classifier": LightGBMOptions(trees=20, leaves=15),
        "one_class": AutoencoderOptions(layers=(16, 4), epochs=3, batch_rows=256),
    }


def train_home(home: Path, work_folder: Path) -> None:
    """Train a small model in a home. The home gets no lake.

    Args:
        home: gets the labelled file, the database and the model.
        work_folder: an empty folder for the parsed rows.
    """
    from tasks.intake.content import hash_content
    from tasks.intake.ingest import IngestSummary
    from tasks.intake.stage import FileJob
    from tasks.simulation.simulate import simulate_night
    from tasks.training.options import TrainingOptions
    from tasks.training.register import train_model
    from tasks.validation.accept import ingest

    source = home / LABELLED
    simulate_night(source, rows=6_000, seed=1, night=date(2026, 11, 1), labelled=True)
    job = FileJob(
        source=source,
        batch_id=hash_content(source).sha256,
        contract="nsl_kdd",
        folder=work_folder,
        chunk_rows=250_000,
        max_quarantine_ratio=0.5,
    )
    ingested = ingest(job, None)
    assert isinstance(ingested, IngestSummary)
    engine = connect(None, home)
    upgrade(engine)
    train_model(
        engine,
        home / "models",
        [work_folder / part for part in ingested.parts],
        "nsl_kdd",
        TrainingOptions(**quick_options()),
        TRAINED_AT,
        sources={job.batch_id: source.name},
        rows_quarantined=0,
    )
    engine.dispose()


def use_home(patch: pytest.MonkeyPatch, home: Path, **settings: object) -> None:
    """Set ``NOCTULE_HOME`` and other settings, and remove those that the environment has."""
    for name in [name for name in os.environ if name.startswith("NOCTULE_")]:
        patch.delenv(name)
    for name, value in {"home": home, "database_wait_s": 0, **settings}.items():
        patch.setenv(f"NOCTULE_{name.upper()}", str(value))


def move_to_postgres(home: Path, url: str) -> Engine:
    """Register the champions of a home in an empty PostgreSQL database, and delete the SQLite one.

    Returns:
        The engine of the new database; the caller disposes of it.
    """
    trained, engine = connect(None, home), connect(url, home)
    champions = [champion(trained, name) for name in list_champion_contracts(trained)]
    trained.dispose()
    upgrade(engine)
    files = home / "trained"
    for known in champions:
        shutil.move(home / "models" / known.version, files)
        register_model(
            engine,
            home / "models",
            files,
            contract=known.contract,
            content_hash=known.content_hash,
            rows_trained=known.rows_trained,
            training=known.training,
            metrics=known.metrics,
            registered_at=known.registered_at,
            registered_by="noctule train",
        )
        shutil.rmtree(files)
    (home / DATABASE_FILE).unlink()
    return engine
