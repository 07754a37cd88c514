"""A fit ends when its parent is killed, or closes its pipe."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.training.options import TrainingOptions

ROOT = Path(__file__).parents[4]
LONG_S = 600
"""Length of the test's fit, unless it is ended."""

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.retraining import challengers as challenge
from tasks.training.options import TrainingOptions
from tasks.retraining.parent_pipe import parent_pipe
from tests.unit.tasks.retraining.test_parent_pipe import fit_for_long

challenge._fit = fit_for_long
asked = ("slow", [], "nsl_kdd", TrainingOptions(), Path())
with ThreadPoolExecutor(1) as pool, parent_pipe() as line:
    fit = pool.submit(challenge.fit_challenger, *asked, line)
    fit.result()
"""


def fit_for_long(_: list[Path], _contract: str, _out: Path, _options: TrainingOptions) -> None:
    """Print the id of this process, and keep running."""
    print(os.getpid(), flush=True)  # noqa: T201 - to the test
    time.sleep(LONG_S)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_fit_does_not_outlive_its_parent(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        fit = int(parent.stdout.readline())
        parent.send_signal(how)
        try:
            parent.communicate(timeout=30)  # ends when nobody can write there, the fit among them
        except subprocess.TimeoutExpired:
            parent.kill()
            with suppress(ProcessLookupError):
                os.kill(fit, signal.SIGKILL)
            raise
