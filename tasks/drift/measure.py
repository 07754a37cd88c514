"""Measure the drift of a batch, column by column, against its model's training rows.

Belongs here: the model's reference (made at training), the pass over a batch that counts every row
and takes a sample, and the summary. Does not belong here: the index itself (``tasks.drift.psi``)
and Evidently (``tasks.drift.evidently_report``).

The population stability index on all rows decides whether a column has drifted: its bins follow the
quantiles of the training data, and its threshold depends on the sample sizes. Evidently's report on
a sample adds a page to look at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from expectations.errors import ModelRefusedError
from storage.lake import write_atomically
from tasks.drift.evidently_report import MIN_ROWS, STATISTICS, write_report
from tasks.drift.psi import ColumnBins, Counts, compare_counts, make_bins

if TYPE_CHECKING:
    from expectations.contract import Contract
    from tasks.validation.summary import PartFile

SCORE = "anomaly_score"
"""The column of the scores; its drift is measured as that of a feature is."""

SAMPLE_FILE = "sample.parquet"
"""The model's sample of its training rows, in its reference folder."""

REFERENCE_ROWS = 25_000
"""Most rows of that sample; see ``DriftOptions.sample_rows``."""

METHOD = "psi"
"""The method's name in the statistics, for the index on all rows."""


@dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """Options of the drift stage."""

    seed: int = 42
    """Seed of both samples."""
    sample_rows: int = REFERENCE_ROWS
    """Most rows of each sample for Evidently; a model keeps 25,000 rows of its reference. On all
    rows its report takes minutes (104 CPU s for a million rows). With 25,000 rows the error of a
    share is less than one percentage point."""
    effect_size: float = 0.2
    """Smallest index that counts as drift, however many rows there are. In practice, less than 0.1
    is stable and more than 0.25 needs action (Siddiqi, "Credit Risk Scorecards", 2006). 0.2 is a
    guess between them. It is high because connections come in bursts: between three consecutive
    days of one exposed host, 36 of 42 comparisons exceed 0.1 and 26 exceed 0.2."""
    confidence: float = 0.999
    """Probability that a column without drift stays below what chance alone reaches. A guess: on
    small batches, one false alarm in about 24 nights of 42 columns."""


class Reference(BaseModel, frozen=True):
    """A model's training data in short: bins and counts of each column."""

    rows: int
    columns: tuple[ColumnBins, ...]


class DriftSummary(BaseModel, frozen=True):
    """The result of the drift stage, and the files that it wrote."""

    rows_reference: int
    rows_current: int
    columns_drifted: tuple[str, ...]
    """Features whose index exceeds its threshold, in contract order."""
    is_score_drifted: bool
    statistics: str
    """Parquet; grain: one column and method."""
    report_html: str | None
    """Evidently's page; None if Evidently was not run."""
    report_json: str | None
    """Evidently's numbers; None if Evidently was not run."""
    notes: tuple[str, ...]
    """Why Evidently was not run, or in which columns it found no value; a sentence each."""


def build_reference(
    frame: pl.DataFrame,
    contract: "Contract",
    out: Path,
    seed: int,
    sample_rows: int = REFERENCE_ROWS,
) -> None:
    """Write the reference with which each night is compared.

    Writes ``sample.parquet`` (a uniform sample in the order of the frame, for Evidently) and
    ``bins.json`` (bins and their counts over all rows) into ``out``, the model's reference folder,
    which is created. Equal frames and seeds give equal bytes. The frame has the features and
    ``anomaly_score``, and at least one row; grain: one connection.
    """
    columns = frame.select(*contract.feature_names, pl.col(SCORE).cast(pl.Float64))
    bins = tuple(make_bins(column) for column in columns.iter_columns())
    reference = Reference(rows=columns.height, columns=bins)
    out.mkdir(parents=True, exist_ok=True)
    chosen = _choose_rows(columns.height, sample_rows, seed)
    columns[chosen].write_parquet(out / SAMPLE_FILE, compression="zstd")
    write_atomically(out / "bins.json", reference.model_dump_json(indent=1).encode())


def measure_drift(
    folder: Path,
    parts: Sequence["PartFile"],
    scores: Sequence[str],
    model_folder: Path,
    out: Path,
    options: DriftOptions,
) -> DriftSummary:
    """Compare a batch with its model's reference.

    It reads one part at a time: the largest part bounds the memory, not the batch. The result does
    not depend on how the rows are divided into parts.

    Parts have ``row_number`` and at least the features. ``scores`` names one file for each part, of
    the same rows in the same order. All are named relative to the batch's folder. ``out`` has the
    stage's final name; it gets ``statistics.parquet`` and, where the samples are large enough,
    ``drift.html`` and ``drift.json``.

    Raises:
        ModelRefusedError: the model has no reference that can be read.
        ValueError: parts and scores do not have the same rows.
    """
    reference = _read_reference(model_folder / "reference")
    names = [bins.column for bins in reference.columns]
    rows = sum(part.rows for part in parts)
    chosen = _choose_rows(rows, options.sample_rows, options.seed)
    counts, current = _count_and_sample(
        _read_parts(folder, parts, scores, names), reference, chosen
    )
    statistics = _compare(reference, counts, rows, options)
    drifted = statistics.filter("is_drifted")["column"]
    kept = pl.read_parquet(model_folder / "reference" / SAMPLE_FILE)
    sample = kept[_choose_rows(kept.height, options.sample_rows, options.seed)]
    has_report = min(sample.height, len(chosen)) >= MIN_ROWS
    if has_report:
        # The page shows the columns with the most drift first.
        by_drift = statistics.sort("statistic", descending=True)["column"].to_list()
        report = write_report(
            sample.select(by_drift),
            pl.concat(current),
            out / "drift.html",
            out / "drift.json",
            linear={SCORE},
        )
        unseen = [name for name in names if name not in set(report["column"])]
        notes = (f"Evidently found no value of {', '.join(unseen)}",) if unseen else ()
        statistics = pl.concat([statistics, report])
    else:
        note = (
            f"Evidently was not run: its thresholds need {MIN_ROWS:,} rows, the sample of the "
            f"batch has {len(chosen):,} and that of the reference {sample.height:,}"
        )
        notes = (note,)
    statistics.write_parquet(out / "statistics.parquet", compression="zstd")
    return DriftSummary(
        rows_reference=reference.rows,
        rows_current=rows,
        columns_drifted=tuple(name for name in drifted if name != SCORE),
        is_score_drifted=SCORE in drifted,
        statistics=f"{out.name}/statistics.parquet",
        report_html=f"{out.name}/drift.html" if has_report else None,
        report_json=f"{out.name}/drift.json" if has_report else None,
        notes=notes,
    )


def _count_and_sample(
    frames: Iterable[pl.DataFrame], reference: Reference, chosen: NDArray[np.int64]
) -> tuple[dict[str, Counts], list[pl.DataFrame]]:
    """Return the rows of each bin of each column, and the chosen rows of each frame."""
    counts: dict[str, Counts] = {
        bins.column: np.zeros(len(bins.counts), dtype=np.int64) for bins in reference.columns
    }
    sampled = []
    first = 0
    for frame in frames:
        for bins in reference.columns:
            counts[bins.column] += bins.count(frame[bins.column])
        begin, end = np.searchsorted(chosen, (first, first + frame.height))
        sampled.append(frame[chosen[begin:end] - first])
        first += frame.height
    return counts, sampled


def _choose_rows(rows: int, sample_rows: int, seed: int) -> NDArray[np.int64]:
    """Return the positions of rows drawn uniformly without replacement, ascending."""
    if rows <= sample_rows:
        return np.arange(rows, dtype=np.int64)
    chosen = np.random.default_rng(seed).choice(rows, sample_rows, replace=False, shuffle=False)
    return np.sort(chosen).astype(np.int64)


def _read_reference(folder: Path) -> Reference:
    """Read the bins of a model's reference."""
    path = folder / "bins.json"
    try:
        return Reference.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        message = (
            f"Cannot measure drift: expected the model's reference in {path}, but it cannot be "
            f"read ({type(error).__name__}). Train the model again, or roll back to one that is "
            "whole; nothing was stored."
        )
        raise ModelRefusedError(message) from error


def _read_parts(
    folder: Path, parts: Sequence["PartFile"], scores: Sequence[str], names: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Yield each part's features with the score of each row."""
    features = [name for name in names if name != SCORE]
    for part, score in zip(parts, scores, strict=True):
        frame = pl.read_parquet(folder / part.path, columns=["row_number", *features])
        scored = pl.read_parquet(folder / score, columns=["row_number", SCORE])
        if frame.height != part.rows or not frame["row_number"].equals(scored["row_number"]):
            message = (
                f"Cannot measure drift: expected {score} to score the {part.rows:,} rows of "
                f"{part.path} in their order, and it does not. Remove the batch's score folder "
                "and run it again."
            )
            raise ValueError(message)
        yield frame.select(*features, scored[SCORE])


def _compare(
    reference: Reference, counts: dict[str, Counts], rows: int, options: DriftOptions
) -> pl.DataFrame:
    """Return the index of every column as statistics; none for a batch without rows."""
    found = []
    for bins in reference.columns if rows else ():
        stability = compare_counts(
            np.array(bins.counts, dtype=np.int64),
            counts[bins.column],
            effect_size=options.effect_size,
            confidence=options.confidence,
        )
        found.append(
            {
                "column": bins.column,
                "method": METHOD,
                "statistic": stability.statistic,
                "threshold": stability.threshold,
                "is_drifted": stability.is_drifted,
                "rows_reference": reference.rows,
                "rows_current": rows,
            }
        )
    return pl.DataFrame(found, schema=STATISTICS)
