"""What a task's run says in its log."""

import logging

import pytest

from expectations.errors import InputRejectedError
from tasks.task import task


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [
        (InputRejectedError("the file is empty"), False),
        (PermissionError(13, "Permission denied", "/data/night.csv"), False),
        (KeyError("scored"), True),
    ],
)
def test_a_refusal_is_logged_without_a_traceback_and_a_bug_with_it(
    error: Exception, *, has_traceback: bool
) -> None:
    assert task, "its module prepares the log"
    told = (type(error), error, error.__traceback__)
    record = logging.LogRecord("prefect.task_runs", logging.ERROR, "", 0, "failed", None, told)
    assert logging.getLogger("prefect.task_runs").filter(record)
    assert bool(record.exc_info) is has_traceback
