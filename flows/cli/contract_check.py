"""``noctule contracts check``: how a file fits a contract, on the terminal.

Belongs here: which contract is meant, the temporary folder, and what the terminal shows. Does not
belong here: the check itself (``tasks.contracts.check``).
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.names import fold
from expectations.registry import broken_pages, get_contract, load_contracts
from flows.cli.printing import print_json, say
from flows.cli.progress import shown_progress
from flows.cli.tables import show_rows
from flows.settings import Settings
from tasks.contracts.check import FileCheck, check_file
from tasks.contracts.column_report import ColumnReport
from tasks.contracts.first_rows import copy_first_rows
from tasks.intake.recognise import Candidate, examine_contracts, recognise_contract
from tasks.intake.source import IngestOptions
from tasks.validation.validate import ValidateOptions
from tasks.wording import plural, some_of

SHOWN: Final = 80
"""Characters of names in a cell. A guess: two lines of a terminal."""


def run_check(
    settings: Settings, file: Path, name: str | None, rows: int | None, *, as_json: bool
) -> bool:
    """Check a file against a contract, and print the result. Returns whether it fits.

    Args:
        settings: the limits of a night.
        file: to check.
        name: of the contract; None for the one that the file has.
        rows: only the first rows are checked; None for all.
        as_json: whether the result is printed for a program.

    Raises:
        InputRejectedError: the file cannot be read.
        UsageError: there is no such contract.
    """
    name = name or settings.contract
    if name is not None:
        contract = get_contract(name)
    else:
        found = _recognise(file, as_json=as_json)
        if found is None:
            return False
        contract = found
    with (
        shown_progress(f"checking {file.name}"),
        tempfile.TemporaryDirectory(prefix="noctule-check-") as folder,
    ):
        source = file
        if rows is not None:
            source = copy_first_rows(file, contract, rows, Path(folder))
        checked = check_file(
            source,
            contract,
            Path(folder) / "batch",
            datetime.now(UTC),
            IngestOptions(
                chunk_rows=settings.chunk_rows,
                line_bytes=settings.max_line_bytes,
                content_bytes=settings.max_file_bytes,
            ),
            ValidateOptions(max_quarantine_ratio=settings.max_quarantine_ratio),
        )
    if as_json:
        print_json(checked.model_dump(mode="json"))
    else:
        _show(checked)
    return checked.fits


def _recognise(file: Path, *, as_json: bool) -> Contract | None:
    """Return the contract that a file has; print what each lacks if it has none, or several."""
    try:
        return recognise_contract(file, load_contracts(), broken_pages())
    except InputRejectedError as error:
        candidates = examine_contracts(file, load_contracts())  # raises if the file cannot be read
        if as_json:
            shown = [_describe_candidate(one) for one in candidates]
            print_json({"file": file.name, "fits": False, "contract": None,
                        "refusal": str(error), "candidates": shown})  # fmt: skip
            return None
        say(f"{error}")
        rows = [
            {"contract": one.contract.name, "columns_found": len(one.has),
             "lacks": some_of(one.lacks, SHOWN) or "-",
             "of_another_kind": some_of(one.misfits, SHOWN) or "-"}
            for one in sorted(candidates, key=lambda one: -len(one.has))
            if one.has
        ]  # fmt: skip
        show_rows(rows, title="What contracts find in the file:")
        return None


def _describe_candidate(candidate: Candidate) -> dict[str, object]:
    """Return what a contract finds in a file, for JSON."""
    return {
        "contract": candidate.contract.name,
        "has": candidate.has,
        "lacks": candidate.lacks,
        "misfits": candidate.misfits,
        "is_claim": candidate.is_claim,
    }


def _show(checked: FileCheck) -> None:
    """Print the result of a check."""
    say(f"{checked.file}: contract {checked.contract}" + (f", {checked.form}" * bool(checked.form)))
    if checked.columns:
        show_rows([_column_row(one) for one in checked.columns], title="Columns:")
    if checked.undeclared:
        say(f"Not declared, so not read: {some_of(checked.undeclared)}")
    if checked.labels:
        rows = [{"value": one.value or "(none)", "rows": one.rows, "means": one.meaning}
                for one in checked.labels]  # fmt: skip
        show_rows(rows, title=f"Labels, in {checked.label}:")
    if checked.reasons:
        show_rows(
            [{"reason": one.reason, "rows": one.rows, "first_lines": _numbers(one.lines)}
             for one in checked.reasons],
            title="Rows that go to quarantine:",
        )  # fmt: skip
    for advisory in checked.advisories:
        say(f"Unusual: {advisory}")
    for one in checked.telling:
        say(f"Look: {one.feature} alone tells attacks from normal connections, AUC"
            f" {one.roc_auc:.4f}: it may hold the label")  # fmt: skip
    for warning in checked.warnings:
        say(f"Look: {warning}")
    if checked.refusal is None:
        fitting = checked.rows_read - checked.rows_quarantined
        say(f"It fits: {fitting:,} of {plural(checked.rows_read, 'row')} would be scored,"
            f" {checked.rows_quarantined:,} quarantined.")  # fmt: skip
    else:
        say(f"It would be refused: {checked.refusal}")


def _column_row(report: ColumnReport) -> dict[str, object]:
    """Return a column as a row of the table."""
    return {
        "column": _name_column(report),
        "kind": report.kind,
        "nulls": report.rows_null if report.file_name else None,
        "values": _values(report),
    }


def _name_column(report: ColumnReport) -> str:
    """Return a column's name, and the one in the file where it is another."""
    if report.file_name is None:
        return f"{report.name}, absent"
    is_same = fold(report.name) == fold(report.file_name)
    return report.name if is_same else f"{report.name}, from {report.file_name}"


def _values(report: ColumnReport) -> str:
    """Return what a column holds, in a line."""
    if report.frequent:
        shown = ", ".join(f"{value} {rows:,}" for value, rows in report.frequent)
        different = "many" if report.different is None else f"{report.different:,}"
        return f"{different} different: {shown}"
    if report.smallest is None:
        return "-"
    low, high = (_number(one) for one in (report.smallest, report.largest))
    unit = f" {report.unit}" if report.unit not in {"", "ratio"} else ""
    return f"all {low}{unit}" if low == high else f"{low} to {high}{unit}"


def _number(value: "float | int | str | None") -> str:
    """Return a number, or a time, which is in UTC as all are."""
    return f"{value:.10g}" if isinstance(value, int | float) else str(value).removesuffix("+00:00")


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
