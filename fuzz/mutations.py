"""Mutations: damaged files by the thousand, each taken all the way, each promise asked of each.

Belongs here: how long it goes on, and what is told of a promise that was not kept. Does not belong
here: how files are damaged (see ``forms``), or what is promised (``promises``).

Hypothesis draws the files and makes a failing one small. The work is done in a process of its own:
a file that kills it, or never lets it go, is a failure like any other and ends nothing else.
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
from tests.support.damaged_files.originals import Original, read_real, simulate
from tests.support.memory import memory_folder
from tests.support.pipeline.file_requirements import process_case
from tests.support.pipeline.pipeline import Pipeline, open_pipeline
from tests.support.pipeline.stored_requirements import BrokenRequirementError

SLICE_FILES: Final = 250
"""Files drawn from one seed: a few seconds of work, and what has to be done again to see a failure
come about."""
PROCESSES: Final = 2
"""One tries some 25 files a second on a core of its own (estimated from CPU time)."""
MOST_SLICES: Final = 1_000_000
"""Seeds that one process may use up."""
SHRINK_S: Final = 10.0
"""How long a failing file is made smaller. A guess: after that, a person does it faster."""
PATIENCE_S: Final = 60.0
"""How long the process may overstay before it counts as caught in an endless loop. A guess."""
SHOWN_HEX_BYTES: Final = 200
"""Files up to this size are shown in hexadecimal; all are kept."""
SHOWN_CHARACTERS: Final = 400
RESULT: Final = "result.json"
LAST_WORDS: Final = "stderr.txt"


def run(seconds: float, seed: int) -> PartResult:
    """Try damaged files for a time.

    Args:
        seconds: for how long, but one file at the least; a failure found at the end takes up to
            ``SHRINK_S`` more.
        seed: decides which files are tried; how many there are, the machine decides.

    Returns:
        What was tried and what came of it. A failing file is kept in a folder of the system's
        temporary one; ``replay_file`` in ``tests/support/pipeline`` tries it again.
    """
    kept = Path(tempfile.mkdtemp(prefix="noctule-failures-"))
    counts: Counter[str] = Counter()
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(PROCESSES) as pool:
        seeds = range(PROCESSES * seed, PROCESSES * (seed + 1))
        for share in pool.map(lambda own: _supervise(kept, seconds, own), seeds):
            counts.update(share.counts)
            failures = {**share.failures, **failures}
    if not failures:
        kept.rmdir()
    ordered = dict(sorted(counts.items(), key=_order))
    return PartResult(counts=ordered, failures=tuple(failures.values()))


def _supervise(kept: Path, seconds: float, seed: int) -> "Share":
    """Have a process search, and another one if it dies."""
    share = Share()
    until = time.monotonic() + seconds
    number = 0
    left = seconds
    while True:
        with _scratch() as folder:
            first = seed * MOST_SLICES + number
            worker = get_context("spawn").Process(target=_work, args=(folder, kept, left, first))
            worker.start()
            worker.join(left + SHRINK_S + PATIENCE_S)
            is_hung = worker.is_alive()
            if is_hung:
                worker.kill()
                worker.join()
            result = folder / RESULT
            if result.is_file():
                told = json.loads(result.read_bytes())
                share.counts.update(told["counts"])
                share.failures.update(told["failures"])
                return share
            end = "never ended" if is_hung else f"ended with {worker.exitcode}"
            death = f"the process {end}"
            share.failures[death] = _tell_of_death(folder, kept, death, first)
        number += MOST_SLICES // 100
        left = until - time.monotonic()
        if left <= 0:
            return share


@dataclass
class Share:
    """What one process did."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    """What to tell, by the promise that was not kept."""


class Search:
    """One process' share of a search: what it has counted, and what it has found."""

    def __init__(self, pipeline: Pipeline, kept: Path, until: float) -> None:
        """Begin with nothing found.

        Args:
            pipeline: where files are tried.
            kept: the folder for failing files.
            until: when to end, by the monotonic clock.
        """
        self.share = Share()
        self._bench = pipeline
        self._kept = kept
        self._until = until

    @property
    def is_over(self) -> bool:
        """Whether the time has come."""
        return time.monotonic() > self._until

    def look(self, originals: tuple[Original, ...], seed: int) -> None:
        """Try as many files as one seed is good for; a promise known to be broken is passed over.

        Args:
            originals: what files are made from.
            seed: of this slice.
        """
        hunt = _Hunt(self)

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
            hunt.meet(case)

        try:
            look()
        except (BrokenRequirementError, Flaky):
            assert hunt.error is not None  # noqa: S101 - what else was raised
            self.share.failures[hunt.error.requirement] = self._tell(hunt, seed)

    def try_once(self, case: Case) -> None:
        """Try a file and count it.

        Raises:
            BrokenRequirementError: a promise was not kept, and it was not known before.
        """
        counts = self.share.counts
        counts["files"] += 1
        counts[f"{case.form} files"] += 1
        counts.update(case.kinds)
        if case.asks_suite:
            counts["files validated by Great Expectations"] += 1
        if case.trouble is not None:
            counts[f"file {case.trouble}"] += 1
        try:
            counts.update(process_case(self._bench, case))
        except BrokenRequirementError as error:
            counts["promises broken"] += 1
            if error.requirement not in self.share.failures:
                raise

    def retry(self, case: Case) -> BrokenRequirementError | None:
        """Try a file without counting it, and return what it breaks."""
        try:
            process_case(self._bench, case)
        except BrokenRequirementError as error:
            return error
        return None

    def _tell(self, hunt: "_Hunt", seed: int) -> str:
        """Say what was not kept, of which file, and keep that file."""
        case, error = hunt.smallest, hunt.error
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


class _Hunt:
    """The search within one slice: the first promise found broken, and the smallest file for it."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.error: BrokenRequirementError | None = None
        self.smallest: Case | None = None
        self._failing: dict[bytes, BrokenRequirementError] = {}
        self._until = 0.0

    def meet(self, case: Case) -> None:
        """Try a file that Hypothesis drew, or, once one has failed, a smaller one."""
        if self.error is None:
            if self._search.is_over and self._search.share.counts:
                return
            try:
                self._search.try_once(case)
            except BrokenRequirementError as error:
                self.error, self._until = error, time.monotonic() + SHRINK_S
                self._note(case, error)
                raise
            return
        if time.monotonic() > self._until:  # only what has failed already fails
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
    """Tell cases apart."""
    return repr((case.form, case.trouble, case.moment, case.asks_suite)).encode() + case.stored


def _work(folder: Path, kept: Path, seconds: float, seed: int) -> None:
    """Search in a process of its own, and leave the result in the folder."""
    # What polars writes when it panics would drown everything else.
    os.dup2(os.open(folder / LAST_WORDS, os.O_WRONLY | os.O_CREAT), 2)
    until = time.monotonic() + seconds
    originals = read_real() or simulate()
    with open_pipeline(folder) as pipeline:
        search = Search(pipeline, kept, until)
        search.look(originals, seed)
        while not search.is_over:
            seed += 1
            search.look(originals, seed)
    told = {"counts": search.share.counts, "failures": search.share.failures}
    (folder / RESULT).write_text(json.dumps(told))


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder that is gone afterwards, whatever a process left in it."""
    folder = Path(tempfile.mkdtemp(prefix="noctule-fuzz-", dir=memory_folder()))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _tell_of_death(folder: Path, kept: Path, end: str, seed: int) -> str:
    """Say how the process ended, and keep the file that it had before it."""
    files = [path for path in folder.rglob("night-*") if path.is_file()]
    copies = []
    for path in files:
        copy = kept / f"fatal-{seed}-{path.name}"
        copy.write_bytes(path.read_bytes())
        copies.append(str(copy))
    words = folder / LAST_WORDS
    said = words.read_text(errors="replace")[-SHOWN_CHARACTERS:] if words.is_file() else ""
    return f"{end} (seed {seed}; kept as {', '.join(copies)}); its last words: {said}"


def _order(counted: tuple[str, int]) -> tuple[int, str]:
    """Put what was tried first, then what came of it, then what was done to it."""
    name = counted[0]
    signs = ("files", "promises", "scored", "rejected", "left", "rows")
    return next((i for i, sign in enumerate(signs) if name.startswith(sign)), len(signs)), name
