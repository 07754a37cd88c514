"""Column types that SQLite and PostgreSQL need to be told apart, and those named once for both.

Belongs here: how one value is stored. Does not belong here: which columns there are (``schema``).
"""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from storage.text import storable


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, ISO text without zone on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Refuse a time without zone, and convert the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"A stored time needs a time zone, {value.isoformat()} has none."
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Give the zone back where the database does not keep it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text from outside, such as file names and messages: what cannot be stored is escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> str | None:
        """Write out NUL and lone surrogates."""
        return None if value is None else storable(value)


RecordJson: Final = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document: text on SQLite, JSONB on PostgreSQL."""

RowCount: Final = BigInteger

# Eight bytes on PostgreSQL; on SQLite only the word INTEGER makes a key the row's own number.
SurrogateKey: Final = BigInteger().with_variant(Integer(), "sqlite")
