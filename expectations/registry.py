"""The contracts there are, by name.

Belongs here: the list, and the answer to a name that is not on it. Does not belong here: any
contract's content.
"""

from collections.abc import Mapping
from types import MappingProxyType

from expectations.contract import Contract
from expectations.errors import UsageError
from expectations.nsl_kdd import NSL_KDD

CONTRACTS: Mapping[str, Contract] = MappingProxyType(
    {contract.name: contract for contract in (NSL_KDD,)}
)
"""Every contract Noctule can read, by its name."""


def get_contract(name: str) -> Contract:
    """Return the contract of that name.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    try:
        return CONTRACTS[name]
    except KeyError:
        known = ", ".join(sorted(CONTRACTS))
        message = f"There is no contract named {name!r}. Known contracts: {known}."
        raise UsageError(message) from None
