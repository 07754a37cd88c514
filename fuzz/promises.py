"""Promises: what is kept of every file, however it was damaged.

Belongs here: one function for each promise, over what the database holds and what plain Python
says of the file. Does not belong here: how a file comes to be damaged (see ``forms``) or stored
(``workbench``).
"""

import hashlib
import json
import os
import resource
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from expectations.nsl_kdd import NSL_KDD
from fuzz.file_oracle import RowTruth, Truth, truth_of_text
from fuzz.forms import Case, Delivery, Trouble
from fuzz.workbench import Stored, Trial, Workbench
from storage.text import printable, readable
from tasks.intake.sources import SourceChangedError, SourceUnavailableError

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


class BrokenPromiseError(AssertionError):
    """A promise that was not kept."""

    def __init__(self, promise: str, detail: object) -> None:
        """Say which, in constant words, and what was found."""
        super().__init__(f"{promise}: {detail}")
        self.promise = promise


def promise(words: str, is_kept: object, detail: object = "") -> None:
    """Raise if a promise is not kept.

    Raises:
        BrokenPromiseError: it is not.
    """
    if not is_kept:
        raise BrokenPromiseError(words, detail)


def try_case(bench: Workbench, case: Case) -> Mapping[str, int]:
    """Take one file all the way, and once more, and see that every promise about it is kept.

    Returns:
        What came of it, to be counted.

    Raises:
        BrokenPromiseError: one is not.
    """
    began, peak = time.process_time(), _peak_bytes()
    try:
        counts = _try(bench, case)
    except (BrokenPromiseError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of polars is no Exception
        words = f"every error is told in our own words, not as {_place(error)}"
        raise BrokenPromiseError(words, error) from error
    finally:
        bench.clear()
    seconds = time.process_time() - began
    promise(f"no file takes more than {MOST_SECONDS:g} CPU s", seconds <= MOST_SECONDS, seconds)
    grown = _peak_bytes() - peak
    promise("no small file takes much memory", grown <= MOST_GROWTH_BYTES, f"{grown:,} bytes")
    return counts


def _try(bench: Workbench, case: Case) -> Mapping[str, int]:
    """Take one file all the way, in whatever manner it may end."""
    source = bench.put(case.stored if case.earlier is None else case.earlier.stored)
    began = None
    if case.earlier is not None:
        began = bench.deliver(source)
        promise("a file that lies still is decided", began.error is None, began.error)
        _keep_decided(bench, began, _unless_known(began, case.earlier.truth))
        source.write_bytes(case.stored)

    def meddle(stage: str) -> None:
        if stage == case.moment and case.trouble is not None:
            _TROUBLES[case.trouble](source, case.stored)

    trial = bench.deliver(source, asks_suite=case.asks_suite, before=meddle)
    if trial.error is not None:
        _keep_left(bench, case, trial)
        _keep_next(bench, source)
        return {"left": 1}
    truth = _unless_known(trial, case.truth)
    stored = _keep_decided(bench, trial, truth)
    if began is not None and case.earlier is not None and not began.is_known:
        _keep_known(_read(bench, began), stored, case.earlier.truth, truth)
    if case.trouble is None:
        again = bench.deliver(source)
        promise("a file that comes again changes nothing", again.is_known, again)
        promise("a file that comes again changes nothing", _read(bench, again) == stored)
    if case.inner is not None:
        _keep_obeyed(bench, case.inner)
    return _count(stored)


def _unless_known(trial: Trial, truth: Truth | None) -> Truth | None:
    """Return what must become of a file, unless its content was decided before.

    It may have come in another form then: text in another encoding is refused unread where it is
    plain, and counted where it is compressed.
    """
    return None if trial.is_known else truth


def _keep_known(before: Stored, after: Stored, earlier: Truth, truth: Truth | None) -> None:
    """Of a file that has grown: that what was scored before is not scored again."""
    if before["batch"][0]["status"] != "scored" or truth is None or not truth.is_readable:
        return
    has_grown = truth.content.startswith(earlier.content) and truth.content != earlier.content
    rows = truth.known_rows(earlier.content) if has_grown else 0
    accountant = after["batch"][0]["known_batch_id"]
    promise("the rows of a file before it had grown are known", not rows or accountant, rows)


def _keep_obeyed(bench: Workbench, inner: Delivery) -> None:
    """Of a file that comes as its refusal asked: that it is not refused for what it was before."""
    trial = bench.deliver(bench.put(inner.stored))
    promise("what a refusal asks for is taken", trial.error is None, trial.error)
    reason = _read(bench, trial)["batch"][0]["rejection"] or ""
    promise("what a refusal asks for is taken", "Decompress it" not in reason, reason)
    _keep_decided(bench, trial, _unless_known(trial, inner.truth))


def _peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    """Name an error by its type and by where our code met it, which is the same each time."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and f.filename != __file__]
    last = ours[-1] if ours else frames[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}.{last.name}"


def _read(bench: Workbench, trial: Trial) -> Stored:
    assert trial.batch_id is not None  # noqa: S101 - it was received
    return bench.read(trial.batch_id)


def _keep_left(bench: Workbench, case: Case, trial: Trial) -> None:
    """Of a file that could not be worked on: why, and that nothing is stored of it."""
    error = trial.error
    is_ours = isinstance(error, SourceChangedError | SourceUnavailableError)
    reason = f"{type(error).__name__}: {error}"
    promise("a file that lies still is decided", case.trouble is not None, reason)
    promise("a file is left only if it changed or is gone", is_ours, reason)
    _keep_readable(str(error))
    stored = _read(bench, trial)
    promise("a file that is left stays received", stored["batch"][0]["status"] == "received")
    tables = {table for table, found in stored.items() if found} - {"batch_prefix"}
    promise("nothing is stored of a file that is left", tables == {"batch", "delivery"}, tables)


def _keep_next(bench: Workbench, source: Path) -> None:
    """Of a file that was left: that the next run takes what lies there by then."""
    trial = bench.deliver(source)
    if not source.exists():
        is_told = isinstance(trial.error, SourceUnavailableError)
        promise("a file that is gone is told of", is_told, trial.error)
        return
    promise("what was left is decided by the next run", trial.error is None, trial.error)
    stored = source.read_bytes()
    truth = None if stored.startswith(b"PAR1") else truth_of_text(stored)
    _keep_decided(bench, trial, truth)


def _keep_decided(bench: Workbench, trial: Trial, truth: Truth | None) -> Stored:
    """Of a file that was worked on: that it is decided, and that every row is accounted for."""
    stored = _read(bench, trial)
    batch = stored["batch"][0]
    status = batch["status"]
    promise("a batch ends scored or rejected", status in {"scored", "rejected"}, status)
    total = sum(batch[name] for name in COUNTS)
    promise("rows_read is the sum of all fates", batch["rows_read"] == total, dict(batch))
    promise("a decision is told once", len(stored["outbox"]) == 1, len(stored["outbox"]))
    if truth is None:
        promise("rows_read is no number out of damage", 0 <= total <= MOST_ROWS, total)
    else:
        found = (total, len(truth.rows))
        promise("rows_read is the number of data lines", found[0] == found[1], found)
    _keep_accountant(bench, batch, truth)
    if status == "rejected":
        _keep_rejected(stored)
    else:
        _keep_scored(stored)
    if truth is not None:
        _keep_true(stored, truth)
    return stored


def _keep_accountant(bench: Workbench, batch: Mapping[str, Any], truth: Truth | None) -> None:
    """Of known rows: that the batch said to account for them holds them, and is done with them."""
    known, other = batch["rows_known"], batch["known_batch_id"]
    promise("known rows are known from somewhere", (known > 0) == (other is not None), known)
    if other is None:
        return
    accountant = bench.read(other)["batch"][0]
    is_done = accountant["status"] == "scored"
    promise("known rows are scored where they are known from", is_done, accountant["status"])
    if truth is None:
        return
    promise("known rows are of a text", truth.is_readable, known)
    size_bytes = accountant["size_bytes"]
    if size_bytes > len(truth.content):  # the same file after it had grown
        promise("known rows are counted by plain Python", known == len(truth.rows), known)
        return
    beginning = truth.content[:size_bytes]
    is_beginning = hashlib.sha256(beginning).hexdigest() == other
    promise("known rows stand at the beginning of the file", is_beginning, size_bytes)
    found = (known, truth.known_rows(beginning))
    promise("known rows are counted by plain Python", found[0] == found[1], found)


def _keep_rejected(stored: Stored) -> None:
    """Of a refused batch: the reason, and that no row of it is stored."""
    batch = stored["batch"][0]
    new = batch["rows_read"] - batch["rows_known"]
    found = (batch["rows_rejected"], new)
    promise("all new rows of a refused batch are rejected", found[0] == found[1], found)
    promise("a refused batch has a reason", bool(batch["rejection"]))
    _keep_readable(batch["rejection"])
    below = ("quarantined_row", "scoring", *BELOW_SCORING)
    rows = {table: len(stored[table]) for table in below if stored[table]}
    promise("no row of a refused batch is stored", not rows, rows)


def _keep_scored(stored: Stored) -> None:
    """Of a scored batch: that each row is stored once, scored or quarantined with reasons."""
    batch, scored = stored["batch"][0], stored["prediction"]
    quarantined, flagged = stored["quarantined_row"], stored["flagged_connection"]
    counted = {"rows_scored": len(scored), "rows_quarantined": len(quarantined)}
    said = {name: batch[name] for name in counted}
    promise("as many rows are stored as the account says", counted == said, (counted, said))
    numbers = sorted(row["row_number"] for row in (*scored, *quarantined))
    expected = list(range(batch["rows_known"] + 1, batch["rows_read"] + 1))
    promise("every row has one fate", numbers == expected, (len(numbers), len(expected)))
    scorings = len(stored["scoring"])
    promise("a batch with new rows has one scoring", scorings == bool(expected), scorings)
    high = {row["row_number"] for row in scored if row["is_flagged"]}
    kept = {row["row_number"] for row in flagged}
    promise("every flagged row has its record", high == kept, high ^ kept)
    explained = {row["row_number"] for row in flagged if row["is_explained"]}
    because = {row["row_number"] for row in stored["reason"]}
    promise("every explained row has reasons", explained == because, explained ^ because)
    for row in quarantined:
        reasons = json.loads(row["reasons"])
        is_said = bool(reasons) and all(isinstance(text, str) and text for text in reasons)
        promise("a quarantined row has reasons", is_said, reasons)
        for text in reasons:
            _keep_readable(text)
        promise("raw bytes are shown as they are", row["raw_text"] == readable(row["raw"]))


def _keep_true(stored: Stored, truth: Truth) -> None:
    """Of a file that plain Python can read: that what was done is what must be done."""
    batch = stored["batch"][0]
    is_scored, known = batch["status"] == "scored", batch["rows_known"]
    can_be = truth.is_scored(known)
    why = (batch["rejection"] or "")[:300]
    promise("a file that can be scored is not refused", is_scored or not can_be, why)
    promise("a file that cannot be scored is refused", can_be or not is_scored)
    if not is_scored:
        return
    _keep_fates(stored, truth.rows, known)
    _keep_evidence(stored["quarantined_row"], truth.rows)
    _keep_records(stored["flagged_connection"], truth.rows)


def _keep_fates(stored: Stored, rows: Sequence[RowTruth], known: int) -> None:
    """Of each new row: that it is scored if it can be, and quarantined by whom it must be."""
    found = {row["row_number"]: row["stage"] for row in stored["quarantined_row"]}
    expected = {
        number: "ingest" if row.faults is None else "validate"
        for number, row in enumerate(rows, start=1)
        if not row.is_good and number > known
    }
    differ = {n: (found.get(n), expected.get(n)) for n in found.keys() | expected.keys()}
    differ = {n: both for n, both in differ.items() if both[0] != both[1]}
    raw = {n: rows[n - 1].raw for n in list(differ)[:1]}
    promise("rows are quarantined where plain Python does", not differ, (differ, raw))


def _keep_evidence(quarantined: Sequence[Mapping[str, Any]], rows: Sequence[RowTruth]) -> None:
    """Of each quarantined row: its bytes as they came, where they stood, and every reason."""
    for row in quarantined:
        true = rows[row["row_number"] - 1]
        found = (row["line_number"], true.line_number)
        promise("a quarantined row has the number of its line", found[0] == found[1], found)
        is_same = true.raw is None or row["raw"] == true.raw
        promise("a quarantined row has its exact bytes", is_same, (row["raw"], true.raw))
        reasons = json.loads(row["reasons"])
        is_whole = true.faults is None or len(reasons) == true.faults
        promise("a quarantined row has every reason", is_whole, (reasons, true.faults))


def _keep_records(flagged: Sequence[Mapping[str, Any]], rows: Sequence[RowTruth]) -> None:
    """Of each flagged row: its line, and the values that stood there."""
    for row in flagged:
        true = rows[row["row_number"] - 1]
        found = (row["line_number"], true.line_number)
        promise("a flagged row has the number of its line", found[0] == found[1], found)
        values = true.values or {}
        expected = {name: values[name] for name in NSL_KDD.feature_names}
        record = json.loads(row["record"])
        promise("a record is what stood in the row", record == expected, (record, expected))


def _keep_readable(message: str) -> None:
    """Of a message: that it can be shown, and is not endless."""
    promise("a message can be shown", printable(message).isprintable(), message)
    promise("a message is no page", len(message) <= MOST_CHARACTERS, message)


def _count(stored: Stored) -> Mapping[str, int]:
    """Count what came of a batch."""
    batch = stored["batch"][0]
    if batch["status"] == "scored":
        kinds = {"rows scored": batch["rows_scored"]}
        return {"scored": 1, **kinds, "rows quarantined": batch["rows_quarantined"]}
    kind = next((kind for sign, kind in REFUSALS if sign in batch["rejection"]), "otherwise")
    return {f"rejected: {kind}": 1, "rows rejected": batch["rows_rejected"]}


REFUSALS: Final = (
    ("were quarantined", "too many bad rows"),
    ("compressed content", "damaged compression"),
    ("begins as Parquet", "damaged Parquet"),
    ("compressed Parquet", "compressed Parquet"),
    ("expected a header", "no known layout"),
    ("so it is a header", "a header of unknown names"),
    ("numbers the columns", "a header of unknown names"),
    ("is a header. Its fields", "a header with another separator"),
    ("its header is line", "something above the header"),
    ("is a header that names the columns in another order", "files joined"),
    ("more than one column", "columns twice"),
    ("features are needed", "columns missing"),
    ("feature columns are needed", "columns missing"),
    ("more than one column", "columns twice"),
    ("its column", "column of another type"),
    ("UTF-16", "another encoding"),
    ("it is empty", "nothing in it"),
    ("holds nothing", "nothing in it"),
    ("but no row", "nothing in it"),
    ("it has no row", "nothing in it"),
    ("longer than", "too long"),
    ("it is ", "a form that is not read"),
)
"""Of what a refusal says, what tells its kind; the first that is found counts."""


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
