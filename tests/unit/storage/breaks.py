"""Ways to break each invariant of the tables: no test, but what ``test_invariants`` tries.

Each is told of one database, which ``test_invariants`` fills with a batch of every kind.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from storage import schema
from tests.unit.storage.conftest import LATER, NOW

SCORED, REJECTED, LIMITED = "a" * 64, "b" * 64, "c" * 64
SHORTER, LONGER = "d" * 64, "e" * 64
"""Files that begin with the scored one; the shorter came to its turn late."""
REPLAY, REPLAY_WHOLE = "1" * 64, "2" * 64
"""Of the scored one's quarantined rows, and of the rejected one, as it was corrected."""
CORRECTED = "3" * 64
"""The corrected file, come by itself after it was replayed."""
DISMISSED = "4" * 64
"""Rejected, and settled by a person."""
NOBODY = "0" * 64
MODEL = "nsl_kdd-aaaaaaaaaaaa"


@dataclass(frozen=True, kw_only=True)
class Break:
    """One way to break one invariant, and all that is to be found of it."""

    rule: str
    statements: tuple[sa.Executable, ...]
    subject: str = f"batch {LIMITED}"
    problem: str
    also: tuple[tuple[str, str], ...] = ()
    """Findings of other rules that cannot but be broken as well."""


def of_batch(batch_id: str, purpose: str = "live") -> sa.ScalarSelect[int]:
    """Select the key of a batch's scoring."""
    return (
        sa.select(schema.scoring.c.scoring_id)
        .where(schema.scoring.c.batch_id == batch_id, schema.scoring.c.purpose == purpose)
        .scalar_subquery()
    )


def delivery_of(batch_id: str) -> sa.ScalarSelect[int]:
    """Select the key of a batch's delivery."""
    return (
        sa.select(schema.delivery.c.delivery_id)
        .where(schema.delivery.c.batch_id == batch_id)
        .scalar_subquery()
    )


def change(table: sa.Table, where: dict[str, Any], **values: object) -> sa.Executable:
    return sa.update(table).where(*_conditions(table, where)).values(values)


def remove(table: sa.Table, **where: Any) -> sa.Executable:  # noqa: ANN401 - of any column
    return sa.delete(table).where(*_conditions(table, where))


def add(table: sa.Table, **values: object) -> sa.Executable:
    return sa.insert(table).values(values)


def no_json(text: str) -> sa.ColumnElement[Any]:
    """Write a text where JSON belongs, as it is."""
    return sa.literal_column(f"'{text}'")


def _conditions(table: sa.Table, where: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in where.items()]


IN_LIMITED = {"scoring_id": of_batch(LIMITED)}
THIRD_ROW = {**IN_LIMITED, "row_number": 3}
"""Scored, and not flagged."""

PREDICTION = {
    "batch_date": NOW.date(),
    "classifier_score": 1.0,
    "one_class_score": 1.0,
    "anomaly_score": 1.0,
    "is_flagged": False,
}
QUARANTINED = {
    "row_number": 1,
    "line_number": 2,
    "stage": "ingest",
    "reasons": ["noise"],
    "raw": b"noise",
    "raw_text": "noise",
}
DECISION = {
    "promotion_decision_id": 99,
    "contract": "nsl_kdd",
    "recipe": "lightgbm + autoencoder",
    "decision": "failed",
    "reason": "the fit failed",
    "evidence": {},
    "decided_at": NOW,
}
DISMISSAL = {"reason": "a test file", "dismissed_by": "ada", "dismissed_at": NOW}
COMPARED = {
    "rows_compared": 2,
    "rows_flagged_by_both": 1,
    "rows_flagged_by_live": 0,
    "rows_flagged_by_shadow": 0,
}
SCORING = {
    "purpose": "shadow",
    "operating_point": "default",
    "threshold": 4.0,
    "rows_scored": 0,
    "rows_flagged": 0,
    "started_at": NOW,
    "finished_at": LATER,
}
OTHER_MODEL = {
    "model_version_id": "other",
    "contract": "nsl_kdd",
    "content_hash": "f" * 64,
    "manifest_hash": "f" * 64,
    "registered_at": NOW,
    "rows_trained": 1,
    "training": {},
    "metrics": {},
}

BREAKS = (
    Break(
        rule="accounting",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rows_read=5),),
        problem="5 rows read, but 2 scored, 2 quarantined, 0 rejected and 0 known",
    ),
    Break(
        rule="accounting",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rows_rejected=None),),
        problem="4 rows read, but 2 scored, 2 quarantined, None rejected and 0 known",
    ),
    Break(
        rule="accounting",
        statements=(
            change(schema.batch, {"batch_id": LIMITED}, rows_rejected=-1, rows_read=3),
            remove(schema.quarantined_row, batch_id=LIMITED),
            add(schema.quarantined_row, batch_id=LIMITED, **{**QUARANTINED, "row_number": 2}),
        ),
        problem="3 rows read, but 2 scored, 2 quarantined, -1 rejected and 0 known",
    ),
    Break(
        rule="rejected whole",
        statements=(
            change(schema.batch, {"batch_id": REJECTED}, rows_rejected=3, rows_quarantined=1),
            add(schema.quarantined_row, batch_id=REJECTED, **QUARANTINED),
        ),
        subject=f"batch {REJECTED}",
        problem="it is rejected, but 1 rows of it are not accounted for as rejected or known",
    ),
    Break(
        rule="rejection",
        statements=(change(schema.batch, {"batch_id": REJECTED}, rejection=None),),
        subject=f"batch {REJECTED}",
        problem="it is rejected, and no reason is kept",
    ),
    Break(
        rule="rejection",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rejection="noise"),),
        problem="it is scored, and a reason of rejection is kept",
    ),
    Break(
        rule="unfinished",
        statements=(change(schema.batch, {"batch_id": LIMITED}, status="received"),),
        problem="it is not finished, and 1 of its scorings, 1 quarantined rows and 1 results of"
        " validation are stored",
    ),
    Break(
        rule="delivery",
        statements=(remove(schema.delivery, batch_id=LIMITED),),
        problem="no delivery of it is kept, by which night.csv could be found again",
    ),
    Break(
        rule="dismissal",
        statements=(add(schema.dismissal, delivery_id=delivery_of(LIMITED), **DISMISSAL),),
        problem="a delivery of it was dismissed, and it is scored, not rejected",
    ),
    Break(
        rule="quarantine kept",
        statements=(remove(schema.quarantined_row, batch_id=LIMITED),),
        problem="its account says 2 quarantined rows, of which 0 are kept",
    ),
    Break(
        rule="scored rows of the account",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rows_scored=3, rows_read=5),),
        problem="its account says 3 scored rows, its scoring says 2",
    ),
    Break(
        rule="predictions",
        statements=(remove(schema.prediction, **THIRD_ROW),),
        problem="a scoring of it says 2 scored rows, and there are 1 predictions",
    ),
    Break(
        rule="flagged predictions",
        statements=(change(schema.prediction, THIRD_ROW, is_flagged=True, anomaly_score=4.5),),
        problem="a scoring of it says 1 flagged rows, its predictions say 2",
    ),
    Break(
        rule="flagged connections",
        statements=(
            remove(schema.reason, **IN_LIMITED),
            remove(schema.flagged_connection, **IN_LIMITED),
        ),
        problem="a scoring of it says 1 flagged rows, and there are 0 flagged connections",
    ),
    Break(
        rule="flag rate",
        statements=(change(schema.scoring, IN_LIMITED, flag_rate=0.25),),
        problem="a scoring of it flagged 1 of 2 rows, and says that this is a rate of 0.25",
    ),
    Break(
        rule="flagged connection of a prediction",
        statements=(change(schema.flagged_connection, IN_LIMITED, anomaly_score=9.0),),
        problem="row 1 is a flagged connection, and its prediction is missing or says otherwise",
    ),
    Break(
        rule="threshold",
        statements=(change(schema.scoring, IN_LIMITED, threshold=6.0),),
        problem="1 predictions are flagged, or are not, against the threshold",
    ),
    Break(
        rule="scoring of a prediction",
        statements=(add(schema.prediction, scoring_id=999, row_number=1, **PREDICTION),),
        subject="scoring 999",
        problem="1 predictions of 2026-11-21 belong to no scoring",
    ),
    Break(
        rule="night of a prediction",
        statements=(change(schema.prediction, THIRD_ROW, batch_date=NOW.date()),),
        problem="1 predictions are of another night than the batch, 2026-11-21",
    ),
    Break(
        rule="scored or quarantined",
        statements=(change(schema.quarantined_row, {"batch_id": LIMITED}, row_number=3),),
        problem="row 3 is scored and quarantined",
    ),
    Break(
        rule="row numbers",
        statements=(change(schema.quarantined_row, {"batch_id": LIMITED}, row_number=9),),
        problem="quarantined rows are stored of rows 9 to 9, and its new rows are those after 0 up"
        " to 4",
    ),
    Break(
        rule="row numbers",
        statements=(
            change(
                schema.prediction, {"scoring_id": of_batch(LONGER), "row_number": 7}, row_number=4
            ),
        ),
        subject=f"batch {LONGER}",
        problem="predictions are stored of rows 4 to 5, and its new rows are those after 4 up to 8",
    ),
    Break(
        rule="reasons",
        statements=(remove(schema.reason, **IN_LIMITED),),
        problem="row 1 is said to be explained, and 0 reasons are kept of it, down to rank 0",
    ),
    Break(
        rule="reasons",
        statements=(change(schema.flagged_connection, IN_LIMITED, is_explained=False),),
        problem="row 1 is not explained, and 2 reasons are kept of it, down to rank 2",
    ),
    Break(
        rule="reasons",
        statements=(remove(schema.reason, **IN_LIMITED, rank=1),),
        problem="row 1 is said to be explained, and 1 reasons are kept of it, down to rank 2",
    ),
    Break(
        rule="labelled rows",
        statements=(
            change(schema.scoring, {"batch_id": LIMITED}, rows_labelled_normal=2,
                   rows_labelled_attack=1, rows_flagged_normal=0, rows_flagged_attack=0),
        ),
        problem="of a scoring's 2 rows, 3 are labelled, and of its 1 flagged ones 0 are",
    ),
    Break(
        rule="comparison of a shadow",
        statements=(
            add(schema.scoring, scoring_id=99, batch_id=LIMITED, model_version_id=MODEL,
                **SCORING),
            add(schema.scoring_comparison, scoring_id=99, live_scoring_id=of_batch(LIMITED),
                **COMPARED),
        ),
        problem="2 rows were compared, of which 1 flagged live and 1 by the shadow; its live"
        " scoring says 2 and 1, the shadow's 0",
    ),
    Break(
        rule="contract of the model",
        statements=(change(schema.batch, {"batch_id": LIMITED}, contract="zeek"),),
        problem=f"it is of contract zeek, and was scored by {MODEL}, a model of nsl_kdd",
    ),
    Break(
        rule="champion",
        statements=(
            add(schema.model_version, **OTHER_MODEL),
            change(schema.scoring, IN_LIMITED, model_version_id="other"),
        ),
        problem="it was scored by other, which was never champion",
    ),
    Break(
        rule="contract of a promotion",
        statements=(
            add(schema.promotion, promotion_id=99, contract="zeek", model_version_id=MODEL,
                kind="promote", promoted_by="ada", reason="why not", promoted_at=NOW),
        ),
        subject="promotion 99",
        problem=f"it makes {MODEL} champion of zeek, and that is a model of nsl_kdd",
    ),
    Break(
        rule="known rows",
        statements=(remove(schema.batch_prefix, batch_id=LONGER, prefix_batch_id=SCORED),),
        subject=f"batch {LONGER}",
        problem=f"it has 4 known rows, and batch {SCORED}, which should account for them, does not",
    ),
    Break(
        rule="known rows",
        statements=(change(schema.batch, {"batch_id": SHORTER}, known_batch_id=REJECTED),),
        subject=f"batch {SHORTER}",
        problem=f"it has 6 known rows, and batch {REJECTED}, which should account for them, does"
        " not",
    ),
    Break(
        rule="known rows",
        statements=(change(schema.batch, {"batch_id": SHORTER}, known_batch_id=None),),
        subject=f"batch {SHORTER}",
        problem="it has 6 known rows, and batch none, which should account for them, does not",
    ),
    Break(
        rule="known rows",
        statements=(
            change(schema.batch, {"batch_id": SHORTER}, rows_known=9, rows_read=9),
        ),
        subject=f"batch {SHORTER}",
        problem=f"it has 9 known rows, and batch {LONGER}, which should account for them, does not",
    ),
    Break(
        rule="rows of two files",
        statements=(add(schema.batch_prefix, batch_id=LIMITED, prefix_batch_id=SCORED),),
        problem=f"it begins with all of batch {SCORED}, and both have scored those rows",
    ),
    Break(
        rule="rows of two files",
        statements=(add(schema.batch_prefix, batch_id=LIMITED, prefix_batch_id=REJECTED),),
        problem=f"it begins with all of batch {REJECTED}, and both have scored those rows",
    ),
    Break(
        rule="replayed batch",
        statements=(
            change(schema.batch, {"batch_id": REJECTED}, status="received", rejection=None),
        ),
        subject=f"batch {REPLAY_WHOLE}",
        problem=f"it replays batch {REJECTED}, which is not finished or not there",
    ),
    Break(
        rule="replayed once",
        statements=(change(schema.batch, {"batch_id": LIMITED}, replayed_batch_id=REJECTED),),
        subject=f"batch {REJECTED}",
        problem="it was rejected whole, and 2 replays have scored its rows",
    ),
    Break(
        rule="replayed rows",
        statements=(remove(schema.correction, batch_id=REPLAY, row_number=2),),
        subject=f"batch {REPLAY}",
        problem=f"it replays 2 rows of batch {SCORED}, and of 1 it is kept which they are",
    ),
    Break(
        rule="corrected row",
        statements=(
            change(schema.correction, {"batch_id": REPLAY, "row_number": 1}, is_scored=False),
        ),
        subject=f"batch {REPLAY}",
        problem=f"row 1, which replays row 2 of batch {SCORED}, is said to be open, and has a"
        " prediction",
    ),
    Break(
        rule="corrected row",
        statements=(
            change(schema.correction, {"batch_id": REPLAY, "row_number": 2}, is_scored=True),
        ),
        subject=f"batch {REPLAY}",
        problem=f"row 2, which replays row 4 of batch {SCORED}, is said to be scored, and has no"
        " prediction",
    ),
    Break(
        rule="fk_batch_known_batch_id",
        statements=(change(schema.batch, {"batch_id": SHORTER}, known_batch_id=NOBODY),),
        subject=f"batch {SHORTER}",
        problem=f"its known_batch_id {NOBODY} is no row of batch",
        also=(
            (
                f"batch {SHORTER}",
                f"it has 6 known rows, and batch {NOBODY}, which should account for them, does not",
            ),
        ),
    ),
    Break(
        rule="fk_batch_replayed_batch_id",
        statements=(change(schema.batch, {"batch_id": LIMITED}, replayed_batch_id=NOBODY),),
        problem=f"its replayed_batch_id {NOBODY} is no row of batch",
        also=(
            (
                f"batch {LIMITED}",
                f"it replays batch {NOBODY}, which is not finished or not there",
            ),
        ),
    ),
    Break(
        rule="fk_batch_prefix_batch_id",
        statements=(add(schema.batch_prefix, batch_id=NOBODY, prefix_batch_id=SCORED),),
        subject=f"batch_prefix {NOBODY}/{SCORED}",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_batch_prefix_prefix_batch_id",
        statements=(add(schema.batch_prefix, batch_id=SCORED, prefix_batch_id=NOBODY),),
        subject=f"batch_prefix {SCORED}/{NOBODY}",
        problem=f"its prefix_batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_delivery_batch_id",
        statements=(
            add(schema.delivery, delivery_id=99, batch_id=NOBODY, file_name="x", source_path="/x",
                size_bytes=1, modified_at=NOW, arrived_at=NOW),
        ),
        subject="delivery 99",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_promotion_model_version_id",
        statements=(
            add(schema.promotion, promotion_id=99, contract="nsl_kdd", model_version_id="other",
                kind="promote", promoted_by="ada", reason="why not", promoted_at=NOW),
        ),
        subject="promotion 99",
        problem="its model_version_id other is no row of model_version",
    ),
    Break(
        rule="fk_quarantined_row_batch_id",
        statements=(add(schema.quarantined_row, batch_id=NOBODY, **QUARANTINED),),
        subject=f"quarantined_row {NOBODY}/1",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_run_batch_id",
        statements=(
            add(schema.run, run_id=99, kind="batch", batch_id=NOBODY, state="failed",
                started_at=NOW, finished_at=NOW),
        ),
        subject="run 99",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_scoring_batch_id",
        statements=(
            add(schema.scoring, scoring_id=99, batch_id=NOBODY, model_version_id=MODEL, **SCORING),
        ),
        subject="scoring 99",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_scoring_model_version_id",
        statements=(
            add(schema.scoring, scoring_id=99, batch_id=SCORED, model_version_id="other",
                **SCORING),
        ),
        subject="scoring 99",
        problem="its model_version_id other is no row of model_version",
    ),
    Break(
        rule="fk_validation_result_batch_id",
        statements=(
            add(schema.validation_result, batch_id=NOBODY, ordinal=1, suite="rows",
                expectation="values between", severity="required", is_success=True,
                rows_checked=1, rows_failed=0, expected="0 to 1"),
        ),
        subject=f"validation_result {NOBODY}/1",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_correction_batch_id",
        statements=(
            add(schema.correction, batch_id=NOBODY, row_number=1, corrected_batch_id=SCORED,
                corrected_row_number=4, is_scored=False),
        ),
        subject=f"correction {NOBODY}/1",
        problem=f"its batch_id {NOBODY} is no row of batch",
    ),
    Break(
        rule="fk_correction_corrected_batch_id_corrected_row_number",
        statements=(
            change(schema.correction, {"batch_id": REPLAY, "row_number": 2},
                   corrected_row_number=9),
        ),
        subject=f"correction {REPLAY}/2",
        problem=f"its corrected_batch_id, corrected_row_number {SCORED}/9 is no row of"
        " quarantined_row",
    ),
    Break(
        rule="fk_dismissal_delivery_id",
        statements=(add(schema.dismissal, delivery_id=99, **DISMISSAL),),
        subject="dismissal 99",
        problem="its delivery_id 99 is no row of delivery",
    ),
    Break(
        rule="fk_drift_statistic_scoring_id",
        statements=(
            add(schema.drift_statistic, scoring_id=99, column_name="flag", method="psi",
                threshold=0.2, is_drifted=False, rows_reference=1, rows_current=1),
        ),
        subject="drift_statistic 99/flag/psi",
        problem="its scoring_id 99 is no row of scoring",
    ),
    Break(
        rule="fk_flagged_connection_scoring_id_batch_id",
        statements=(
            add(schema.flagged_connection, scoring_id=99, row_number=1, batch_id=SCORED,
                line_number=2, anomaly_score=5.0, is_explained=False, record={}),
        ),
        subject="flagged_connection 99/1",
        problem=f"its scoring_id, batch_id 99/{SCORED} is no row of scoring",
    ),
    Break(
        rule="fk_reason_scoring_id_row_number",
        statements=(
            add(schema.reason, scoring_id=99, row_number=1, rank=1, model="classifier",
                feature="flag", contribution=1.0),
        ),
        subject="reason 99/1/1",
        problem="its scoring_id, row_number 99/1 is no row of flagged_connection",
    ),
    *(
        Break(
            rule=f"fk_promotion_decision_{name}",
            statements=(add(schema.promotion_decision, **DECISION, **{name: "other"}),),
            subject="promotion_decision 99",
            problem=f"its {name} other is no row of model_version",
        )
        for name in ("challenger_version_id", "champion_version_id")
    ),
    Break(
        rule="fk_scoring_comparison_scoring_id",
        statements=(
            add(schema.scoring_comparison, scoring_id=98, live_scoring_id=of_batch(LIMITED),
                **COMPARED),
        ),
        subject="scoring_comparison 98",
        problem="its scoring_id 98 is no row of scoring",
    ),
    Break(
        rule="fk_scoring_comparison_live_scoring_id",
        statements=(
            add(schema.scoring_comparison, scoring_id=of_batch(LIMITED), live_scoring_id=98,
                **COMPARED),
        ),
        subject="scoring_comparison {limited}",
        problem="its live_scoring_id 98 is no row of scoring",
    ),
    Break(
        rule="JSON of promotion_decision.evidence",
        statements=(
            add(schema.promotion_decision, **{**DECISION, "evidence": no_json("{")}),
        ),
        subject="promotion_decision 99",
        problem="its evidence, of 1 characters, is no JSON",
    ),
    Break(
        rule="JSON of batch.field_names",
        statements=(change(schema.batch, {"batch_id": LIMITED}, field_names=no_json("[")),),
        problem="its field_names, of 1 characters, is no JSON",
    ),
    Break(
        rule="JSON of model_version.training",
        statements=(change(schema.model_version, {}, training=no_json('{"a"')),),
        subject=f"model_version {MODEL}",
        problem="its training, of 4 characters, is no JSON",
    ),
    Break(
        rule="JSON of model_version.metrics",
        statements=(change(schema.model_version, {}, metrics=no_json("none")),),
        subject=f"model_version {MODEL}",
        problem="its metrics, of 4 characters, is no JSON",
    ),
    Break(
        rule="JSON of outbox.payload",
        statements=(
            add(
                schema.outbox,
                outbox_id=99, event_key="k", event="e", payload=no_json("{"), created_at=NOW,
            ),
        ),
        subject="outbox 99",
        problem="its payload, of 1 characters, is no JSON",
    ),
    Break(
        rule="JSON of quarantined_row.reasons",
        statements=(
            change(schema.quarantined_row, {"batch_id": LIMITED}, reasons=no_json("")),
        ),
        subject=f"quarantined_row {LIMITED}/2",
        problem="its reasons, of 0 characters, is no JSON",
    ),
    Break(
        rule="JSON of flagged_connection.record",
        statements=(
            change(schema.flagged_connection, {"batch_id": LIMITED}, record=no_json("tcp")),
        ),
        subject="flagged_connection {limited}/1",
        problem="its record, of 3 characters, is no JSON",
    ),
)  # fmt: skip
