"""When the contract of a user gets its view ``flagged_<contract>``, and when the view is replaced.

Belongs here: making the views of contracts that are not ours. Does not belong here: their SQL, or
our own views, which every database has (``views``).

A user may add, change or remove a contract at any time, and two processes may have other contracts.
So such a view is made where something is stored of its contract: when a model is registered, and
when a batch is committed. It is replaced there if the contract has changed, and stays if the
contract is gone. ``noctule db upgrade`` makes the views of all contracts that it finds.
"""

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from expectations.contract import Contract
from expectations.errors import UsageError
from storage.database import keep_to_schema, read, serialise, write
from storage.views import View, contract_view, create_view, find_stale


def make_contract_view(engine: Engine, contract: Contract) -> str | None:
    """Make the view of a contract, or replace it if it is another; return why that failed.

    It has its own transaction, so that nothing else fails with it. On PostgreSQL the user may lack
    the right to create views, or an object of the analyst may depend on the view.

    Raises:
        ServiceUnavailableError: the database cannot be reached.
    """
    with read(engine) as connection:
        if not _is_stale(connection, contract):
            return None
    try:
        with write(engine) as connection:
            replace_contract_view(connection, contract)
    except (DBAPIError, UsageError) as error:
        cause = str(error.orig if isinstance(error, DBAPIError) else error).split("\n")[0]
        return (
            f"the view flagged_{contract.name} could not be made ({cause}). Run `noctule db"
            " upgrade` as the owner of the database; flagged_connections has the same rows"
        )
    return None


def replace_contract_view(connection: Connection, contract: Contract) -> None:
    """Make the view of a contract in the caller's transaction, unless it is current."""
    keep_to_schema(connection)
    serialise(connection, f"view of {contract.name}")
    if _is_stale(connection, contract):
        view = _render(connection, contract)
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view.name}")
        create_view(connection, view)


def _is_stale(connection: Connection, contract: Contract) -> bool:
    return bool(find_stale(connection, [_render(connection, contract)]))


def _render(connection: Connection, contract: Contract) -> View:
    return contract_view(contract, connection.dialect.name)
