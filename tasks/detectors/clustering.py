"""Detectors that compare every row with every other: for study, not for serving.

Belongs here: local outlier factor and DBSCAN, and how many rows they can take. Does not belong
here: anything that scores rows it was not fitted on. These label just the rows they are given.
"""

import os

import numpy as np
import numpy.typing as npt

from expectations.errors import UsageError
from tasks.encode import Mask, Matrix

NEIGHBOURS = 20
"""Of the local outlier factor: scikit-learn's default, and the first work's."""

RADIUS, MIN_ROWS = 0.5, 5
"""Of DBSCAN: scikit-learn's defaults, and the first work's; for inputs scaled to [0, 1]."""

BYTES_PER_PAIR = 1.4
"""Of memory, for DBSCAN: 3.3 GB at 50,000 rows (the notes on the models)."""

MEMORY_SHARE = 0.5
"""Of the machine's memory that may be taken. A guess."""


def find_outliers(inputs: Matrix) -> Mask:
    """Mark the rows whose neighbourhood is thinner than their neighbours', (n_rows,).

    Raises:
        UsageError: so many rows do not fit.

    Source: Breunig et al. 2000.
    """
    from sklearn.neighbors import LocalOutlierFactor

    require_room("the local outlier factor", len(inputs))
    found: Mask = LocalOutlierFactor(NEIGHBOURS).fit_predict(inputs) == -1
    return found


def find_clusters(inputs: Matrix) -> npt.NDArray[np.int64]:
    """Return the cluster of each row, -1 for those in none, (n_rows,).

    Raises:
        UsageError: so many rows do not fit.

    Source: Ester et al. 1996.
    """
    from sklearn.cluster import DBSCAN

    require_room("DBSCAN", len(inputs))
    clusters: npt.NDArray[np.int64] = DBSCAN(eps=RADIUS, min_samples=MIN_ROWS).fit_predict(inputs)
    return clusters


def require_room(what: str, rows: int, memory_bytes: int | None = None) -> None:
    """Refuse rows whose pairs would fill the memory.

    Args:
        what: the method, for the message.
        rows: how many.
        memory_bytes: of the machine; what it has if None.

    Raises:
        UsageError: they do not fit.
    """
    memory = memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = BYTES_PER_PAIR * rows**2
    if needed <= MEMORY_SHARE * memory:
        return
    most = int((MEMORY_SHARE * memory / BYTES_PER_PAIR) ** 0.5)
    message = (
        f"Cannot run {what} on {rows:,} rows: it compares every row with every other and would "
        f"take some {needed / 1e9:,.0f} GB, of {memory / 1e9:,.0f} GB that this machine has. Give "
        f"at most {most:,} rows."
    )
    raise UsageError(message)
