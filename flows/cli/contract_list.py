"""``noctule contracts list`` and ``show``: which contracts there are, and what one says.

Belongs here: what the terminal shows of a contract. Does not belong here: reading pages
(``expectations``).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Final

import typer

from expectations.contract import Contract
from expectations.errors import NoctuleError
from expectations.registry import (
    broken_pages,
    find_page,
    get_contract,
    load_contracts,
    own_contracts,
)
from flows.cli.printing import print_json, say
from flows.cli.tables import show_rows
from flows.places import connect_database
from flows.settings import Settings
from storage.database import name_database
from storage.model_store import champion, list_champion_contracts
from storage.text import printable

OURS: Final = "part of Noctule"
"""Where a page of ours is."""
SHOWN: Final = ("contract", "title", "features", "labels", "champion")
"""Columns of the table, which a terminal of 80 characters holds; JSON has more."""


def show_contracts(settings: Settings, *, as_json: bool) -> None:
    """Print every contract, and what is wrong with the pages that cannot be read."""
    champions = _read_champions(settings)
    rows = [
        {
            "contract": name,
            "title": contract.title,
            "page": _place(name),
            "form": contract.form.kind,
            "columns": len(contract.columns),
            "features": len(contract.features),
            "labels": contract.label or "traffic alone",
            "champion": champions.get(name),
        }
        for name, contract in load_contracts().items()
    ]
    broken = [str(error) for error in broken_pages()]
    if as_json:
        print_json({"contracts": rows, "broken": broken})
        return
    show_rows(rows, SHOWN)
    for row in rows:
        if row["page"] != OURS:
            say(f"Yours: {row['contract']}, in {row['page']}")
    for problem in broken:
        say(f"Broken, so not used: {problem}")
    if settings.contracts is None:
        say("Your own go into a folder: set NOCTULE_CONTRACTS, then noctule contracts draft FILE.")


def show_contract(name: str, *, as_json: bool) -> None:
    """Print the page of a contract as it is written, or the contract that was read from it.

    Raises:
        UsageError: there is no such contract.
    """
    contract = get_contract(name)
    if as_json:
        print_json(_expand(contract))
        return
    page = find_page(name).read_text(encoding="utf-8")
    typer.echo("\n".join(printable(line, len(line)) for line in page.splitlines()))


def _expand(contract: Contract) -> dict[str, object]:
    """Return all that a contract says, with its defaults."""
    return {
        "name": contract.name,
        "title": contract.title,
        "source": contract.source,
        "page": _place(contract.name),
        "match": contract.match,
        "form": asdict(contract.form),
        "columns": [asdict(column) for column in contract.columns],
        "rules": [asdict(rule) for rule in contract.row_rules],
        "bounds": [asdict(bound) for bound in contract.profile],
        "labels": asdict(contract.labels) if contract.labels else None,
    }


def _place(name: str) -> str:
    """Return where the page of a contract is; ours are a part of Noctule."""
    return OURS if name in own_contracts() else str(find_page(name))


def _read_champions(settings: Settings) -> dict[str, str]:
    """Return the champion of each contract that has one; none without a database that answers."""
    try:
        address = name_database(settings.database_address, settings.home)
        if not address.startswith("postgresql://") and not Path(address).is_file():
            return {}
        with connect_database(settings, wait_s=0) as engine:
            return {
                name: champion(engine, name).version for name in list_champion_contracts(engine)
            }
    except NoctuleError:
        return {}
