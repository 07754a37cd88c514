"""``noctule contracts draft``: write a contract for a file that nobody has described.

Belongs here: the name, where the page goes, and what the terminal says. Does not belong here: what
the page says (``tasks.contracts``).
"""

import shlex
import sys
from pathlib import Path

import typer

from expectations.errors import UsageError
from expectations.names import CONTRACT_NAME_LENGTH, PLAIN_NAME, RESERVED_CONTRACTS, plain_name
from expectations.registry import find_page, load_contracts, own_contracts
from flows.cli.printing import say
from storage.lake import write_atomically
from storage.text import printable
from tasks.contracts.draft import draft_contract
from tasks.contracts.draft_page import count_looks, write_page
from tasks.contracts.sample import read_sample
from tasks.intake.recognise import examine_contracts
from tasks.wording import plural, some_of

TERMINAL = Path("-")
"""The output that is no file."""


def write_draft(
    folder: Path | None, file: Path, name: str | None, output: Path | None, *, is_forced: bool
) -> None:
    """Write a draft of a contract for a file.

    Args:
        folder: of the user's contracts; None if there is none.
        file: with connections of the new source.
        name: of the contract; made from the file's name if None.
        output: the page; None for a page of that name in the folder of contracts, or for the
            terminal if there is no such folder.
        is_forced: whether a page that is there is replaced.

    Raises:
        InputRejectedError: the file cannot be read, or holds no table.
        UsageError: the name is none or taken, or the page is there or cannot be written.
    """
    name = choose_name(file, name)
    if output is None and folder is not None:
        output = folder / f"{name}.toml"
    page_file = None if output in {None, TERMINAL} else output
    _require_free(name, page_file, is_forced=is_forced)
    page = write_page(draft_contract(read_sample(file)), name, file.name)
    if page_file is None:
        typer.echo(page, nl=False)
        _name_others(file, name)
        if sys.stdout.isatty():
            say(
                f"Save it as {name}.toml in a folder, and set NOCTULE_CONTRACTS to the folder.",
                is_error=True,
            )
        return
    _write(page_file, page)
    _name_others(file, name)
    looks = count_looks(page)
    say(f"Wrote {page_file}: {plural(len(page.splitlines()), 'line')}.")
    if looks:
        shown = ", ".join(map(str, looks[:20])) + (" ..." if len(looks) > 20 else "")  # noqa: PLR2004 - a line
        say(f"Read what begins with LOOK, and decide: line{'s' * (len(looks) > 1)} {shown}.")
    say(f"Then: noctule contracts check {printable(shlex.quote(str(file)))} --contract {name}")


def _name_others(file: Path, name: str) -> None:
    """Print which contracts a file has already, beside the new one."""
    candidates = examine_contracts(file, load_contracts())
    others = [one.contract.name for one in candidates if one.fits and one.contract.name != name]
    if others:
        say(
            f"The file fits other contracts, too: {some_of(others)}. Use one of them, or add"
            f" --contract {name} to each command; a narrower match in the page tells them apart.",
            is_error=True,
        )


def choose_name(file: Path, name: str | None) -> str:
    """Return the name of a new contract.

    Raises:
        UsageError: the name has another form.
    """
    if name is None:
        made = plain_name(f"source {file.name.partition('.')[0]}").removeprefix("source_")
        made = made if PLAIN_NAME.fullmatch(made) else f"source_{made}"
        name = made[:CONTRACT_NAME_LENGTH].rstrip("_")
    elif not PLAIN_NAME.fullmatch(name) or len(name) > CONTRACT_NAME_LENGTH:
        message = (
            f"Cannot name a contract {name!r}: a name has small letters, digits and underscores, at"
            f" most {CONTRACT_NAME_LENGTH}, and begins with a letter."
        )
        raise UsageError(message)
    return name


def _require_free(name: str, page_file: Path | None, *, is_forced: bool) -> None:
    """Refuse a name that another page has, or to replace a file.

    Raises:
        UsageError: the name is taken, or the file is there and is not to be replaced.
    """
    is_taken = name in RESERVED_CONTRACTS or name in own_contracts()
    if name in load_contracts() and not is_taken:
        is_taken = page_file is None or find_page(name).resolve() != page_file.resolve()
    if is_taken:
        message = (
            f"The name {name} is taken by another contract. Give this one its own: --name NAME."
        )
        raise UsageError(message)
    if page_file is not None and page_file.exists() and not is_forced:
        message = (
            f"{page_file} is there already, and nothing was written. Choose another name (--name),"
            " another file (--output), or replace it (--force)."
        )
        raise UsageError(message)


def _write(page_file: Path, page: str) -> None:
    """Write a page whole, or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        page_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(page_file, page.encode())
    except OSError as error:
        message = f"Cannot write {page_file}: {error.strerror}. Choose another file: --output."
        raise UsageError(message) from error
