"""Partial results: what no reader may see at any moment of a schedule.

Belongs here: batches that are stored in part, in the database or in the lake. Does not belong here:
whether the stored rows are the right ones (see ``final_state``).
"""

from collections.abc import Mapping
from functools import cache

import sqlalchemy as sa

from storage.lake import RECEIPT, find_fault
from storage.schema import (
    batch,
    flagged_connection,
    outbox,
    prediction,
    quarantined_row,
    scoring,
    validation_result,
)
from tests.support.workers.example_batches import ExampleBatch
from tests.support.workers.shared_stores import SharedStore


def find_partial_batches(store: SharedStore, examples: Mapping[str, ExampleBatch]) -> list[str]:
    """Describe the batches that a reader sees stored in part at this moment."""
    faults = []
    for row in store.ask(_seen(store.engine.dialect)):
        batch_id, status, read, said, put_aside, scores, flags, flagged, kept, facts, told = row
        example = examples[batch_id]
        is_finished = status != "received"
        found = (read, said or 0, put_aside or 0, flags, facts, told)
        expected = (
            example.rows if is_finished else None,
            scores,
            kept,
            flagged,
            example.facts if is_finished else 0,
            int(is_finished),
        )
        if found != expected:
            faults.append(
                f"batch {batch_id[:8]} is seen half {status}: read, scored, quarantined,"
                f" flagged, facts, events are {found}, its rows say {expected}"
            )
    return faults


def find_partial_stages(store: SharedStore, *, is_thorough: bool) -> list[str]:
    """Describe the visible stages that are not whole.

    Args:
        store: its lake is read.
        is_thorough: whether to verify the files too, not only that a receipt exists.
    """
    return [
        f"stage {stage.relative_to(store.lake)} is not whole"
        for stage in store.lake.glob("*/*/[!.]*")
        if not (stage / RECEIPT).exists() or (is_thorough and find_fault(stage) is not None)
    ]


@cache
def _seen(dialect: sa.Dialect) -> str:
    """Return the query for the counts in each batch's row and the number of its stored rows."""
    of_live = (scoring.c.batch_id == batch.c.batch_id) & (scoring.c.purpose == "live")
    query = sa.select(
        batch.c.batch_id,
        batch.c.status,
        batch.c.rows_read,
        batch.c.rows_scored,
        batch.c.rows_quarantined,
        _count(prediction, of_live & (prediction.c.scoring_id == scoring.c.scoring_id)),
        _count(flagged_connection, flagged_connection.c.batch_id == batch.c.batch_id),
        sa.select(sa.func.coalesce(sa.func.sum(scoring.c.rows_flagged), 0))
        .where(of_live)
        .correlate(batch)
        .scalar_subquery(),
        _count(quarantined_row, quarantined_row.c.batch_id == batch.c.batch_id),
        _count(validation_result, validation_result.c.batch_id == batch.c.batch_id),
        _count(outbox, sa.func.substr(outbox.c.event_key, 1, 64) == batch.c.batch_id),
    )
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _count(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    """Count the rows of a table that belong to a batch."""
    return (
        sa.select(sa.func.count())
        .select_from(table)
        .where(condition)
        .correlate(batch)
        .scalar_subquery()
    )
