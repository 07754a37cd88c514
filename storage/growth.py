"""Growing files: which rows of a batch are known, because another batch accounts for them.

Belongs here: recording which content is a prefix of which, and finding known rows. Does not belong
here: comparing contents (``tasks.intake.receive``), or processing the rows that are new.

A log that grows arrives again with more rows. Its content is new, so it is a new batch; but its
first bytes are the content of an earlier batch. The rows of that prefix are *known*: they were
scored or quarantined there, and are only counted here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage.batch_ids import name_batch
from storage.database import insert_or_update, read, serialise
from storage.schema import batch, batch_prefix

SHORTEST_PREFIX_BYTES: Final = 16_384
"""A shorter content counts as a prefix only if the file names are equal: two files may start with
the same few connections by chance. A guess: a hundred rows of NSL-KDD."""


@dataclass(frozen=True, kw_only=True)
class KnownRows:
    """The rows of a batch that another batch accounts for."""

    batch_id: str
    """The other batch."""
    size_bytes: int
    """The size of these rows: they are the first bytes of the content, or all of it."""


@dataclass(frozen=True, kw_only=True)
class PossiblePrefix:
    """A content that may be a prefix of another."""

    batch_id: str
    sha256: str
    """The hash of the content."""
    file_name: str


def find_possible_prefixes(
    engine: Engine, contract: str
) -> Mapping[int, tuple[PossiblePrefix, ...]]:
    """Return the contents that may be prefixes of a file of a contract, by size in bytes.

    Replays of quarantined rows are not among them, since they are not the content of a file.
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
    """Return whether there is a shorter content of a size that was not considered.

    No other content is recorded from now to the end of the transaction.
    """
    serialise(connection, f"contents of {contract}")
    sizes = connection.scalars(
        sa.select(batch.c.size_bytes).where(_is_file(contract), batch.c.size_bytes < size_bytes)
    )
    return not set(considered).issuperset(sizes)


def _is_file(contract: str) -> sa.ColumnElement[bool]:
    """Return the condition that a batch of the contract has the content of a non-empty file."""
    return sa.and_(
        batch.c.contract == contract,
        batch.c.size_bytes > 0,
        batch.c.replayed_batch_id.is_(None) | batch.c.content_sha256.is_not(None),
    )


def record_prefixes(connection: Connection, batch_id: str, prefixes: tuple[str, ...]) -> None:
    """Record which batches are prefixes of a batch, in the transaction that records it."""
    _relate(connection, [(batch_id, prefix) for prefix in prefixes])


def record_replays_of_file(connection: Connection, batch_id: str) -> None:
    """Record which replays have the content of a batch, in the transaction that records it."""
    own = connection.execute(
        sa.select(
            batch.c.contract, sa.func.coalesce(batch.c.content_sha256, batch.c.batch_id)
        ).where(batch.c.batch_id == batch_id)
    ).one()
    found = connection.scalars(
        sa.select(batch.c.batch_id).where(
            batch.c.contract == own[0],
            batch.c.content_sha256 == own[1],
            batch.c.replayed_batch_id != batch_id,
        )
    )
    _relate(connection, [(replay, batch_id) for replay in found])


def record_file_of_replay(connection: Connection, batch_id: str) -> None:
    """Record which batch has the content that a replay reads, if there is one."""
    row = connection.execute(
        sa.select(batch.c.contract, batch.c.content_sha256, batch.c.replayed_batch_id).where(
            batch.c.batch_id == batch_id
        )
    ).one()
    if row.content_sha256 is None:
        return
    of_file = name_batch(row.contract, row.content_sha256)
    if of_file == row.replayed_batch_id:
        return
    known = sa.select(batch.c.batch_id).where(batch.c.batch_id == of_file)
    _relate(connection, [(batch_id, file) for file in connection.scalars(known)])


def _relate(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Insert pairs of a batch and its prefix; existing pairs stay as they are."""
    for batch_id, prefix in sorted(pairs):  # the order in which a commit locks them
        connection.execute(
            insert_or_update(connection, batch_prefix)
            .values(batch_id=batch_id, prefix_batch_id=prefix)
            .on_conflict_do_nothing()
        )


def find_known(connection: Connection, batch_id: str) -> KnownRows | None:
    """Return the rows of a batch that need not be scored again; None if there are none.

    If a longer file was scored meanwhile, it accounts for all of them. Otherwise the longest prefix
    accounts for its own rows, if it was scored, or was rejected and then scored by a replay.

    The batch's delivery is recorded. The result depends on what the connection's transaction
    sees of the database.
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
    """Return the shortest scored batch that has all of a batch as its prefix; None if none."""
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
    """Select the ids of a batch and of all batches that decide which of its rows are known."""
    return sa.union(
        sa.select(sa.literal(batch_id, sa.Text())),
        sa.select(batch_prefix.c.prefix_batch_id).where(batch_prefix.c.batch_id == batch_id),
        sa.select(batch_prefix.c.batch_id).where(batch_prefix.c.prefix_batch_id == batch_id),
        sa.select(batch.c.replayed_batch_id).where(
            batch.c.batch_id == batch_id, batch.c.replayed_batch_id.is_not(None)
        ),
    )
