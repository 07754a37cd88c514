"""Deliveries: files that arrived, and the batch that each of them holds.

Belongs here: recording a delivery, and recognising one that was seen before. Does not belong here:
what happens to the batch (``storage.batches``), or finding files (``tasks.intake.receive``).
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Engine

from storage.batch_ids import name_batch, stored_content
from storage.batches import RECEIVED, BatchRecord, find_record
from storage.database import insert_or_update, read, write
from storage.growth import has_new_prefix, record_prefixes, record_replays_of_file
from storage.schema import batch, delivery


class NewPrefixError(Exception):
    """A possible prefix of a file was recorded while the file was hashed: compare again."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A file that arrived."""

    content_sha256: str
    """SHA-256 of its decompressed bytes, hexadecimal."""
    contract: str
    batch_date: date
    """The night that it belongs to."""
    source: Path
    """Absolute path; its last part is the file name."""
    size_bytes: int
    """Size of the file as it arrived, perhaps compressed."""
    content_bytes: int
    """Size of the decompressed content."""
    modified_at: datetime
    """The file's modification time."""
    arrived_at: datetime
    """When it was first seen."""
    prefixes: tuple[str, ...] = ()
    """Ids of the batches whose content is a prefix of this one."""
    considered: frozenset[int] | None = None
    """The sizes in bytes of all contents compared as prefixes; None if none were compared."""

    @property
    def batch_id(self) -> str:
        """The batch that it holds: its content under its contract."""
        return name_batch(self.contract, self.content_sha256)


def record_delivery(engine: Engine, arrived: Delivery) -> BatchRecord:
    """Record that a file arrived and which batch it holds; return the batch as it is now.

    An unchanged file is one delivery, however often it is recorded. The same content under another
    name or with another modification time is another delivery of the same batch. A later delivery
    may correct the date of a batch until the batch is finished.

    Raises:
        NewPrefixError: a possible prefix of this content was recorded meanwhile.
    """
    with write(engine) as connection:
        if arrived.considered is not None and has_new_prefix(
            connection, arrived.contract, arrived.content_bytes, arrived.considered
        ):
            raise NewPrefixError
        made = insert_or_update(connection, batch).values(
            batch_id=arrived.batch_id,
            contract=arrived.contract,
            content_sha256=stored_content(arrived.batch_id, arrived.content_sha256),
            batch_date=arrived.batch_date,
            file_name=arrived.source.name,
            size_bytes=arrived.content_bytes,
            status=RECEIVED,
            received_at=arrived.arrived_at,
        )
        connection.execute(
            made.on_conflict_do_update(
                index_elements=[batch.c.batch_id],
                set_={"batch_date": made.excluded.batch_date},
                where=batch.c.status == RECEIVED,
            )
        )
        connection.execute(
            insert_or_update(connection, delivery)
            .values(
                batch_id=arrived.batch_id,
                file_name=arrived.source.name,
                source_path=str(arrived.source),
                size_bytes=arrived.size_bytes,
                modified_at=arrived.modified_at,
                arrived_at=arrived.arrived_at,
            )
            .on_conflict_do_nothing()
        )
        record_prefixes(connection, arrived.batch_id, arrived.prefixes)
        record_replays_of_file(connection, arrived.batch_id)
        found = find_record(connection, arrived.batch_id)
    assert found is not None, "just inserted"  # noqa: S101 - our own mistake
    return found


def find_delivery(
    engine: Engine, source: Path, size_bytes: int, modified_at: datetime
) -> BatchRecord | None:
    """Return the batch of a file that was seen before and has not changed; None for any other.

    So files that stay in the inbox are not hashed again.
    """
    with read(engine) as connection:
        batch_id: str | None = connection.scalar(
            sa.select(delivery.c.batch_id)
            .where(
                delivery.c.source_path == str(source),
                delivery.c.modified_at == modified_at,
                delivery.c.size_bytes == size_bytes,
            )
            .order_by(delivery.c.delivery_id.desc())
            .limit(1)
        )
        return None if batch_id is None else find_record(connection, batch_id)
