"""All contracts by name: ours, and those of a user's folder.

Belongs here: finding pages, and reading each only once. Does not belong here: what a page says
(``expectations.pages``).

A user's pages are the files ``*.toml`` in the folder that the environment variable
``NOCTULE_CONTRACTS`` names. Every process of Noctule reads the variable, so all see the same pages.
A page that changed is read again. A broken page does not stop the others.
"""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from expectations.contract import Contract
from expectations.errors import PageError, UsageError
from expectations.pages import read_page

FOLDER_VARIABLE: Final = "NOCTULE_CONTRACTS"
"""The environment variable that names a user's folder."""

PAGE_LIMIT: Final = 200
"""Most pages in a user's folder. A guess: a folder with more holds other files."""

_OURS: Final = Path(__file__).parent / "sources"

_Stamp = tuple[str, int, int]
"""The path of a page, its time of change in nanoseconds, and its size in bytes."""


def get_contract(name: str) -> Contract:
    """Return the contract of a name.

    Raises:
        UsageError: there is no such contract; the message lists all, and the pages that cannot be
            read.
    """
    if name in _our_names():  # without reading all other pages
        return _read_ours(name)
    known = load_contracts()
    if name in known:
        return known[name]
    broken = "".join(f" This page cannot be read: {error}" for error in broken_pages())
    message = f"There is no contract named {name!r}. Known contracts: {', '.join(known)}.{broken}"
    raise UsageError(message)


def load_contracts() -> Mapping[str, Contract]:
    """Return all contracts whose pages can be read by their names, ours first."""
    ours = {name: _read_ours(name) for name in _our_names()}
    users, _ = _read_users(_list_users())
    return MappingProxyType({**ours, **users})


def own_contracts() -> Mapping[str, Contract]:
    """Return the contracts that come with Noctule, by their names."""
    return MappingProxyType({name: _read_ours(name) for name in _our_names()})


def broken_pages() -> tuple[PageError, ...]:
    """Return what is wrong with each page of the user that cannot be read."""
    return _read_users(_list_users())[1]


def find_page(name: str) -> Path:
    """Return the file of a contract's page.

    Raises:
        UsageError: there is no such contract, as for ``get_contract``.
    """
    get_contract(name)
    return find_users_page(name) or _OURS / f"{name}.toml"


def find_users_page(name: str) -> Path | None:
    """Return the file of a user's contract; None if the user has none of this name."""
    users = _list_users()
    for stamp in () if isinstance(users, PageError) else users:
        page = _read_user(stamp)
        if isinstance(page, Contract) and page.name == name not in _our_names():
            return Path(stamp[0])
    return None


@lru_cache(maxsize=1)
def _our_names() -> tuple[str, ...]:
    """Return the names of our contracts, which are those of their files."""
    return tuple(sorted(path.stem for path in _OURS.glob("*.toml")))


@lru_cache
def _read_ours(name: str) -> Contract:
    """Return one of our contracts."""
    return read_page(_OURS / f"{name}.toml")


def _list_users() -> tuple[_Stamp, ...] | PageError:
    """Return the state of each page of the user's folder, or why there is none."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    if not named:
        return ()
    folder = Path(named).expanduser()
    try:
        stamps = tuple(sorted(_stamps(folder)))
    except OSError as error:
        problem = f"cannot read the folder that {FOLDER_VARIABLE} names: {error.strerror}"
        return PageError(folder, None, "", problem)
    if len(stamps) > PAGE_LIMIT:
        problem = f"the folder that {FOLDER_VARIABLE} names has more than {PAGE_LIMIT} pages"
        return PageError(folder, None, "", problem)
    return stamps


def _stamps(folder: Path) -> Iterator[_Stamp]:
    """Yield the state of each page in a folder; one that cannot be looked at has zeros."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".toml") and not entry.name.startswith("."):
                try:
                    state = entry.stat()
                except OSError:  # a link to nothing, or a file that is gone by now
                    yield entry.path, 0, 0
                else:
                    yield entry.path, state.st_mtime_ns, state.st_size


@lru_cache(maxsize=8)
def _read_users(
    stamps: tuple[_Stamp, ...] | PageError,
) -> tuple[Mapping[str, Contract], tuple[PageError, ...]]:
    """Return the contracts of the user's pages, and the errors of those that cannot be read."""
    if isinstance(stamps, PageError):
        return MappingProxyType({}), (stamps,)
    found: dict[str, tuple[str, Contract]] = {}
    broken: list[PageError] = []
    for stamp in stamps:
        page = _read_user(stamp)
        if isinstance(page, PageError):
            broken.append(page)
        elif page.name in found or page.name in _our_names():
            other = found[page.name][0] if page.name in found else "a page of Noctule"
            problem = f"{other} has the name {page.name} too; give this page another one"
            broken.append(PageError(Path(stamp[0]), None, "name", problem))
        else:
            found[page.name] = (stamp[0], page)
    return MappingProxyType({name: one for name, (_, one) in found.items()}), tuple(broken)


@lru_cache(maxsize=PAGE_LIMIT)
def _read_user(stamp: _Stamp) -> Contract | PageError:
    """Return the contract of a page in one of its states, or what is wrong with it."""
    try:
        return read_page(Path(stamp[0]))
    except PageError as error:
        return error
