"""The HTML page on which a person reads the results of validation.

Belongs here: the choice of what the page shows, and rendering it. Does not belong here: any
decision (``tasks.validation.validate`` has made it). The page is one file without scripts, fonts or
links, so it opens from a mail attachment on a machine without a network. Every text from the file
is escaped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from expectations.contract import Contract
from expectations.suites import batch_bounds
from storage.text import readable
from tasks.pages.templates import open_template

if TYPE_CHECKING:
    from expectations.suites import ExpectationResult
    from tasks.intake.ingest import IngestSummary
    from tasks.validation.summary import ValidationSummary

TEMPLATE = "validation/page.html"

EXAMPLE_ROWS = 20
"""Most quarantined rows of each stage on the page; SQL has all. A guess: one screen."""

EXAMPLE_BYTES = 400
"""Most bytes of a quarantined line on the page. A guess: two NSL-KDD lines."""


def render_page(
    summary: "ValidationSummary",
    ingest: "IngestSummary",
    contract: Contract,
    file_name: str,
    quarantines: Sequence[Path],
) -> str:
    """Return the page of one batch, one self-contained HTML document."""
    failed = [outcome for outcome in summary.results if not outcome.is_success]
    return open_template(TEMPLATE).render(
        summary=summary,
        ingest=ingest,
        contract=contract,
        file_name=readable(file_name.encode("utf-8", "surrogateescape")),
        counts=_counts(summary, ingest),
        failed=sorted(failed, key=_urgency),
        passed={
            suite: [one for one in summary.results if one.is_success and one.suite == suite]
            for suite in ("rows", "profile")
        },
        meanings=_meanings(contract),
        examples=[example for path in quarantines for example in _examples(path)],
    )


def _counts(summary: "ValidationSummary", ingest: "IngestSummary") -> dict[str, int]:
    """Return row counts by name, as the database will store them.

    In a rejected batch no row counts as quarantined.
    """
    known = {"rows known": ingest.rows_known} if ingest.rows_known else {}
    if summary.is_rejected:
        return {
            "rows read": ingest.rows_read,
            **known,
            "rows rejected": ingest.rows_new,
            "of them not parsed": ingest.rows_unparsed,
            "of them failing a check": summary.rows_quarantined,
        }
    return {
        "rows read": ingest.rows_read,
        **known,
        "rows accepted": summary.rows_accepted,
        "rows quarantined": ingest.rows_unparsed + summary.rows_quarantined,
        "of them not parsed": ingest.rows_unparsed,
    }


def _urgency(outcome: "ExpectationResult") -> tuple[bool, bool, int]:
    """Return a sort key: what rejects the batch, then what quarantines rows, then advisories."""
    return outcome.severity != "required", outcome.suite != "profile", -outcome.rows_failed


def _meanings(contract: Contract) -> dict[str, str]:
    """Return the meaning of each column and statistic by name.

    Row rules are left out: their expectation is their meaning.
    """
    return {column.name: column.meaning for column in contract.columns} | {
        bound.name: bound.meaning for bound in batch_bounds(contract)
    }


def _examples(quarantine: Path) -> list[dict[str, object]]:
    """Return the first quarantined rows of a stage, with their lines as printable text."""
    rows = pl.scan_parquet(quarantine, glob=False).head(EXAMPLE_ROWS).collect()
    return [
        {
            "line_number": row["line_number"],
            "row_number": row["row_number"],
            "stage": row["stage"],
            "reasons": row["reasons"],
            "text": readable(row["raw"][:EXAMPLE_BYTES]),
            "hidden_bytes": max(0, len(row["raw"]) - EXAMPLE_BYTES),
        }
        for row in rows.iter_rows(named=True)
    ]
