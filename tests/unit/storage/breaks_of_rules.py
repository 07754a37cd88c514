"""Ways to break the invariants on counts, rows and their order, for ``test_invariants``."""

from storage import schema
from tests.unit.storage.breaks import (
    COMPARED,
    DISMISSAL,
    IN_LIMITED,
    LIMITED,
    LONGER,
    MODEL,
    OTHER_MODEL,
    PREDICTION,
    QUARANTINED,
    REJECTED,
    REPLAY,
    REPLAY_WHOLE,
    SCORED,
    SCORING,
    SHORTER,
    THIRD_ROW,
    Break,
    add,
    change,
    delivery_of,
    of_batch,
    remove,
)
from tests.unit.storage.conftest import NOW

RULE_BREAKS = (
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
        also=(
            (
                f"batch {LIMITED}",
                f"its id is not that of content {LIMITED} under contract zeek",
            ),
        ),
    ),
    Break(
        invariant="contract of a replay",
        statements=(change(schema.batch, {"batch_id": REPLAY}, contract="zeek"),),
        subject=f"batch {REPLAY}",
        problem=f"its contract is zeek, but it replays batch {SCORED} of contract nsl_kdd",
        also=(
            (
                f"batch {REPLAY}",
                f"its contract is zeek, but {MODEL}, a model of nsl_kdd, scored it",
            ),
        ),
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
)  # fmt: skip
