"""Finding a contract by its name."""

import pytest

from expectations.errors import UsageError
from expectations.nsl_kdd import NSL_KDD
from expectations.registry import CONTRACTS, get_contract


def test_a_known_name_finds_its_contract() -> None:
    assert get_contract("nsl_kdd") is NSL_KDD


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no contract named 'zeek9'.*nsl_kdd"):
        get_contract("zeek9")


def test_every_contract_can_reject_a_batch() -> None:
    for contract in CONTRACTS.values():
        required = {bound.name for bound in contract.profile if bound.severity == "required"}
        assert required >= {"rows_accepted", "quarantine_ratio"}
