"""The invariants of the tables: what must hold of everything that is stored, as queries.

Belongs here: rules, each a query that finds what breaks it. Does not belong here: asking them, or
what is checked beside the tables (``check``).

Most are also constraints of the schema, or follow from how a batch is committed. They are checked
all the same: a disk may rot, a backup be of two moments or restored without its constraints, and
somebody may have been at the database by hand.

Every query is the same on SQLite and PostgreSQL, and none looks through the predictions more than
once: a year of nights is checked in the time that it takes to read it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import JSON, ForeignKeyConstraint, Table

from storage.schema import metadata

RESTORE: Final = "restore the database from a backup, or run the batch's file into an empty one"
BY_HAND: Final = "somebody changed the database by hand, or this is a bug: " + RESTORE


@dataclass(frozen=True)
class Invariant:
    """An invariant of the tables: a query that finds what breaks it."""

    name: str
    problem: str
    """With ``{0}``, ``{1}`` ... for the columns of a row found, after the first."""
    query: str
    """Its first column is what the finding is about; a row each time that it is broken. It may
    read ``counted``."""
    advice: str = BY_HAND
    dialect: str | None = None
    """The one database that it is about; None for both."""


ACCOUNTS: Final = (
    Invariant(
        "accounting",
        "{0} rows read, but {1} scored, {2} quarantined, {3} rejected and {4} known",
        "SELECT batch_id, rows_read, rows_scored, rows_quarantined, rows_rejected, rows_known"
        " FROM batch WHERE status <> 'received' AND (coalesce(rows_read <> rows_scored"
        " + rows_quarantined + rows_rejected + rows_known, true) OR rows_scored < 0"
        " OR rows_quarantined < 0 OR rows_rejected < 0 OR rows_known < 0)",
    ),
    Invariant(
        "rejected whole",
        "it is rejected, but {0} rows of it are not accounted for as rejected or known",
        "SELECT batch_id, rows_scored + rows_quarantined FROM batch"
        " WHERE status = 'rejected' AND rows_scored + rows_quarantined > 0",
    ),
    Invariant(
        "rejection",
        "it is {0}, and {1}",
        "SELECT batch_id, status, CASE WHEN rejection IS NULL THEN 'no reason is kept'"
        " ELSE 'a reason of rejection is kept' END FROM batch"
        " WHERE (status = 'rejected') <> (rejection IS NOT NULL)",
    ),
    Invariant(
        "unfinished",
        "it is not finished, and {0} of its scorings, {1} quarantined rows and {2} results of"
        " validation are stored",
        "SELECT * FROM (SELECT b.batch_id,"
        " (SELECT count(*) FROM scoring AS s WHERE s.batch_id = b.batch_id) AS scorings,"
        " (SELECT count(*) FROM quarantined_row AS q WHERE q.batch_id = b.batch_id) AS held,"
        " (SELECT count(*) FROM validation_result AS v WHERE v.batch_id = b.batch_id) AS results"
        " FROM batch AS b WHERE b.status = 'received') AS begun"
        " WHERE scorings + held + results > 0",
    ),
    Invariant(
        "delivery",
        "no delivery of it is kept, by which {0} could be found again",
        "SELECT b.batch_id, b.file_name FROM batch AS b WHERE b.replayed_batch_id IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.batch_id = b.batch_id)",
    ),
    Invariant(
        "dismissal",
        "a delivery of it was dismissed, and it is {0}, not rejected",
        "SELECT b.batch_id, b.status FROM dismissal AS x"
        " INNER JOIN delivery AS d ON x.delivery_id = d.delivery_id"
        " INNER JOIN batch AS b ON d.batch_id = b.batch_id WHERE b.status <> 'rejected'",
    ),
    Invariant(
        "quarantine kept",
        "its account says {0} quarantined rows, of which {1} are kept",
        "SELECT b.batch_id, b.rows_quarantined, count(q.row_number) FROM batch AS b"
        " LEFT JOIN quarantined_row AS q ON b.batch_id = q.batch_id"
        " WHERE b.status <> 'received'"
        " GROUP BY b.batch_id, b.rows_quarantined, b.quarantine_limit"
        " HAVING count(q.row_number) <> CASE WHEN b.quarantine_limit < b.rows_quarantined"
        " THEN b.quarantine_limit ELSE b.rows_quarantined END",
    ),
)
"""What a batch says of itself."""

WITH_COUNTED: Final = (
    "WITH counted AS (SELECT batch_date, scoring_id, count(*) AS scored,"
    " sum(CASE WHEN is_flagged THEN 1 ELSE 0 END) AS flagged,"
    " min(row_number) AS first_row, max(row_number) AS last_row"
    " FROM prediction GROUP BY batch_date, scoring_id)"
)
"""What every query may begin with. Grain: the predictions of one scoring and night, of which it
has one. They are read once, in the order of their key."""

SCORINGS: Final = (
    Invariant(
        "scored rows of the account",
        "its account says {0} scored rows, its scoring says {1}",
        "SELECT b.batch_id, b.rows_scored, coalesce(s.rows_scored, 0) FROM batch AS b"
        " LEFT JOIN scoring AS s ON b.batch_id = s.batch_id AND s.purpose = 'live'"
        " WHERE b.status <> 'received' AND b.rows_scored <> coalesce(s.rows_scored, 0)",
    ),
    Invariant(
        "predictions",
        "a scoring of it says {0} scored rows, and there are {1} predictions",
        "SELECT s.batch_id, s.rows_scored, coalesce(sum(p.scored), 0) FROM scoring AS s"
        " LEFT JOIN counted AS p ON s.scoring_id = p.scoring_id"
        " GROUP BY s.scoring_id, s.batch_id, s.rows_scored"
        " HAVING coalesce(sum(p.scored), 0) <> s.rows_scored",
    ),
    Invariant(
        "flagged predictions",
        "a scoring of it says {0} flagged rows, its predictions say {1}",
        "SELECT s.batch_id, s.rows_flagged, coalesce(sum(p.flagged), 0) FROM scoring AS s"
        " LEFT JOIN counted AS p ON s.scoring_id = p.scoring_id"
        " GROUP BY s.scoring_id, s.batch_id, s.rows_flagged"
        " HAVING coalesce(sum(p.flagged), 0) <> s.rows_flagged",
    ),
    Invariant(
        "flagged connections",
        "a scoring of it says {0} flagged rows, and there are {1} flagged connections",
        "SELECT s.batch_id, s.rows_flagged, count(f.row_number) FROM scoring AS s"
        " LEFT JOIN flagged_connection AS f ON s.scoring_id = f.scoring_id"
        " WHERE s.purpose <> 'shadow'"  # its flags do not count, and are in its predictions
        " GROUP BY s.scoring_id, s.batch_id, s.rows_flagged"
        " HAVING count(f.row_number) <> s.rows_flagged",
    ),
    Invariant(
        "flag rate",
        "a scoring of it flagged {0} of {1} rows, and says that this is a rate of {2}",
        "SELECT batch_id, rows_flagged, rows_scored, flag_rate FROM scoring"
        " WHERE coalesce(flag_rate, -1) <>"
        " coalesce(CAST(rows_flagged AS DOUBLE PRECISION) / nullif(rows_scored, 0), -1)",
    ),
    Invariant(
        "labelled rows",
        "of a scoring's {0} rows, {1} are labelled, and of its {2} flagged ones {3} are",
        "SELECT batch_id, rows_scored, rows_labelled_normal + rows_labelled_attack, rows_flagged,"
        " rows_flagged_normal + rows_flagged_attack FROM scoring"
        " WHERE rows_labelled_normal + rows_labelled_attack > rows_scored"
        " OR rows_flagged_normal + rows_flagged_attack > rows_flagged",
    ),
    Invariant(
        "comparison of a shadow",
        "{0} rows were compared, of which {1} flagged live and {2} by the shadow; its live scoring"
        " says {3} and {4}, the shadow's {5}",
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
        "row {0} is a flagged connection, and its prediction is missing or says otherwise",
        "SELECT f.batch_id, f.row_number FROM flagged_connection AS f"
        " INNER JOIN scoring AS s ON f.scoring_id = s.scoring_id"
        " INNER JOIN batch AS b ON s.batch_id = b.batch_id"
        " LEFT JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = f.scoring_id AND p.row_number = f.row_number"
        " WHERE p.row_number IS NULL OR NOT p.is_flagged OR p.anomaly_score <> f.anomaly_score",
    ),
    Invariant(
        "threshold",
        "{0} predictions are flagged, or are not, against the threshold",
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
        "{0} predictions are of another night than the batch, {1}",
        "SELECT b.batch_id, p.scored, p.batch_date FROM counted AS p"
        " INNER JOIN scoring AS s ON p.scoring_id = s.scoring_id"
        " INNER JOIN batch AS b ON s.batch_id = b.batch_id WHERE p.batch_date <> b.batch_date",
    ),
    Invariant(
        "scored or quarantined",
        "row {0} is scored and quarantined",
        "SELECT q.batch_id, q.row_number FROM quarantined_row AS q"
        " INNER JOIN batch AS b ON q.batch_id = b.batch_id"
        " INNER JOIN scoring AS s ON q.batch_id = s.batch_id AND s.purpose = 'live'"
        " INNER JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = s.scoring_id AND p.row_number = q.row_number",
    ),
    Invariant(
        "row numbers",
        "{0} are stored of rows {1} to {2}, and its new rows are those after {3} up to {4}",
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
        "row {0} is {1}, and {2} reasons are kept of it, down to rank {3}",
        "SELECT f.batch_id, f.row_number,"
        " CASE WHEN f.is_explained THEN 'said to be explained' ELSE 'not explained' END,"
        " count(r.rank), coalesce(max(r.rank), 0) FROM flagged_connection AS f"
        " LEFT JOIN reason AS r ON f.scoring_id = r.scoring_id AND f.row_number = r.row_number"
        " GROUP BY f.scoring_id, f.batch_id, f.row_number, f.is_explained"
        " HAVING f.is_explained <> (count(r.rank) > 0) OR max(r.rank) <> count(r.rank)",
    ),
    Invariant(
        "contract of the model",
        "it is of contract {0}, and was scored by {1}, a model of {2}",
        "SELECT b.batch_id, b.contract, m.model_version_id, m.contract FROM batch AS b"
        " INNER JOIN scoring AS s ON b.batch_id = s.batch_id"
        " INNER JOIN model_version AS m ON s.model_version_id = m.model_version_id"
        " WHERE m.contract <> b.contract",
    ),
    Invariant(
        "champion",
        "it was scored by {0}, which was never champion",
        "SELECT s.batch_id, s.model_version_id FROM scoring AS s WHERE s.purpose = 'live'"
        " AND NOT EXISTS (SELECT 1 FROM promotion AS p"
        " WHERE p.model_version_id = s.model_version_id)",
    ),
    Invariant(
        "contract of a promotion",
        "it makes {0} champion of {1}, and that is a model of {2}",
        "SELECT 'promotion ' || p.promotion_id, p.model_version_id, p.contract, m.contract"
        " FROM promotion AS p"
        " INNER JOIN model_version AS m ON p.model_version_id = m.model_version_id"
        " WHERE p.contract <> m.contract",
    ),
)
"""What a scoring says, and the rows below it."""

REPLAYS: Final = (
    Invariant(
        "known rows",
        "it has {0} known rows, and batch {1}, which should account for them, does not",
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
    # A line that was cut short is the last of the one file and whole in the other.
    Invariant(
        "rows of two files",
        "it begins with all of batch {0}, and both have scored those rows",
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
        "it replays batch {0}, which is not finished or not there",
        "SELECT b.batch_id, b.replayed_batch_id FROM batch AS b"
        " LEFT JOIN batch AS r ON b.replayed_batch_id = r.batch_id"
        " WHERE b.replayed_batch_id IS NOT NULL AND (r.batch_id IS NULL OR r.status = 'received')",
    ),
    Invariant(
        "replayed once",
        "it was rejected whole, and {0} replays have scored its rows",
        "SELECT b.batch_id, count(*) FROM batch AS b"
        " INNER JOIN batch AS r ON r.replayed_batch_id = b.batch_id"
        " WHERE b.status = 'rejected' AND r.status = 'scored'"
        " GROUP BY b.batch_id HAVING count(*) > 1",
    ),
    Invariant(
        "replayed rows",
        "it replays {0} rows of batch {1}, and of {2} it is kept which they are",
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
        " CASE WHEN c.is_scored THEN 'said to be scored, and has no prediction'"
        " ELSE 'said to be open, and has a prediction' END FROM correction AS c"
        " INNER JOIN batch AS b ON c.batch_id = b.batch_id"
        " LEFT JOIN scoring AS s ON c.batch_id = s.batch_id AND s.purpose = 'live'"
        " LEFT JOIN prediction AS p ON p.batch_date = b.batch_date"
        " AND p.scoring_id = s.scoring_id AND p.row_number = c.row_number"
        " WHERE c.is_scored <> (p.row_number IS NOT NULL)",
    ),
)
"""What growing files and replays say of each other."""


def _references() -> Iterator[Invariant]:
    """Make a rule of every reference: PostgreSQL restores a dump without asking, if it is told."""
    for table in metadata.sorted_tables:
        for reference in sorted(table.foreign_key_constraints, key=lambda one: str(one.name)):
            yield _reference(table, reference)


def _reference(table: Table, reference: ForeignKeyConstraint) -> Invariant:
    names = [column.name for column in reference.columns]
    targets = [element.column.name for element in reference.elements]
    parent = reference.referred_table.name
    key = " || '/' || ".join(f"c.{column.name}" for column in table.primary_key)
    value = " || '/' || ".join(f"c.{name}" for name in names)
    match = " AND ".join(f"p.{ours} = c.{one}" for one, ours in zip(names, targets, strict=True))
    return Invariant(
        str(reference.name),
        f"its {', '.join(names)} {{0}} is no row of {parent}",
        # Names only, of the schema's own.
        f"SELECT '{table.name} ' || {key}, {value} FROM {table.name} AS c"  # noqa: S608 - see above
        f" WHERE c.{names[0]} IS NOT NULL"
        f" AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE {match})",
    )


def _documents() -> Iterator[Invariant]:
    """Make a rule of every column of JSON; one malformed record fails the view for all rows."""
    for table in metadata.sorted_tables:
        key = " || '/' || ".join(f"c.{column.name}" for column in table.primary_key)
        for column in table.columns:
            if isinstance(column.type, JSON):
                yield Invariant(
                    f"JSON of {table.name}.{column.name}",
                    f"its {column.name}, of {{0}} characters, is no JSON",
                    f"SELECT '{table.name} ' || {key}, length(c.{column.name})"  # noqa: S608 - as above
                    f" FROM {table.name} AS c WHERE c.{column.name} IS NOT NULL"
                    f" AND NOT json_valid(c.{column.name})",
                    dialect="sqlite",  # PostgreSQL stores no other
                )


INVARIANTS: Final = (*ACCOUNTS, *SCORINGS, *REPLAYS, *_references(), *_documents())
