"""PostgreSQL sessions: opening one, and checking that Noctule can work with it.

Belongs here: the settings of every session, and which servers, poolers and options are refused.
Does not belong here: transactions and addresses (``database``).

Settings are made after a session is open, not while it opens. So the options of the address and of
``PGOPTIONS`` remain the user's, and a pooler that accepts no options can be used.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, cast

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.engine import Dialect

from expectations.errors import UsageError

Session = psycopg.Connection[Any]

ENCODING: Final = "UTF8"
"""The encoding in which the server must store text and we send it, because files are UTF-8."""

CONNECT_TIMEOUT_S: Final = 10
"""How long to wait for a PostgreSQL server to answer, unless the user sets it. A guess."""

SETTINGS: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",  # the only one that the driver reads
    "extra_float_digits": "1",  # a score is read exactly as it was stored
    "default_transaction_isolation": "read committed",  # locks and fencing tokens rely on it
}
"""The settings of every session; they override those of the user, the role and the database."""

KEEPALIVES: Final[Mapping[str, str]] = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Settings that the user's options may replace. With them the server notices within a minute (a
guess) that a host has vanished, and releases its claims; PostgreSQL's default is two hours."""

SET: Final = (
    "SELECT set_config(name, value, false) FROM pg_catalog.pg_settings"
    " JOIN unnest(%s::text[], %s::text[], %s::boolean[]) AS wanted(name, value, is_ours)"
    " USING (name) WHERE is_ours OR source <> 'client'"
)

EXAMINE: Final = (
    "SELECT pg_catalog.pg_backend_pid(), current_schema(), current_setting('search_path'),"
    " ARRAY(SELECT name FROM pg_catalog.pg_settings WHERE lower(name) = ANY(%s)"
    " AND source <> ALL('{client,session}'))"
)

PROBES: Final = 10
"""How often to ask a pooler which session it gives. Once is enough if the pool is idle; this is a
guess for a pool that others use too."""

ENTRY: Final = re.compile(r'(?:[^,"]|"[^"]*")*')
"""Matches one name of a search path, with its quotes."""

REACH_IT: Final = "Reach PostgreSQL directly, or through session pooling (pool_mode = session)"


def open_sessions(engine: Engine, shown: str) -> None:
    """Make an engine open its sessions with our settings, and examine the first session.

    The engine, of a PostgreSQL database, is not yet connected. ``shown`` is the database's address,
    without its password.
    """
    is_examined = False

    @event.listens_for(engine, "do_connect")
    def _open(
        dialect: Dialect, _record: object, arguments: Sequence[Any], words: dict[str, Any]
    ) -> Session:
        nonlocal is_examined

        def connect() -> Session:
            session = cast("Session", dialect.connect(*arguments, **(words | told(words))))
            session.autocommit = True
            return session

        session = connect()
        try:
            _require_encoding(session, shown)
            if not is_examined:
                _examine(session, connect, shown)
                is_examined = True
            _set(session)
            session.autocommit = False
        except BaseException:
            session.close()
            raise
        return session


def told(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the driver's arguments that are added to those of the address."""
    ours: dict[str, Any] = {
        "client_encoding": ENCODING,
        "fallback_application_name": "noctule",
        # Prepared statements fail behind a pooler, which mixes the sessions of its clients.
        "prepare_threshold": None,
    }
    if "connect_timeout" not in words and "PGCONNECT_TIMEOUT" not in os.environ:
        ours["connect_timeout"] = CONNECT_TIMEOUT_S
    return ours


def libpq_user() -> str:
    """Return the user of an address without one: that of the environment or the system."""
    known = {default.keyword: default.val for default in psycopg.pq.Conninfo.get_defaults()}
    return (known.get(b"user") or b"").decode(errors="replace") or "of this process"


def _require_encoding(session: Session, shown: str) -> None:
    """Refuse a database that cannot store every text."""
    found = session.info.parameter_status("server_encoding")
    if found != ENCODING:
        message = (
            f"Cannot use the database at {shown}: it stores text as {found}, and Noctule needs"
            f" {ENCODING}. Make one with: CREATE DATABASE name ENCODING 'UTF8' LC_COLLATE 'C'"
            " LC_CTYPE 'C' TEMPLATE template0, and name it in NOCTULE_DATABASE_URL. Nothing was"
            " changed."
        )
        raise UsageError(message)


def _examine(session: Session, connect: Callable[[], Session], shown: str) -> None:
    """Refuse a session that other clients share, or that ignores the user's options."""
    asked = option_names((session.pgconn.options or b"").decode(errors="replace"))
    row = session.execute(EXAMINE, [asked]).fetchone()
    assert row is not None  # noqa: S101 - the query reads no table
    pid, schema, path, dropped = row
    # A server sends the process id of its session at the start; a pooler invents one.
    if session.info.backend_pid != pid and _is_shared(session, connect):
        raise UsageError(pooled(shown))
    if dropped:
        message = (
            f"Cannot use the database at {shown}: options of NOCTULE_DATABASE_URL or PGOPTIONS"
            f" ({', '.join(dropped)}) have no effect there, because a connection pooler, such as"
            " PgBouncer, drops them. Reach PostgreSQL directly, or set them for the user: ALTER"
            " ROLE ... SET. Nothing was changed."
        )
        raise UsageError(message)
    entry = first_entry(path)
    is_passed_over = "search_path" in asked and entry and _unquote(entry) not in {"$user", schema}
    if schema is None or is_passed_over:
        raise UsageError(_without_schema(shown, path, session.info.user))


def _without_schema(shown: str, path: str, user: str) -> str:
    """Return the message about a search path whose first schema cannot be used."""
    entry = first_entry(path)
    wanted = user if _unquote(entry) in {"", "$user"} else entry
    return (
        f"Cannot use the database at {shown}: the first schema of its search_path ({path}) does not"
        f" exist, or the user {user} may not use it. Create it: CREATE SCHEMA {wanted}; or grant"
        f" access: GRANT USAGE, CREATE ON SCHEMA {wanted} TO {user}; or correct the search_path."
        " Nothing was changed."
    )


def pooled(shown: str) -> str:
    """Return the message about a pooler that shares its sessions."""
    return (
        f"Cannot use the database at {shown}: a connection pooler, such as PgBouncer, answers"
        " there and gives one session to several clients in turn (transaction or statement"
        f" pooling), but Noctule's locks on batches belong to a session. {REACH_IT}: correct"
        " NOCTULE_DATABASE_URL. Nothing was changed."
    )


def _is_shared(session: Session, connect: Callable[[], Session]) -> bool:
    """Return whether a pooler gives one session to two open clients, or two to one client."""
    with closing(connect()) as other:
        ours, theirs = set[int](), set[int]()
        for _ in range(PROBES):
            for client, seen in ((session, ours), (other, theirs), (session, ours)):
                row = client.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
                seen.update(row or ())
            if len(ours) > 1 or len(theirs) > 1 or ours & theirs:
                return True
    return False


def _set(session: Session) -> None:
    """Apply ``SETTINGS`` to a session, and those of ``KEEPALIVES`` that the user does not set."""
    wanted = {**SETTINGS, **KEEPALIVES}
    is_ours = [name in SETTINGS for name in wanted]
    session.execute(SET, [list(wanted), list(wanted.values()), is_ours])


def option_names(options: str) -> list[str]:
    """Return the names, in lower case, of the settings in the options of a connection."""
    words = re.findall(r"(?:\\.|[^\s\\])+", options)
    pairs = []
    for before, word in zip(["", *words], words, strict=False):
        if before == "-c":
            pairs.append(word)
        elif word.startswith(("-c", "--")):
            pairs.append(word[2:])
    names = (pair.partition("=")[0].replace("-", "_").lower() for pair in pairs)
    return [name for name in names if name]


def first_entry(path: str) -> str:
    """Return the first name of a search path, with its quotes; empty if there is none."""
    found = ENTRY.match(path)
    return found[0].strip() if found is not None else ""


def _unquote(entry: str) -> str:
    """Return the schema that an entry of a search path means."""
    if entry.startswith('"'):
        return entry[1:-1].replace('""', '"')
    return entry.lower()
