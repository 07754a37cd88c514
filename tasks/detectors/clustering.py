"""Detectors that compare every row with every other: for study, not for serving.

Belongs here: local outlier factor and DBSCAN, and how many rows they can take. Does not belong
here: anything that scores rows it was not fitted on. These label just the rows they are given.
"""

import os

import numpy as np
import numpy.typing as npt

from expectations.errors import UsageError
from tasks.arrays import Mask, Matrix

NEIGHBOURS = 20
"""Of the local outlier factor: scikit-learn's default, and the first work's."""

RADIUS, MIN_ROWS = 0.5, 5
"""Of DBSCAN: scikit-learn's defaults, and the first work's; for inputs scaled to [0, 1]."""

BYTES_PER_PAIR = 30
"""Of memory, for DBSCAN: of every two rows within its radius. Measured on 4,000 and 8,000 rows all
within it: 30 and 23."""

SAMPLE_ROWS = 256
"""Rows by which the share of such pairs is estimated. A guess: each is held against all."""

MEMORY_SHARE = 0.5
"""Of the machine's memory that may be taken. A guess."""

MOST_ROWS = 200_000
"""That the local outlier factor is run on: its time grows with their square. A guess: half an hour,
if 20,000 rows of 115 columns take twenty seconds."""


def find_outliers(inputs: Matrix) -> Mask:
    """Mark the rows whose neighbourhood is thinner than their neighbours', (n_rows,).

    Raises:
        UsageError: so many rows would take too long.

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
    """Return the cluster of each row, -1 for those in none, (n_rows,).

    Raises:
        UsageError: so many rows do not fit.

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
    """Refuse rows whose near pairs would fill the memory.

    Args:
        rows: how many.
        near: share of their pairs that lie within the radius.
        memory_bytes: of the machine; what it has if None.

    Raises:
        UsageError: they do not fit.
    """
    memory = memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = BYTES_PER_PAIR * near * rows**2
    if needed <= MEMORY_SHARE * memory:
        return
    most = int((MEMORY_SHARE * memory / (BYTES_PER_PAIR * near)) ** 0.5)
    message = (
        f"Cannot run DBSCAN on {rows:,} rows: it keeps every pair of near ones, {near:.0%} of all, "
        f"and would take some {needed / 1e9:,.0f} GB, of {memory / 1e9:,.0f} GB that this machine "
        f"has. Give at most {most:,} rows."
    )
    raise UsageError(message)
