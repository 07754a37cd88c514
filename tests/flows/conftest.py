"""Fixtures for the tests of flows: the command line, Prefect's records, cheaper training."""

import ctypes
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from storage.database import connect
from storage.schema import metadata
from tests.support.pipeline.stand_ins import stand_in_suites
from tests.support.prefect_servers import POLL_S, Server
from tests.support.trained_homes import quick_options

CAPABILITY_VERSION = 0x20080522
OVERRIDES_MODES = 1 << 1 | 1 << 2
"""Version 3 of Linux's capabilities, and the two by which root ignores the modes of files:
CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (``linux/capability.h``)."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@contextmanager
def without_prefect() -> Iterator[None]:
    """Call plain functions in place of Prefect's tasks, and publish nothing, within the block."""
    from flows import batch, shadow

    with pytest.MonkeyPatch.context() as patch:
        for module in (batch, shadow):
            for name, its in list(vars(module).items()):
                if name.startswith("publish_"):
                    patch.setattr(module, name, lambda *_, **__: None)
                elif name.endswith("_task"):
                    patch.setattr(module, name, its.fn)
        yield


@pytest.fixture(scope="session", autouse=True)
def _hangup_is_heard() -> Iterator[None]:
    """Let SIGHUP reach the tests' programs, even under ``nohup``, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Kept:
    """Keeps a copy of each home after the work of the first test, for later tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: dict[str, dict[str, Any]] = {}

    def make(self, name: str, home: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do the work of a name once; later, copy its home and return its result again."""
        if name not in self._told:
            self._told[name] = work()
            shutil.copytree(home, self._folder / name)
        else:
            shutil.rmtree(home)
            shutil.copytree(self._folder / name, home)
        return self._told[name]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return the kept homes of the module."""
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def settled(home: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run flows on the test's home, where a file counts as complete as soon as it is written."""
    monkeypatch.setenv("NOCTULE_SETTLE_S", "0")


@pytest.fixture
def pandas_validation() -> Iterator[None]:
    """Validate with pandas, which takes the same rows as Great Expectations in a tenth of the time.

    For tests of what happens around the validation of a batch, in this process.
    """
    with stand_in_suites():
        yield


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit small models; the flow still chooses the seed, threads, selection and kinds."""
    from tasks.training.options import TrainingOptions

    small = quick_options()

    def choose(**asked: Any) -> TrainingOptions:  # noqa: ANN401 - as pydantic takes them
        for role in ("classifier", "one_class"):
            if asked[role]["kind"] == small[role].kind:
                asked[role] = small[role]
        return TrainingOptions(**{**small, **asked})

    monkeypatch.setattr("flows.train.TrainingOptions", choose)


@pytest.fixture
def content() -> Callable[[Path], dict[str, list[str]]]:
    """Return a function that reads every row of every table of a home, as text."""

    def read(home: Path) -> dict[str, list[str]]:
        engine = connect(None, home)
        try:
            with engine.connect() as connection:
                return {
                    table.name: sorted(map(repr, connection.execute(sa.select(table))))
                    for table in metadata.sorted_tables
                }
        finally:
            engine.dispose()

    return read


@pytest.fixture
def server(prefect_server: str) -> Server:
    """Return the records of the session's Prefect server."""
    return Server(prefect_server)


@pytest.fixture
def noctule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Return a function that runs ``noctule`` in this process, without new imports."""
    from flows.cli import main

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["noctule", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., Any]:
    """Return a function that waits until a call returns a true value, or fails at a limit."""

    def wait(look: Callable[[], Any], limit_s: float) -> Any:  # noqa: ANN401 - of any type
        deadline = time.monotonic() + limit_s
        while not (seen := look()):
            assert time.monotonic() < deadline, f"after {limit_s:g} s still {seen!r}"
            time.sleep(POLL_S)
        return seen

    return wait


@pytest.fixture
def locked() -> Callable[..., AbstractContextManager[None]]:
    """Return a context manager that takes rights to files from everybody, root included."""

    @contextmanager
    def lock(*paths: Path, mode: int = 0o555) -> Iterator[None]:
        libc = ctypes.CDLL(None, use_errno=True)
        mine = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)  # of this thread
        held = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
        assert libc.capget(mine, held) == 0
        before = {path: path.stat().st_mode for path in paths}
        effective = held[0]
        try:
            for path in paths:
                path.chmod(mode)
            held[0] = effective & ~OVERRIDES_MODES
            assert libc.capset(mine, held) == 0
            yield
        finally:
            held[0] = effective
            libc.capset(mine, held)
            for path, its in before.items():
                path.chmod(its)

    return lock
