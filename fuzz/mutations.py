"""The long run of mutations: thousands of damaged files, each checked against all requirements.

Belongs here: the search, its processes and its report. Does not belong here: how files are damaged
(see ``tests.support.damaged_files``), or what must hold for a file (``tests.support.pipeline``).

Hypothesis draws the files and shrinks a failing one. The search runs in other processes, so that a
file that kills its process or never returns is one more failure, and the search goes on.
"""

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import Final

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Flaky

from fuzz.results import PartResult
from tests.support.damaged_files.cases import Case, cases
from tests.support.damaged_files.originals import Original, read_real, simulate_originals
from tests.support.memory import memory_folder
from tests.support.pipeline.file_requirements import process_case
from tests.support.pipeline.pipeline import Pipeline, open_pipeline
from tests.support.pipeline.stored_requirements import BrokenRequirementError

SLICE_FILES: Final = 250
"""Files that are drawn from one seed: a few seconds of work, to repeat a failure."""
PROCESSES: Final = 2
"""Each processes some 25 files a second on one core (estimated from CPU time)."""
MOST_SLICES: Final = 1_000_000
"""Most seeds of one process."""
SHRINK_S: Final = 10.0
"""Longest time for shrinking a failing file. A guess: after that, a person is faster."""
HUNG_S: Final = 60.0
"""How long a process may exceed its time before it counts as hung. A guess."""
SHOWN_HEX_BYTES: Final = 200
"""Files up to this size are printed in hexadecimal; all failing files are kept."""
SHOWN_CHARACTERS: Final = 400
RESULT: Final = "result.json"
STANDARD_ERROR: Final = "stderr.txt"


def run(seconds: float, seed: int) -> PartResult:
    """Process damaged files for a time.

    Args:
        seconds: the time, for at least one file; a late failure takes ``SHRINK_S`` more.
        seed: decides which files are drawn; their number depends on the machine.

    Returns:
        The counts and the failures. Failing files are kept in a new temporary folder;
        ``replay_file`` in ``tests.support.pipeline.file_requirements`` processes one again.
    """
    kept = Path(tempfile.mkdtemp(prefix="noctule-failures-"))
    counts: Counter[str] = Counter()
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(PROCESSES) as pool:
        seeds = range(PROCESSES * seed, PROCESSES * (seed + 1))
        for outcome in pool.map(lambda own: _supervise(kept, seconds, own), seeds):
            counts.update(outcome.counts)
            failures = {**outcome.failures, **failures}
    if not failures:
        kept.rmdir()
    ordered = dict(sorted(counts.items(), key=_order))
    return PartResult(counts=ordered, failures=tuple(failures.values()))


def _supervise(kept: Path, seconds: float, seed: int) -> "SearchResult":
    """Run a search in a process; if the process dies, start another."""
    outcome = SearchResult()
    until = time.monotonic() + seconds
    number = 0
    left = seconds
    while True:
        with _scratch() as folder:
            first = seed * MOST_SLICES + number
            worker = get_context("spawn").Process(target=_work, args=(folder, kept, left, first))
            worker.start()
            worker.join(left + SHRINK_S + HUNG_S)
            is_hung = worker.is_alive()
            if is_hung:
                worker.kill()
                worker.join()
            result = folder / RESULT
            if result.is_file():
                told = json.loads(result.read_bytes())
                outcome.counts.update(told["counts"])
                outcome.failures.update(told["failures"])
                return outcome
            end = "never ended" if is_hung else f"ended with {worker.exitcode}"
            death = f"the process {end}"
            outcome.failures[death] = _report_death(folder, kept, death, first)
        number += MOST_SLICES // 100
        left = until - time.monotonic()
        if left <= 0:
            return outcome


@dataclass
class SearchResult:
    """The counts and failures of one process."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    """The report of each failure, by the broken requirement."""


class Search:
    """The search of one process: its counts and failures."""

    def __init__(self, pipeline: Pipeline, kept: Path, until: float) -> None:
        """Start without counts and failures.

        Args:
            pipeline: processes the files.
            kept: the folder for failing files.
            until: the end, by the monotonic clock.
        """
        self.outcome = SearchResult()
        self._pipeline = pipeline
        self._kept = kept
        self._until = until

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until

    def search_seed(self, originals: tuple[Original, ...], seed: int) -> None:
        """Process the files of one seed; a requirement that is known to be broken is ignored.

        Args:
            originals: the files from which damaged ones are made.
            seed: of the draw.
        """
        of_seed = _SeedSearch(self)

        @seeded(seed)
        @settings(
            max_examples=SLICE_FILES,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(cases(originals))
        def look(case: Case) -> None:
            of_seed.check(case)

        try:
            look()
        except (BrokenRequirementError, Flaky):
            assert of_seed.error is not None  # noqa: S101 - what else was raised
            self.outcome.failures[of_seed.error.requirement] = self._report(of_seed, seed)

    def try_once(self, case: Case) -> None:
        """Process a file and count it.

        Raises:
            BrokenRequirementError: a requirement does not hold that was not known to be broken.
        """
        counts = self.outcome.counts
        counts["files"] += 1
        counts[f"{case.form} files"] += 1
        counts.update(case.kinds)
        if case.asks_suite:
            counts["files validated by Great Expectations"] += 1
        if case.trouble is not None:
            counts[f"file {case.trouble}"] += 1
        try:
            counts.update(process_case(self._pipeline, case))
        except BrokenRequirementError as error:
            counts["requirements broken"] += 1
            if error.requirement not in self.outcome.failures:
                raise

    def retry(self, case: Case) -> BrokenRequirementError | None:
        """Process a file without counting it; return the error if it breaks a requirement."""
        try:
            process_case(self._pipeline, case)
        except BrokenRequirementError as error:
            return error
        return None

    def _report(self, of_seed: "_SeedSearch", seed: int) -> str:
        """Keep the smallest failing file, and return the report of the failure."""
        case, error = of_seed.smallest, of_seed.error
        assert case is not None  # noqa: S101 - it goes with the error
        path = self._kept / f"seed-{seed}"
        path.write_bytes(case.stored)
        size = len(case.stored)
        hexadecimal = f" {case.stored.hex()}" if size <= SHOWN_HEX_BYTES else ""
        trouble = f", {case.trouble} before {case.moment}" if case.trouble else ""
        done = ", ".join(case.kinds) or "nothing"
        return (
            f"{str(error)[:SHOWN_CHARACTERS]} (seed {seed}; {case.form} of {size} bytes, done to"
            f" it: {done}{trouble}; kept as {path}{hexadecimal})"
        )


class _SeedSearch:
    """The search with one seed: the first broken requirement, and the smallest such file."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.error: BrokenRequirementError | None = None
        self.smallest: Case | None = None
        self._failing: dict[bytes, BrokenRequirementError] = {}
        self._until = 0.0

    def check(self, case: Case) -> None:
        """Process a file from Hypothesis; after a failure, a smaller candidate."""
        if self.error is None:
            if self._search.is_over and self._search.outcome.counts:
                return
            try:
                self._search.try_once(case)
            except BrokenRequirementError as error:
                self.error, self._until = error, time.monotonic() + SHRINK_S
                self._note(case, error)
                raise
            return
        if time.monotonic() > self._until:  # a new file no longer counts as failing
            known = self._failing.get(_key(case))
            if known is not None:
                raise known
            return
        broken = self._search.retry(case)
        if broken is not None and broken.requirement == self.error.requirement:
            self._note(case, broken)
            raise broken

    def _note(self, case: Case, error: BrokenRequirementError) -> None:
        self._failing[_key(case)] = error
        if self.smallest is None or len(case.stored) < len(self.smallest.stored):
            self.smallest, self.error = case, error


def _key(case: Case) -> bytes:
    """Return a key that differs between cases."""
    return repr((case.form, case.trouble, case.moment, case.asks_suite)).encode() + case.stored


def _work(folder: Path, kept: Path, seconds: float, seed: int) -> None:
    """Search until the time is over, and write the result into the folder."""
    # A panic of polars writes much to standard error.
    os.dup2(os.open(folder / STANDARD_ERROR, os.O_WRONLY | os.O_CREAT), 2)
    until = time.monotonic() + seconds
    originals = read_real() or simulate_originals()
    with open_pipeline(folder) as pipeline:
        search = Search(pipeline, kept, until)
        search.search_seed(originals, seed)
        while not search.is_over:
            seed += 1
            search.search_seed(originals, seed)
    told = {"counts": search.outcome.counts, "failures": search.outcome.failures}
    (folder / RESULT).write_text(json.dumps(told))


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder, and remove it afterwards with all that a process left in it."""
    folder = Path(tempfile.mkdtemp(prefix="noctule-fuzz-", dir=memory_folder()))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _report_death(folder: Path, kept: Path, end: str, seed: int) -> str:
    """Keep the file on which a process died, and return the report of its death."""
    files = [path for path in folder.rglob("night-*") if path.is_file()]
    copies = []
    for path in files:
        copy = kept / f"fatal-{seed}-{path.name}"
        copy.write_bytes(path.read_bytes())
        copies.append(str(copy))
    words = folder / STANDARD_ERROR
    said = words.read_text(errors="replace")[-SHOWN_CHARACTERS:] if words.is_file() else ""
    return f"{end} (seed {seed}; kept as {', '.join(copies)}); its standard error: {said}"


def _order(counted: tuple[str, int]) -> tuple[int, str]:
    """Order counts: files first, then their results, then kinds of damage."""
    name = counted[0]
    signs = ("files", "requirements", "scored", "rejected", "left", "rows")
    return next((i for i, sign in enumerate(signs) if name.startswith(sign)), len(signs)), name
