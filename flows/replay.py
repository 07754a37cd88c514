"""The replay flow: rows of a finished batch go through every stage again, as a new batch.

Belongs here: which rows are replayed, and the message where none are open. Does not belong here:
the stages, which a replay shares with every file (``flows.batch``), or how its lines are made
(``tasks.intake.replay``).
"""

from dataclasses import replace
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed
from sqlalchemy import Engine

from expectations.errors import InputRejectedError, UsageError
from expectations.registry import get_contract
from flows.batch import finish_batch
from flows.clock import utc_now
from flows.endings import flow
from flows.places import open_database
from flows.plan import plan_file
from flows.run_records import record_run
from flows.settings import Settings, load_settings
from storage.batch_ids import UNRECOGNISED
from storage.model_store import champion
from storage.queries import resolve_batch
from storage.replays import ReplayTarget, find_target
from tasks.intake.chosen_contract import find_contract
from tasks.intake.replay import plan_replay_task
from tasks.reporting.outcomes import FileOutcome
from tasks.task import untagged
from tasks.wording import ID_DIGITS


@flow("replay", "replay {batch}")
def replay_batch(
    batch: str, corrected: Path | None = None, contract: str | None = None
) -> State[FileOutcome]:
    """Process the open rows of a batch again: quarantined rows, or a whole rejected batch.

    Args:
        batch: its id, or a unique beginning of it.
        corrected: a file of the corrected rows; None to read them as they were.
        contract: that of a batch for which none was recognised; None to recognise it now.

    Returns:
        Failed with the reason where the replay is rejected, else completed.
    """
    settings, started_at = load_settings(contract), utc_now()
    with untagged(), open_database(settings) as engine:
        target = choose_target(settings, engine, batch, corrected)
        if not target.rows_open and not target.is_rejected:
            with record_run(engine, "replay", target.batch_id) as run:
                return run.end(end_without_rows(target))
        limits = plan_file(settings, target.contract, Path(target.file_name), target.batch_id)
        arrival = plan_replay_task(engine, target, corrected, limits, started_at)
        with record_run(engine, "replay", arrival.record.batch_id) as run:
            return run.end(finish_batch(settings, engine, arrival, started_at))


def choose_target(
    settings: Settings, engine: Engine, batch: str, corrected: Path | None
) -> ReplayTarget:
    """Return the batch whose rows are replayed, with the contract of the replay.

    Raises:
        UsageError: there is no such batch, it is not finished, it is of another contract than the
            settings say or of one that there is no longer, it is the beginning of a longer file
            that was scored, or there is no model for it.
        InputRejectedError: no contract is recognised for its file.
    """
    batch_id = resolve_batch(engine, batch)
    target = find_target(engine, batch_id)
    if target is None:
        message = (
            f"Cannot replay batch {batch_id[:ID_DIGITS]}: it is not finished. Run its file first:"
            " noctule run FILE"
        )
        raise UsageError(message)
    if target.contract == UNRECOGNISED:
        target = replace(target, contract=find_contract_of(settings, target, corrected))
    elif settings.contract not in {None, target.contract}:
        message = (
            f"Cannot replay batch {batch_id[:ID_DIGITS]}: its contract is {target.contract}, and"
            f" {settings.contract} is asked for. Leave out --contract, unset NOCTULE_CONTRACT, or"
            f" set it to {target.contract}. Nothing was changed."
        )
        raise UsageError(message)
    get_contract(target.contract)  # it may be gone
    if target.corrected_by is not None:
        message = (
            f"Cannot replay batch {batch_id[:ID_DIGITS]}: batch {target.corrected_by[:ID_DIGITS]}"
            " has scored all of its rows, as the beginning of a longer file. Nothing was changed."
        )
        raise UsageError(message)
    champion(engine, target.contract)  # raises before anything is recorded
    return target


def find_contract_of(settings: Settings, target: ReplayTarget, corrected: Path | None) -> str:
    """Return the contract of a batch for which none was recognised when it arrived.

    Raises:
        InputRejectedError: none is recognised now, or the file is gone.
    """
    source = corrected or target.source
    assert source is not None, "a file, not a replay"  # noqa: S101 - our own mistake
    found = find_contract(source, settings.contract)
    if found.refusal is not None:
        raise InputRejectedError(found.refusal)
    return found.name


def end_without_rows(target: ReplayTarget) -> State[FileOutcome]:
    """End the flow where no row is open."""
    lost = (
        f"; {target.rows_lost:,} more were not kept, see NOCTULE_MAX_QUARANTINED_ROWS"
        if target.rows_lost
        else ""
    )
    message = f"nothing to replay: no quarantined row is open{lost}"
    outcome = FileOutcome(
        file_name=target.file_name,
        batch_date=target.batch_date,
        status="known",
        message=message,
        batch_id=target.batch_id,
    )
    return Completed(message=message, data=outcome)
