"""Ways to break references between tables, and stored JSON, for ``test_invariants``."""

from storage import schema
from tests.unit.storage.breaks import (
    COMPARED,
    DECISION,
    DISMISSAL,
    LIMITED,
    MODEL,
    NOBODY,
    QUARANTINED,
    REPLAY,
    SCORED,
    SCORING,
    SHORTER,
    Break,
    add,
    change,
    no_json,
    of_batch,
)
from tests.unit.storage.conftest import NOW

REFERENCE_BREAKS = (
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
