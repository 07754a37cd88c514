"""The scoring stage: it writes scores and flags of a batch's accepted rows, part by part.

Belongs here: reading parts, applying the model, writing scores. Does not belong here: the models
(``tasks.detectors``), or the reasons of a score (``explain``). The caller gives the threshold of
the night (``tasks.evaluation.operating_points``); without one the model's own flags.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel, Field

from expectations.registry import get_contract
from storage.bulk import SLICE_ROWS
from tasks.detectors.model import load_model
from tasks.detectors.model_card import require_contract
from tasks.detectors.thresholds import OperatingPointName, flag
from tasks.evaluation.labels import LabelledCounts, count_labelled
from tasks.evaluation.operating_points import describe_rate_deviation
from tasks.features.values import MISSING
from tasks.ratios import ratio
from tasks.validation.summary import PartFile
from tasks.wording import plural, some_of

EXAMPLES = 5
"""Unseen values named in a summary. A guess: enough to recognise what is new."""

HELD = 10_000
"""Unseen values whose counts are held, so that memory stays bounded when each row has a new one. A
guess."""


class ScoreOptions(BaseModel, frozen=True, extra="forbid"):
    """How a batch is scored."""

    operating_point: OperatingPointName = "default"
    """The operating point whose threshold decides ``is_flagged``."""
    threshold: float | None = None
    """Threshold of ``anomaly_score``; None for the model's own."""
    target_flag_rate: float | None = None
    """Share of connections that this threshold is meant to flag."""
    threads: int = Field(default=1, ge=1)
    """Threads of the detectors; they do not change a score."""


class UnseenValues(BaseModel, frozen=True):
    """Values of one feature that are not in the training rows. Their rows are scored too."""

    feature: str
    rows: int
    examples: tuple[str, ...]
    """The most frequent ones, at most ``EXAMPLES``."""


class ScoreSummary(BaseModel, frozen=True):
    """The result of scoring a batch."""

    parts: tuple[str, ...]
    """A file of scores for each accepted part, in order, relative to the batch's folder. Grain:
    one connection; ``row_number``, the columns of ``Model.score`` and ``is_flagged``."""
    rows_scored: int
    rows_flagged: int
    operating_point: str
    threshold: float
    """Of ``anomaly_score``; for ``p50``, of ``classifier_score``. A score above is flagged."""
    target_flag_rate: float | None
    """Share of normal connections, in [0, 1], that the operating point is meant to flag; None where
    it is not known. The realised rate is of other traffic, attacks included."""
    labelled: LabelledCounts | None = None
    """Counts of the rows with a label; None where no row has one."""
    unseen: tuple[UnseenValues, ...]
    """One for each feature with unseen values."""

    @property
    def false_positive_rate(self) -> float | None:
        """Share of the rows labelled normal that is flagged; None where no row is."""
        labelled = self.labelled or LabelledCounts()
        return ratio(labelled.flagged_normal, labelled.normal)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a reader of the scores, a sentence each."""
        return tuple(map(_describe_unseen, self.unseen))

    def describe_rate_deviation(self, usual: float | None, budget: int | None) -> str | None:
        """Return a sentence if the realised rate is far from its target, else None."""
        return describe_rate_deviation(
            self.operating_point,
            self.target_flag_rate,
            self.rows_flagged,
            self.rows_scored,
            self.labelled,
            usual=usual,
            budget=budget,
        )


def score_batch(
    folder: Path,
    parts: Sequence[PartFile],
    model_folder: Path,
    out: Path,
    options: ScoreOptions,
    progress: Callable[[float], None] | None = None,
) -> ScoreSummary:
    """Score the accepted rows of a batch.

    Holds one part in memory at a time. A row's scores do not depend on the part it is in.

    Args:
        folder: the batch's folder; parts are named relative to it.
        parts: the accepted rows, ``row_number`` and at least the features.
        model_folder: of the model that scores.
        out: the stage's folder, named as the stage will be; gets ``scores-00000.parquet`` etc.
        options: the operating point and threads.
        progress: called with the share of rows done, in [0, 1], after each part.

    Raises:
        ModelRefusedError: the model folder cannot be read, or the contract's features have changed
            since the fit.
        InputRejectedError: a part lacks a feature.
    """
    model = load_model(model_folder, threads=options.threads)
    contract = get_contract(model.card.contract)
    require_contract(model_folder, contract)
    threshold, target = options.threshold, options.target_flag_rate
    if threshold is None:
        threshold = model.card.thresholds.value(options.operating_point)
        target = model.card.thresholds.target_flag_rate(options.operating_point)
    total = sum(part.rows for part in parts)
    names: list[str] = []
    rows = flagged = 0
    labelled = LabelledCounts()
    unseen = {name: _Unseen() for name in model.features}
    for index, part in enumerate(parts):
        present = pl.read_parquet_schema(folder / part.path)
        wanted = [name for name in ("row_number", *model.features) if name in present]
        frame = pl.read_parquet(folder / part.path, columns=wanted)
        for name, counts in model.encoder.count_unseen(frame).items():
            unseen[name].add(counts)
        scores = model.score(frame)
        scores = scores.with_columns(flag(scores, options.operating_point, threshold))
        scores = scores.insert_column(0, frame["row_number"])
        name = f"scores-{index:05d}.parquet"
        # The scores of KDDTrain+, 125,973 rows, measured once while building: .010 CPU s and
        # 5.1 MB by lz4, .025 and 3.9 by the default zstd.
        scores.write_parquet(
            out / name, compression="lz4", statistics=False, row_group_size=SLICE_ROWS
        )
        names.append(f"{out.name}/{name}")
        rows += scores.height
        flagged += int(scores["is_flagged"].sum())
        labelled += count_labelled(folder / part.path, contract, scores["is_flagged"])
        if progress is not None:
            progress(rows / total if total else 1.0)
    return ScoreSummary(
        parts=tuple(names),
        rows_scored=rows,
        rows_flagged=flagged,
        operating_point=options.operating_point,
        threshold=threshold,
        target_flag_rate=target,
        labelled=labelled if labelled.rows else None,
        unseen=tuple(
            UnseenValues(feature=name, rows=counted.rows, examples=counted.examples)
            for name, counted in unseen.items()
            if counted.rows
        ),
    )


def _describe_unseen(one: UnseenValues) -> str:
    rows = plural(one.rows, "row")
    if one.examples == (MISSING,):
        return f"{one.feature}: missing in {rows}, in no row of the training"
    return f"{one.feature}: values never seen in training in {rows} ({some_of(one.examples)})"


class _Unseen:
    """Counts the unseen values of one feature, part by part."""

    def __init__(self) -> None:
        self.rows = 0
        self._most_frequent: pl.DataFrame | None = None

    def add(self, counts: pl.DataFrame) -> None:
        """Add one part's counts; of very many values, the rarest are dropped."""
        self.rows += int(counts["rows"].sum())
        held = counts if self._most_frequent is None else pl.concat([self._most_frequent, counts])
        added = held.group_by("value").agg(pl.col("rows").sum())
        self._most_frequent = added.sort(["rows", "value"], descending=[True, False]).head(HELD)

    @property
    def examples(self) -> tuple[str, ...]:
        """The most frequent values, the most frequent first."""
        held = self._most_frequent
        return () if held is None else tuple(held.head(EXAMPLES)["value"])
