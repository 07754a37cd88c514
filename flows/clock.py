"""The time of day: flows and commands read it here, and pass it on as an argument."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
