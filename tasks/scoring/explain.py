"""The explaining stage: the record of every flagged connection, and reasons for some of them.

Belongs here: the choice of rows to explain, and one table of both detectors' reasons. Does not
belong here: how a detector attributes its score (``tasks.detectors``).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, Field

from expectations.contract import Contract
from expectations.registry import get_contract
from storage.bulk import SLICE_ROWS
from tasks.detectors.family import FAMILY_SCHEMA
from tasks.detectors.member import MEMBER_NAMES
from tasks.detectors.model import Model, load_model
from tasks.features.encoding import Encoder
from tasks.features.values import render_value
from tasks.validation.summary import PartFile

REASONS_FILE = "reasons.parquet"

REASONS_SCHEMA = pl.Schema(
    {
        "row_number": pl.Int64,
        "rank": pl.Int64,
        "model": pl.String,
        "feature": pl.String,
        "observed": pl.String,
        "expected": pl.String,
        "contribution": pl.Float64,
    }
)

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.6fZ"
LAST_YEAR = 9_999
"""The last year of ISO 8601, and of PostgreSQL in this form."""

STRONGEST = 2
"""Number of quantities that define a kind. Measured on ``Test_data.csv`` of NSL-KDD with a model of
``Train_data.csv``. Its 11,338 flagged rows have 180 different sets of categories; within 500
explained rows all of them get a reason, where the highest scores alone covered 45. They have 885
different sets of categories and three weightiest features; 402 get a reason, where the highest
scores alone covered 58. With one quantity those are 331, with three 374."""
FAR = 0.5
"""Smallest distance of such a quantity from its centre, in scales of the normal training rows, so
that it fits the features of any contract. Where those are all 0, a 1 is at .69 (see
``Quantity.scale``), which must count. With 3 it is 415, not 402."""


class ExplainOptions(BaseModel, frozen=True, extra="forbid"):
    """How many connections are explained, with how many reasons."""

    top_k: int = Field(default=500, ge=0)
    """Most connections that are explained; see ``choose_rows``. The trees' reasons cost about 2 CPU
    ms a connection."""
    reasons: int = Field(default=5, ge=1)
    """Most reasons of a connection."""
    threads: int = Field(default=1, ge=1)
    """Threads of the detectors; they do not change a reason."""


class ExplainSummary(BaseModel, frozen=True):
    """The result of explaining a batch."""

    rows_flagged: int
    rows_explained: int
    flagged: tuple[str, ...]
    """A file for each accepted part, in order, relative to the batch's folder. Grain: one flagged
    connection; ``row_number line_number anomaly_score record is_explained`` and those of
    ``FAMILY_SCHEMA``."""
    reasons: str
    """Relative to the batch's folder. Grain: one reason; columns of ``REASONS_SCHEMA``."""


def explain_batch(
    folder: Path,
    parts: Sequence[PartFile],
    scores: Sequence[str],
    model_folder: Path,
    out: Path,
    options: ExplainOptions,
) -> ExplainSummary:
    """Write the record of each flagged connection, and the reasons of one of each kind.

    ``parts`` are the accepted rows, and ``scores`` their scores, one file a part, in the same
    order; both are named relative to the batch's folder. ``out`` is named as the stage will be.
    ``record`` is JSON text of the file's columns except labels and ignored ones; see ``record_of``.

    Raises:
        ModelRefusedError: the model folder cannot be read.
    """
    model = load_model(model_folder, threads=options.threads)
    contract = get_contract(model.card.contract)
    chosen = choose_rows(folder, parts, scores, model.encoder, options.top_k)
    names, to_explain = [], []
    flagged = 0
    for index, (part, name) in enumerate(zip(parts, scores, strict=True)):
        is_flagged = pl.read_parquet(
            folder / name,
            columns=["anomaly_score", "is_flagged", *(f"{one}_tail" for one in MEMBER_NAMES)],
        )
        rows = pl.read_parquet(folder / part.path).hstack(is_flagged).filter("is_flagged")
        rows = rows.with_columns(pl.col("row_number").is_in(chosen.implode()).alias("is_explained"))
        rows = rows.hstack(model.name_families(rows))
        to_explain.append(rows.filter("is_explained"))
        written = f"flagged-{index:05d}.parquet"
        # By score, the order of the index they are stored under: a commit of 1.4 million flagged
        # rows took 8.9 CPU s of SQLite instead of 12.9.
        rows.sort("anomaly_score", descending=True, maintain_order=True).select(
            "row_number",
            "line_number",
            "anomaly_score",
            record_of(rows, contract),
            "is_explained",
            *FAMILY_SCHEMA,
        ).write_parquet(
            out / written, compression="lz4", statistics=False, row_group_size=SLICE_ROWS
        )
        names.append(f"{out.name}/{written}")
        flagged += rows.height
    reasons = (
        explain_rows(pl.concat(to_explain, how="diagonal_relaxed"), model, options.reasons)
        if to_explain
        else REASONS_SCHEMA.to_frame()
    )
    reasons.write_parquet(out / REASONS_FILE)
    return ExplainSummary(
        rows_flagged=flagged,
        rows_explained=len(chosen),
        flagged=tuple(names),
        reasons=f"{out.name}/{REASONS_FILE}",
    )


def choose_rows(
    folder: Path, parts: Sequence[PartFile], scores: Sequence[str], encoder: Encoder, top_k: int
) -> pl.Series:
    """Return the row numbers of the connections to explain: one of each kind, then others.

    All of them are flagged. The connections of a flood have the same reasons, so the highest score
    of each kind comes first; see ``find_kinds``. If there are more kinds than ``top_k``, those with
    the highest scores are chosen; if there are fewer, the highest scores of all other connections
    fill up. Of equal scores, the first in the file is chosen. The division into parts does not
    change the choice.

    Besides a part it holds at most ``top_k`` rows of either sort: a kind that was dropped can only
    return with a higher score. Files are named as for ``explain_batch``.
    """
    if not top_k or not parts:
        return pl.Series("row_number", dtype=pl.Int64)
    firsts, best = pl.DataFrame(), pl.DataFrame()
    for part, name in zip(parts, scores, strict=True):
        scored = pl.read_parquet(
            folder / name, columns=["row_number", "anomaly_score", "is_flagged"]
        )
        features = pl.read_parquet(folder / part.path, columns=list(encoder.features))
        flagged = scored.filter("is_flagged").select("row_number", "anomaly_score")
        kinds = find_kinds(features.filter(scored["is_flagged"]), encoder)
        ranked = _rank([flagged.hstack(kinds)])
        best = _rank([best, ranked.select(flagged.columns)]).head(top_k)
        firsts = _rank([firsts, ranked.unique(kinds.columns, keep="first", maintain_order=True)])
        firsts = firsts.unique(kinds.columns, keep="first", maintain_order=True).head(top_k)
    chosen = pl.concat([firsts.select(best.columns), best])
    return chosen.unique("row_number", keep="first", maintain_order=True).head(top_k)["row_number"]


def find_kinds(rows: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """Return the kind of each connection, which costs far less than its reasons.

    Connections are of one kind if they have the same categories, of which the rarest of a feature
    with very many are one, and if the same ``STRONGEST``
    quantities are farthest from their centres among normal connections, each on the same side. A
    quantity nearer than ``FAR`` does not count. A row's kind does not depend on other rows.

    Returns:
        One row per connection, in order: its categories, and ``STRONGEST`` columns with the codes
        of its quantities and their sides.
    """
    away = encoder.deviations(rows)
    strength = np.abs(away)
    codes = np.full((rows.height, STRONGEST), -1, dtype=np.int64)
    row = np.arange(rows.height)
    for place in range(min(STRONGEST, away.shape[1])):
        farthest = strength.argmax(axis=1)
        is_far = strength[row, farthest] >= FAR
        codes[:, place] = np.where(is_far, 2 * farthest + (away[row, farthest] > 0), -1)
        strength[row, farthest] = 0
    codes.sort(axis=1)
    categories = rows.select(
        category.group().alias(f"category_{place}")
        for place, category in enumerate(encoder.categories)
    )
    strongest = {f"strongest_{place}": codes[:, place] for place in range(STRONGEST)}
    return pl.DataFrame({**categories.to_dict(), **strongest})


def _rank(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join rows, the highest score first; of equal scores, the first in the file."""
    some = [frame for frame in frames if frame.width]
    return pl.concat(some).sort("anomaly_score", "row_number", descending=[True, False])


def explain_rows(rows: pl.DataFrame, model: Model, reasons: int) -> pl.DataFrame:
    """Return the features that raised the anomaly score, both detectors' reasons ranked together.

    A detector's tail is its part of the anomaly score. A feature's contribution is its share in
    raising that detector's score, times the tail. So contributions are decades of surprise for both
    detectors, and all contributions of a row add up to its anomaly score.

    ``rows`` has one row per connection: ``row_number``, the features and each detector's tail.
    ``reasons`` is the most that a connection gets.

    Returns:
        One row per reason, by row number and rank from 1; columns of ``REASONS_SCHEMA``. Expected
        is the value an autoencoder rebuilt, or for other detectors the typical value of normals.
    """
    encoded = model.encoder.encode(rows)
    features = model.features
    attributions = [member.attribute(encoded) for member in model.members]
    contributions = np.hstack(
        [
            attribution.shares * rows[f"{member.name}_tail"].to_numpy()[:, np.newaxis]
            for member, attribution in zip(model.members, attributions, strict=True)
        ]
    )
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :reasons]
    table = []
    for row, (number, best) in enumerate(zip(rows["row_number"], order, strict=True)):
        ranked = (column for column in best if contributions[row, column] > 0)
        for rank, column in enumerate(ranked, start=1):
            which, position = divmod(int(column), len(features))
            feature = features[position]
            expected = attributions[which].expected[row, position]
            table.append(
                (
                    number,
                    rank,
                    model.members[which].reason_name,
                    feature,
                    render_value(rows[feature][row]),
                    model.encoder.render(feature, expected),
                    float(contributions[row, column]),
                )
            )
    return pl.DataFrame(table, schema=REASONS_SCHEMA, orient="row").sort("row_number", "rank")


def record_of(rows: pl.DataFrame, contract: Contract) -> pl.Expr:
    """Return the expression for a connection's JSON record: its identifiers, then its features.

    A time is ISO 8601 text in UTC, which sorts as times do. It is null outside of the years that
    this form has.
    """
    kept = [
        _write_time(column.name) if column.kind == "time" else pl.col(column.name)
        for column in (*contract.identifiers, *contract.features)
        if column.name in rows.columns
    ]
    return pl.struct(kept).struct.json_encode().alias("record")


def _write_time(name: str) -> pl.Expr:
    """Return the expression of a time as text."""
    has_four_digits = pl.col(name).dt.year().is_between(1, LAST_YEAR)
    return pl.when(has_four_digits).then(pl.col(name).dt.strftime(TIME_FORMAT))
