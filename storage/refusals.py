"""Refusals: what a database or the system will not do, in words for whoever can change that.

Belongs here: telling a refusal from a bug, and its sentence. Does not belong here: where the errors
come from (``database``, ``sessions``, and any use of a file).

A refusal is an answer about the installation: a grant, a full disk, a folder that may not be
written. An error that says that a statement or a call is wrong is a bug, and goes on as it is.
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
"""What its error codes begin with: connection, rollback (a deadlock), resources (a full disk), a
lock not had in time, operator (a timeout), system, damage, and two more timeouts."""

DENIED: Final = "42501"
READ_ONLY: Final = "25006"
RAISED: Final = "P0001"
"""PostgreSQL's codes for: no privilege, no writing here, a trigger of the user's own refuses."""

PREPARED: Final = frozenset({"26000", "42P05"})
"""For a prepared statement that is not there, or there already: another client's."""

UNDEFINED_TABLE: Final = "42P01"
NO_SUCH_TABLE: Final = "no such table: "
"""PostgreSQL's code, and SQLite's words, for a table or view that is not there."""

NO_OPTIONS: Final = "unsupported startup parameter"
NO_SESSION: Final = "query_wait_timeout"
"""What PgBouncer says where it takes no options, and where it has no session left."""

WRONG_OPTION: Final = re.compile(
    r"FATAL: +(unrecognized configuration parameter|invalid value for parameter|parameter \".+\""
    r" cannot be|permission denied to set parameter|invalid command-line argument|-c .+ requires)"
)
"""What PostgreSQL says, as a session begins, of an option that it does not know or take."""

DENIED_OBJECT: Final = re.compile(r"permission denied for (\w+) (.+)")
OWNED_OBJECT: Final = re.compile(r"must be owner of (.+)")
READING: Final = re.compile(r"\s*(?:SELECT|SHOW|WITH)\b(?!.*\bFOR (?:NO KEY )?UPDATE\b)", re.DOTALL)

STATEMENTS: Final = "docs/operating.md, 'PostgreSQL', has the statements"

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The system's numbers for a full disk, and for a user's full share of it."""

FORBIDDEN: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""And for a disk, a folder or a file that this user may not use so."""

TROUBLED: Final = FULL | {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
"""And for what is no fault of a path: a disk that fails, too many open files."""

BUGS: Final = frozenset({errno.EBADF, errno.EFAULT, errno.ECHILD, errno.ESRCH, errno.ENOTSOCK})
"""And for a call that is wrong, whatever the system is like."""

OWN_PACKAGES: Final = frozenset({"expectations", "storage", "tasks", "flows"})
"""What is imported from here is there, or it is a bug."""

SHARED_LIBRARY: Final = "cannot open shared object file"
"""What the system's loader says of a library that it does not find."""

SYSTEM_NUMBER: Final = re.compile(r"\(os error (\d+)\)")
"""How polars shows such a number."""


def refused_by_database(
    shown: str, user: str, error: Exception, password: str | None = None
) -> NoctuleError | None:
    """Say what a database refuses, or that it is out of service.

    Args:
        shown: its address, without the password.
        user: who asks it.
        error: the driver's, or SQLAlchemy's around it.
        password: what must not be shown.

    Returns:
        What to raise instead; None where the error is a bug.
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
        refused = f"A trigger of yours refuses what Noctule stores: {said}."
    elif _is_ours_and_gone(said, state):
        refused = (
            f"A part of Noctule's schema was taken away: {said}. Restore the database from a"
            " backup, or name another in NOCTULE_DATABASE_URL."
        )
    elif NO_OPTIONS in said or WRONG_OPTION.search(said):
        refused = _refused_options(said)
    elif isinstance(cause, psycopg.ProgrammingError) and not state:  # of the driver's own
        refused = f"The database address cannot be used: {said}. Correct NOCTULE_DATABASE_URL."
    if refused is not None:
        return UsageError(f"{refused} Nothing was changed in the database at {shown}.")
    return _out_of_service(shown, error, cause, said)


def _out_of_service(
    shown: str, error: Exception, cause: BaseException, said: str
) -> ServiceUnavailableError | None:
    """Say what could not be reached, in the server's own first line; None where it could."""
    state = getattr(cause, "sqlstate", None)
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code; an error of the driver's own has none.
        is_away = _code(cause) & 0xFF in SQLITE_OUT_OF_SERVICE
    elif state is not None:
        is_away = state.startswith(POSTGRESQL_OUT_OF_SERVICE)
    else:
        is_away = isinstance(cause, psycopg.OperationalError)
    if not (is_away or (isinstance(error, DBAPIError) and error.connection_invalidated)):
        return None
    if NO_SESSION in said:
        said += " (the connection pooler has no session left: allow Noctule ten for each run)"
    return unavailable(shown, said)


def unavailable(shown: str, said: str) -> ServiceUnavailableError:
    """Say that a database cannot be reached, and why."""
    message = (
        f"Cannot reach the database at {shown}, or it cannot work: {said}. Check that it runs, has"
        " room, and that NOCTULE_DATABASE_URL and NOCTULE_HOME are right; nothing was changed."
    )
    return ServiceUnavailableError(message)


def _denied(user: str, said: str, statement: str) -> str:
    """Say what a user may not do, and what to grant."""
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
            f"The user {user} may not make or use tables in schema {name}: grant it USAGE and"
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
    """Say that a session with the user's options is not opened."""
    if NO_OPTIONS in said:
        return (
            "A connection pooler, such as PgBouncer, takes no options like those of"
            f" NOCTULE_DATABASE_URL or PGOPTIONS ({said}). {REACH_IT}, and there set them for the"
            " user instead: ALTER ROLE ... SET."
        )
    return f"The options of NOCTULE_DATABASE_URL or PGOPTIONS cannot be used: {said}. Correct them."


def _is_ours_and_gone(said: str, state: str) -> bool:
    """Tell whether what a database does not have is a table that Noctule made."""
    is_absent = state == UNDEFINED_TABLE or said.startswith(NO_SUCH_TABLE)
    return is_absent and not metadata.tables.keys().isdisjoint(re.findall(r"\w+", said))


def _code(error: BaseException) -> int:
    """Return SQLite's extended code of an error; 0 where it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code


def withhold_rows(error: Exception) -> None:
    """Cut an error's text, and that of the error it wraps, to the first sentence."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said = first_sentence(cause)
    cause.args = (said,)
    if cause is not error:
        kind = type(cause)
        error.args = (f"({kind.__module__}.{kind.__qualname__}) {said}",)


def first_sentence(error: BaseException) -> str:
    """Return what went wrong, without PostgreSQL's detail and context, which quote the row."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    lines = str(primary or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def refused_in_folder(error: BaseException, folder: Path) -> NoctuleError | None:
    """Say that a disk is full, or that this user may not write there.

    Args:
        error: any that was raised while a folder of ``NOCTULE_HOME`` was written.
        folder: that folder.

    Returns:
        What to raise instead; None where the error is another.
    """
    number = _system_number(error)
    if number in FULL:
        message = (
            f"Cannot write in {folder}: no room is left on the disk. Free some and run it again."
        )
        return ServiceUnavailableError(message)
    if number in FORBIDDEN:
        message = (
            f"Cannot use {_place(error) or folder}: {os.strerror(number)}. Let this user write in"
            " NOCTULE_HOME and run it again."
        )
        return ServiceUnavailableError(message)
    return None


def refused_by_system(error: BaseException) -> NoctuleError | None:
    """Say what the system refuses: a file, a disk, memory, a library.

    Returns:
        What to raise instead; None where the error is a bug.
    """
    if isinstance(error, NoctuleError):
        return None  # it has its words
    if isinstance(error, MemoryError):
        message = (
            "Cannot go on: no memory is left. Free some, or set NOCTULE_CHUNK_ROWS to half of what"
            " it is, and run it again."
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
        return ServiceUnavailableError(f"Cannot {about}: {said}. Put it right and run it again.")
    message = (
        f"Cannot use {place}: {said}. Name another place, or let this user use that one, and run"
        " it again."
    )
    return UsageError(message)


def _missing_part(error: BaseException) -> UsageError | None:
    """Say which library of the installation is not there, Python's or the system's."""
    name = error.name if isinstance(error, ImportError) else None
    is_a_package = name is not None and name.partition(".")[0] not in OWN_PACKAGES
    if not is_a_package and SHARED_LIBRARY not in str(error):
        return None
    message = (
        f"Cannot go on: a part of the installation is missing ({first_sentence(error)}). Install"
        " Noctule again (make setup), or the library of the system that is named, and run it again."
    )
    return UsageError(message)


def _place(error: BaseException) -> str | None:
    """Name the file that an error of the system is about."""
    name = error.filename if isinstance(error, OSError) else None
    return printable(os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _system_number(error: BaseException) -> int | None:
    """Return the system's number of an error, whoever met it first."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    shown = SYSTEM_NUMBER.search(str(error))
    return int(shown[1]) if shown is not None else None
