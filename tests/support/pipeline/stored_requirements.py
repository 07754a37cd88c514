"""Promises: what is kept of every file, however it was damaged.

Belongs here: one function for each promise, over what the database holds and what plain Python
says of the file. Does not belong here: how a file comes to be damaged (see ``forms``) or stored
(``workbench``).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from expectations.nsl_kdd import NSL_KDD
from storage.text import printable, readable
from tests.support.oracles.file_oracle import ExpectedFile, ExpectedRow
from tests.support.pipeline.pipeline import Stored

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


class BrokenRequirementError(AssertionError):
    """A promise that was not kept."""

    def __init__(self, promise: str, detail: object) -> None:
        """Say which, in constant words, and what was found."""
        super().__init__(f"{promise}: {detail}")
        self.requirement = promise


def require(words: str, is_kept: object, detail: object = "") -> None:
    """Raise if a promise is not kept.

    Raises:
        BrokenRequirementError: it is not.
    """
    if not is_kept:
        raise BrokenRequirementError(words, detail)


def check_rejected(stored: Stored) -> None:
    """Of a refused batch: the reason, and that no row of it is stored."""
    batch = stored["batch"][0]
    new = batch["rows_read"] - batch["rows_known"]
    found = (batch["rows_rejected"], new)
    require("all new rows of a refused batch are rejected", found[0] == found[1], found)
    require("a refused batch has a reason", bool(batch["rejection"]))
    check_readable(batch["rejection"])
    below = ("quarantined_row", "scoring", *BELOW_SCORING)
    rows = {table: len(stored[table]) for table in below if stored[table]}
    require("no row of a refused batch is stored", not rows, rows)


def check_scored(stored: Stored) -> None:
    """Of a scored batch: that each row is stored once, scored or quarantined with reasons."""
    batch, scored = stored["batch"][0], stored["prediction"]
    quarantined, flagged = stored["quarantined_row"], stored["flagged_connection"]
    counted = {"rows_scored": len(scored), "rows_quarantined": len(quarantined)}
    said = {name: batch[name] for name in counted}
    require("as many rows are stored as the account says", counted == said, (counted, said))
    numbers = sorted(row["row_number"] for row in (*scored, *quarantined))
    expected = list(range(batch["rows_known"] + 1, batch["rows_read"] + 1))
    require("every row has one fate", numbers == expected, (len(numbers), len(expected)))
    scorings = len(stored["scoring"])
    require("a batch with new rows has one scoring", scorings == bool(expected), scorings)
    high = {row["row_number"] for row in scored if row["is_flagged"]}
    kept = {row["row_number"] for row in flagged}
    require("every flagged row has its record", high == kept, high ^ kept)
    explained = {row["row_number"] for row in flagged if row["is_explained"]}
    because = {row["row_number"] for row in stored["reason"]}
    require("every explained row has reasons", explained == because, explained ^ because)
    for row in quarantined:
        reasons = json.loads(row["reasons"])
        is_said = bool(reasons) and all(isinstance(text, str) and text for text in reasons)
        require("a quarantined row has reasons", is_said, reasons)
        for text in reasons:
            check_readable(text)
        require("raw bytes are shown as they are", row["raw_text"] == readable(row["raw"]))


def check_expected(stored: Stored, expected_file: ExpectedFile) -> None:
    """Of a file that plain Python can read: that what was done is what must be done."""
    batch = stored["batch"][0]
    is_scored, known = batch["status"] == "scored", batch["rows_known"]
    can_be = expected_file.is_scored(known)
    why = (batch["rejection"] or "")[:300]
    require("a file that can be scored is not refused", is_scored or not can_be, why)
    require("a file that cannot be scored is refused", can_be or not is_scored)
    if not is_scored:
        return
    _check_fates(stored, expected_file.rows, known)
    _check_evidence(stored["quarantined_row"], expected_file.rows)
    _check_records(stored["flagged_connection"], expected_file.rows)


def _check_fates(stored: Stored, rows: Sequence[ExpectedRow], known: int) -> None:
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
    require("rows are quarantined where plain Python does", not differ, (differ, raw))


def _check_evidence(quarantined: Sequence[Mapping[str, Any]], rows: Sequence[ExpectedRow]) -> None:
    """Of each quarantined row: its bytes as they came, where they stood, and every reason."""
    for row in quarantined:
        true = rows[row["row_number"] - 1]
        found = (row["line_number"], true.line_number)
        require("a quarantined row has the number of its line", found[0] == found[1], found)
        is_same = true.raw is None or row["raw"] == true.raw
        require("a quarantined row has its exact bytes", is_same, (row["raw"], true.raw))
        reasons = json.loads(row["reasons"])
        is_whole = true.faults is None or len(reasons) == true.faults
        require("a quarantined row has every reason", is_whole, (reasons, true.faults))


def _check_records(flagged: Sequence[Mapping[str, Any]], rows: Sequence[ExpectedRow]) -> None:
    """Of each flagged row: its line, and the values that stood there."""
    for row in flagged:
        true = rows[row["row_number"] - 1]
        found = (row["line_number"], true.line_number)
        require("a flagged row has the number of its line", found[0] == found[1], found)
        values = true.values or {}
        expected = {name: values[name] for name in NSL_KDD.feature_names}
        record = json.loads(row["record"])
        require("a record is what stood in the row", record == expected, (record, expected))


def check_readable(message: str) -> None:
    """Of a message: that it can be shown, and is not endless."""
    require("a message can be shown", printable(message).isprintable(), message)
    require("a message is no page", len(message) <= MOST_CHARACTERS, message)


def count_rows(stored: Stored) -> Mapping[str, int]:
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
