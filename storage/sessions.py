"""PostgreSQL sessions: how one is opened, and what it must be before Noctule works with it.

Belongs here: what every session is told, and which servers, poolers and options are refused. Does
not belong here: transactions and addresses (see ``database``).

Settings are made once a session is open, not as it is opened: the options of the address and of
``PGOPTIONS`` stay the user's, and a pooler that takes no options can be used.
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
"""In which the server must store text, and in which it is sent: the files' text is UTF-8."""

CONNECT_TIMEOUT_S: Final = 10
"""How long to wait for a PostgreSQL server to answer, unless the user says it. A guess."""

SETTINGS: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",  # the driver reads no other
    "extra_float_digits": "1",  # a score comes back as it was stored
    "default_transaction_isolation": "read committed",  # what locks and fences count on
}
"""What a session is set to, whatever the user, the role or the database says."""

KEEPALIVES: Final[Mapping[str, str]] = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""What it is set to unless the user's options say another value. The server notices within a minute
(a guess) that a host has vanished, and gives up the claims it held; its own default is two
hours."""

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
"""How often a pooler is asked which session it gives. One round shows it where the pool is idle; a
guess at how many do where others use it too."""

ENTRY: Final = re.compile(r'(?:[^,"]|"[^"]*")*')
"""A name of a search path, as it is written."""

REACH_IT: Final = "Reach PostgreSQL directly, or through session pooling (pool_mode = session)"


def open_sessions(engine: Engine, shown: str) -> None:
    """Have an engine open its sessions as Noctule needs them, and examine the first.

    Args:
        engine: of a PostgreSQL database; nothing was asked of it yet.
        shown: the database's address, without its password.
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
    """Return what the driver is told beside the address.

    Args:
        words: the address's own.
    """
    ours: dict[str, Any] = {
        "client_encoding": ENCODING,
        "fallback_application_name": "noctule",
        # A name that is prepared in one session of a pooler is known, or taken, in another.
        "prepare_threshold": None,
    }
    if "connect_timeout" not in words and "PGCONNECT_TIMEOUT" not in os.environ:
        ours["connect_timeout"] = CONNECT_TIMEOUT_S
    return ours


def libpq_user() -> str:
    """Name the user of an address that names none: that of the environment or the system."""
    known = {default.keyword: default.val for default in psycopg.pq.Conninfo.get_defaults()}
    return (known.get(b"user") or b"").decode(errors="replace") or "of this process"


def _require_encoding(session: Session, shown: str) -> None:
    """Refuse a database that cannot store every text as it came."""
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
    """Refuse a session that is not ours alone, or is not what the user's options ask for."""
    asked = option_names((session.pgconn.options or b"").decode(errors="replace"))
    row = session.execute(EXAMINE, [asked]).fetchone()
    assert row is not None  # noqa: S101 - it asks no table
    pid, schema, path, dropped = row
    # A server names its session as it begins; a pooler makes a name up.
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
    """Say that a search path leads to no schema, or past the one it begins with."""
    entry = first_entry(path)
    wanted = user if _unquote(entry) in {"", "$user"} else entry
    return (
        f"Cannot use the database at {shown}: its search_path ({path}) begins with no schema that"
        f" exists and that the user {user} may use. Make it: CREATE SCHEMA {wanted}; or let the"
        f" user in: GRANT USAGE, CREATE ON SCHEMA {wanted} TO {user}; or correct the search_path."
        " Nothing was changed."
    )


def pooled(shown: str) -> str:
    """Say why a pooler that shares its sessions cannot be used, and what can."""
    return (
        f"Cannot use the database at {shown}: a connection pooler, such as PgBouncer, answers"
        " there and gives one session to several clients in turn (transaction or statement"
        f" pooling), and Noctule's locks on batches belong to a session. {REACH_IT}: correct"
        " NOCTULE_DATABASE_URL. Nothing was changed."
    )


def _is_shared(session: Session, connect: Callable[[], Session]) -> bool:
    """Tell whether what two open clients ask of a pooler ever meets in one session."""
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
    """Set what every session has, and what one has that the user says nothing of."""
    wanted = {**SETTINGS, **KEEPALIVES}
    is_ours = [name in SETTINGS for name in wanted]
    session.execute(SET, [list(wanted), list(wanted.values()), is_ours])


def option_names(options: str) -> list[str]:
    """Name, in lower case, the settings that the options of a connection are about."""
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
    """Return the first name of a search path, as it is written; empty where it has none."""
    found = ENTRY.match(path)
    return found[0].strip() if found is not None else ""


def _unquote(entry: str) -> str:
    """Return the name that an entry of a search path means."""
    if entry.startswith('"'):
        return entry[1:-1].replace('""', '"')
    return entry.lower()
