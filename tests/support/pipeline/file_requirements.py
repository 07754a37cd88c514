"""Promises: what is kept of every file, however it was damaged.

Belongs here: one function for each promise, over what the database holds and what plain Python
says of the file. Does not belong here: how a file comes to be damaged (see ``forms``) or stored
(``workbench``).
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
BELOW_SCORING: Final = ("prediction", "flagged_connection", "reason", "drift_statistic")
MOST_SECONDS: Final = 5.0
"""A hundred times what a file takes on average; of the process, so that a busy machine is none of
its fault."""
MOST_GROWTH_BYTES: Final = 1 << 29
"""By how much a file of some kilobytes may raise the memory of the process. A guess: far more than
the 32 MiB of one piece of zstandard and some copies of it."""
MOST_CHARACTERS: Final = 1_000
"""Of a message: at most 200 of the file's data, our own words, and the path of the file."""
MOST_ROWS: Final = 1_000_000
"""More cannot be in damaged Parquet of a few dozen rows, whatever its footer says."""


def process_case(pipeline: Pipeline, case: Case) -> Mapping[str, int]:
    """Take one file all the way, and once more, and see that every promise about it is kept.

    Returns:
        What came of it, to be counted.

    Raises:
        BrokenRequirementError: one is not.
    """
    began, peak = time.process_time(), _peak_bytes()
    try:
        counts = _process(pipeline, case)
    except (BrokenRequirementError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of polars is no Exception
        words = f"every error is told in our own words, not as {_place(error)}"
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
        What came of it, or the requirement that it breaks.
    """
    stored = Path(file).read_bytes()
    expected = None if stored.startswith(b"PAR1") else expect_text(stored)
    with open_pipeline() as pipeline:
        try:
            return str(dict(process_case(pipeline, Case(stored, expected, "plain", ()))))
        except BrokenRequirementError as error:
            return str(error)


def _process(pipeline: Pipeline, case: Case) -> Mapping[str, int]:
    """Take one file all the way, in whatever manner it may end."""
    source = pipeline.put(case.stored if case.earlier is None else case.earlier.stored)
    began = None
    if case.earlier is not None:
        began = pipeline.deliver(source)
        require("a file that lies still is decided", began.error is None, began.error)
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
        require("a file that comes again changes nothing", again.is_known, again)
        require("a file that comes again changes nothing", _read(pipeline, again) == stored)
    if case.inner is not None:
        _check_obeyed(pipeline, case.inner)
    return count_rows(stored)


def _unless_known(outcome: Outcome, expected_file: ExpectedFile | None) -> ExpectedFile | None:
    """Return what must become of a file, unless its content was decided before.

    It may have come in another form then: text in another encoding is refused unread where it is
    plain, and counted where it is compressed.
    """
    return None if outcome.is_known else expected_file


def _check_known(
    before: Stored, after: Stored, earlier: ExpectedFile, expected_file: ExpectedFile | None
) -> None:
    """Of a file that has grown: that what was scored before is not scored again."""
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


def _check_obeyed(pipeline: Pipeline, inner: OtherFile) -> None:
    """Of a file that comes as its refusal asked: that it is not refused for what it was before."""
    outcome = pipeline.deliver(pipeline.put(inner.stored))
    require("what a refusal asks for is taken", outcome.error is None, outcome.error)
    reason = _read(pipeline, outcome)["batch"][0]["rejection"] or ""
    require("what a refusal asks for is taken", "Decompress it" not in reason, reason)
    _check_decided(pipeline, outcome, _unless_known(outcome, inner.expected))


def _peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    """Name an error by its type and by where our code met it, which is the same each time."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and f.filename != __file__]
    last = ours[-1] if ours else frames[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}.{last.name}"


def _read(pipeline: Pipeline, outcome: Outcome) -> Stored:
    assert outcome.batch_id is not None
    return pipeline.read(outcome.batch_id)


def _check_left(pipeline: Pipeline, case: Case, outcome: Outcome) -> None:
    """Of a file that could not be worked on: why, and that nothing is stored of it."""
    error = outcome.error
    is_ours = isinstance(error, SourceChangedError | SourceUnavailableError)
    reason = f"{type(error).__name__}: {error}"
    require("a file that lies still is decided", case.trouble is not None, reason)
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
    """Of a file that was left: that the next run takes what lies there by then."""
    outcome = pipeline.deliver(source)
    if not source.exists():
        is_told = isinstance(outcome.error, SourceUnavailableError)
        require("a file that is gone is told of", is_told, outcome.error)
        return
    require("what was left is decided by the next run", outcome.error is None, outcome.error)
    stored = source.read_bytes()
    expected_file = None if stored.startswith(b"PAR1") else expect_text(stored)
    _check_decided(pipeline, outcome, expected_file)


def _check_decided(
    pipeline: Pipeline, outcome: Outcome, expected_file: ExpectedFile | None
) -> Stored:
    """Of a file that was worked on: that it is decided, and that every row is accounted for."""
    stored = _read(pipeline, outcome)
    batch = stored["batch"][0]
    status = batch["status"]
    require("a batch ends scored or rejected", status in {"scored", "rejected"}, status)
    total = sum(batch[name] for name in COUNTS)
    require("rows_read is the sum of all fates", batch["rows_read"] == total, dict(batch))
    require("a decision is told once", len(stored["outbox"]) == 1, len(stored["outbox"]))
    if expected_file is None:
        require("rows_read is no number out of damage", 0 <= total <= MOST_ROWS, total)
    else:
        found = (total, len(expected_file.rows))
        require("rows_read is the number of data lines", found[0] == found[1], found)
    _check_accountant(pipeline, batch, expected_file)
    if status == "rejected":
        check_rejected(stored)
    else:
        check_scored(stored)
    if expected_file is not None:
        check_expected(stored, expected_file)
    return stored


def _check_accountant(
    pipeline: Pipeline, batch: Mapping[str, Any], expected_file: ExpectedFile | None
) -> None:
    """Of known rows: that the batch said to account for them holds them, and is done with them."""
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
