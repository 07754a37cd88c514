"""Validation: which parsed rows may be scored, and whether the batch as a whole may.

Belongs here: the stage, and what a failed expectation does to a row or to the batch. Does not
belong here: which expectations there are (``expectations.suites``), Great Expectations itself
(``suite_runner``), a chunk's failing rows (``row_checks``), statistics (``batch_profile``), the
page (``page``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from expectations.contract import Contract
from expectations.suites import ColumnExpectation, ExpectationResult, batch_expectations
from storage.text import printable
from tasks.intake.quarantine import HELD_BYTES, QuarantineWriter
from tasks.intake.sources import open_source
from tasks.validation.batch_profile import BatchProfile, Value
from tasks.validation.page import render_page
from tasks.validation.row_checks import RowChecker
from tasks.validation.suite_runner import SuiteRunner
from tasks.validation.summary import PartFile, ValidationSummary, advise
from tasks.wording import DATA_CHARACTERS, plural

if TYPE_CHECKING:
    from tasks.intake.ingest import IngestSummary

REPORT_FILE = "validation.html"

WAITING_ROWS = 100_000
"""Refused rows whose lines are fetched together, or fewer if they take much memory: each fetch is a
pass over the file. A guess: 15 MB of NSL-KDD lines, and one pass on an ordinary night."""


@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    """Limits within which a batch is scored."""

    max_quarantine_ratio: float = 0.5
    """Largest share of the rows read that ingest and validation may quarantine together, from 0 to
    1; above it the batch is rejected. A guess: above half, the file more likely has another shape
    than poor quality."""


def validate_batch(
    folder: Path,
    ingest: "IngestSummary",
    contract: Contract,
    source: Path,
    out: Path,
    options: ValidateOptions | None = None,
) -> ValidationSummary:
    """Check every parsed row and the batch as a whole against a contract.

    Memory is bounded by one part, not by the file. The lines of quarantined rows are read from the
    delivered file again. The stage's folder ``out``, empty and named like the stage, gets
    ``accepted-00003.parquet`` for part 3 if rows of it failed, ``quarantine.parquet`` if any did,
    and the page.

    Returns:
        Counts, the parts to score, every expectation's outcome, and whether the batch is rejected.

    Raises:
        SourceChangedError: the file changed since it was ingested.
    """
    options = options or ValidateOptions()
    columns = ingest.columns_present
    schemas = [pl.read_parquet_schema(folder / part) for part in ingest.parts]
    types = {f"dtype.{name}": _stored_type(schemas, name) for name in columns}
    checks = batch_expectations(
        contract, columns, max_quarantine_ratio=options.max_quarantine_ratio
    )
    asked = [check.column for check in checks if check.column not in types]
    profile = BatchProfile(contract, asked, columns)
    splitter = _RowSplitter(contract, profile, ingest, source, out)
    if all(schema[name] == contract.schema[name] for schema in schemas for name in columns):
        for part in ingest.parts:
            splitter.add(folder, part)
    quarantine = splitter.close()
    statistics = profile.statistics(
        rows_read=ingest.rows_new,
        rows_unparsed=ingest.rows_unparsed,
        rows_accepted=splitter.rows_accepted,
    )
    outcomes = (*_row_outcomes(splitter.checker), *_check_profile(checks, types | statistics))
    unparsed = folder / ingest.quarantine if ingest.quarantine else None
    rejection = _explain_rejection(outcomes, ingest, splitter.rows_accepted, options, unparsed)
    if rejection is not None:
        for path in out.glob("accepted-*.parquet"):
            path.unlink()
    summary = ValidationSummary(
        rows_accepted=0 if rejection else splitter.rows_accepted,
        rows_quarantined=splitter.rows_quarantined,
        parts=() if rejection else tuple(splitter.parts),
        quarantine=quarantine and f"{out.name}/{quarantine}",
        is_rejected=rejection is not None,
        rejection=rejection,
        results=outcomes,
        advisories=tuple(
            advise(outcome)
            for outcome in outcomes
            if outcome.severity == "advisory" and not outcome.is_success
        ),
        report=f"{out.name}/{REPORT_FILE}",
    )
    quarantines = [path for path in (unparsed, quarantine and out / quarantine) if path]
    page = render_page(summary, ingest, contract, source.name, quarantines)
    (out / REPORT_FILE).write_text(page, encoding="utf-8")
    return summary


class _RowSplitter:
    """Splits a batch, chunk by chunk, into rows to score and rows to quarantine."""

    def __init__(
        self,
        contract: Contract,
        profile: BatchProfile,
        ingest: "IngestSummary",
        source: Path,
        out: Path,
    ) -> None:
        self.checker = RowChecker(contract, ingest.columns_present, ingest.field_names)
        self._profile = profile
        self.parts: list[PartFile] = []
        self.rows_accepted = 0
        self.rows_quarantined = 0
        self._source = open_source(source, contract)
        self._ingest = ingest
        self._out = out
        self._quarantine = QuarantineWriter(out)
        self._waiting: list[pl.DataFrame] = []
        self._waiting_bytes = 0.0

    def add(self, folder: Path, part: str) -> None:
        """Check one part; if rows failed, write the part again without them."""
        frame = pl.read_parquet(folder / part)
        self._profile.add(frame)
        refused = self.checker.check(frame)
        line_bytes = _bytes_per_row(frame.filter(refused.is_refused))
        for rows in refused.describe():
            self._quarantine_rows(rows, line_bytes)
        accepted = frame.filter(~refused.is_refused)
        self.rows_accepted += accepted.height
        self.rows_quarantined += frame.height - accepted.height
        if accepted.is_empty():
            return
        if accepted.height < frame.height:
            name = Path(part).name.replace("connections", "accepted")
            part = f"{self._out.name}/{name}"
            accepted.write_parquet(
                self._out / name, compression="zstd", compression_level=1, statistics=False
            )
        self.parts.append(PartFile(path=part, rows=accepted.height))

    def close(self) -> str | None:
        """Finish the quarantine; return its name, or None if it has no row."""
        self._fetch_lines()
        return self._quarantine.close()

    def _quarantine_rows(self, refused: pl.DataFrame, line_bytes: float) -> None:
        """Keep refused rows (row_number, line_number, reasons); fetch lines when many wait."""
        self._waiting.append(refused)
        self._waiting_bytes += refused.estimated_size() + refused.height * line_bytes
        rows = sum(waiting.height for waiting in self._waiting)
        if rows >= WAITING_ROWS or self._waiting_bytes >= HELD_BYTES:
            self._fetch_lines()

    def _fetch_lines(self) -> None:
        """Read the lines of the waiting rows from the file, and quarantine the rows."""
        if not self._waiting:
            return
        rows = pl.concat(self._waiting)
        self._waiting, self._waiting_bytes = [], 0.0
        ingest = self._ingest
        lines = self._source.read_raw(
            rows["line_number"].to_list(), ingest.content_sha256, ingest.line_bytes
        )
        raw = [lines[line_number] for line_number in rows["line_number"]]
        self._quarantine.add(
            rows.with_columns(pl.lit("validate").alias("stage"), pl.Series("raw", raw, pl.Binary))
        )


def _bytes_per_row(rows: pl.DataFrame) -> float:
    """Return the mean memory of a row; its line takes about as much."""
    return rows.estimated_size() / rows.height if rows.height else 0.0


def _row_outcomes(checker: RowChecker) -> tuple[ExpectationResult, ...]:
    """Return each row expectation's outcome over all parts."""
    return tuple(
        ExpectationResult(
            suite="rows",
            expectation=check.expectation,
            column=check.column,
            severity=check.severity,
            is_success=not tally.rows_failed,
            rows_checked=checker.rows_checked,
            rows_failed=tally.rows_failed,
            observed=printable("; ".join(tally.examples), DATA_CHARACTERS) or None,
            expected=check.expected,
        )
        for check, tally in zip(checker.checks, checker.tallies, strict=True)
    )


def _check_profile(
    checks: Sequence[ColumnExpectation], profile: Mapping[str, Value]
) -> tuple[ExpectationResult, ...]:
    """Run the profile suite on the batch's one row of statistics."""
    import pandas as pd

    row = pd.DataFrame({check.column: [profile[check.column]] for check in checks})
    failures = SuiteRunner("profile", checks).find_failures(row)
    return tuple(
        ExpectationResult(
            suite="profile",
            expectation=check.expectation,
            column=check.column,
            severity=check.severity,
            is_success=ordinal not in failures,
            rows_checked=1,
            rows_failed=int(ordinal in failures),
            observed=_write_value(check.column, profile[check.column]),
            expected=check.expected,
        )
        for ordinal, check in enumerate(checks)
    )


def _stored_type(schemas: Sequence[Mapping[str, pl.DataType]], column: str) -> str | None:
    """Return the type that a column has in the parts; None if there is no part."""
    types = {str(schema[column]) for schema in schemas}
    return " and ".join(sorted(types)) or None


def _explain_rejection(
    outcomes: Sequence[ExpectationResult],
    ingest: "IngestSummary",
    rows_accepted: int,
    options: ValidateOptions,
    unparsed: Path | None,
) -> str | None:
    """Return in one sentence why a batch is rejected; None if it is not."""
    failed = next(
        (
            outcome
            for outcome in outcomes
            if outcome.suite == "profile"
            and outcome.severity == "required"
            and not outcome.is_success
        ),
        None,
    )
    if failed is None:
        return None
    if failed.column not in {"rows_accepted", "quarantine_ratio"}:
        return (
            f"the batch cannot be scored: its {failed.column} is {failed.observed}, "
            f"expected {failed.expected}"
        )
    rows = ingest.rows_new
    refused = rows - rows_accepted
    limit = f", more than the {options.max_quarantine_ratio:.1%} allowed" if rows_accepted else ""
    return (
        f"{refused:,} of {plural(rows, 'row')} ({refused / rows:.1%}) were quarantined{limit}; "
        f"most often {_commonest_fault(outcomes, ingest, unparsed)}"
    )


def _commonest_fault(
    outcomes: Sequence[ExpectationResult], ingest: "IngestSummary", unparsed: Path | None
) -> str:
    """Return in words what most quarantined rows have in common."""
    worst = max(
        (one for one in outcomes if one.suite == "rows" and one.severity == "required"),
        key=lambda one: one.rows_failed,
        default=None,
    )
    if worst is None or ingest.rows_unparsed >= worst.rows_failed:
        rows = plural(ingest.rows_unparsed, "row")
        return f"they would not parse ({rows}{_first_reason(unparsed)})"
    return (
        f"{worst.column}, expected {worst.expected} ({plural(worst.rows_failed, 'row')}, such as "
        f"{worst.observed})"
    )


def _first_reason(unparsed: Path | None) -> str:
    """Return the first reason of the first row that ingest could not parse, as an example."""
    if unparsed is None:
        return ""
    rows = pl.scan_parquet(unparsed, glob=False).select("line_number", "reasons").head(1).collect()
    line_number, reasons = rows.row(0)
    return f", such as line {line_number}: {reasons[0]}"


def _write_value(name: str, value: Value) -> str | None:
    """Return a statistic as text; None if it has no value."""
    if value is None or isinstance(value, str):
        return value
    if name.startswith(("earliest.", "latest.")):
        return f"{value:.0f}"  # seconds since 1970, to the second
    return f"{value:.6g}"
