"""Refusals: messages for the user when a database or the system refuses an operation.

Belongs here: telling a refusal from a bug, and the message. Does not belong here: catching the
errors (``database``, ``sessions``, and all code that uses files).

A refusal concerns the installation: a missing privilege, a full disk, a folder that may not be
written. An error about a wrong statement or call is a bug, and is not converted.
"""

import errno
import os
import re
import sqlite3
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError

from expectations.errors import NoctuleError, ServiceUnavailableError, UsageError
from storage.schema import metadata
from storage.sessions import REACH_IT, pooled
from storage.text import printable

SQLITE_OUT_OF_SERVICE: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOTADB,
    }
)

POSTGRESQL_OUT_OF_SERVICE: Final = ("08", "40", "53", "55", "57", "58", "XX", "25P03", "25P04")
"""PostgreSQL's code classes for: connection, rollback (a deadlock), resources (a full disk), a
lock not taken in time, operator (a timeout), system, damage, and two more timeouts."""

DENIED: Final = "42501"
READ_ONLY: Final = "25006"
RAISED: Final = "P0001"
"""PostgreSQL's codes for: no privilege, a read-only transaction, an error raised by a trigger."""

PREPARED: Final = frozenset({"26000", "42P05"})
"""Its codes for a prepared statement that is missing or duplicate: another client made it."""

UNDEFINED_TABLE: Final = "42P01"
NO_SUCH_TABLE: Final = "no such table: "
"""PostgreSQL's code, and SQLite's words, for a table or view that does not exist."""

NO_OPTIONS: Final = "unsupported startup parameter"
NO_SESSION: Final = "query_wait_timeout"
"""PgBouncer's words if it accepts no options, and if it has no session left."""

WRONG_OPTION: Final = re.compile(
    r"FATAL: +(unrecognized configuration parameter|invalid value for parameter|parameter \".+\""
    r" cannot be|permission denied to set parameter|invalid command-line argument|-c .+ requires)"
)
"""PostgreSQL's words, when a session opens, about an option that it does not know or accept."""

DENIED_OBJECT: Final = re.compile(r"permission denied for (\w+) (.+)")
OWNED_OBJECT: Final = re.compile(r"must be owner of (.+)")
READING: Final = re.compile(r"\s*(?:SELECT|SHOW|WITH)\b(?!.*\bFOR (?:NO KEY )?UPDATE\b)", re.DOTALL)

STATEMENTS: Final = "docs/operating.md, 'PostgreSQL', has the statements"

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The system's error numbers for a full disk and a full quota."""

FORBIDDEN: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""The error numbers for a path that this user may not use in that way."""

TROUBLED: Final = FULL | {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
"""The error numbers whose cause is not the path: a failing disk, too many open files."""

BUGS: Final = frozenset({errno.EBADF, errno.EFAULT, errno.ECHILD, errno.ESRCH, errno.ENOTSOCK})
"""The error numbers for a wrong call, which is a bug."""

OWN_PACKAGES: Final = frozenset({"expectations", "storage", "tasks", "flows"})
"""If one of these cannot be imported, it is a bug."""

SHARED_LIBRARY: Final = "cannot open shared object file"
"""The words of the system's loader for a library that it does not find."""

SYSTEM_NUMBER: Final = re.compile(r"\(os error (\d+)\)")
"""How polars shows an error number of the system."""


def refused_by_database(
    shown: str, user: str, error: Exception, password: str | None = None
) -> NoctuleError | None:
    """Convert an error of a database that refuses an operation or is out of service.

    ``shown`` is the address of the database, without the password. ``error`` is the driver's error,
    or SQLAlchemy's error around it. The password is removed from the message.

    Returns:
        The error to raise instead; None if the error is a bug.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    statement = (error.statement if isinstance(error, DBAPIError) else None) or ""
    said = first_sentence(cause)
    if password:
        said = said.replace(password, "***")
    state = getattr(cause, "sqlstate", None) or ""
    if state in PREPARED:
        return UsageError(pooled(shown))
    if state == READ_ONLY:
        message = (
            f"Cannot write to the database at {shown}: it is a read-only copy, or this user's"
            f" transactions are read-only (default_transaction_read_only): {said}. Name the server"
            " that takes writes in NOCTULE_DATABASE_URL. Nothing was changed."
        )
        return ServiceUnavailableError(message)
    refused = None
    if state == DENIED:
        refused = _denied(user, said, statement)
    elif state == RAISED or _code(cause) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        refused = f"A trigger that you added refuses what Noctule stores: {said}."
    elif _is_ours_and_gone(said, state):
        refused = (
            f"A part of Noctule's schema is missing: {said}. Restore the database from a backup, or"
            " name another in NOCTULE_DATABASE_URL."
        )
    elif NO_OPTIONS in said or WRONG_OPTION.search(said):
        refused = _refused_options(said)
    elif isinstance(cause, psycopg.ProgrammingError) and not state:  # from the driver itself
        refused = f"The database address cannot be used: {said}. Correct NOCTULE_DATABASE_URL."
    if refused is not None:
        return UsageError(f"{refused} Nothing was changed in the database at {shown}.")
    return _out_of_service(shown, error, cause, said)


def _out_of_service(
    shown: str, error: Exception, cause: BaseException, said: str
) -> ServiceUnavailableError | None:
    """Return the error for a database that is out of service; None if it is in service."""
    state = getattr(cause, "sqlstate", None)
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code; an error of the driver itself has none.
        is_away = _code(cause) & 0xFF in SQLITE_OUT_OF_SERVICE
    elif state is not None:
        is_away = state.startswith(POSTGRESQL_OUT_OF_SERVICE)
    else:
        is_away = isinstance(cause, psycopg.OperationalError)
    if not (is_away or (isinstance(error, DBAPIError) and error.connection_invalidated)):
        return None
    if NO_SESSION in said:
        said += " (the connection pooler has no session left: allow ten sessions for each run)"
    return unavailable(shown, said)


def unavailable(shown: str, said: str) -> ServiceUnavailableError:
    """Return the error for a database that cannot be reached or cannot work."""
    message = (
        f"Cannot reach the database at {shown}, or it cannot work: {said}. Check that it runs, has"
        " space, and that NOCTULE_DATABASE_URL and NOCTULE_HOME are right; nothing was changed."
    )
    return ServiceUnavailableError(message)


def _denied(user: str, said: str, statement: str) -> str:
    """Return the message about a missing privilege, with the statement that grants it."""
    owned, found = OWNED_OBJECT.search(said), DENIED_OBJECT.search(said)
    if owned:
        return (
            f"The user {user} may not change {owned[1]}, which another user owns: run `noctule db"
            " upgrade` as its owner."
        )
    if found is None:
        return f"The user {user} may not do this: {said}. Grant it ({STATEMENTS})."
    kind, name = found.groups()
    if kind == "schema":
        return (
            f"The user {user} may not create or use tables in schema {name}: grant it USAGE and"
            f" CREATE on the schema ({STATEMENTS})."
        )
    if READING.match(statement):
        return (
            f"The user {user} may not read {kind} {name}: grant it SELECT on all of Noctule's"
            f" tables and views ({STATEMENTS})."
        )
    return (
        f"The user {user} may not write {kind} {name}: grant it SELECT, INSERT, UPDATE and DELETE"
        f" on all of Noctule's tables, and USAGE on their sequences ({STATEMENTS})."
    )


def _refused_options(said: str) -> str:
    """Return the message about options with which no session opens."""
    if NO_OPTIONS in said:
        return (
            "A connection pooler, such as PgBouncer, does not accept the options of"
            f" NOCTULE_DATABASE_URL or PGOPTIONS ({said}). {REACH_IT}; or set them for the user"
            " instead: ALTER ROLE ... SET."
        )
    return f"The options of NOCTULE_DATABASE_URL or PGOPTIONS cannot be used: {said}. Correct them."


def _is_ours_and_gone(said: str, state: str) -> bool:
    """Return whether the database lacks one of Noctule's tables."""
    is_absent = state == UNDEFINED_TABLE or said.startswith(NO_SUCH_TABLE)
    return is_absent and not metadata.tables.keys().isdisjoint(re.findall(r"\w+", said))


def _code(error: BaseException) -> int:
    """Return SQLite's extended code of an error; 0 if it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code


def withhold_rows(error: Exception) -> None:
    """Cut the text of an error, and of the error that it wraps, to its first line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said = first_sentence(cause)
    cause.args = (said,)
    if cause is not error:
        kind = type(cause)
        error.args = (f"({kind.__module__}.{kind.__qualname__}) {said}",)


def first_sentence(error: BaseException) -> str:
    """Return the first line of an error, without PostgreSQL's detail, which quotes the row."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    lines = str(primary or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def refused_in_folder(error: BaseException, folder: Path) -> NoctuleError | None:
    """Convert an error about a full disk, or about a folder that this user may not write.

    ``error`` is any error raised while writing to ``folder``, a folder of ``NOCTULE_HOME``.

    Returns:
        The error to raise instead; None for any other error.
    """
    number = _system_number(error)
    if number in FULL:
        message = f"Cannot write in {folder}: the disk is full. Free some space and run it again."
        return ServiceUnavailableError(message)
    if number in FORBIDDEN:
        message = (
            f"Cannot use {_place(error) or folder}: {os.strerror(number)}. Let this user write in"
            " NOCTULE_HOME and run it again."
        )
        return ServiceUnavailableError(message)
    return None


def refused_by_system(error: BaseException) -> NoctuleError | None:
    """Convert an error of the system about a file, a disk, memory or a library.

    Returns:
        The error to raise instead; None if the error is a bug, or already ours.
    """
    if isinstance(error, NoctuleError):
        return None
    if isinstance(error, MemoryError):
        message = (
            "Cannot go on: no memory is left. Free some, or halve NOCTULE_CHUNK_ROWS, and run it"
            " again."
        )
        return ServiceUnavailableError(message)
    number, place = _system_number(error), _place(error)
    if number is None:
        return _missing_part(error)
    if number in BUGS or (number == errno.EINVAL and place is None):
        return None
    said = os.strerror(number)
    if place is None or number in TROUBLED:
        about = "go on" if place is None else f"use {place}"
        return ServiceUnavailableError(f"Cannot {about}: {said}. Correct this and run it again.")
    message = (
        f"Cannot use {place}: {said}. Name another path, or give this user access to it, and run it"
        " again."
    )
    return UsageError(message)


def _missing_part(error: BaseException) -> UsageError | None:
    """Convert an error about a missing library, of Python or of the system."""
    name = error.name if isinstance(error, ImportError) else None
    is_a_package = name is not None and name.partition(".")[0] not in OWN_PACKAGES
    if not is_a_package and SHARED_LIBRARY not in str(error):
        return None
    message = (
        f"Cannot go on: a part of the installation is missing ({first_sentence(error)}). Install"
        " Noctule again (make setup), or the named library of the system, and run it again."
    )
    return UsageError(message)


def _place(error: BaseException) -> str | None:
    """Return the path that an error of the system is about."""
    name = error.filename if isinstance(error, OSError) else None
    return printable(os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _system_number(error: BaseException) -> int | None:
    """Return the system's error number, from an ``OSError`` or from the text of polars' error."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    shown = SYSTEM_NUMBER.search(str(error))
    return int(shown[1]) if shown is not None else None
