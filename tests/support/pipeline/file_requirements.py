"""What must hold for every file, however it was damaged.

Belongs here: processing a file through the pipeline, and the requirements on what becomes of it.
Does not belong here: requirements on the rows of one batch (see ``stored_requirements``), or how
files are damaged (``tests.support.damaged_files``).
"""

import hashlib
import os
import resource
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tasks.intake.content import SourceChangedError, SourceUnavailableError
from tests.support.damaged_files.cases import Case, OtherFile, Trouble
from tests.support.oracles.file_oracle import ExpectedFile, expect_text
from tests.support.pipeline.pipeline import Outcome, Pipeline, Stored, open_pipeline
from tests.support.pipeline.stored_requirements import (
    BrokenRequirementError,
    check_expected,
    check_readable,
    check_rejected,
    check_scored,
    count_rows,
    require,
)

COUNTS: Final = ("rows_scored", "rows_quarantined", "rows_rejected", "rows_known")
MOST_SECONDS: Final = 5.0
"""A hundred times the mean for a file, in CPU time, which a busy machine hardly raises."""
MOST_GROWTH_BYTES: Final = 1 << 29
"""By how much a small file may raise the peak memory of the process. A guess: far more than some
copies of one 32 MiB piece of zstandard."""
MOST_ROWS: Final = 1_000_000
"""More rows than damaged Parquet of a few dozen rows can hold, whatever its footer says."""


def process_case(pipeline: Pipeline, case: Case) -> Mapping[str, int]:
    """Process one file twice, and check every requirement.

    Returns:
        Counts of what became of it.

    Raises:
        BrokenRequirementError: a requirement does not hold.
    """
    began, peak = time.process_time(), _peak_bytes()
    try:
        counts = _process(pipeline, case)
    except (BrokenRequirementError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of polars is not an Exception
        words = f"every error is one of ours, not {_place(error)}"
        raise BrokenRequirementError(words, error) from error
    finally:
        pipeline.clear()
    seconds = time.process_time() - began
    require(f"no file takes more than {MOST_SECONDS:g} CPU s", seconds <= MOST_SECONDS, seconds)
    grown = _peak_bytes() - peak
    require("no small file takes much memory", grown <= MOST_GROWTH_BYTES, f"{grown:,} bytes")
    return counts


def replay_file(file: str | Path) -> str:
    """Process a file that the fuzzing kept.

    Returns:
        What became of it, or the requirement that it breaks.
    """
    stored = Path(file).read_bytes()
    expected = None if stored.startswith(b"PAR1") else expect_text(stored)
    with open_pipeline() as pipeline:
        try:
            return str(dict(process_case(pipeline, Case(stored, expected, "plain", ()))))
        except BrokenRequirementError as error:
            return str(error)


def _process(pipeline: Pipeline, case: Case) -> Mapping[str, int]:
    """Process one file, with all that its case says may happen to it."""
    source = pipeline.put(case.stored if case.earlier is None else case.earlier.stored)
    began = None
    if case.earlier is not None:
        began = pipeline.deliver(source)
        require("a file that does not change is decided", began.error is None, began.error)
        _check_decided(pipeline, began, _unless_known(began, case.earlier.expected))
        source.write_bytes(case.stored)

    def meddle(stage: str) -> None:
        if stage == case.moment and case.trouble is not None:
            _TROUBLES[case.trouble](source, case.stored)

    outcome = pipeline.deliver(source, asks_suite=case.asks_suite, before=meddle)
    if outcome.error is not None:
        _check_left(pipeline, case, outcome)
        _check_next(pipeline, source)
        return {"left": 1}
    expected_file = _unless_known(outcome, case.expected)
    stored = _check_decided(pipeline, outcome, expected_file)
    if began is not None and case.earlier is not None and not began.is_known:
        _check_known(_read(pipeline, began), stored, case.earlier.expected, expected_file)
    if case.trouble is None:
        again = pipeline.deliver(source)
        require("a second delivery changes nothing", again.is_known, again)
        require("a second delivery changes nothing", _read(pipeline, again) == stored)
    if case.inner is not None:
        _check_inner(pipeline, case.inner)
    return count_rows(stored)


def _unless_known(outcome: Outcome, expected_file: ExpectedFile | None) -> ExpectedFile | None:
    """Return what is expected of a file; None if its content was decided before.

    It may have had another form then: text in another encoding is rejected unread if it is plain,
    but its lines are counted if it is compressed.
    """
    return None if outcome.is_known else expected_file


def _check_known(
    before: Stored, after: Stored, earlier: ExpectedFile, expected_file: ExpectedFile | None
) -> None:
    """Check a file that has grown: its old rows are not scored again."""
    if (
        before["batch"][0]["status"] != "scored"
        or expected_file is None
        or not expected_file.is_readable
    ):
        return
    has_grown = (
        expected_file.content.startswith(earlier.content)
        and expected_file.content != earlier.content
    )
    rows = expected_file.known_rows(earlier.content) if has_grown else 0
    accountant = after["batch"][0]["known_batch_id"]
    require("the rows of a file before it had grown are known", not rows or accountant, rows)


def _check_inner(pipeline: Pipeline, inner: OtherFile) -> None:
    """Check a file that was changed as its rejection asked: the same reason does not return."""
    outcome = pipeline.deliver(pipeline.put(inner.stored))
    require("a file changed as asked is processed", outcome.error is None, outcome.error)
    reason = _read(pipeline, outcome)["batch"][0]["rejection"] or ""
    require("a file changed as asked is processed", "Decompress it" not in reason, reason)
    _check_decided(pipeline, outcome, _unless_known(outcome, inner.expected))


def _peak_bytes() -> int:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    """Name an error by its type and by the place in our code, which is the same each time."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and f.filename != __file__]
    last = ours[-1] if ours else frames[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}.{last.name}"


def _read(pipeline: Pipeline, outcome: Outcome) -> Stored:
    assert outcome.batch_id is not None
    return pipeline.read(outcome.batch_id)


def _check_left(pipeline: Pipeline, case: Case, outcome: Outcome) -> None:
    """Check a file that was left: it has changed or is gone, and nothing of it is stored."""
    error = outcome.error
    is_ours = isinstance(error, SourceChangedError | SourceUnavailableError)
    reason = f"{type(error).__name__}: {error}"
    require("a file that does not change is decided", case.trouble is not None, reason)
    require("a file is left only if it changed or is gone", is_ours, reason)
    check_readable(str(error))
    stored = _read(pipeline, outcome)
    require("a file that is left stays received", stored["batch"][0]["status"] == "received")
    tables = {table for table, found in stored.items() if found} - {"batch_prefix"}
    require(
        "nothing is stored of a file that is left",
        tables == {"batch", "delivery"},
        tables,
    )


def _check_next(pipeline: Pipeline, source: Path) -> None:
    """Check that the next run processes what a left file has become."""
    outcome = pipeline.deliver(source)
    if not source.exists():
        is_told = isinstance(outcome.error, SourceUnavailableError)
        require("a file that is gone is reported", is_told, outcome.error)
        return
    require("what was left is decided by the next run", outcome.error is None, outcome.error)
    stored = source.read_bytes()
    expected_file = None if stored.startswith(b"PAR1") else expect_text(stored)
    _check_decided(pipeline, outcome, expected_file)


def _check_decided(
    pipeline: Pipeline, outcome: Outcome, expected_file: ExpectedFile | None
) -> Stored:
    """Check a file that was processed: its batch is decided, with every row accounted for."""
    stored = _read(pipeline, outcome)
    batch = stored["batch"][0]
    status = batch["status"]
    require("a batch ends scored or rejected", status in {"scored", "rejected"}, status)
    total = sum(batch[name] for name in COUNTS)
    require("rows_read is the sum of all counts", batch["rows_read"] == total, dict(batch))
    require("a decision has one event", len(stored["outbox"]) == 1, len(stored["outbox"]))
    if expected_file is None:
        require("rows_read is plausible", 0 <= total <= MOST_ROWS, total)
    else:
        found = (total, len(expected_file.rows))
        require("rows_read is the number of data lines", found[0] == found[1], found)
    _check_known_rows(pipeline, batch, expected_file)
    if status == "rejected":
        check_rejected(stored)
    else:
        check_scored(stored)
    if expected_file is not None:
        check_expected(stored, expected_file)
    return stored


def _check_known_rows(
    pipeline: Pipeline, batch: Mapping[str, Any], expected_file: ExpectedFile | None
) -> None:
    """Check the known rows: the batch that accounts for them holds them and is scored."""
    known, other = batch["rows_known"], batch["known_batch_id"]
    require("known rows are known from somewhere", (known > 0) == (other is not None), known)
    if other is None:
        return
    accountant = pipeline.read(other)["batch"][0]
    is_done = accountant["status"] == "scored"
    require("known rows are scored where they are known from", is_done, accountant["status"])
    if expected_file is None:
        return
    require("known rows are of a text", expected_file.is_readable, known)
    size_bytes = accountant["size_bytes"]
    if size_bytes > len(expected_file.content):  # the same file after it had grown
        require("known rows are counted by plain Python", known == len(expected_file.rows), known)
        return
    beginning = expected_file.content[:size_bytes]
    is_beginning = hashlib.sha256(beginning).hexdigest() == other
    require("known rows stand at the beginning of the file", is_beginning, size_bytes)
    found = (known, expected_file.known_rows(beginning))
    require("known rows are counted by plain Python", found[0] == found[1], found)


def _replace(source: Path, stored: bytes) -> None:
    """Have another file under the same name, as large and as old."""
    status = source.stat()
    other = source.with_suffix(".new")
    other.write_bytes(stored[::-1])
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(source)


_TROUBLES: Final[Mapping[Trouble, Callable[[Path, bytes], object]]] = {
    "vanishes": lambda source, _: source.unlink(),
    "is cut": lambda source, stored: source.write_bytes(stored[: len(stored) // 2]),
    "grows": lambda source, stored: source.write_bytes(stored + b"more\n"),
    "is replaced": _replace,
}
