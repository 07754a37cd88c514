"""The tables: what one row of each is, what identifies it, and which conditions hold.

Belongs here: table declarations and the purpose of each index, in one module for each subject; this
package exports them all. Does not belong here: the types of columns (``storage.column_types``),
statements (``storage.batches``, ``storage.runs`` and others) or the views, which analysts read
(``storage.views``). A change here needs a revision in ``migrations/versions``; a test compares the
two.

Conventions: table names are singular nouns, keys are named ``<table>_id``, times are UTC, one
convention names the constraints. Every index states in ``info["serves"]`` which query uses it, and
in ``info["dialect"]`` the database that has it, if only one does. A comment above each table states
what one row is.
"""

from storage.column_types import metadata
from storage.schema.batches import (
    batch,
    batch_prefix,
    correction,
    delivery,
    dismissal,
    quarantined_row,
    validation_result,
)
from storage.schema.models import model_version, promotion, promotion_decision
from storage.schema.runs import outbox, run
from storage.schema.scorings import (
    drift_statistic,
    flagged_connection,
    prediction,
    reason,
    scoring,
    scoring_comparison,
)

__all__ = [
    "batch",
    "batch_prefix",
    "correction",
    "delivery",
    "dismissal",
    "drift_statistic",
    "flagged_connection",
    "metadata",
    "model_version",
    "outbox",
    "prediction",
    "promotion",
    "promotion_decision",
    "quarantined_row",
    "reason",
    "run",
    "scoring",
    "scoring_comparison",
    "validation_result",
]
