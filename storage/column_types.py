"""Column types that SQLite and PostgreSQL store differently, and the metadata of all tables.

Belongs here: how one value is stored, and the naming convention of constraints and indexes. Does
not belong here: the tables (``schema``).
"""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from storage.text import storable


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC: ``timestamptz`` on PostgreSQL, ISO text without zone on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Convert a time to UTC; refuse one without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"A stored time needs a time zone, but {value.isoformat()} has none."
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Return the time in UTC; SQLite does not keep the zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text from outside, such as file names; characters that cannot be stored are escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """Escape NUL and lone surrogates."""
        return None if value is None else storable(value)


RecordJson: Final = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document: text on SQLite, JSONB on PostgreSQL."""

RowCount: Final = BigInteger

# Eight bytes on PostgreSQL. On SQLite only the type INTEGER makes a key the row id.
SurrogateKey: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)
