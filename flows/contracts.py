"""Which contract a command is about, where no file tells it.

Belongs here: the choice among the contracts that have a champion, and whether a batch's contract
has changed. Does not belong here: which contract a file has (``tasks.intake.receive``,
``tasks.intake.recognise``).
"""

from typing import Final

from sqlalchemy import Engine

from expectations.errors import UsageError
from expectations.registry import load_contracts
from flows.settings import Settings
from storage.batches import BatchRecord
from storage.model_store import ModelVersion, champion, list_champion_contracts

NO_MODEL: Final = "There is no model yet. Train one on labelled traffic first: noctule train FILE"


def require_champion(settings: Settings, engine: Engine) -> None:
    """Refuse to begin a night that no model can score.

    Raises:
        UsageError: the contract of the settings has no model; without one, no contract has a model.
    """
    if settings.contract is not None:
        champion(engine, settings.contract)
    elif not list_champion_contracts(engine):
        raise UsageError(NO_MODEL)


def describe_change(record: BatchRecord) -> str | None:
    """Return how the contract of a batch has changed since it was finished; None if it has not."""
    contract = load_contracts().get(record.contract)
    if contract is None:
        return f"there is no contract {record.contract} any more"
    if record.contract_fingerprint in {None, contract.fingerprint}:
        return None
    return f"contract {record.contract} has changed since this batch was read"


def choose_champion(settings: Settings, engine: Engine) -> ModelVersion:
    """Return the champion of the contract of the settings, or of the only contract with one.

    Raises:
        UsageError: there is no champion, or several contracts have one.
    """
    if settings.contract is not None:
        return champion(engine, settings.contract)
    contracts = list_champion_contracts(engine)
    if not contracts:
        raise UsageError(NO_MODEL)
    if len(contracts) > 1:
        message = (
            f"There are champions of several contracts: {', '.join(contracts)}. Say which contract"
            " is meant: --contract NAME"
        )
        raise UsageError(message)
    return champion(engine, contracts[0])
