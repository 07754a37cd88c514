"""A batch is stored completely or not at all."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from expectations.errors import NoctuleError, UsageError
from storage import schema
from storage.batches import BatchRecord, BatchRejection, commit_batch, find_batch, reject_batch
from storage.claims import ClaimLostError
from storage.deliveries import find_delivery, record_delivery
from storage.outbox import OutboxEvent
from storage.row_counts import RowCounts

DATABASES = ("sqlite", "postgresql", "postgresql15")
NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
BATCH_ID = "ab" * 32
EMPTY_BEFORE_COMMIT = (
    "scoring",
    "prediction",
    "flagged_connection",
    "reason",
    "quarantined_row",
    "drift_statistic",
    "validation_result",
    "outbox",
)


def rejection(**changes: object) -> BatchRejection:
    rows = RowCounts.of_rejected(7)
    facts = {"reason": "no column dst_bytes", "rows": rows, "started_at": NOW, "finished_at": NOW}
    return BatchRejection(**{**facts, **changes})


def stored(example: SimpleNamespace) -> BatchRecord:
    """Return what is known of the example batch."""
    found = find_delivery(example.engine, Path("/inbox/night.csv"), 120, NOW)
    assert found is not None
    return found


class TestDelivery:
    def test_a_batch_is_found_as_it_is_now(self, example: SimpleNamespace) -> None:
        assert find_batch(example.engine, BATCH_ID).status == "received"
        with example.claim() as held:
            reject_batch(example.engine, held, rejection())
        found = find_batch(example.engine, BATCH_ID)
        assert (found.status, found.rejection) == ("rejected", "no column dst_bytes")

    def test_a_batch_that_never_arrived_is_not_found(self, example: SimpleNamespace) -> None:
        with pytest.raises(LookupError, match="record its delivery first"):
            find_batch(example.engine, "ef" * 32)

    def test_a_delivery_makes_its_batch_known_and_unfinished(
        self, example: SimpleNamespace
    ) -> None:
        found = stored(example)
        assert (found.file_name, found.status, found.is_finished) == (
            "night.csv",
            "received",
            False,
        )
        assert found.rows_read is None

    def test_the_same_file_again_is_the_same_delivery(self, example: SimpleNamespace) -> None:
        example.deliver(arrived_at=datetime(2026, 11, 22, tzinfo=UTC))
        assert len(example.read(schema.delivery)) == 1

    def test_the_same_content_under_another_name_is_another_delivery_of_one_batch(
        self, example: SimpleNamespace
    ) -> None:
        example.deliver(source=Path("/inbox/copy.csv"))
        assert len(example.read(schema.delivery)) == 2
        assert [row["file_name"] for row in example.read(schema.batch)] == ["night.csv"]

    def test_the_same_name_with_new_content_is_another_batch(
        self, example: SimpleNamespace
    ) -> None:
        example.deliver("cd" * 32)
        assert len(example.read(schema.batch)) == 2

    def test_a_later_delivery_corrects_the_date_of_an_unfinished_batch_only(
        self, example: SimpleNamespace
    ) -> None:
        example.deliver(batch_date=date(2026, 11, 19))
        assert stored(example).batch_date == date(2026, 11, 19)
        example.commit()
        arrived = example.deliver(batch_date=date(2026, 11, 18))
        assert record_delivery(example.engine, arrived).batch_date == date(2026, 11, 19)

    def test_an_unchanged_file_is_recognised_without_its_hash(
        self, example: SimpleNamespace
    ) -> None:
        source = Path("/inbox/night.csv")
        assert find_delivery(example.engine, source, 120, NOW).batch_id == BATCH_ID
        assert find_delivery(example.engine, source, 121, NOW) is None
        assert find_delivery(example.engine, Path("/inbox/other.csv"), 120, NOW) is None

    def test_a_file_name_that_is_not_utf8_is_kept_escaped(self, example: SimpleNamespace) -> None:
        source = Path("/inbox/n\udcffght.csv")
        example.deliver("cd" * 32, source=source)
        assert find_delivery(example.engine, source, 120, NOW).file_name == r"n\xffght.csv"


class TestCommit:
    def test_every_file_of_a_batch_becomes_its_rows(self, example: SimpleNamespace) -> None:
        example.commit()
        assert {name: len(rows) for name, rows in example.read_all().items()} == {
            "batch": 1,
            "batch_prefix": 0,
            "correction": 0,
            "delivery": 1,
            "dismissal": 0,
            "model_version": 1,
            "promotion": 1,
            "promotion_decision": 0,
            "scoring": 1,
            "scoring_comparison": 0,
            "prediction": 2,
            "flagged_connection": 1,
            "reason": 2,
            "quarantined_row": 2,
            "drift_statistic": 3,
            "validation_result": 1,
            "run": 0,
            "outbox": 1,
        }

    def test_the_account_is_stored_with_the_batch(self, example: SimpleNamespace) -> None:
        example.commit()
        found = stored(example)
        assert found.is_finished
        assert found.status == "scored"
        assert (found.rows_read, found.rows_scored, found.rows_quarantined) == (4, 2, 2)
        assert (found.rows_rejected, found.rows_known) == (0, 0)

    def test_predictions_are_what_the_scores_say(self, example: SimpleNamespace) -> None:
        example.commit()
        scoring_id = example.read(schema.scoring)[0]["scoring_id"]
        shared = {"batch_date": date(2026, 11, 20), "scoring_id": scoring_id}
        assert example.read(schema.prediction) == [
            {
                **shared,
                "row_number": 1,
                "classifier_score": 4.5,
                "one_class_score": 0.9,
                "anomaly_score": 5.0,
                "is_flagged": True,
            },
            {
                **shared,
                "row_number": 3,
                "classifier_score": -2.0,
                "one_class_score": 0.1,
                "anomaly_score": 0.5,
                "is_flagged": False,
            },
        ]

    def test_the_scoring_holds_the_target_rate_and_what_came_of_it(
        self, example: SimpleNamespace
    ) -> None:
        example.commit()
        stored = example.read(schema.scoring)[0]
        assert (stored["target_flag_rate"], stored["flag_rate"]) == (0.25, 0.5)
        assert (stored["purpose"], stored["threshold"]) == ("live", 4.0)
        assert stored["finished_at"] == datetime(2026, 11, 21, 4, 35, tzinfo=UTC)

    def test_raw_bytes_are_kept_whole_and_escaped_beside(self, example: SimpleNamespace) -> None:
        example.commit()
        stored = example.read(schema.quarantined_row)[0]
        assert stored["raw"] == b"0,\x00tcp,\xff"
        assert stored["raw_text"] == r"0,\x00tcp,\xff"
        assert stored["reasons"] == ["41 fields expected, 3 found", "not UTF-8"]

    def test_a_statistic_that_is_no_number_is_stored_as_null(
        self, example: SimpleNamespace
    ) -> None:
        example.commit()
        assert [row["statistic"] for row in example.read(schema.drift_statistic)] == [
            0.3,
            0.05,
            None,
        ]

    def test_a_commit_that_is_repeated_changes_nothing(self, example: SimpleNamespace) -> None:
        example.commit()
        before = example.read_all()
        example.commit()
        assert example.read_all() == before

    def test_a_second_result_replaces_the_first_whole(self, example: SimpleNamespace) -> None:
        example.commit()
        scoring_id = example.read(schema.scoring)[0]["scoring_id"]
        only = example.folder / "only.parquet"
        pl.read_parquet(example.folder / "scores.parquet").tail(1).write_parquet(only)
        example.commit(
            rows_read=1,
            rows_scored=1,
            rows_quarantined=0,
            rows_flagged=0,
            scores=(only,),
            flagged=(),
            reasons=None,
            drift=None,
            quarantine=(),
            validation=(),
        )
        kept = example.read_all()
        assert [len(kept[name]) for name in EMPTY_BEFORE_COMMIT] == [1, 1, 0, 0, 0, 0, 0, 1]
        assert example.read(schema.scoring)[0]["scoring_id"] == scoring_id

    def test_a_failure_at_the_end_leaves_nothing(self, example: SimpleNamespace) -> None:
        unserialisable = OutboxEvent(key="bad", event="bad", payload={"at": object()})
        with example.claim() as held:
            claimed = example.read_all()
            with pytest.raises((StatementError, TypeError), match="serializable"):
                commit_batch(example.engine, held, example.result(events=(unserialisable,)))
        assert example.read_all() == claimed
        assert all(claimed[name] == [] for name in EMPTY_BEFORE_COMMIT)

    def test_a_failure_of_a_bulk_write_leaves_nothing(self, example: SimpleNamespace) -> None:
        twice = (example.folder / "scores.parquet",) * 2
        with example.claim() as held:
            claimed = example.read_all()
            with pytest.raises(Exception, match=r"(?i)unique"):
                commit_batch(
                    example.engine,
                    held,
                    example.result(scores=twice, rows_scored=4, rows_flagged=2),
                )
        assert example.read_all() == claimed

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"rows_scored": 3}, "counts 3 scored rows, but its files hold 2"),
            ({"rows_flagged": 2}, "counts 2 flagged rows, but its files hold 1"),
            ({"flagged": ()}, "counts 1 flagged connections, but its files hold 0"),
            ({"rows_quarantined": 1}, "counts 1 quarantined rows, but its files hold 2"),
        ],
    )
    def test_files_that_do_not_hold_what_the_summary_says_are_refused(
        self, example: SimpleNamespace, changes: dict[str, object], complaint: str
    ) -> None:
        with pytest.raises(NoctuleError, match=complaint):
            example.commit(**changes)
        assert stored(example).status == "received"

    def test_an_account_that_does_not_add_up_is_refused_by_the_database(
        self, example: SimpleNamespace
    ) -> None:
        with pytest.raises(IntegrityError, match="ck_batch_accounting"):
            example.commit(rows_read=5)
        assert stored(example).status == "received"

    def test_a_finished_batch_without_an_account_is_refused_by_the_database(
        self, example: SimpleNamespace
    ) -> None:
        update = sa.update(schema.batch).values(status="scored")
        with (
            pytest.raises(IntegrityError, match="ck_batch_accounting"),
            example.engine.begin() as c,
        ):
            c.execute(update)

    def test_an_owner_that_was_overtaken_may_not_commit(self, example: SimpleNamespace) -> None:
        with example.claim() as stale:
            pass
        overtaken = pytest.raises(
            ClaimLostError, match="this run holds claim 1, but another run has made claim 2"
        )
        with example.claim(), overtaken:
            commit_batch(example.engine, stale, example.result())
        assert example.read(schema.scoring) == []

    def test_a_model_that_is_not_registered_is_refused_by_the_database(
        self, example: SimpleNamespace
    ) -> None:
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            example.commit(model_version="nsl_kdd-unknown")

    def test_messages_of_the_database_show_no_values(self, example: SimpleNamespace) -> None:
        with pytest.raises(DBAPIError) as caught:
            example.commit(rows_read=5, validation=())
        assert "parameters hidden" in str(caught.value)


class TestRejection:
    def test_every_row_of_a_refused_batch_is_rejected(self, example: SimpleNamespace) -> None:
        with example.claim() as held:
            reject_batch(example.engine, held, rejection())
        found = stored(example)
        assert (found.status, found.rejection) == ("rejected", "no column dst_bytes")
        assert (found.rows_read, found.rows_rejected, found.rows_scored) == (7, 7, 0)

    def test_a_rejection_that_is_repeated_changes_nothing(self, example: SimpleNamespace) -> None:
        told = OutboxEvent(key="rejected", event="noctule.batch.rejected", payload={})
        for _ in range(2):
            with example.claim() as held:
                reject_batch(example.engine, held, rejection(events=(told,)))
        assert len(example.read(schema.outbox)) == 1

    def test_a_reason_with_nul_is_stored_escaped(self, example: SimpleNamespace) -> None:
        with example.claim() as held:
            reject_batch(example.engine, held, rejection(reason="column 'a\0b'"))
        assert stored(example).rejection == r"column 'a\x00b'"

    def test_a_scored_batch_cannot_be_rejected(self, example: SimpleNamespace) -> None:
        example.commit()
        before = example.read_all()
        with example.claim() as held, pytest.raises(UsageError, match="it is scored"):
            reject_batch(example.engine, held, rejection())
        assert example.read_all() == before

    def test_a_rejected_batch_can_be_scored_after_all(self, example: SimpleNamespace) -> None:
        with example.claim() as held:
            reject_batch(example.engine, held, rejection())
        example.commit()
        found = stored(example)
        assert (found.status, found.rejection, found.rows_rejected) == ("scored", None, 0)
