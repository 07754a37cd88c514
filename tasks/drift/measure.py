"""The drift stage: how far a batch has moved from what its model was trained on, column by column.

Belongs here: the model's reference (made at training), the pass over a batch that counts every row
and gathers a sample, and the summary. Does not belong here: the index itself (``tasks.drift.psi``)
and Evidently (``tasks.drift.evidently_report``).

The verdict is the population stability index on all rows: its bins follow the quantiles of the
training data, and its threshold knows the sample sizes. Evidently's report on a sample stands
beside it, with a page to look at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from expectations.errors import ModelRefusedError
from storage.lake import write_atomically
from tasks.drift.evidently_report import MIN_ROWS, STATISTICS, write_report
from tasks.drift.psi import ColumnBins, Counts, compare_counts, declare_bins

if TYPE_CHECKING:
    from expectations.contract import Contract
    from tasks.validation.summary import PartFile

SCORE = "anomaly_score"
"""The column of the scores that is watched beside the features."""

SAMPLE_FILE = "sample.parquet"
"""The model's sample of its training rows, in its reference folder."""

REFERENCE_ROWS = 25_000
"""Most rows of that sample; see ``DriftOptions.sample_rows``."""

METHOD = "psi"
"""The name of the index on all rows in the statistics."""


@dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """How drift is measured."""

    seed: int = 42
    """Seed of both samples."""
    sample_rows: int = REFERENCE_ROWS
    """Most rows of each side that Evidently sees; of the reference, a model keeps 25,000. At full
    size its report takes minutes (104 CPU s for a million rows); 25,000 move a share by less than
    one percentage point."""
    effect_size: float = 0.2
    """Smallest index called drift, however many rows there are. Practice calls less than 0.1 stable
    and more than 0.25 a change to act on (Siddiqi, "Credit Risk Scorecards", 2006); 0.2, between
    them, is a guess, high because the connections of a night come in bursts: between
    three consecutive days of one exposed host, 36 of 42 comparisons exceed 0.1 and 26 exceed
    0.2."""
    confidence: float = 0.999
    """Probability that a column without drift stays below the chance part of the threshold. A
    guess: on small batches, where chance decides, one false alarm in some 24 nights of 42
    columns."""


class Reference(BaseModel):
    """What a model's training data looked like: bins and counts of each column."""

    model_config = ConfigDict(frozen=True)

    rows: int
    columns: tuple[ColumnBins, ...]


class DriftSummary(BaseModel):
    """What the drift stage found, and the files it left."""

    model_config = ConfigDict(frozen=True)

    rows_reference: int
    rows_current: int
    columns_drifted: tuple[str, ...]
    """Features whose index exceeds its threshold, in contract order."""
    is_score_drifted: bool
    statistics: str
    """Parquet; grain: one column and method."""
    report_html: str | None
    """Evidently's page; None where it was not run."""
    report_json: str | None
    """Evidently's numbers; None where it was not run."""
    notes: tuple[str, ...]
    """Why Evidently was not run, or which columns it could not see, a sentence each."""


def build_reference(
    frame: pl.DataFrame,
    contract: "Contract",
    out: Path,
    seed: int,
    sample_rows: int = REFERENCE_ROWS,
) -> None:
    """Keep what the training data looked like, for every night's comparison.

    Writes ``sample.parquet`` (a uniform sample in the order of the frame, for Evidently) and
    ``bins.json`` (bins and their counts over all rows). Equal frames and seeds give equal bytes.

    Args:
        frame: the features and ``anomaly_score``, at least one row; grain: one connection.
        contract: says which columns are features.
        out: the model's reference folder; made if absent.
        seed: of the sample.
        sample_rows: size of the sample; all rows where there are fewer.
    """
    watched = frame.select(*contract.feature_names, pl.col(SCORE).cast(pl.Float64))
    bins = tuple(declare_bins(column) for column in watched.iter_columns())
    reference = Reference(rows=watched.height, columns=bins)
    out.mkdir(parents=True, exist_ok=True)
    chosen = _choose_rows(watched.height, sample_rows, seed)
    watched[chosen].write_parquet(out / SAMPLE_FILE, compression="zstd")
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

    Reads one part at a time: memory is bounded by the largest part, not by the batch, and the
    result does not depend on how the rows are cut into parts.

    Args:
        folder: the batch's folder; parts and scores are named relative to it.
        parts: the accepted rows, ``row_number`` and at least the features.
        scores: the scores, one file a part, of the same rows in the same order.
        model_folder: the model's folder; its reference is in ``reference/``.
        out: the stage's folder, named as the stage will be.
        options: see each field.

    Returns:
        The summary; ``statistics.parquet`` and, where the samples are large enough, ``drift.html``
        and ``drift.json`` are in ``out``.

    Raises:
        ModelRefusedError: the model has no reference that can be read.
        ValueError: parts and scores are not of the same rows.
    """
    reference = _read_reference(model_folder / "reference")
    names = [bins.column for bins in reference.columns]
    rows = sum(part.rows for part in parts)
    chosen = _choose_rows(rows, options.sample_rows, options.seed)
    counts: dict[str, Counts] = {
        bins.column: np.zeros(len(bins.counts), dtype=np.int64) for bins in reference.columns
    }
    gathered = []
    first = 0
    for frame in _read_parts(folder, parts, scores, names):
        for bins in reference.columns:
            counts[bins.column] += bins.count(frame[bins.column])
        begin, end = np.searchsorted(chosen, (first, first + frame.height))
        gathered.append(frame[chosen[begin:end] - first])
        first += frame.height
    statistics = _compare(reference, counts, rows, options)
    notes: tuple[str, ...] = ()
    report = None
    kept = pl.read_parquet(model_folder / "reference" / SAMPLE_FILE)
    sample = kept[_choose_rows(kept.height, options.sample_rows, options.seed)]
    smaller = min(sample.height, len(chosen))
    if smaller < MIN_ROWS:
        note = (
            f"Evidently was not run: its thresholds need {MIN_ROWS:,} rows, the sample of the "
            f"batch has {len(chosen):,} and that of the reference {sample.height:,}"
        )
        notes = (note,)
    else:
        # The page shows the columns that moved most first.
        by_drift = statistics.sort("statistic", descending=True)["column"].to_list()
        report = write_report(
            sample.select(by_drift),
            pl.concat(gathered),
            out / "drift.html",
            out / "drift.json",
            linear={SCORE},
        )
        unseen = [name for name in names if name not in set(report["column"])]
        notes = (f"Evidently saw no value of {', '.join(unseen)}",) if unseen else ()
        statistics = pl.concat([statistics, report])
    statistics.write_parquet(out / "statistics.parquet", compression="zstd")
    drifted = statistics.filter(pl.col("is_drifted") & (pl.col("method") == METHOD))["column"]
    features = tuple(name for name in drifted if name != SCORE)
    return DriftSummary(
        rows_reference=reference.rows,
        rows_current=rows,
        columns_drifted=features,
        is_score_drifted=SCORE in drifted,
        statistics=f"{out.name}/statistics.parquet",
        report_html=None if report is None else f"{out.name}/drift.html",
        report_json=None if report is None else f"{out.name}/drift.json",
        notes=notes,
    )


def _choose_rows(rows: int, sample_rows: int, seed: int) -> NDArray[np.int64]:
    """Choose rows uniformly without replacement: their ordinals from 0, ascending."""
    if rows <= sample_rows:
        return np.arange(rows, dtype=np.int64)
    chosen = np.random.default_rng(seed).choice(rows, sample_rows, replace=False, shuffle=False)
    return np.sort(chosen).astype(np.int64)


def _read_reference(folder: Path) -> Reference:
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
    """Read each part's features with the score of each row, one part at a time."""
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
    """Compare every column's counts: the statistics of the index, none for a batch of no rows."""
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
