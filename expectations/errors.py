"""The errors Noctule raises on purpose: one base, one child for each exit code a user can meet.

The exit codes: 0 done, 1 a bug in Noctule (an error of any other class), 2 usage, settings or
installation, 3 input rejected, 4 a service is unavailable. A message says what was attempted, what
was expected, what was found and what to do.
"""

from typing import ClassVar


class NoctuleError(Exception):
    """Base of every error that is meant for the user."""

    exit_code: ClassVar[int] = 1


class UsageError(NoctuleError):
    """A command, an option or a setting cannot be used as given, or comes too early."""

    exit_code = 2


class ModelRefusedError(UsageError):
    """A stored model is missing, altered, or made for another contract.

    Exit code 2, not 3: no file is at fault, and none can be scored until the installation is put
    right.
    """


class InputRejectedError(NoctuleError):
    """A file, as a whole, cannot be used: unreadable, wrong columns, or too bad to score."""

    exit_code = 3


class TrainingDataError(InputRejectedError):
    """Labelled data from which no model can be fitted: too few rows, one class, no label."""


class ServiceUnavailableError(NoctuleError):
    """A database or a Prefect server cannot be reached."""

    exit_code = 4
