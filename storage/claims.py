"""Claims: one run at a time works on a batch, and only the newest may commit it.

Belongs here: the lock that dies with its owner, and the fencing token it comes with. Does not
belong here: what is done with the batch meanwhile (see ``batches``).

The lock keeps two runs from doing the same work: ``flock`` on the batch's folder with the embedded
database, which is used from one host; a session advisory lock on PostgreSQL. Either is gone when
its process is. The token keeps an owner that lost its lock without noticing from committing: each
claim of an unfinished batch takes the next number, and a commit checks it in its own transaction.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, RowMapping
from sqlalchemy.exc import DBAPIError

from expectations.errors import ServiceUnavailableError
from storage.database import available, lock_name, write
from storage.growth import KnownRows, find_known, relatives
from storage.lake import room_on_disk
from storage.schema import batch


class ClaimLostError(ServiceUnavailableError):
    """Another run has claimed the batch since; the database was away from this one for a while."""


class OvertakenError(ServiceUnavailableError):
    """Another run has stored some of the same rows since, as part of another file."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to commit one batch."""

    batch_id: str
    token: int
    status: str
    """The batch's when it was claimed: ``received``, or ``scored`` or ``rejected`` already."""
    known: KnownRows | None = None
    """The rows that another batch accounts for; the commit makes sure that it still does."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do for the batch."""
        return self.status != "received"


@contextmanager
def claim(engine: Engine, folder: Path, batch_id: str) -> Iterator[Claim | None]:
    """Hold a batch for as long as the block runs, or learn that another run holds it.

    Args:
        engine: the database.
        folder: the batch's folder in the lake; made if absent.
        batch_id: of a batch whose delivery is recorded.

    Yields:
        The claim, or None where another process or thread has the batch. Claiming a finished
        batch changes nothing.

    Raises:
        LookupError: no delivery of this batch is recorded.
        ServiceUnavailableError: the database cannot be reached.
    """
    lock = lock_folder(folder) if engine.dialect.name == "sqlite" else lock_key(engine, batch_id)
    with lock as is_held:
        yield _take_token(engine, batch_id) if is_held else None


def is_held(engine: Engine, folder: Path, batch_id: str) -> bool:
    """Tell whether a run is working on a batch at this moment; nothing is made or changed."""
    if engine.dialect.name == "sqlite":
        return is_locked(folder)
    with lock_key(engine, batch_id) as is_free:
        return not is_free


def is_locked(folder: Path) -> bool:
    """Tell whether somebody holds the lock of a folder; one that is not there is free."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def lock_folder(folder: Path) -> Iterator[bool]:
    """Lock a folder, made if absent, against other openings of it, here or in another process.

    The folder may be removed by whoever holds its lock; others may be locking it meanwhile.

    Yields:
        Whether it is ours; the lock is gone when the block ends or its process does.
    """
    descriptor = _open_locked(folder)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_locked(folder: Path) -> int | None:
    """Open a folder, made if absent, and lock it; None where another opening of it has the lock."""
    while True:  # one more turn for each time that it is removed under our hands
        descriptor = _open_made(folder)
        is_ours = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = _is_at(folder, descriptor)
        except BlockingIOError:
            return None
        finally:
            if not is_ours:
                os.close(descriptor)
        if is_ours:
            return descriptor


def _open_made(folder: Path) -> int:
    """Open a folder, made as often as it is absent."""
    with room_on_disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(FileExistsError), room_on_disk(folder):
            folder.mkdir()
        try:
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if folder.is_symlink():  # not removed: it leads nowhere
                raise


def _is_at(folder: Path, descriptor: int) -> bool:
    """Tell whether what was opened is still what lies there, and not a folder removed since."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def lock_key(engine: Engine, name: str) -> Iterator[bool]:
    """Take one of PostgreSQL's advisory locks, in a session of its own.

    Args:
        engine: the database.
        name: of what is locked.

    Yields:
        Whether it is ours; the lock is gone when the block ends or its process does.
    """
    key = lock_name(name)
    with available(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with available(engine):
            taken = connection.execute(sa.select(sa.func.pg_try_advisory_lock(key)))
        is_held = bool(taken.scalar_one())
        try:
            yield is_held
        finally:
            if is_held:
                # A session that is lost has given up its lock; the token guards the commit.
                with suppress(DBAPIError):
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
    except BaseException:
        connection.invalidate()  # ends the session, and so the lock
        raise
    finally:
        connection.close()


def _take_token(engine: Engine, batch_id: str) -> Claim:
    """Take the next token of an unfinished batch; a finished one keeps its last."""
    with write(engine) as connection:
        connection.execute(
            sa.update(batch)
            .where(batch.c.batch_id == batch_id, batch.c.status == "received")
            .values(claim_token=batch.c.claim_token + 1)
        )
        row = connection.execute(
            sa.select(batch.c.claim_token, batch.c.status).where(batch.c.batch_id == batch_id)
        ).one_or_none()
        known = find_known(connection, batch_id)
    if row is None:
        message = f"Cannot claim batch {batch_id}: record its delivery first."
        raise LookupError(message)
    return Claim(batch_id=batch_id, token=row.claim_token, status=row.status, known=known)


def check_fence(connection: Connection, held: Claim) -> RowMapping:
    """Lock a batch's row for this transaction, if the claim is still the newest.

    The rows of the batches that it has content in common with are locked as well, all in one
    order, so that of two that hold the same rows the second to commit sees the first.

    Returns:
        The batch's row.

    Raises:
        ClaimLostError: a later claim was made.
        OvertakenError: what is known of the batch is no longer what it was at the claim.
    """
    locked = (
        connection.execute(
            sa.select(batch)
            .where(batch.c.batch_id.in_(relatives(held.batch_id)))
            .order_by(batch.c.batch_id)
            .with_for_update()
        )
        .mappings()
        .all()
    )
    row = next(row for row in locked if row["batch_id"] == held.batch_id)
    if row["claim_token"] != held.token:
        message = (
            f"Cannot store batch {held.batch_id[:16]}: this run holds claim {held.token}, but"
            f" claim {row['claim_token']} was made since by a run that found it free. Nothing was"
            " stored by this run; the other one finishes the batch."
        )
        raise ClaimLostError(message)
    is_unfinished = row["status"] == "received"  # else this very claim has committed already
    if is_unfinished and find_known(connection, held.batch_id) != held.known:
        message = (
            f"Cannot store batch {held.batch_id[:16]}: a run that finished meanwhile has stored"
            " some of its rows as part of another file. Nothing was stored by this run; run it"
            " again, and it scores just the others."
        )
        raise OvertakenError(message)
    return row
