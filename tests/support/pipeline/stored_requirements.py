"""What must hold for the stored rows of one batch.

Belongs here: one function for each group of requirements on the rows of a batch. Does not belong
here: processing a file, and requirements between files (see ``file_requirements``).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from storage.text import printable, readable
from tests.support.oracles.file_oracle import ExpectedFile, ExpectedRow
from tests.support.pipeline.pipeline import Stored
from tests.support.sources import NSL_KDD

BELOW_SCORING: Final = ("prediction", "flagged_connection", "reason", "drift_statistic")
MOST_CHARACTERS: Final = 1_000
"""Longest message: 200 characters of the file's data, our own words, and the path of the file."""


class BrokenRequirementError(AssertionError):
    """A requirement does not hold."""

    def __init__(self, requirement: str, detail: object) -> None:
        """Keep the requirement, in constant words, and what was found instead."""
        super().__init__(f"{requirement}: {detail}")
        self.requirement = requirement


def require(words: str, holds: object, detail: object = "") -> None:
    """Raise if a requirement does not hold.

    Raises:
        BrokenRequirementError: it does not hold.
    """
    if not holds:
        raise BrokenRequirementError(words, detail)


def check_rejected(stored: Stored) -> None:
    """Check a rejected batch: it has a reason, and none of its rows is stored."""
    batch = stored["batch"][0]
    new = batch["rows_read"] - batch["rows_known"]
    found = (batch["rows_rejected"], new)
    require("all new rows of a rejected batch are rejected", found[0] == found[1], found)
    require("a rejected batch has a reason", bool(batch["rejection"]))
    check_readable(batch["rejection"])
    below = ("quarantined_row", "scoring", *BELOW_SCORING)
    rows = {table: len(stored[table]) for table in below if stored[table]}
    require("no row of a rejected batch is stored", not rows, rows)


def check_scored(stored: Stored) -> None:
    """Check a scored batch: each row is stored once, scored or quarantined with reasons."""
    batch, scored = stored["batch"][0], stored["prediction"]
    quarantined, flagged = stored["quarantined_row"], stored["flagged_connection"]
    counted = {"rows_scored": len(scored), "rows_quarantined": len(quarantined)}
    said = {name: batch[name] for name in counted}
    require("as many rows are stored as the account says", counted == said, (counted, said))
    numbers = sorted(row["row_number"] for row in (*scored, *quarantined))
    expected = list(range(batch["rows_known"] + 1, batch["rows_read"] + 1))
    require("every row is stored once", numbers == expected, (len(numbers), len(expected)))
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
        require("the text of raw bytes is faithful", row["raw_text"] == readable(row["raw"]))


def check_expected(stored: Stored, expected_file: ExpectedFile) -> None:
    """Compare a batch with what plain Python expects of its file."""
    batch = stored["batch"][0]
    is_scored, known = batch["status"] == "scored", batch["rows_known"]
    can_be = expected_file.is_scored(known)
    why = (batch["rejection"] or "")[:300]
    require("a file that can be scored is not rejected", is_scored or not can_be, why)
    require("a file that cannot be scored is rejected", can_be or not is_scored)
    if not is_scored:
        return
    _check_stages(stored, expected_file.rows, known)
    _check_quarantined(stored["quarantined_row"], expected_file.rows)
    _check_records(stored["flagged_connection"], expected_file.rows)


def _check_stages(stored: Stored, rows: Sequence[ExpectedRow], known: int) -> None:
    """Check that each new row was scored, or quarantined by the expected stage."""
    found = {row["row_number"]: row["stage"] for row in stored["quarantined_row"]}
    expected = {
        number: "ingest" if row.faults is None else "validate"
        for number, row in enumerate(rows, start=1)
        if not row.is_good and number > known
    }
    differ = {n: (found.get(n), expected.get(n)) for n in found.keys() | expected.keys()}
    differ = {n: both for n, both in differ.items() if both[0] != both[1]}
    raw = {n: rows[n - 1].raw for n in list(differ)[:1]}
    require("rows are quarantined by the expected stage", not differ, (differ, raw))


def _check_quarantined(
    quarantined: Sequence[Mapping[str, Any]], rows: Sequence[ExpectedRow]
) -> None:
    """Check the raw bytes, the line number and the reasons of each quarantined row."""
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
    """Check the line number and the values of each flagged row."""
    for row in flagged:
        true = rows[row["row_number"] - 1]
        found = (row["line_number"], true.line_number)
        require("a flagged row has the number of its line", found[0] == found[1], found)
        values = true.values or {}
        expected = {name: values[name] for name in NSL_KDD.feature_names}
        record = json.loads(row["record"])
        require("a record has the values of its row", record == expected, (record, expected))


def check_readable(message: str) -> None:
    """Check that a message is printable and not too long."""
    require("a message is printable", printable(message).isprintable(), message)
    require("a message is short", len(message) <= MOST_CHARACTERS, message)


def count_rows(stored: Stored) -> Mapping[str, int]:
    """Count the rows of a batch by what became of them."""
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
    ("holds only", "nothing in it"),
    ("but no row", "nothing in it"),
    ("it has no row", "nothing in it"),
    ("longer than", "too long"),
    ("it is ", "a form that is not read"),
)
"""Parts of the messages of rejections, each with its kind; the first part that is found decides."""
