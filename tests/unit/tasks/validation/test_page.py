"""The validation page: its order, and that text from a file stays text."""

import re
from pathlib import Path

import polars as pl

from expectations.suites import ExpectationResult
from tasks.intake.ingest import IngestSummary
from tasks.intake.quarantine import QUARANTINE_SCHEMA
from tasks.validation.page import EXAMPLE_BYTES, EXAMPLE_ROWS, render_page
from tasks.validation.summary import ValidationSummary
from tests.support.sources import NSL_KDD

INGESTED = IngestSummary(
    content_sha256="ab" * 32,
    format="CSV with header",
    rows_read=1_234,
    rows_parsed=1_230,
    rows_unparsed=4,
    blank_lines=0,
    parts=("ingest/connections-00000.parquet",),
    quarantine=None,
    columns_present=NSL_KDD.feature_names,
    columns_absent=("class", "attack", "difficulty"),
    extra_columns=("<i>note</i>",),
    has_label=False,
    has_attack=False,
)


def outcome(column: str, *, failed: int = 0, **changes: str) -> ExpectationResult:
    given = {"suite": "rows", "severity": "required", "observed": "1.7", "expected": "from 0 to 1"}
    return ExpectationResult.model_validate(
        {
            "expectation": "expect_column_values_to_be_between",
            "column": column,
            "is_success": not failed,
            "rows_checked": 1_230,
            "rows_failed": failed,
            **given,
            **changes,
        }
    )


def summary(*results: ExpectationResult, rejection: str | None = None) -> ValidationSummary:
    return ValidationSummary(
        rows_accepted=0 if rejection else 1_220,
        rows_quarantined=10,
        parts=(),
        quarantine=None,
        is_rejected=rejection is not None,
        rejection=rejection,
        results=results,
        advisories=(),
        report="validate/validation.html",
    )


def render(*results: ExpectationResult, file_name: str = "night.csv",
           rejection: str | None = None, quarantine: Path | None = None) -> str:  # fmt: skip
    made = summary(*results, rejection=rejection)
    return render_page(made, INGESTED, NSL_KDD, file_name, [quarantine] if quarantine else [])


def write_quarantine(path: Path, raw: bytes, reason: str, rows: int = 1) -> Path:
    row = {"row_number": 7, "line_number": 8, "stage": "validate", "reasons": [reason], "raw": raw}
    pl.DataFrame([row] * rows, schema=dict(QUARANTINE_SCHEMA)).write_parquet(path)
    return path


def test_failures_come_before_successes() -> None:
    page = render(
        outcome("land"), outcome("service", failed=3, severity="advisory"),
        outcome("count", failed=2), outcome("hot", failed=9),
    )  # fmt: skip
    order = [page.index(f"<code>{name}</code>") for name in ("hot", "count", "service", "land")]
    assert order == sorted(order)


def counts(page: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))


def test_rows_are_counted_as_the_database_counts_them() -> None:
    assert counts(render(outcome("count", failed=2))) == {
        "rows read": "1,234",
        "rows accepted": "1,220",
        "rows quarantined": "14",
        "of them not parsed": "4",
    }
    assert counts(render(outcome("count", failed=2), rejection="too many")) == {
        "rows read": "1,234",
        "rows rejected": "1,234",
        "of them not parsed": "4",
        "of them failing a check": "10",
    }


def test_result_and_ignored_columns_are_shown() -> None:
    page = render(outcome("count", failed=2))
    assert "<strong>Accepted,</strong>" in page
    assert "1 of 1 expectations not met" in page
    assert "&lt;i&gt;note&lt;/i&gt;" in page


def test_a_page_without_failures_says_so() -> None:
    page = render(outcome("count"))
    assert "expectations are met" in page
    assert "Expectations not met" not in page


def test_a_rejection_shows_its_reason_escaped() -> None:
    page = render(outcome("count", failed=2), rejection="12 of 20 rows, such as '<img src=x>'")
    assert "<strong>Rejected.</strong>" in page
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page


def test_no_text_of_the_file_becomes_markup(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    quarantine = write_quarantine(
        tmp_path / "quarantine.parquet", f"0,{attack},\x00\xff".encode("latin-1"), f"x: {attack}"
    )
    page = render(
        outcome("count", failed=1, observed=attack, expected=attack),
        file_name=f"{attack}\udcff.csv",
        quarantine=quarantine,
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert r"\x00\xff" in page
    page.encode("utf-8")


def test_long_lines_and_many_rows_are_cut(tmp_path: Path) -> None:
    line = b"a" * (EXAMPLE_BYTES + 1_500)
    page = render(
        quarantine=write_quarantine(tmp_path / "q.parquet", line, "too long", EXAMPLE_ROWS + 5)
    )
    assert page.count("too long") == EXAMPLE_ROWS
    assert "a" * (EXAMPLE_BYTES + 1) not in page
    assert "(1,500 more bytes)" in page


def test_the_page_needs_nothing_but_itself() -> None:
    page = render(outcome("count", failed=2))
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", page)
