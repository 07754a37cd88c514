"""Generated batches: the Parquet files that the stages of a night write, ready to be committed.

Belongs here: millions of scored rows without a model. Does not belong here: what is measured on
them. Scores are drawn at random, with the digits and the spread of real ones. Records are those of
the training file. The files have the columns, the compression and the row groups of
``tasks.scoring.score`` and ``tasks.scoring.explain``.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import Engine

from benchmarks.data import SEED, TRAIN
from benchmarks.databases import MODEL, NOW
from expectations.registry import get_contract
from storage.batches import BatchResult
from storage.bulk import SLICE_ROWS
from storage.claims import Claim, claim
from storage.deliveries import Delivery, record_delivery
from storage.row_counts import RowCounts
from storage.scorings import ScoringResult
from tasks.intake.source import IngestOptions
from tasks.scoring.explain import REASONS_FILE, REASONS_SCHEMA, ExplainOptions, record_of

NSL_KDD = get_contract("nsl_kdd")

FIRST_NIGHT = date(2026, 11, 1)
RAW_SCORES = {"classifier_score": (-6.0, 3.0), "one_class_score": (0.002, 0.002)}
"""Mean and standard deviation of each detector's scores. Guesses: no figure depends on them."""


@dataclass(frozen=True)
class MadeBatch:
    """A batch to generate."""

    number: int
    """From 0: decides the date, the id and the draws."""
    rows: int
    flag_ratio: float
    """Share of its rows, in [0, 1], that is flagged."""

    @property
    def batch_id(self) -> str:
        """The id: a hash of the number."""
        return hashlib.sha256(f"night {self.number}".encode()).hexdigest()

    @property
    def day(self) -> date:
        """The night of the batch."""
        return FIRST_NIGHT + timedelta(days=self.number)


@contextmanager
def claimed(engine: Engine, folder: Path, night: MadeBatch) -> Iterator[Claim]:
    """Record the delivery of a made batch, claim the batch and yield the claim."""
    arrived = Delivery(
        content_sha256=night.batch_id,
        contract=NSL_KDD.name,
        batch_date=night.day,
        source=Path(f"/inbox/night-{night.day}.csv"),
        size_bytes=0,
        content_bytes=0,
        modified_at=NOW,
        arrived_at=NOW,
    )
    record_delivery(engine, arrived)
    with claim(engine, folder / "claims" / night.batch_id, night.batch_id) as held:
        assert held is not None, "no other process works on this database"  # noqa: S101 - our own mistake
        yield held


def make_scoring(folder: Path, night: MadeBatch) -> ScoringResult:
    """Write the files of a batch, and return the result of its scoring.

    Args:
        folder: gets the files; those of an earlier batch are replaced.
        night: the batch.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng((SEED, night.number))
    scores = draw_scores(rng, night)
    is_flagged = scores["is_flagged"]
    known = pl.read_csv(TRAIN, schema_overrides=dict(NSL_KDD.schema))
    records = known.select(record_of(known, NSL_KDD)).to_series()
    flagged = scores.filter(is_flagged).select(
        "row_number",
        pl.col("row_number").alias("line_number") + 1,
        "anomaly_score",
        records.gather(rng.integers(0, records.len(), int(is_flagged.sum()))),
        (pl.col("anomaly_score").rank("ordinal", descending=True) <= ExplainOptions().top_k).alias(
            "is_explained"
        ),
        attack_category=pl.lit("DoS"),
        category_probability=pl.col("anomaly_score").mod(1.0),
        attack_technique=pl.lit("T1499"),
    )
    parts: dict[str, list[Path]] = {"scores": [], "flagged": []}
    part_rows = IngestOptions().chunk_rows
    for index, part in enumerate(scores.iter_slices(part_rows)):
        within = pl.col("row_number").is_between(part["row_number"][0], part["row_number"][-1])
        below = flagged.filter(within).sort("anomaly_score", descending=True)
        for name, frame in (("scores", part), ("flagged", below)):
            path = folder / f"{name}-{index:05d}.parquet"
            frame.write_parquet(
                path, compression="lz4", statistics=False, row_group_size=SLICE_ROWS
            )
            parts[name].append(path)
    draw_reasons(rng, flagged.filter("is_explained")["row_number"]).write_parquet(
        folder / REASONS_FILE
    )
    return ScoringResult(
        model_version=MODEL,
        operating_point="default",
        threshold=float(scores.filter(~is_flagged)["anomaly_score"].to_numpy().max()),
        target_flag_rate=None,
        rows_scored=night.rows,
        rows_flagged=flagged.height,
        scores=tuple(parts["scores"]),
        flagged=tuple(parts["flagged"]),
        reasons=folder / REASONS_FILE,
        drift=None,
        started_at=NOW,
        finished_at=NOW,
    )


def make_result(scoring: ScoringResult) -> BatchResult:
    """Return the result of a batch whose rows were all scored."""
    return BatchResult(
        rows=RowCounts(rows_read=scoring.rows_scored, rows_scored=scoring.rows_scored),
        scoring=scoring,
        quarantine=(),
        validation=(),
        started_at=NOW,
        finished_at=NOW,
    )


def draw_scores(rng: np.random.Generator, night: MadeBatch) -> pl.DataFrame:
    """Draw the scores of a batch; the highest are flagged.

    Returns:
        One row per connection: ``row_number``, the columns of ``Model.score``, ``is_flagged``.
    """
    # A tail probability of ordinary traffic is uniform, so its decades are exponential.
    tails = rng.exponential(1 / np.log(10), (2, night.rows))
    total = tails.sum(axis=0)
    flagged = round(night.rows * night.flag_ratio)
    threshold = np.partition(total, -flagged - 1)[-flagged - 1]
    return pl.DataFrame(
        {
            "row_number": np.arange(1, night.rows + 1),
            **{name: rng.normal(*shape, night.rows) for name, shape in RAW_SCORES.items()},
            "classifier_tail": tails[0],
            "one_class_tail": tails[1],
            "anomaly_score": total,
            "is_flagged": total > threshold,
        }
    )


def draw_reasons(rng: np.random.Generator, rows: pl.Series) -> pl.DataFrame:
    """Draw as many reasons for each row as an explanation has; columns of ``REASONS_SCHEMA``."""
    each = ExplainOptions().reasons
    count = rows.len() * each
    names = pl.Series(NSL_KDD.feature_names)
    return pl.DataFrame(
        {
            "row_number": np.repeat(rows.to_numpy(), each),
            "rank": np.tile(np.arange(1, each + 1), rows.len()),
            "model": np.where(rng.random(count) < 0.5, "classifier", "autoencoder"),
            "feature": names.gather(rng.integers(0, names.len(), count)),
            "observed": rng.integers(0, 10_000, count).astype(str),
            "expected": rng.integers(0, 10_000, count).astype(str),
            "contribution": rng.exponential(1, count),
        },
        schema=REASONS_SCHEMA,
    )
