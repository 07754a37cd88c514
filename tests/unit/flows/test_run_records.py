"""A flow's outcome is kept even where Prefect loses it."""

from uuid import uuid4

from prefect.client.schemas.objects import State, StateDetails, StateType

from flows.run_records import RunRecord, outcome_of


def refetched(flow_run_id: object, message: str = "done") -> State[object]:
    """A state as the server returns it when a request is repeated: without data."""
    return State(
        type=StateType.COMPLETED,
        message=message,
        state_details=StateDetails(flow_run_id=flow_run_id),
    )


def test_an_outcome_outlives_a_state_without_data() -> None:
    flow_run_id = uuid4()
    record = RunRecord(str(flow_run_id))
    record.end(State(type=StateType.COMPLETED, data=["22,544 rows"]))
    assert outcome_of(refetched(flow_run_id)) == ["22,544 rows"]


def test_an_error_outlives_a_state_without_data() -> None:
    flow_run_id = uuid4()
    error = ValueError("boom")
    RunRecord(str(flow_run_id)).keep(error)
    assert outcome_of(refetched(flow_run_id)) is error


def test_a_run_that_kept_nothing_is_told_by_its_message() -> None:
    outcome = outcome_of(refetched(uuid4(), "crashed before it began"))
    assert isinstance(outcome, RuntimeError)
    assert str(outcome) == "crashed before it began"
