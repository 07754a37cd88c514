"""Claims: one run at a time works on a batch, and only the newest claim may commit it.

Belongs here: the lock of a batch, which ends with its process, and its fencing token. Does not
belong here: the work on the batch (``batches``).

The lock keeps two runs from doing the same work. It is ``flock`` on the batch's folder with SQLite,
which is used from one host, and a session advisory lock on PostgreSQL. The fencing token stops a
run that lost its lock without noticing from committing: each claim of an unfinished batch takes the
next number, and a commit checks the number in its own transaction.
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
    """Another run claimed the batch after this one, which lost its connection for a while."""


class OvertakenError(ServiceUnavailableError):
    """Another run stored some of the same rows meanwhile, as part of another file."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to commit one batch."""

    batch_id: str
    token: int
    status: str
    """The status of the batch at the claim: ``received``, ``scored`` or ``rejected``."""
    known: KnownRows | None = None
    """The rows that another batch accounts for; the commit checks that it still does."""

    @property
    def is_finished(self) -> bool:
        """Whether the batch was already scored or rejected at the claim."""
        return self.status != "received"


@contextmanager
def claim(engine: Engine, folder: Path, batch_id: str) -> Iterator[Claim | None]:
    """Claim a batch for the duration of the block, unless another run holds it.

    The batch's delivery is recorded. Its ``folder`` in the lake is created if it does not exist.

    Yields:
        The claim, or None if another process or thread holds the batch. Claiming a finished batch
        changes nothing.

    Raises:
        LookupError: no delivery of this batch is recorded.
        ServiceUnavailableError: the database cannot be reached.
    """
    lock = lock_folder(folder) if engine.dialect.name == "sqlite" else lock_key(engine, batch_id)
    with lock as is_held:
        yield _take_token(engine, batch_id) if is_held else None


def is_held(engine: Engine, folder: Path, batch_id: str) -> bool:
    """Return whether a run is working on a batch now; create and change nothing."""
    if engine.dialect.name == "sqlite":
        return is_locked(folder)
    with lock_key(engine, batch_id) as is_free:
        return not is_free


def is_locked(folder: Path) -> bool:
    """Return whether another opening of a folder has locked it; False if there is no folder."""
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
    """Lock a folder, created if it does not exist, against threads and other processes.

    The holder of the lock may remove the folder, even while others try to lock it.

    Yields:
        Whether this call has the lock. It ends with the block, or with the process.
    """
    descriptor = _open_locked(folder)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_locked(folder: Path) -> int | None:
    """Return a locked descriptor of a folder, created if absent; None if another has the lock."""
    while True:  # again whenever another process has removed the folder
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
    """Open a folder; create it whenever it does not exist."""
    with room_on_disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(FileExistsError), room_on_disk(folder):
            folder.mkdir()
        try:
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if folder.is_symlink():  # a link without a target: no process removed it
                raise


def _is_at(folder: Path, descriptor: int) -> bool:
    """Return whether the opened folder is still at its path, and was not removed since."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def lock_key(engine: Engine, name: str) -> Iterator[bool]:
    """Take one of PostgreSQL's advisory locks, in a session opened for it.

    Yields:
        Whether this call has the lock. It ends with the block, or with the process.
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
                # If the session is lost, so is its lock; the token guards the commit.
                with suppress(DBAPIError):
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
    except BaseException:
        connection.invalidate()  # ends the session and with it the lock
        raise
    finally:
        connection.close()


def _take_token(engine: Engine, batch_id: str) -> Claim:
    """Take the next token of an unfinished batch; a finished batch keeps its last token."""
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
    """Lock and return a batch's row for this transaction, if the claim is still the newest.

    It also locks the rows of all batches that share content with it, always in the same order. So
    of two batches that hold the same rows, the second to commit sees the first.

    Raises:
        ClaimLostError: a later claim was made.
        OvertakenError: other rows of the batch are known now than at the claim.
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
            f" another run has made claim {row['claim_token']} since. This run stored nothing; the"
            " other one finishes the batch."
        )
        raise ClaimLostError(message)
    is_unfinished = row["status"] == "received"  # otherwise this claim has already committed
    if is_unfinished and find_known(connection, held.batch_id) != held.known:
        message = (
            f"Cannot store batch {held.batch_id[:16]}: another run has meanwhile stored some of its"
            " rows as part of another file. This run stored nothing. Run it again: it scores only"
            " the other rows."
        )
        raise OvertakenError(message)
    return row
