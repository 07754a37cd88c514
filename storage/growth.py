"""Growing files: which rows of a batch an earlier delivery of the same file accounts for already.

Belongs here: the question what is known, answered from what the database holds. Does not belong
here: how one content is found to begin with another (``tasks.intake.receive``), or what is done
with the rows that are new.

A log that is appended to arrives again with more rows. Its content is new, and so is its batch; but
its beginning, byte by byte, is a batch that came before. The rows of that beginning are *known*:
they were scored or quarantined there, and are only counted here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage.database import insert_or_update, read, serialise
from storage.schema import batch, batch_prefix

SHORTEST_PREFIX_BYTES: Final = 16_384
"""A shorter content is taken for a beginning only under the same file name: two files may begin
with the same few connections by chance. A guess: a hundred rows of NSL-KDD."""


@dataclass(frozen=True, kw_only=True)
class KnownRows:
    """The rows of a batch that another one accounts for."""

    batch_id: str
    """The batch that does."""
    size_bytes: int
    """How much of the content they are: its beginning, or all of it."""


@dataclass(frozen=True, kw_only=True)
class PossiblePrefix:
    """A content that another may begin with."""

    batch_id: str
    sha256: str
    """Of the content."""
    file_name: str


def find_possible_prefixes(
    engine: Engine, contract: str
) -> Mapping[int, tuple[PossiblePrefix, ...]]:
    """List the contents that a file of a contract may begin with, by their size in bytes.

    Replays of some rows are not among them: these are no file's content.
    """
    query = sa.select(
        batch.c.size_bytes,
        batch.c.batch_id,
        sa.func.coalesce(batch.c.content_sha256, batch.c.batch_id).label("sha256"),
        batch.c.file_name,
    ).where(_is_file(contract))
    found: dict[int, tuple[PossiblePrefix, ...]] = {}
    with read(engine) as connection:
        for size_bytes, batch_id, sha256, file_name in connection.execute(query):
            one = PossiblePrefix(batch_id=batch_id, sha256=sha256, file_name=file_name)
            found[size_bytes] = (*found.get(size_bytes, ()), one)
    return found


def has_new_prefix(
    connection: Connection, contract: str, size_bytes: int, considered: Collection[int]
) -> bool:
    """Tell whether a shorter content was recorded since those of some sizes were considered.

    No other content is recorded from here to the end of the transaction.
    """
    serialise(connection, f"contents of {contract}")
    sizes = connection.scalars(
        sa.select(batch.c.size_bytes).where(_is_file(contract), batch.c.size_bytes < size_bytes)
    )
    return not set(considered).issuperset(sizes)


def _is_file(contract: str) -> sa.ColumnElement[bool]:
    """Whether a batch has the content of a file, and one that another may begin with."""
    return sa.and_(
        batch.c.contract == contract,
        batch.c.size_bytes > 0,
        batch.c.replayed_batch_id.is_(None) | batch.c.content_sha256.is_not(None),
    )


def record_prefixes(connection: Connection, batch_id: str, prefixes: tuple[str, ...]) -> None:
    """Note which batches are the beginning of one, within the transaction that records it."""
    _relate(connection, [(batch_id, prefix) for prefix in prefixes])


def record_replays_of_file(connection: Connection, batch_id: str) -> None:
    """Note which replays hold just what a file holds, within the transaction that records it."""
    found = connection.scalars(
        sa.select(batch.c.batch_id).where(
            batch.c.content_sha256 == batch_id, batch.c.replayed_batch_id != batch_id
        )
    )
    _relate(connection, [(replay, batch_id) for replay in found])


def record_file_of_replay(connection: Connection, batch_id: str) -> None:
    """Note which batch came as the very file that a replay reads, if one did."""
    row = connection.execute(
        sa.select(batch.c.content_sha256, batch.c.replayed_batch_id).where(
            batch.c.batch_id == batch_id
        )
    ).one()
    if row.content_sha256 is None or row.content_sha256 == row.replayed_batch_id:
        return
    known = sa.select(batch.c.batch_id).where(batch.c.batch_id == row.content_sha256)
    _relate(connection, [(batch_id, file) for file in connection.scalars(known)])


def _relate(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Insert pairs of a batch and its beginning; those known stay as they are."""
    for batch_id, prefix in sorted(pairs):  # in the order in which a commit locks them
        connection.execute(
            insert_or_update(connection, batch_prefix)
            .values(batch_id=batch_id, prefix_batch_id=prefix)
            .on_conflict_do_nothing()
        )


def find_known(connection: Connection, batch_id: str) -> KnownRows | None:
    """Find the rows of a batch that need not be scored again.

    A longer file that was scored meanwhile accounts for all of them. Else the longest beginning
    whose rows are done with does for its own: one that was scored, or was rejected and scored when
    it was replayed.

    Args:
        connection: with a transaction begun; what it sees decides.
        batch_id: a batch whose delivery is recorded.
    """
    whole = find_longer(connection, batch_id)
    if whole is not None:
        size_bytes = connection.scalar(
            sa.select(batch.c.size_bytes).where(batch.c.batch_id == batch_id)
        )
        return KnownRows(batch_id=whole, size_bytes=int(size_bytes or 0))
    replay = batch.alias("replay")
    is_replayed = sa.exists().where(
        replay.c.replayed_batch_id == batch.c.batch_id, replay.c.status == "scored"
    )
    beginning = connection.execute(
        sa.select(batch.c.batch_id, batch.c.size_bytes)
        .join(batch_prefix, batch_prefix.c.prefix_batch_id == batch.c.batch_id)
        .where(
            batch_prefix.c.batch_id == batch_id,
            (batch.c.status == "scored") | ((batch.c.status == "rejected") & is_replayed),
        )
        .order_by(batch.c.size_bytes.desc(), batch.c.batch_id)
        .limit(1)
    ).one_or_none()
    if beginning is None:
        return None
    return KnownRows(batch_id=beginning.batch_id, size_bytes=beginning.size_bytes)


def find_longer(connection: Connection, batch_id: str, other_than: str = "") -> str | None:
    """Find a file that was scored and begins with all of a batch; the shortest there is."""
    longer = (
        sa.select(batch.c.batch_id)
        .join(batch_prefix, batch_prefix.c.batch_id == batch.c.batch_id)
        .where(
            batch_prefix.c.prefix_batch_id == batch_id,
            batch.c.status == "scored",
            batch.c.batch_id != other_than,
        )
        .order_by(batch.c.size_bytes, batch.c.batch_id)
        .limit(1)
    )
    found: str | None = connection.scalar(longer)
    return found


def relatives(batch_id: str) -> sa.CompoundSelect[tuple[str]]:
    """Select the ids of the batches whose fate decides what of one is known, and its own."""
    return sa.union(
        sa.select(sa.literal(batch_id, sa.Text())),
        sa.select(batch_prefix.c.prefix_batch_id).where(batch_prefix.c.batch_id == batch_id),
        sa.select(batch_prefix.c.batch_id).where(batch_prefix.c.prefix_batch_id == batch_id),
        sa.select(batch.c.replayed_batch_id).where(
            batch.c.batch_id == batch_id, batch.c.replayed_batch_id.is_not(None)
        ),
    )
