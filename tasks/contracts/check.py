"""How a file fits a contract, found without storing anything.

Belongs here: the check as a whole, and its result. Does not belong here: which contract a file has
(``tasks.intake.recognise``), what its columns hold (``tasks.contracts.column_report``), what is
suspicious (``tasks.contracts.suspicions``).
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.suites import ExpectationResult
from storage.text import printable
from tasks.contracts.column_report import ColumnReport, ColumnTally, report_columns
from tasks.contracts.feature_aucs import find_telling
from tasks.contracts.quarantine_report import ReasonCount, count_reasons
from tasks.contracts.suspicions import Suspicions
from tasks.evaluation.labels import has_labels, is_attack
from tasks.evaluation.single_feature import FeatureAuc
from tasks.intake.content import SourceChangedError, SourceUnavailableError, hash_content
from tasks.intake.ingest import IngestSummary, ingest_file
from tasks.intake.label_words import IS_ATTACK, LabelWords, Meaning, label_columns
from tasks.intake.layout import Layout
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tasks.validation.summary import ValidationSummary
from tasks.validation.validate import ValidateOptions, validate_batch
from tasks.wording import some_of

SAMPLED_ROWS: Final = 200_000
"""Rows on which each feature is compared with the label: every so-manieth of the file. A guess: the
AUC of .95 has an error below .001."""
LABEL_VALUES: Final = 200
"""Values of the label column that a check shows. A guess; the most known data set has 40."""


class LabelValue(BaseModel, frozen=True):
    """A value of the label column."""

    value: str
    rows: int
    meaning: Meaning


class FileCheck(BaseModel, frozen=True):
    """How a file fits a contract."""

    file: str
    contract: str
    fits: bool
    """Whether a night scores it; else ``refusal`` says why not."""
    refusal: str | None = None
    form: str = ""
    """The form of the file in words."""
    rows_read: int = 0
    rows_quarantined: int = 0
    columns: tuple[ColumnReport, ...] = ()
    """Every declared column."""
    undeclared: tuple[str, ...] = ()
    """Names in the file that the contract does not declare."""
    reasons: tuple[ReasonCount, ...] = ()
    """Why rows go to quarantine; a row may have several."""
    failed: tuple[ExpectationResult, ...] = ()
    """Expectations of the whole batch that fail."""
    advisories: tuple[str, ...] = ()
    """What a night reports and scores nevertheless."""
    label: str | None = None
    """The label column that the file has."""
    labels: tuple[LabelValue, ...] = ()
    telling: tuple[FeatureAuc, ...] = ()
    """Features that tell the label by themselves."""
    warnings: tuple[str, ...] = ()
    """What a person should look at, a sentence each."""


def check_file(
    source: Path,
    contract: Contract,
    folder: Path,
    now: datetime,
    options: IngestOptions | None = None,
    limits: ValidateOptions | None = None,
) -> FileCheck:
    """Return how a file fits a contract.

    Memory is bounded by a chunk. The empty folder ``folder`` gets what the stages write.

    Raises:
        InputRejectedError: the file is gone, cannot be read, or changed meanwhile.
    """
    name = printable(source.name)
    options = options or IngestOptions()
    (folder / "ingest").mkdir(parents=True)
    (folder / "validate").mkdir()
    try:
        content = hash_content(source, limit_bytes=options.content_bytes)
        layout = open_source(source, contract, options.content_bytes).read_layout()
        ingested = ingest_file(source, contract, folder / "ingest", content.sha256, options)
    except (SourceUnavailableError, SourceChangedError):
        raise
    except InputRejectedError as error:
        return FileCheck(file=name, contract=contract.name, fits=False, refusal=str(error))
    validated = validate_batch(folder, ingested, contract, source, folder / "validate", limits)
    return _describe(name, contract, folder, layout, ingested, validated, now)


def _describe(
    name: str,
    contract: Contract,
    folder: Path,
    layout: Layout,
    ingested: IngestSummary,
    validated: ValidationSummary,
    now: datetime,
) -> FileCheck:
    """Return how a parsed file fits."""
    columns = [contract.by_name[one] for one in ingested.columns_present]
    is_labelled = has_labels(contract, ingested.columns_present)
    tallies = [ColumnTally(column) for column in columns]
    suspicions = Suspicions(columns, IS_ATTACK if is_labelled else None)
    step = max(1, ingested.rows_parsed // SAMPLED_ROWS)
    sample = []
    for part in ingested.parts:
        frame = pl.read_parquet(folder / part)
        if is_labelled:
            frame = frame.with_columns(is_attack(contract, frame.columns).alias(IS_ATTACK))
        for tally in tallies:
            tally.add(frame[tally.column.name])
        suspicions.add(frame, now)
        if is_labelled:
            sample.append(frame.gather_every(step))
    file_names = _file_names(layout)
    reports = report_columns(tallies, contract.columns, file_names)
    telling = find_telling(contract, pl.concat(sample)) if sample else ()
    quarantines = [folder / one for one in (ingested.quarantine, validated.quarantine) if one]
    present = [one for one in label_columns(contract) if one in ingested.columns_present]
    label = next(iter(present), None)
    absent = [one.name for one in contract.features if one.name not in file_names]
    return FileCheck(
        file=name,
        contract=contract.name,
        fits=not validated.is_rejected,
        refusal=validated.rejection,
        form=_describe_form(ingested.format, layout),
        rows_read=ingested.rows_read,
        rows_quarantined=ingested.rows_unparsed + validated.rows_quarantined,
        columns=reports,
        undeclared=tuple(map(printable, ingested.extra_columns)),
        reasons=count_reasons(quarantines),
        failed=tuple(
            one for one in validated.results if one.suite == "profile" and not one.is_success
        ),
        advisories=validated.advisories,
        label=label,
        labels=_describe_labels(contract, tallies, label),
        telling=telling,
        warnings=(
            *((f"the file lacks features: {some_of(absent)}",) if absent else ()),
            *suspicions.describe(reports, tallies),
        ),
    )


def _describe_form(form: str, layout: Layout) -> str:
    """Return the form of a file in words; of a text with encoding and header."""
    if form.startswith(("Parquet", "JSON")):
        return form
    words = [form]
    if layout.header_line > 1:
        words.append(f"header in line {layout.header_line}")
    if layout.form.encoding != "utf-8":
        words.append(f"lines that are not UTF-8 are {layout.form.encoding}")
    return ", ".join(words)


def _file_names(layout: Layout) -> Mapping[str, str]:
    """Return the name in the file of each declared column that the file has."""
    pairs = zip(layout.columns, layout.positions, strict=True)
    return {column.name: layout.names[place] for column, place in pairs}


def _describe_labels(
    contract: Contract, tallies: list[ColumnTally], label: str | None
) -> tuple[LabelValue, ...]:
    """Return the values of the label column, the most frequent first, and what each means."""
    tally = next((one for one in tallies if one.column.name == label), None)
    if tally is None:
        return ()
    words = LabelWords(contract)
    values = [
        LabelValue(value=printable(value, 80), rows=rows, meaning=words.find_meaning(value))
        for value, rows in tally.counts.most_common(LABEL_VALUES)
    ]
    if tally.rows_null:
        values.append(LabelValue(value="", rows=tally.rows_null, meaning="none"))
    return tuple(values)
