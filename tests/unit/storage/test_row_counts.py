"""Every row read is counted once."""

import pytest

from storage.row_counts import RowCounts


def test_every_new_row_of_a_rejected_batch_is_rejected() -> None:
    rows = RowCounts.of_rejected(7, rows_known=2)
    assert (rows.rows_read, rows.rows_rejected, rows.rows_known) == (7, 5, 2)


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="5 rows were read, 4 are accounted for"):
        RowCounts(rows_read=5, rows_scored=3, rows_quarantined=1)
