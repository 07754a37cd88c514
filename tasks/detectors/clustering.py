"""Methods that compare every row with every other: for the study, not for a night.

Belongs here: local outlier factor and DBSCAN, and the limits on their rows. Does not belong here:
a detector that scores rows it was not fitted on. These label only the rows they are given.
"""

import os

import numpy as np
import numpy.typing as npt

from expectations.errors import UsageError
from tasks.arrays import Mask, Matrix

NEIGHBOURS = 20
"""Neighbours of the local outlier factor: the default of scikit-learn and of the first work."""

RADIUS, MIN_ROWS = 0.5, 5
"""Options of DBSCAN for inputs scaled to [0, 1]: defaults of scikit-learn and the first work."""

BYTES_PER_PAIR = 30
"""Bytes that DBSCAN takes for two rows within its radius. Measured on 4,000 and 8,000 rows that
all lie within it: 30 and 23."""

SAMPLE_ROWS = 256
"""Rows drawn to estimate the share of such pairs: a guess. Each is compared with all rows."""

MEMORY_SHARE = 0.5
"""Share of the machine's memory that DBSCAN may take: a guess."""

MOST_ROWS = 200_000
"""Most rows for the local outlier factor, whose time grows with their square. A guess: half an
hour, if 20,000 rows of 115 columns take twenty seconds."""


def find_outliers(inputs: Matrix) -> Mask:
    """Mark the rows with a lower local density than their neighbours, (n_rows,).

    Raises:
        UsageError: the rows are too many, and would take hours.

    Source: Breunig et al. 2000.
    """
    from sklearn.neighbors import LocalOutlierFactor

    if len(inputs) > MOST_ROWS:
        message = (
            f"Cannot run the local outlier factor on {len(inputs):,} rows: it compares every row "
            f"with every other, which would take hours. Give at most {MOST_ROWS:,} rows."
        )
        raise UsageError(message)
    found: Mask = LocalOutlierFactor(NEIGHBOURS).fit_predict(inputs) == -1
    return found


def find_clusters(inputs: Matrix) -> npt.NDArray[np.int64]:
    """Return the cluster of each row, (n_rows,), -1 for a row in no cluster.

    Raises:
        UsageError: the rows do not fit into memory.

    Source: Ester et al. 1996.
    """
    from sklearn.cluster import DBSCAN

    require_memory(len(inputs), estimate_near_pairs(inputs))
    clusters: npt.NDArray[np.int64] = DBSCAN(eps=RADIUS, min_samples=MIN_ROWS).fit_predict(inputs)
    return clusters


def estimate_near_pairs(inputs: Matrix) -> float:
    """Estimate the share of all pairs of rows that lie within the radius."""
    if not len(inputs):
        return 0.0
    drawn = inputs[np.random.default_rng(0).permutation(len(inputs))[:SAMPLE_ROWS]]
    near = [(np.square(inputs - one).sum(axis=1) <= RADIUS**2).mean() for one in drawn]
    return float(np.mean(near))


def require_memory(rows: int, near: float, memory_bytes: int | None = None) -> None:
    """Refuse rows whose pairs within the radius would not fit into memory.

    ``near`` is the share of these pairs among all. Without ``memory_bytes``, ask the machine.

    Raises:
        UsageError: they do not fit.
    """
    memory = memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = BYTES_PER_PAIR * near * rows**2
    if needed <= MEMORY_SHARE * memory:
        return
    most = int((MEMORY_SHARE * memory / (BYTES_PER_PAIR * near)) ** 0.5)
    message = (
        f"Cannot run DBSCAN on {rows:,} rows: it keeps every pair of near rows, {near:.0%} of all, "
        f"and would take about {needed / 1e9:,.0f} GB; this machine has {memory / 1e9:,.0f} GB."
        f" Give at most {most:,} rows."
    )
    raise UsageError(message)
