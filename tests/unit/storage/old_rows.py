"""The rows of a database at each revision, which ``test_migrations`` inserts.

They are literals, so that a change of the code does not change what an earlier version stored.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

Row = dict[str, Any]

SCORED, REJECTED, RECEIVED, PLAIN = "a1" * 32, "b2" * 32, "c3" * 32, "d4" * 32
REPLAY, LONGER, LABELLED = "e5" * 32, "f6" * 32, "17" * 32
ARGUS = "9b38f69e55f3f1f54b0e414768981504536d3d0d363347964eb335797fb5ee52"
"""Of content 8888... under contract argus."""
REJECTED_DELIVERY = 3
CHAMPION, CHALLENGER = f"nsl_kdd-{'a' * 12}", f"nsl_kdd-{'b' * 12}"
NIGHT = date(2026, 10, 30)
AT = datetime(2026, 10, 30, 4, 30, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


def batch_row(batch_id: str, status: str, *counts: int, **more: object) -> Row:
    """Make a batch; ``counts`` are read, scored, quarantined, rejected and known rows."""
    names = ("rows_read", "rows_scored", "rows_quarantined", "rows_rejected", "rows_known")
    return {
        "batch_id": batch_id,
        "contract": "nsl_kdd",
        "batch_date": NIGHT,
        "file_name": f"nächt {batch_id[:2]}.csv",
        "size_bytes": 400,
        "status": status,
        "claim_token": 1,
        "received_at": AT,
        "started_at": AT if counts else None,
        "finished_at": LATER if counts else None,
        **dict(zip(names, counts, strict=False)),
        **more,
    }


def delivery_row(delivery_id: int, batch_id: str) -> Row:
    return {
        "delivery_id": delivery_id,
        "batch_id": batch_id,
        "file_name": f"nächt {batch_id[:2]}.csv",
        "source_path": f"/inbox/nächt {batch_id[:2]}.csv",
        "size_bytes": 120,
        "modified_at": AT - timedelta(hours=delivery_id),
        "arrived_at": AT,
    }


def model_row(version: str) -> Row:
    return {
        "model_version_id": version,
        "contract": "nsl_kdd",
        "content_hash": version[-1] * 64,
        "manifest_hash": "0" * 64,
        "registered_at": AT,
        "rows_trained": 6_000,
        "training": {"seed": 42, "sources": {"x" * 64: "labelled.csv"}},
        "metrics": {"roc_auc": 0.99},
    }


def promotion_row(promotion_id: int, version: str, kind: str) -> Row:
    return {
        "promotion_id": promotion_id,
        "contract": "nsl_kdd",
        "model_version_id": version,
        "kind": kind,
        "promoted_by": "ada",
        "reason": "finds more scans",
        "promoted_at": AT,
    }


def scoring_row(scoring_id: int, batch_id: str, scored: int, flagged: int, **more: object) -> Row:
    return {
        "scoring_id": scoring_id,
        "batch_id": batch_id,
        "model_version_id": CHAMPION,
        "purpose": "live",
        "operating_point": "default",
        "threshold": 4.0,
        "target_flag_rate": 0.002,
        "flag_rate": flagged / scored,
        "rows_scored": scored,
        "rows_flagged": flagged,
        "started_at": AT,
        "finished_at": LATER,
        **more,
    }


def prediction_row(scoring_id: int, row_number: int, score: float) -> Row:
    return {
        "batch_date": NIGHT,
        "scoring_id": scoring_id,
        "row_number": row_number,
        "classifier_score": score / 3,
        "autoencoder_score": 0.1,
        "anomaly_score": score,
        "is_flagged": score > 4.0,
    }


def flagged_row(scoring_id: int, batch_id: str, row_number: int, score: float) -> Row:
    return {
        "scoring_id": scoring_id,
        "row_number": row_number,
        "batch_id": batch_id,
        "line_number": row_number + 1,
        "anomaly_score": score,
        "is_explained": True,
        "record": {"duration": 3, "service": "http", "serror_rate": 0.25},
    }


def reason_row(scoring_id: int, row_number: int, rank: int) -> Row:
    return {
        "scoring_id": scoring_id,
        "row_number": row_number,
        "rank": rank,
        "model": "classifier",
        "feature": "duration",
        "observed": "3",
        "expected": None if rank == 2 else "0",
        "contribution": 2.5 / rank,
    }


def quarantined_row(batch_id: str, row_number: int) -> Row:
    return {
        "batch_id": batch_id,
        "row_number": row_number,
        "line_number": row_number + 1,
        "stage": "ingest",
        "reasons": ["41 fields expected, 3 found", "not UTF-8"],
        "raw": b"0,\x00tcp,\xff",
        "raw_text": r"0,\x00tcp,\xff",
    }


def run_row(run_id: int, state: str, **more: object) -> Row:
    return {
        "run_id": run_id,
        "kind": "batch",
        "flow_run_id": None,
        "state": state,
        "message": None,
        "started_at": AT,
        "finished_at": None if state == "running" else LATER,
        **more,
    }


NEW_NAME = {"autoencoder_score": "one_class_score"}

ADDED: dict[str, dict[str, list[Row]]] = {
    "0001": {
        "batch": [
            batch_row(SCORED, "scored", 4, 2, 2, 0, 0),
            batch_row(REJECTED, "rejected", 7, 0, 0, 7, 0, rejection="no column dst_bytes"),
            batch_row(RECEIVED, "received"),
            batch_row(PLAIN, "scored", 1, 1, 0, 0, 0),
        ],
        "delivery": [
            delivery_row(number, batch_id)
            for number, batch_id in enumerate((SCORED, SCORED, REJECTED, RECEIVED, PLAIN), start=1)
        ],
        "model_version": [model_row(CHAMPION), model_row(CHALLENGER)],
        "promotion": [
            promotion_row(1, CHAMPION, "promote"),
            promotion_row(2, CHALLENGER, "promote"),
            promotion_row(3, CHAMPION, "rollback"),
        ],
        "scoring": [
            scoring_row(1, SCORED, 2, 1),
            scoring_row(
                2, SCORED, 2, 0, model_version_id=CHALLENGER, purpose="shadow",
                target_flag_rate=None,
            ),
            scoring_row(3, PLAIN, 1, 0),
        ],
        "prediction": [
            prediction_row(1, 1, 5.0),
            prediction_row(1, 3, 0.5),
            prediction_row(2, 1, 1.0),
            prediction_row(2, 3, 0.1),
            prediction_row(3, 1, 0.2),
        ],
        "flagged_connection": [flagged_row(1, SCORED, 1, 5.0)],
        "reason": [reason_row(1, 1, 1), reason_row(1, 1, 2)],
        "quarantined_row": [quarantined_row(SCORED, 2), quarantined_row(SCORED, 4)],
        "drift_statistic": [
            {
                "scoring_id": 1,
                "column_name": "duration",
                "method": method,
                "statistic": statistic,
                "threshold": 0.1,
                "is_drifted": statistic == 0.3,
                "rows_reference": 1_000,
                "rows_current": 2,
            }
            for method, statistic in (("psi", 0.3), ("wasserstein", None))
        ],
        "validation_result": [
            {
                "batch_id": batch_id,
                "ordinal": 1,
                "suite": "rows",
                "expectation": "values between",
                "column_name": "serror_rate",
                "severity": "required",
                "is_success": False,
                "rows_checked": 3,
                "rows_failed": 1,
                "observed": "7",
                "expected": "0 to 1",
            }
            for batch_id in (SCORED, REJECTED)
        ],
        "run": [
            run_row(1, "completed", kind="nightly", flow_run_id="f-1", message="1 file"),
            run_row(2, "failed", batch_id=REJECTED, message="rejected: no column dst_bytes"),
            run_row(3, "running", batch_id=RECEIVED),
        ],
        "outbox": [
            {
                "outbox_id": number,
                "event_key": f"event {number}",
                "event": "noctule.batch.scored",
                "payload": {"rows": number, "names": ["a"]},
                "created_at": AT,
                "published_at": LATER if number == 1 else None,
            }
            for number in (1, 2)
        ],
    },
    "0002": {
        "batch": [
            batch_row(
                REPLAY, "scored", 2, 1, 1, 0, 0, replayed_batch_id=SCORED, size_bytes=0,
                field_names=["duration", "service"], quarantine_limit=100_000,
                content_sha256="7" * 64,
            ),
            batch_row(LONGER, "scored", 5, 1, 0, 0, 4, known_batch_id=SCORED),
        ],
        "delivery": [delivery_row(6, LONGER)],
        "batch_prefix": [{"batch_id": LONGER, "prefix_batch_id": SCORED}],
        "scoring": [scoring_row(4, REPLAY, 1, 0), scoring_row(5, LONGER, 1, 0)],
        "prediction": [prediction_row(4, 1, 0.3), prediction_row(5, 5, 0.4)],
        "quarantined_row": [quarantined_row(REPLAY, 2)],
        "correction": [
            {
                "batch_id": REPLAY,
                "row_number": number,
                "corrected_batch_id": SCORED,
                "corrected_row_number": 2 * number,
                "is_scored": number == 1,
            }
            for number in (1, 2)
        ],
    },
    "0004": {
        "batch": [batch_row(LABELLED, "scored", 3, 3, 0, 0, 0)],
        "delivery": [delivery_row(7, LABELLED)],
        "scoring": [
            scoring_row(
                number, LABELLED, 3, 1, model_version_id=model, purpose=purpose,
                rows_labelled_normal=2, rows_labelled_attack=1, rows_flagged_normal=0,
                rows_flagged_attack=1,
            )
            for number, model, purpose in ((6, CHAMPION, "live"), (7, CHALLENGER, "shadow"))
        ],
        "prediction": [
            {
                **{NEW_NAME.get(name, name): value for name, value in
                   prediction_row(number, row, score).items()},
                "classifier_score": classifier,
            }
            for number, classifier in ((6, 1.5), (7, None))
            for row, score in ((1, 5.0), (2, 0.5), (3, 0.1))
        ],
        "flagged_connection": [
            {
                **flagged_row(6, LABELLED, 1, 5.0),
                "is_explained": False,
                "attack_category": "Probe",
                "category_probability": 0.9,
                "attack_technique": "T1046",
            }
        ],
        "scoring_comparison": [
            {
                "scoring_id": 7,
                "live_scoring_id": 6,
                "rows_compared": 3,
                "rows_flagged_by_both": 1,
                "rows_flagged_by_live": 0,
                "rows_flagged_by_shadow": 0,
                "rank_correlation": 1.0,
            }
        ],
        "promotion_decision": [
            {
                "promotion_decision_id": 1,
                "contract": "nsl_kdd",
                "recipe": "lightgbm + autoencoder",
                "challenger_version_id": CHALLENGER,
                "champion_version_id": CHAMPION,
                "decision": "refused",
                "reason": "no better",
                "evidence": {"checks": []},
                "decided_at": LATER,
            }
        ],
    },
    "0005": {
        "dismissal": [
            {
                "delivery_id": REJECTED_DELIVERY,
                "reason": "rejected before Noctule kept which rejections are open",
                "dismissed_by": "noctule db upgrade",
                "dismissed_at": LATER,
            }
        ],
    },
    "0006": {
        "batch": [
            batch_row(
                ARGUS, "scored", 0, 0, 0, 0, 0, contract="argus", content_sha256="8" * 64,
                contract_fingerprint="9" * 64,
            )
        ],
        "delivery": [delivery_row(8, ARGUS)],
    },
}  # fmt: skip
"""The rows that are inserted at each revision, in addition to those of earlier ones. A revision
that adds a table or a column gets its rows here when the next revision is written."""

RENAMED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "0003": {"prediction": NEW_NAME},
}
"""The columns that a revision renames: table, old name, new name."""
