"""Prefect servers of the tests: their database, and what they have recorded.

Belongs here: which database a server gets, and reading its records. Does not belong here: starting
a server (``flows.private_server`` and the tests do).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.postgresql import fresh_database, has_debian_server

Records = list[dict[str, Any]]

ANSWER_S = 150
"""How long a Prefect server may take to answer. On SQLite two of its own writers may block each
other, and both wait for 60 s, which is its own setting (seen)."""

POLL_S = 0.2
"""Between two attempts at something that will succeed soon."""


@dataclass(frozen=True)
class PrefectDatabase:
    """The database of a Prefect server."""

    url: str
    """For an SQLAlchemy engine of the test."""
    settings: dict[str, str]
    """Environment variables of the server."""


@contextmanager
def open_prefect_database(
    folder: Path, find_server: Callable[[], str]
) -> Iterator[PrefectDatabase]:
    """Make a database for a Prefect server: on PostgreSQL 15 if it is installed, else on SQLite.

    SQLite is Prefect's default, but there the server's own writers now and then block each other
    for a minute.

    Args:
        folder: of the server; gets the SQLite file.
        find_server: returns the address of a PostgreSQL 15 server; called if it is installed.
    """
    if not has_debian_server():
        file = folder / "prefect.db"
        yield _describe(f"sqlite:///{file}", f"sqlite+aiosqlite:///{file}")
        return
    with fresh_database(find_server()) as address:
        _, _, rest = address.partition(":")
        yield _describe(f"postgresql+psycopg:{rest}", f"postgresql+asyncpg:{rest}")


def _describe(url: str, server_url: str) -> PrefectDatabase:
    return PrefectDatabase(url, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": server_url})


class Server:
    """The records of a Prefect server."""

    def __init__(self, address: str) -> None:
        """Keep the address of the server's API."""
        self.address = address

    def read(self, kind: str, **filters: object) -> Records:
        """Return the records of a kind, such as ``flow_runs``."""
        address = f"{self.address}/{kind}/filter"
        while True:
            response = httpx.post(address, json=filters, timeout=ANSWER_S)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # its database is busy
                break
            time.sleep(POLL_S)
        records: Records = response.raise_for_status().json()
        return records

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        """Return one flow run."""
        (found,) = self.read("flow_runs", flow_runs={"id": {"any_": [flow_run_id]}})
        return found

    def latest(self, flow: str) -> dict[str, Any]:
        """Return the run of a flow that ended last."""
        ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
        chosen = {"flows": {"name": {"any_": [flow]}}, "flow_runs": ended}
        return self.read("flow_runs", **chosen, sort="END_TIME_DESC", limit=1)[0]

    def children(self, flow_run_id: str) -> Records:
        """Return the runs that a flow run started, in the order in which they began."""
        chosen = {"parent_flow_run_id": {"any_": [flow_run_id]}}
        return self.read("flow_runs", flow_runs=chosen, sort="START_TIME_ASC")

    def artifacts(self, flow_run_id: str) -> dict[str, dict[str, Any]]:
        """Return a flow run's artifacts by the part of their key before the batch."""
        found = self.read("artifacts", flow_runs={"id": {"any_": [flow_run_id]}})
        return {one["key"].partition("-")[0]: one for one in found if one["key"]}
