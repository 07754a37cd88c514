"""Ways to break each invariant of the tables. ``test_invariants`` tries them all.

Each is applied to a database that ``test_invariants`` fills with a batch of every kind.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from storage import schema
from tests.unit.storage.conftest import LATER, NOW

SCORED, REJECTED, LIMITED = "a" * 64, "b" * 64, "c" * 64
SHORTER, LONGER = "d" * 64, "e" * 64
"""Files of which the scored one is a prefix; the shorter was processed later."""
REPLAY, REPLAY_WHOLE = "1" * 64, "2" * 64
"""Replays: of the quarantined rows of SCORED, and of a corrected file for REJECTED."""
CORRECTED = "3" * 64
"""The corrected file, delivered itself after it was replayed."""
DISMISSED = "4" * 64
"""Rejected, and dismissed by a person."""
NOBODY = "0" * 64
MODEL = "nsl_kdd-aaaaaaaaaaaa"


@dataclass(frozen=True, kw_only=True)
class Break:
    """One way to break one invariant, and every problem that it causes."""

    invariant: str
    statements: tuple[sa.Executable, ...]
    subject: str = f"batch {LIMITED}"
    problem: str
    also: tuple[tuple[str, str], ...] = ()
    """Subject and problem of other invariants that this necessarily breaks."""


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
    """Return a text that is stored unchanged in a JSON column."""
    return sa.literal_column(f"'{text}'")


def _conditions(table: sa.Table, where: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in where.items()]


IN_LIMITED = {"scoring_id": of_batch(LIMITED)}
THIRD_ROW = {**IN_LIMITED, "row_number": 3}
"""A row that is scored and not flagged."""

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
        invariant="accounting",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rows_read=5),),
        problem="it has 5 rows read, but 2 scored, 2 quarantined, 0 rejected and 0 known",
    ),
    Break(
        invariant="accounting",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rows_rejected=None),),
        problem="it has 4 rows read, but 2 scored, 2 quarantined, None rejected and 0 known",
    ),
    Break(
        invariant="accounting",
        statements=(
            change(schema.batch, {"batch_id": LIMITED}, rows_rejected=-1, rows_read=3),
            remove(schema.quarantined_row, batch_id=LIMITED),
            add(schema.quarantined_row, batch_id=LIMITED, **{**QUARANTINED, "row_number": 2}),
        ),
        problem="it has 3 rows read, but 2 scored, 2 quarantined, -1 rejected and 0 known",
    ),
    Break(
        invariant="rejected whole",
        statements=(
            change(schema.batch, {"batch_id": REJECTED}, rows_rejected=3, rows_quarantined=1),
            add(schema.quarantined_row, batch_id=REJECTED, **QUARANTINED),
        ),
        subject=f"batch {REJECTED}",
        problem="it is rejected, but counts 1 scored or quarantined rows",
    ),
    Break(
        invariant="rejection",
        statements=(change(schema.batch, {"batch_id": REJECTED}, rejection=None),),
        subject=f"batch {REJECTED}",
        problem="it is rejected, but no rejection reason is stored",
    ),
    Break(
        invariant="rejection",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rejection="noise"),),
        problem="it is scored, but a rejection reason is stored",
    ),
    Break(
        invariant="unfinished",
        statements=(change(schema.batch, {"batch_id": LIMITED}, status="received"),),
        problem="it is not finished, but 1 scorings, 1 quarantined rows and 1 validation results of"
        " it are stored",
    ),
    Break(
        invariant="delivery",
        statements=(remove(schema.delivery, batch_id=LIMITED),),
        problem="no delivery of it is stored, so night.csv cannot be found again",
    ),
    Break(
        invariant="dismissal",
        statements=(add(schema.dismissal, delivery_id=delivery_of(LIMITED), **DISMISSAL),),
        problem="a delivery of it was dismissed, but it is scored, not rejected",
    ),
    Break(
        invariant="quarantine kept",
        statements=(remove(schema.quarantined_row, batch_id=LIMITED),),
        problem="it counts 2 quarantined rows, but 0 are stored",
    ),
    Break(
        invariant="scored rows of the account",
        statements=(change(schema.batch, {"batch_id": LIMITED}, rows_scored=3, rows_read=5),),
        problem="it counts 3 scored rows, but its scoring counts 2",
    ),
    Break(
        invariant="predictions",
        statements=(remove(schema.prediction, **THIRD_ROW),),
        problem="a scoring of it counts 2 scored rows, but 1 predictions are stored",
    ),
    Break(
        invariant="flagged predictions",
        statements=(change(schema.prediction, THIRD_ROW, is_flagged=True, anomaly_score=4.5),),
        problem="a scoring of it counts 1 flagged rows, but 2 predictions are flagged",
    ),
    Break(
        invariant="flagged connections",
        statements=(
            remove(schema.reason, **IN_LIMITED),
            remove(schema.flagged_connection, **IN_LIMITED),
        ),
        problem="a scoring of it counts 1 flagged rows, but 0 flagged connections are stored",
    ),
    Break(
        invariant="flag rate",
        statements=(change(schema.scoring, IN_LIMITED, flag_rate=0.25),),
        problem="a scoring of it flagged 1 of 2 rows, but stores a flag rate of 0.25",
    ),
    Break(
        invariant="flagged connection of a prediction",
        statements=(change(schema.flagged_connection, IN_LIMITED, anomaly_score=9.0),),
        problem="row 1 is a flagged connection, but its prediction is missing or differs",
    ),
    Break(
        invariant="threshold",
        statements=(change(schema.scoring, IN_LIMITED, threshold=6.0),),
        problem="1 predictions contradict the threshold: flagged below it, or not flagged above it",
    ),
    Break(
        invariant="scoring of a prediction",
        statements=(add(schema.prediction, scoring_id=999, row_number=1, **PREDICTION),),
        subject="scoring 999",
        problem="1 predictions of 2026-11-21 belong to no scoring",
    ),
    Break(
        invariant="night of a prediction",
        statements=(change(schema.prediction, THIRD_ROW, batch_date=NOW.date()),),
        problem="1 predictions are of 2026-11-21, which is not the night of the batch",
    ),
    Break(
        invariant="scored or quarantined",
        statements=(change(schema.quarantined_row, {"batch_id": LIMITED}, row_number=3),),
        problem="row 3 is both scored and quarantined",
    ),
    Break(
        invariant="row numbers",
        statements=(change(schema.quarantined_row, {"batch_id": LIMITED}, row_number=9),),
        problem="quarantined rows are stored for rows 9 to 9, but its new rows come after row 0 and"
        " end at 4",
    ),
    Break(
        invariant="row numbers",
        statements=(
            change(
                schema.prediction, {"scoring_id": of_batch(LONGER), "row_number": 7}, row_number=4
            ),
        ),
        subject=f"batch {LONGER}",
        problem="predictions are stored for rows 4 to 5, but its new rows come after row 4 and end"
        " at 8",
    ),
    Break(
        invariant="reasons",
        statements=(remove(schema.reason, **IN_LIMITED),),
        problem="row 1 is marked as explained, but has 0 reasons, the last of rank 0",
    ),
    Break(
        invariant="reasons",
        statements=(change(schema.flagged_connection, IN_LIMITED, is_explained=False),),
        problem="row 1 is marked as not explained, but has 2 reasons, the last of rank 2",
    ),
    Break(
        invariant="reasons",
        statements=(remove(schema.reason, **IN_LIMITED, rank=1),),
        problem="row 1 is marked as explained, but has 1 reasons, the last of rank 2",
    ),
    Break(
        invariant="labelled rows",
        statements=(
            change(schema.scoring, {"batch_id": LIMITED}, rows_labelled_normal=2,
                   rows_labelled_attack=1, rows_flagged_normal=0, rows_flagged_attack=0),
        ),
        problem="a scoring of it has 2 rows, 3 of them labelled, but 1 flagged rows, 0 labelled",
    ),
    Break(
        invariant="comparison of a shadow",
        statements=(
            add(schema.scoring, scoring_id=99, batch_id=LIMITED, model_version_id=MODEL,
                **SCORING),
            add(schema.scoring_comparison, scoring_id=99, live_scoring_id=of_batch(LIMITED),
                **COMPARED),
        ),
        problem="its shadow comparison has 2 rows, 1 flagged live and 1 by the shadow, but its live"
        " scoring has 2 rows and 1 flagged, its shadow scoring 0 flagged",
    ),
    Break(
        invariant="contract of the model",
        statements=(change(schema.batch, {"batch_id": LIMITED}, contract="zeek"),),
        problem=f"its contract is zeek, but {MODEL}, a model of nsl_kdd, scored it",
    ),
    Break(
        invariant="champion",
        statements=(
            add(schema.model_version, **OTHER_MODEL),
            change(schema.scoring, IN_LIMITED, model_version_id="other"),
        ),
        problem="other, which was never champion, scored it",
    ),
    Break(
        invariant="contract of a promotion",
        statements=(
            add(schema.promotion, promotion_id=99, contract="zeek", model_version_id=MODEL,
                kind="promote", promoted_by="ada", reason="why not", promoted_at=NOW),
        ),
        subject="promotion 99",
        problem=f"it makes {MODEL} champion of zeek, but that is a model of nsl_kdd",
    ),
    Break(
        invariant="known rows",
        statements=(remove(schema.batch_prefix, batch_id=LONGER, prefix_batch_id=SCORED),),
        subject=f"batch {LONGER}",
        problem=f"it has 4 known rows, but batch {SCORED} does not account for them",
    ),
    Break(
        invariant="known rows",
        statements=(change(schema.batch, {"batch_id": SHORTER}, known_batch_id=REJECTED),),
        subject=f"batch {SHORTER}",
        problem=f"it has 6 known rows, but batch {REJECTED} does not account for them",
    ),
    Break(
        invariant="known rows",
        statements=(change(schema.batch, {"batch_id": SHORTER}, known_batch_id=None),),
        subject=f"batch {SHORTER}",
        problem="it has 6 known rows, but batch none does not account for them",
    ),
    Break(
        invariant="known rows",
        statements=(
            change(schema.batch, {"batch_id": SHORTER}, rows_known=9, rows_read=9),
        ),
        subject=f"batch {SHORTER}",
        problem=f"it has 9 known rows, but batch {LONGER} does not account for them",
    ),
    Break(
        invariant="rows of two files",
        statements=(add(schema.batch_prefix, batch_id=LIMITED, prefix_batch_id=SCORED),),
        problem=f"batch {SCORED} is a prefix of it, and both have scored the same rows",
    ),
    Break(
        invariant="rows of two files",
        statements=(add(schema.batch_prefix, batch_id=LIMITED, prefix_batch_id=REJECTED),),
        problem=f"batch {REJECTED} is a prefix of it, and both have scored the same rows",
    ),
    Break(
        invariant="replayed batch",
        statements=(
            change(schema.batch, {"batch_id": REJECTED}, status="received", rejection=None),
        ),
        subject=f"batch {REPLAY_WHOLE}",
        problem=f"it replays batch {REJECTED}, which is missing or not finished",
    ),
    Break(
        invariant="replayed once",
        statements=(change(schema.batch, {"batch_id": LIMITED}, replayed_batch_id=REJECTED),),
        subject=f"batch {REJECTED}",
        problem="it was rejected, and 2 replays have scored its rows",
    ),
    Break(
        invariant="replayed rows",
        statements=(remove(schema.correction, batch_id=REPLAY, row_number=2),),
        subject=f"batch {REPLAY}",
        problem=f"it replays 2 rows of batch {SCORED}, but names only 1 of them",
    ),
    Break(
        invariant="corrected row",
        statements=(
            change(schema.correction, {"batch_id": REPLAY, "row_number": 1}, is_scored=False),
        ),
        subject=f"batch {REPLAY}",
        problem=f"row 1, which replays row 2 of batch {SCORED}, is marked as open, but has"
        " a prediction",
    ),
    Break(
        invariant="corrected row",
        statements=(
            change(schema.correction, {"batch_id": REPLAY, "row_number": 2}, is_scored=True),
        ),
        subject=f"batch {REPLAY}",
        problem=f"row 2, which replays row 4 of batch {SCORED}, is marked as scored, but has no"
        " prediction",
    ),
    Break(
        invariant="fk_batch_known_batch_id",
        statements=(change(schema.batch, {"batch_id": SHORTER}, known_batch_id=NOBODY),),
        subject=f"batch {SHORTER}",
        problem=f"its known_batch_id {NOBODY} is not in batch",
        also=(
            (
                f"batch {SHORTER}",
                f"it has 6 known rows, but batch {NOBODY} does not account for them",
            ),
        ),
    ),
    Break(
        invariant="fk_batch_replayed_batch_id",
        statements=(change(schema.batch, {"batch_id": LIMITED}, replayed_batch_id=NOBODY),),
        problem=f"its replayed_batch_id {NOBODY} is not in batch",
        also=(
            (
                f"batch {LIMITED}",
                f"it replays batch {NOBODY}, which is missing or not finished",
            ),
        ),
    ),
    Break(
        invariant="fk_batch_prefix_batch_id",
        statements=(add(schema.batch_prefix, batch_id=NOBODY, prefix_batch_id=SCORED),),
        subject=f"batch_prefix {NOBODY}/{SCORED}",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_batch_prefix_prefix_batch_id",
        statements=(add(schema.batch_prefix, batch_id=SCORED, prefix_batch_id=NOBODY),),
        subject=f"batch_prefix {SCORED}/{NOBODY}",
        problem=f"its prefix_batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_delivery_batch_id",
        statements=(
            add(schema.delivery, delivery_id=99, batch_id=NOBODY, file_name="x", source_path="/x",
                size_bytes=1, modified_at=NOW, arrived_at=NOW),
        ),
        subject="delivery 99",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_promotion_model_version_id",
        statements=(
            add(schema.promotion, promotion_id=99, contract="nsl_kdd", model_version_id="other",
                kind="promote", promoted_by="ada", reason="why not", promoted_at=NOW),
        ),
        subject="promotion 99",
        problem="its model_version_id other is not in model_version",
    ),
    Break(
        invariant="fk_quarantined_row_batch_id",
        statements=(add(schema.quarantined_row, batch_id=NOBODY, **QUARANTINED),),
        subject=f"quarantined_row {NOBODY}/1",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_run_batch_id",
        statements=(
            add(schema.run, run_id=99, kind="batch", batch_id=NOBODY, state="failed",
                started_at=NOW, finished_at=NOW),
        ),
        subject="run 99",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_scoring_batch_id",
        statements=(
            add(schema.scoring, scoring_id=99, batch_id=NOBODY, model_version_id=MODEL, **SCORING),
        ),
        subject="scoring 99",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_scoring_model_version_id",
        statements=(
            add(schema.scoring, scoring_id=99, batch_id=SCORED, model_version_id="other",
                **SCORING),
        ),
        subject="scoring 99",
        problem="its model_version_id other is not in model_version",
    ),
    Break(
        invariant="fk_validation_result_batch_id",
        statements=(
            add(schema.validation_result, batch_id=NOBODY, ordinal=1, suite="rows",
                expectation="values between", severity="required", is_success=True,
                rows_checked=1, rows_failed=0, expected="0 to 1"),
        ),
        subject=f"validation_result {NOBODY}/1",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_correction_batch_id",
        statements=(
            add(schema.correction, batch_id=NOBODY, row_number=1, corrected_batch_id=SCORED,
                corrected_row_number=4, is_scored=False),
        ),
        subject=f"correction {NOBODY}/1",
        problem=f"its batch_id {NOBODY} is not in batch",
    ),
    Break(
        invariant="fk_correction_corrected_batch_id_corrected_row_number",
        statements=(
            change(schema.correction, {"batch_id": REPLAY, "row_number": 2},
                   corrected_row_number=9),
        ),
        subject=f"correction {REPLAY}/2",
        problem=f"its corrected_batch_id, corrected_row_number {SCORED}/9 is not in"
        " quarantined_row",
    ),
    Break(
        invariant="fk_dismissal_delivery_id",
        statements=(add(schema.dismissal, delivery_id=99, **DISMISSAL),),
        subject="dismissal 99",
        problem="its delivery_id 99 is not in delivery",
    ),
    Break(
        invariant="fk_drift_statistic_scoring_id",
        statements=(
            add(schema.drift_statistic, scoring_id=99, column_name="flag", method="psi",
                threshold=0.2, is_drifted=False, rows_reference=1, rows_current=1),
        ),
        subject="drift_statistic 99/flag/psi",
        problem="its scoring_id 99 is not in scoring",
    ),
    Break(
        invariant="fk_flagged_connection_scoring_id_batch_id",
        statements=(
            add(schema.flagged_connection, scoring_id=99, row_number=1, batch_id=SCORED,
                line_number=2, anomaly_score=5.0, is_explained=False, record={}),
        ),
        subject="flagged_connection 99/1",
        problem=f"its scoring_id, batch_id 99/{SCORED} is not in scoring",
    ),
    Break(
        invariant="fk_reason_scoring_id_row_number",
        statements=(
            add(schema.reason, scoring_id=99, row_number=1, rank=1, model="classifier",
                feature="flag", contribution=1.0),
        ),
        subject="reason 99/1/1",
        problem="its scoring_id, row_number 99/1 is not in flagged_connection",
    ),
    *(
        Break(
            invariant=f"fk_promotion_decision_{name}",
            statements=(add(schema.promotion_decision, **DECISION, **{name: "other"}),),
            subject="promotion_decision 99",
            problem=f"its {name} other is not in model_version",
        )
        for name in ("challenger_version_id", "champion_version_id")
    ),
    Break(
        invariant="fk_scoring_comparison_scoring_id",
        statements=(
            add(schema.scoring_comparison, scoring_id=98, live_scoring_id=of_batch(LIMITED),
                **COMPARED),
        ),
        subject="scoring_comparison 98",
        problem="its scoring_id 98 is not in scoring",
    ),
    Break(
        invariant="fk_scoring_comparison_live_scoring_id",
        statements=(
            add(schema.scoring_comparison, scoring_id=of_batch(LIMITED), live_scoring_id=98,
                **COMPARED),
        ),
        subject="scoring_comparison {limited}",
        problem="its live_scoring_id 98 is not in scoring",
    ),
    Break(
        invariant="JSON of promotion_decision.evidence",
        statements=(
            add(schema.promotion_decision, **{**DECISION, "evidence": no_json("{")}),
        ),
        subject="promotion_decision 99",
        problem="its evidence (1 characters) is not JSON",
    ),
    Break(
        invariant="JSON of batch.field_names",
        statements=(change(schema.batch, {"batch_id": LIMITED}, field_names=no_json("[")),),
        problem="its field_names (1 characters) is not JSON",
    ),
    Break(
        invariant="JSON of model_version.training",
        statements=(change(schema.model_version, {}, training=no_json('{"a"')),),
        subject=f"model_version {MODEL}",
        problem="its training (4 characters) is not JSON",
    ),
    Break(
        invariant="JSON of model_version.metrics",
        statements=(change(schema.model_version, {}, metrics=no_json("none")),),
        subject=f"model_version {MODEL}",
        problem="its metrics (4 characters) is not JSON",
    ),
    Break(
        invariant="JSON of outbox.payload",
        statements=(
            add(
                schema.outbox,
                outbox_id=99, event_key="k", event="e", payload=no_json("{"), created_at=NOW,
            ),
        ),
        subject="outbox 99",
        problem="its payload (1 characters) is not JSON",
    ),
    Break(
        invariant="JSON of quarantined_row.reasons",
        statements=(
            change(schema.quarantined_row, {"batch_id": LIMITED}, reasons=no_json("")),
        ),
        subject=f"quarantined_row {LIMITED}/2",
        problem="its reasons (0 characters) is not JSON",
    ),
    Break(
        invariant="JSON of flagged_connection.record",
        statements=(
            change(schema.flagged_connection, {"batch_id": LIMITED}, record=no_json("tcp")),
        ),
        subject="flagged_connection {limited}/1",
        problem="its record (3 characters) is not JSON",
    ),
)  # fmt: skip
