"""Invariants of batches: their counts, their status, and what replays and growing files share.

Belongs here: one invariant each, with its query. Does not belong here: invariants of the rows of a
scoring (``scoring_invariants``).
"""

from typing import Final

from storage.check.invariants import Invariant

BATCH_INVARIANTS: Final = (
    Invariant(
        "accounting",
        "it has {0} rows read, but {1} scored, {2} quarantined, {3} rejected and {4} known",
        "SELECT batch_id, rows_read, rows_scored, rows_quarantined, rows_rejected, rows_known"
        " FROM batch WHERE status <> 'received' AND (coalesce(rows_read <> rows_scored"
        " + rows_quarantined + rows_rejected + rows_known, true) OR rows_scored < 0"
        " OR rows_quarantined < 0 OR rows_rejected < 0 OR rows_known < 0)",
    ),
    Invariant(
        "rejected whole",
        "it is rejected, but counts {0} scored or quarantined rows",
        "SELECT batch_id, rows_scored + rows_quarantined FROM batch"
        " WHERE status = 'rejected' AND rows_scored + rows_quarantined > 0",
    ),
    Invariant(
        "rejection",
        "it is {0}, but {1}",
        "SELECT batch_id, status, CASE WHEN rejection IS NULL THEN 'no rejection reason is stored'"
        " ELSE 'a rejection reason is stored' END FROM batch"
        " WHERE (status = 'rejected') <> (rejection IS NOT NULL)",
    ),
    Invariant(
        "unfinished",
        "it is not finished, but {0} scorings, {1} quarantined rows and {2} validation results of"
        " it are stored",
        "SELECT * FROM (SELECT b.batch_id,"
        " (SELECT count(*) FROM scoring AS s WHERE s.batch_id = b.batch_id) AS scorings,"
        " (SELECT count(*) FROM quarantined_row AS q WHERE q.batch_id = b.batch_id) AS held,"
        " (SELECT count(*) FROM validation_result AS v WHERE v.batch_id = b.batch_id) AS results"
        " FROM batch AS b WHERE b.status = 'received') AS begun"
        " WHERE scorings + held + results > 0",
    ),
    Invariant(
        "delivery",
        "no delivery of it is stored, so {0} cannot be found again",
        "SELECT b.batch_id, b.file_name FROM batch AS b WHERE b.replayed_batch_id IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.batch_id = b.batch_id)",
    ),
    Invariant(
        "dismissal",
        "a delivery of it was dismissed, but it is {0}, not rejected",
        "SELECT b.batch_id, b.status FROM dismissal AS x"
        " INNER JOIN delivery AS d ON x.delivery_id = d.delivery_id"
        " INNER JOIN batch AS b ON d.batch_id = b.batch_id WHERE b.status <> 'rejected'",
    ),
    Invariant(
        "quarantine kept",
        "it counts {0} quarantined rows, but {1} are stored",
        "SELECT b.batch_id, b.rows_quarantined, count(q.row_number) FROM batch AS b"
        " LEFT JOIN quarantined_row AS q ON b.batch_id = q.batch_id"
        " WHERE b.status <> 'received'"
        " GROUP BY b.batch_id, b.rows_quarantined, b.quarantine_limit"
        " HAVING count(q.row_number) <> CASE WHEN b.quarantine_limit < b.rows_quarantined"
        " THEN b.quarantine_limit ELSE b.rows_quarantined END",
    ),
)
"""About the counts and the status of a batch."""

REPLAY_INVARIANTS: Final = (
    Invariant(
        "known rows",
        "it has {0} known rows, but batch {1} does not account for them",
        "SELECT b.batch_id, b.rows_known, coalesce(b.known_batch_id, 'none') FROM batch AS b"
        " LEFT JOIN batch AS k ON b.known_batch_id = k.batch_id"
        " WHERE b.rows_known > 0 AND (k.batch_id IS NULL OR k.status = 'received'"
        " OR k.status = 'scored' AND b.rows_known > k.rows_read"
        " OR k.status = 'rejected' AND NOT EXISTS (SELECT 1 FROM batch AS r"
        " WHERE r.replayed_batch_id = k.batch_id AND r.status = 'scored')"
        " OR NOT EXISTS (SELECT 1 FROM batch_prefix AS x"
        " WHERE x.batch_id = b.batch_id AND x.prefix_batch_id = k.batch_id"
        " OR x.batch_id = k.batch_id AND x.prefix_batch_id = b.batch_id))",
    ),
    # The last line of a growing file may be incomplete; it is complete in the longer file.
    Invariant(
        "rows of two files",
        "batch {0} is a prefix of it, and both have scored the same rows",
        "SELECT l.batch_id, b.batch_id FROM batch_prefix AS x"
        " INNER JOIN batch AS l ON x.batch_id = l.batch_id"
        " INNER JOIN batch AS b ON x.prefix_batch_id = b.batch_id"
        " WHERE l.status = 'scored' AND b.rows_known < b.rows_read AND ("
        " b.status = 'scored' AND l.rows_known < b.rows_read - 1"
        " OR b.status = 'rejected' AND l.rows_known = 0 AND b.rows_read > 1"
        " AND EXISTS (SELECT 1 FROM batch AS r"
        " WHERE r.replayed_batch_id = b.batch_id AND r.status = 'scored'))",
    ),
    Invariant(
        "replayed batch",
        "it replays batch {0}, which is missing or not finished",
        "SELECT b.batch_id, b.replayed_batch_id FROM batch AS b"
        " LEFT JOIN batch AS r ON b.replayed_batch_id = r.batch_id"
        " WHERE b.replayed_batch_id IS NOT NULL AND (r.batch_id IS NULL OR r.status = 'received')",
    ),
    Invariant(
        "contract of a replay",
        "its contract is {0}, but it replays batch {1} of contract {2}",
        "SELECT b.batch_id, b.contract, r.batch_id, r.contract FROM batch AS b"
        " INNER JOIN batch AS r ON b.replayed_batch_id = r.batch_id"
        " WHERE b.contract <> r.contract AND r.contract <> 'unrecognised'",
    ),
    Invariant(
        "replayed once",
        "it was rejected, and {0} replays have scored its rows",
        "SELECT b.batch_id, count(*) FROM batch AS b"
        " INNER JOIN batch AS r ON r.replayed_batch_id = b.batch_id"
        " WHERE b.status = 'rejected' AND r.status = 'scored'"
        " GROUP BY b.batch_id HAVING count(*) > 1",
    ),
    Invariant(
        "replayed rows",
        "it replays {0} rows of batch {1}, but names only {2} of them",
        "SELECT b.batch_id, b.rows_read, b.replayed_batch_id, count(c.row_number) FROM batch AS b"
        " INNER JOIN batch AS r ON b.replayed_batch_id = r.batch_id"
        " LEFT JOIN correction AS c"
        " ON b.batch_id = c.batch_id AND b.replayed_batch_id = c.corrected_batch_id"
        " WHERE b.status = 'scored' AND r.status = 'scored'"
        " GROUP BY b.batch_id, b.rows_read, b.replayed_batch_id"
        " HAVING count(c.row_number) <> b.rows_read",
    ),
    Invariant(
        "corrected row",
        "row {0}, which replays row {1} of batch {2}, is {3}",
        "SELECT c.batch_id, c.row_number, c.corrected_row_number, c.corrected_batch_id,"
        " CASE WHEN c.is_scored THEN 'marked as scored, but has no prediction'"
        " ELSE 'marked as open, but has a prediction' END FROM correction AS c"
        " INNER JOIN batch AS b ON c.batch_id = b.batch_id"
        " LEFT JOIN scoring AS s ON c.batch_id = s.batch_id AND s.purpose = 'live'"
        " LEFT JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = s.scoring_id AND p.row_number = c.row_number"
        " WHERE c.is_scored <> (p.row_number IS NOT NULL)",
    ),
)
"""About growing files and replays."""
