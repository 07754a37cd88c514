"""The contract that a file gets: the one that it is said to have, or the one that claims it.

Belongs here: the contracts that a file may have, and what is kept of the choice. Does not belong
here: how a file is recognised by its beginning (``tasks.intake.recognise``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.registry import broken_pages, get_contract, load_contracts
from storage.batch_ids import UNRECOGNISED
from storage.lake import hash_text
from tasks.intake.content import SourceChangedError, SourceUnavailableError
from tasks.intake.recognise import recognise_contract


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """The contract of a file."""

    name: str
    """``unrecognised`` if no contract, or more than one, claims the file."""
    fingerprint: str
    """Of its declaration; if it is not recognised, of all that were tried."""
    refusal: str | None = None
    """Why it was not recognised; None if it was."""


def list_candidates(said: str | None) -> Mapping[str, Contract]:
    """Return the contracts that a file may have: the one that it is said to have, or all.

    Raises:
        UsageError: there is no such contract.
    """
    return load_contracts() if said is None else {said: get_contract(said)}


def fingerprint_contracts(contracts: Mapping[str, Contract]) -> str:
    """Return one hash of several declarations."""
    return hash_text(*(f"{name} {one.fingerprint}" for name, one in sorted(contracts.items())))


def find_contract(source: Path, said: str | None) -> Recognised:
    """Return the contract of a file: the one that it is said to have, or the one that claims it.

    Raises:
        UsageError: there is no such contract.
        SourceUnavailableError: the file cannot be read now.
        SourceChangedError: the file changed while it was read.
    """
    contracts = list_candidates(said)
    if said is not None:
        return Recognised(name=said, fingerprint=contracts[said].fingerprint)
    try:
        contract = recognise_contract(source, contracts, broken_pages())
    except (SourceUnavailableError, SourceChangedError):
        raise
    except InputRejectedError as error:
        tried = fingerprint_contracts(contracts)
        return Recognised(name=UNRECOGNISED, fingerprint=tried, refusal=str(error))
    return Recognised(name=contract.name, fingerprint=contract.fingerprint)
