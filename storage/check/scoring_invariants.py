"""Invariants of scorings: their counts, predictions, flagged connections, reasons and models.

Belongs here: one invariant each, with its query. Does not belong here: invariants of the batch
itself (``batch_invariants``).
"""

from typing import Final

from storage.check.invariants import Invariant

SCORING_INVARIANTS: Final = (
    Invariant(
        "scored rows of the account",
        "it counts {0} scored rows, but its scoring counts {1}",
        "SELECT b.batch_id, b.rows_scored, coalesce(s.rows_scored, 0) FROM batch AS b"
        " LEFT JOIN scoring AS s ON b.batch_id = s.batch_id AND s.purpose = 'live'"
        " WHERE b.status <> 'received' AND b.rows_scored <> coalesce(s.rows_scored, 0)",
    ),
    Invariant(
        "predictions",
        "a scoring of it counts {0} scored rows, but {1} predictions are stored",
        "SELECT s.batch_id, s.rows_scored, coalesce(sum(p.scored), 0) FROM scoring AS s"
        " LEFT JOIN counted AS p ON s.scoring_id = p.scoring_id"
        " GROUP BY s.scoring_id, s.batch_id, s.rows_scored"
        " HAVING coalesce(sum(p.scored), 0) <> s.rows_scored",
    ),
    Invariant(
        "flagged predictions",
        "a scoring of it counts {0} flagged rows, but {1} predictions are flagged",
        "SELECT s.batch_id, s.rows_flagged, coalesce(sum(p.flagged), 0) FROM scoring AS s"
        " LEFT JOIN counted AS p ON s.scoring_id = p.scoring_id"
        " GROUP BY s.scoring_id, s.batch_id, s.rows_flagged"
        " HAVING coalesce(sum(p.flagged), 0) <> s.rows_flagged",
    ),
    Invariant(
        "flagged connections",
        "a scoring of it counts {0} flagged rows, but {1} flagged connections are stored",
        "SELECT s.batch_id, s.rows_flagged, count(f.row_number) FROM scoring AS s"
        " LEFT JOIN flagged_connection AS f ON s.scoring_id = f.scoring_id"
        " WHERE s.purpose <> 'shadow'"  # a shadow has no flagged connections
        " GROUP BY s.scoring_id, s.batch_id, s.rows_flagged"
        " HAVING count(f.row_number) <> s.rows_flagged",
    ),
    Invariant(
        "flag rate",
        "a scoring of it flagged {0} of {1} rows, but stores a flag rate of {2}",
        "SELECT batch_id, rows_flagged, rows_scored, flag_rate FROM scoring"
        " WHERE coalesce(flag_rate, -1) <>"
        " coalesce(CAST(rows_flagged AS DOUBLE PRECISION) / nullif(rows_scored, 0), -1)",
    ),
    Invariant(
        "labelled rows",
        "a scoring of it has {0} rows, {1} of them labelled, but {2} flagged rows, {3} labelled",
        "SELECT batch_id, rows_scored, rows_labelled_normal + rows_labelled_attack, rows_flagged,"
        " rows_flagged_normal + rows_flagged_attack FROM scoring"
        " WHERE rows_labelled_normal + rows_labelled_attack > rows_scored"
        " OR rows_flagged_normal + rows_flagged_attack > rows_flagged",
    ),
    Invariant(
        "comparison of a shadow",
        "its shadow comparison has {0} rows, {1} flagged live and {2} by the shadow, but its live"
        " scoring has {3} rows and {4} flagged, its shadow scoring {5} flagged",
        "SELECT s.batch_id, c.rows_compared, c.rows_flagged_by_both + c.rows_flagged_by_live,"
        " c.rows_flagged_by_both + c.rows_flagged_by_shadow, v.rows_scored, v.rows_flagged,"
        " s.rows_flagged FROM scoring_comparison AS c"
        " INNER JOIN scoring AS s ON c.scoring_id = s.scoring_id"
        " INNER JOIN scoring AS v ON c.live_scoring_id = v.scoring_id"
        " WHERE s.purpose <> 'shadow' OR v.purpose <> 'live' OR v.batch_id <> s.batch_id"
        " OR c.rows_compared <> s.rows_scored OR c.rows_compared <> v.rows_scored"
        " OR c.rows_flagged_by_both + c.rows_flagged_by_live <> v.rows_flagged"
        " OR c.rows_flagged_by_both + c.rows_flagged_by_shadow <> s.rows_flagged",
    ),
    Invariant(
        "flagged connection of a prediction",
        "row {0} is a flagged connection, but its prediction is missing or differs",
        "SELECT f.batch_id, f.row_number FROM flagged_connection AS f"
        " INNER JOIN scoring AS s ON f.scoring_id = s.scoring_id"
        " INNER JOIN batch AS b ON s.batch_id = b.batch_id"
        " LEFT JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = f.scoring_id AND p.row_number = f.row_number"
        " WHERE p.row_number IS NULL OR NOT p.is_flagged OR p.anomaly_score <> f.anomaly_score",
    ),
    Invariant(
        "threshold",
        "{0} predictions contradict the threshold: flagged below it, or not flagged above it",
        "SELECT s.batch_id, count(*) FROM prediction AS p"
        " INNER JOIN scoring AS s ON p.scoring_id = s.scoring_id"
        " WHERE p.is_flagged <> (p.anomaly_score > s.threshold) GROUP BY s.scoring_id, s.batch_id",
    ),
    Invariant(
        "scoring of a prediction",
        "{0} predictions of {1} belong to no scoring",
        "SELECT 'scoring ' || p.scoring_id, p.scored, p.batch_date FROM counted AS p"
        " WHERE NOT EXISTS (SELECT 1 FROM scoring AS s WHERE s.scoring_id = p.scoring_id)",
    ),
    Invariant(
        "night of a prediction",
        "{0} predictions are of {1}, which is not the night of the batch",
        "SELECT b.batch_id, p.scored, p.batch_date FROM counted AS p"
        " INNER JOIN scoring AS s ON p.scoring_id = s.scoring_id"
        " INNER JOIN batch AS b ON s.batch_id = b.batch_id WHERE p.batch_date <> b.batch_date",
    ),
    Invariant(
        "scored or quarantined",
        "row {0} is both scored and quarantined",
        "SELECT q.batch_id, q.row_number FROM quarantined_row AS q"
        " INNER JOIN batch AS b ON q.batch_id = b.batch_id"
        " INNER JOIN scoring AS s ON q.batch_id = s.batch_id AND s.purpose = 'live'"
        " INNER JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = s.scoring_id AND p.row_number = q.row_number",
    ),
    Invariant(
        "row numbers",
        "{0} are stored for rows {1} to {2}, but its new rows come after row {3} and end at {4}",
        "SELECT b.batch_id, n.kind, n.first_row, n.last_row, b.rows_known, b.rows_read"
        " FROM batch AS b INNER JOIN (SELECT s.batch_id, 'predictions' AS kind,"
        " p.first_row, p.last_row FROM counted AS p"
        " INNER JOIN scoring AS s ON p.scoring_id = s.scoring_id"
        " UNION ALL SELECT batch_id, 'quarantined rows', min(row_number), max(row_number)"
        " FROM quarantined_row GROUP BY batch_id) AS n ON b.batch_id = n.batch_id"
        " WHERE b.status <> 'received'"
        " AND (n.first_row <= b.rows_known OR n.last_row > b.rows_read)",
    ),
    Invariant(
        "reasons",
        "row {0} is {1}, but has {2} reasons, the last of rank {3}",
        "SELECT f.batch_id, f.row_number,"
        " CASE WHEN f.is_explained THEN 'marked as explained' ELSE 'marked as not explained' END,"
        " count(r.rank), coalesce(max(r.rank), 0) FROM flagged_connection AS f"
        " LEFT JOIN reason AS r ON f.scoring_id = r.scoring_id AND f.row_number = r.row_number"
        " GROUP BY f.scoring_id, f.batch_id, f.row_number, f.is_explained"
        " HAVING f.is_explained <> (count(r.rank) > 0) OR max(r.rank) <> count(r.rank)",
    ),
    Invariant(
        "contract of the model",
        "its contract is {0}, but {1}, a model of {2}, scored it",
        "SELECT b.batch_id, b.contract, m.model_version_id, m.contract FROM batch AS b"
        " INNER JOIN scoring AS s ON b.batch_id = s.batch_id"
        " INNER JOIN model_version AS m ON s.model_version_id = m.model_version_id"
        " WHERE m.contract <> b.contract",
    ),
    Invariant(
        "champion",
        "{0}, which was never champion, scored it",
        "SELECT s.batch_id, s.model_version_id FROM scoring AS s WHERE s.purpose = 'live'"
        " AND NOT EXISTS (SELECT 1 FROM promotion AS p"
        " WHERE p.model_version_id = s.model_version_id)",
    ),
    Invariant(
        "contract of a promotion",
        "it makes {0} champion of {1}, but that is a model of {2}",
        "SELECT 'promotion ' || p.promotion_id, p.model_version_id, p.contract, m.contract"
        " FROM promotion AS p"
        " INNER JOIN model_version AS m ON p.model_version_id = m.model_version_id"
        " WHERE p.contract <> m.contract",
    ),
)
"""About a scoring and its rows."""
