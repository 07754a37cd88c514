"""The errors that Noctule raises on purpose: one base class, and a class for each exit code.

Belongs here: the classes. Does not belong here: messages, which are where the error is raised. A
message says what was attempted, what was expected, what was found and what to do.

The exit codes: 0 done, 1 a bug in Noctule (an error of any other class), 2 usage, settings or
installation, 3 input rejected, 4 a service is unavailable.
"""

from pathlib import Path
from typing import ClassVar


class NoctuleError(Exception):
    """The base class of every error that is meant for the user."""

    exit_code: ClassVar[int] = 1


class UsageError(NoctuleError):
    """A command, an option or a setting cannot be used as given, or not yet."""

    exit_code = 2


class PageError(UsageError):
    """The page of a contract cannot be read as one."""

    def __init__(self, path: Path, line: int | None, key: str, problem: str) -> None:
        """Name the file, the line and the key (empty for none) in front of the problem."""
        place = [str(path), *([f"line {line}"] if line else ()), *([key] if key else ())]
        super().__init__(f"{', '.join(place)}: {problem}.")
        self.path = path
        """The file of the page."""


class ModelRefusedError(UsageError):
    """A stored model is missing, altered, or made for another contract.

    Exit code 2, not 3: the cause is not the file but the installation, which must be corrected
    before any file can be scored.
    """


class InputRejectedError(NoctuleError):
    """A whole file cannot be used: it is unreadable, or has wrong columns or too many bad rows."""

    exit_code = 3


class TrainingDataError(InputRejectedError):
    """No model can be fitted on the labelled rows: too few rows, only one class, or no labels."""


class ServiceUnavailableError(NoctuleError):
    """A database or a Prefect server cannot be reached."""

    exit_code = 4
