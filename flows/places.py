"""What the settings name, opened for use: the database, the folders, and free disk space.

Belongs here: opening each of them, or saying why it cannot be used. Does not belong here: the
settings (``flows.settings``), or what is read and stored there (``storage``).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Engine

from expectations.errors import ServiceUnavailableError, UsageError
from flows.settings import PREFIX, Settings
from storage.database import connect
from storage.revisions import require_schema, status, upgrade

DISK_PER_CONTENT: Final = 2
"""Bytes that one byte of a file's content may take, in the lake and the database together. A
guess."""


@contextmanager
def connect_database(settings: Settings, wait_s: float | None = None) -> Iterator[Engine]:
    """Connect to the configured database, and yield its engine; its schema is not looked at.

    ``wait_s`` is for a server that does not answer; the settings' if None.

    Raises:
        ServiceUnavailableError: it cannot be reached.
        UsageError: its address cannot be used.
    """
    wait_s = settings.database_wait_s if wait_s is None else wait_s
    engine = connect(settings.database_address, settings.home, wait_s)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """Open the configured database and yield its engine; an empty database gets its tables.

    Raises:
        ServiceUnavailableError: it cannot be reached.
        UsageError: its schema is older or newer than this version of Noctule, or it holds only
            tables of another program.
    """
    with connect_database(settings) as engine:
        found = status(engine)
        require_schema(upgrade(engine) if found.is_empty else found)
        yield engine


def open_folder(settings: Settings, name: Literal["inbox", "training"]) -> Path:
    """Return the inbox or the training folder; where its setting is not set, create it.

    Raises:
        UsageError: it is not a folder. A mount that is absent must not look like an empty night.
    """
    folder = settings.inbox_folder if name == "inbox" else settings.training_folder
    if getattr(settings, name) is None and not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        advice = "Move the file away" if folder.exists() else "Create the folder, mount it"
        message = (
            f"Cannot look for files in {folder}: it is not a folder. {advice}, or correct"
            f" {PREFIX}{name.upper()}"
        )
        raise UsageError(message)
    return folder


def require_room(settings: Settings, content_bytes: int) -> None:
    """Refuse to begin a file if the disk may have too little space for its decompressed content.

    Raises:
        ServiceUnavailableError: too little is free; nothing was begun.
    """
    free = shutil.disk_usage(settings.home).free
    needed = settings.min_free_bytes + DISK_PER_CONTENT * content_bytes
    if free < needed:
        message = (
            f"Cannot begin: {free / 1e9:,.1f} GB are free in {settings.home}, and"
            f" {needed / 1e9:,.1f} GB are needed: {DISK_PER_CONTENT} times the file's content, and"
            " NOCTULE_MIN_FREE_BYTES. Free some and run it again; nothing was stored."
        )
        raise ServiceUnavailableError(message)
