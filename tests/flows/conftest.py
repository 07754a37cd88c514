"""The Prefect server's records, and the command line as a user types it."""

import ctypes
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from storage.database import connect
from storage.schema import metadata

Records = list[dict[str, Any]]

CAPABILITY_VERSION = 0x20080522
OVERRIDES_MODES = 1 << 1 | 1 << 2
"""Linux's third version of capabilities, and those by which root reads and writes what no mode
lets it: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (``linux/capability.h``)."""

ANSWER_S = 150
"""For a Prefect server to answer: on SQLite two of its own writers may block each other, and both
wait for 60 s, by its own setting (seen)."""

POLL_S = 0.2
"""Between two looks at something that will be there soon."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Server:
    """What a Prefect server has recorded."""

    def __init__(self, address: str) -> None:
        self.address = address

    def read(self, kind: str, **filters: object) -> Records:
        """Return its records of a kind, such as ``flow_runs``."""
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
        """Return the runs a flow run started, in the order they began."""
        chosen = {"parent_flow_run_id": {"any_": [flow_run_id]}}
        return self.read("flow_runs", flow_runs=chosen, sort="START_TIME_ASC")

    def artifacts(self, flow_run_id: str) -> dict[str, dict[str, Any]]:
        """Return a flow run's artifacts by the part of their key before the batch."""
        found = self.read("artifacts", flow_runs={"id": {"any_": [flow_run_id]}})
        return {one["key"].partition("-")[0]: one for one in found if one["key"]}


@contextmanager
def without_prefect() -> Iterator[None]:
    """Let the flow of a file call what its tasks are names for, and tell nobody of it."""
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
    """Let SIGHUP reach the tests' programs, though who runs the tests may ignore it (``nohup``)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Kept:
    """Homes as the first test that asked for one has made it, of which later ones get a copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: dict[str, dict[str, Any]] = {}

    def make(self, name: str, home: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what the work of a name says, and leave the home as it left one."""
        if name not in self._told:
            self._told[name] = work()
            shutil.copytree(home, self._folder / name)
        else:
            shutil.rmtree(home)
            shutil.copytree(self._folder / name, home)
        return self._told[name]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Keep homes for the module's tests."""
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def settled(home: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run flows on the test's own home, in which a file is whole as soon as it is written."""
    monkeypatch.setenv("NOCTULE_SETTLE_S", "0")


@pytest.fixture
def quick(quick_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit small models: the flow itself sets the seed, threads, selection and kinds."""
    from tasks.training.options import TrainingOptions

    def choose(**asked: Any) -> TrainingOptions:  # noqa: ANN401 - as pydantic takes them
        for role in ("classifier", "one_class"):
            if asked[role]["kind"] == quick_options[role].kind:
                asked[role] = quick_options[role]
        return TrainingOptions(**{**quick_options, **asked})

    monkeypatch.setattr("flows.train.TrainingOptions", choose)


@pytest.fixture
def content() -> Callable[[Path], dict[str, list[str]]]:
    """Read every row of every table of a home, as text."""

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
    """Read what the session's Prefect server has recorded."""
    return Server(prefect_server)


@pytest.fixture
def noctule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Run ``noctule`` in this process, which has paid for its imports already."""
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
    """Look at something until it is true; fail past the limit, with what it was last."""

    def wait(look: Callable[[], Any], limit_s: float) -> Any:  # noqa: ANN401 - whatever is looked at
        deadline = time.monotonic() + limit_s
        while not (seen := look()):
            assert time.monotonic() < deadline, f"after {limit_s:g} s still {seen!r}"
            time.sleep(POLL_S)
        return seen

    return wait


@pytest.fixture
def locked() -> Callable[..., AbstractContextManager[None]]:
    """Take a right to folders or files from everybody, root included."""

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
