"""All contracts by name.

Belongs here: the list, and looking up a name. Does not belong here: the content of a contract.
"""

from collections.abc import Mapping
from types import MappingProxyType

from expectations.contract import Contract
from expectations.errors import UsageError
from expectations.nsl_kdd import NSL_KDD

CONTRACTS: Mapping[str, Contract] = MappingProxyType(
    {contract.name: contract for contract in (NSL_KDD,)}
)
"""Every contract that Noctule knows, by name."""


def load_contracts() -> Mapping[str, Contract]:
    """Return every contract whose page can be read, by name."""
    return CONTRACTS


def broken_pages() -> tuple[str, ...]:
    """Return the names of the pages that cannot be read."""
    return ()


def get_contract(name: str) -> Contract:
    """Return the contract of a name.

    Raises:
        UsageError: there is no such contract; the message lists all.
    """
    try:
        return CONTRACTS[name]
    except KeyError:
        known = ", ".join(sorted(CONTRACTS))
        message = f"There is no contract named {name!r}. Known contracts: {known}."
        raise UsageError(message) from None
