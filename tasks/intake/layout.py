"""The layout of a file: which field is which declared column, by a header or by the line's length.

Belongs here: that decision, and the refusal of files that leave it open. Does
not belong here: reading rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from expectations.contract import Column, Contract
from expectations.errors import InputRejectedError
from tasks.intake.header import (
    HALF_MESSAGE,
    OTHER_SEPARATORS,
    Header,
    count_fields,
    counts_columns,
    filled_lines,
    find_columns,
    find_header,
    fold,
    names_columns,
    show_unknown,
    split_names,
    vote,
)
from tasks.intake.lines import end_by_feeds, ends_in_returns
from tasks.wording import some_of

HEAD_BYTES = 64 << 10
"""How much of a file is read to find its layout. A guess: dozens of rows of any table."""
NOT_COUNTED = "case, blanks, dashes, underscores, dots and quotes do not count"
"""How a name may differ from a declared one, for messages."""


@dataclass(frozen=True)
class Layout:
    """Where a file's declared columns are."""

    columns: tuple[Column, ...]
    """The declared columns the file has, in the contract's order."""
    positions: tuple[int, ...]
    """The field, from 0, of each of ``columns``."""
    names: tuple[str, ...]
    """The names of a line's fields, declared or not, in the file's order."""
    extra: tuple[str, ...]
    """Names of the file's other columns, in the file's order."""
    header_line: int
    """Physical line number of the header; 0 if there is none."""
    respelled: tuple[tuple[str, str], ...] = ()
    """(name in the file, declared name) of those of ``columns`` where they differ."""

    @property
    def width(self) -> int:
        """Fields of every line."""
        return len(self.names)

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """The field of each of ``columns``, by its name as ``fold`` returns it."""
        return {
            fold(column.name): place
            for column, place in zip(self.columns, self.positions, strict=True)
        }

    @cached_property
    def first_number(self) -> int | None:
        """The field of the first column of numbers."""
        fields = zip(self.columns, self.positions, strict=True)
        return next((place for column, place in fields if not column.is_categorical), None)


def read_head(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the start of a text, and the whole text again.

    Line ends that are only carriage returns become line feeds in both.

    Returns:
        The whole lines among the first 64 KiB (all of it when the content ends there; without a
        line end when the first line alone is longer), and the content again from its beginning.
    """
    first: list[bytes] = []
    size = 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > HEAD_BYTES:
            break
    start = b"".join(first)
    beginning = start[: HEAD_BYTES + 1]
    if ends_in_returns(beginning if size <= HEAD_BYTES else beginning.removesuffix(b"\r")):
        return read_head(end_by_feeds(chain(first, pieces)))
    end = start.rfind(b"\n", 0, HEAD_BYTES) + 1 or HEAD_BYTES
    return start if size <= HEAD_BYTES else start[:end], chain(first, pieces)


def recognise_layout(head: bytes, contract: Contract, source: Path) -> Layout:
    """Return the layout of a CSV file.

    If there is a header, only its names decide: a header without the contract's names is refused,
    because the order of its columns is not known. Otherwise the file has the contract's headerless
    layout that has as many fields as most of the first lines. ``read_head`` gives the head.

    Raises:
        InputRejectedError: the file is empty, or of no layout that the contract knows.
    """
    lines = require_lines(head, source)
    header = find_header(head, contract)
    layout = vote(lines, contract)
    if header is not None and header.separator == "," and names_columns(header.names, contract):
        if header.below is not None:
            msg = (
                f"Cannot read {source}: its header is line {header.line_number}, and a line above"
                f" it is neither blank nor a comment ({some_of([header.below])}). Remove the lines"
                " above the header, or begin each with #, and deliver the file again."
            )
            raise InputRejectedError(msg)
        return arrange_columns(header.names, contract, source, header_line=header.line_number)
    if header is not None and (layout is not None or not names_columns(header.names, contract)):
        raise InputRejectedError(_describe_strange(header, layout, contract, source))
    if layout is not None:
        return arrange_columns(layout, contract, source, header_line=0)
    common = Counter(count_fields(line) for line in lines).most_common(1)[0][0]
    names = split_names(lines[0]) if header is None else header.names
    named = sum(map(len, find_columns(names, contract).values()))
    msg = (
        f"Cannot read {source} as {contract.name}: expected a header that names its columns"
        f" ({', '.join(contract.feature_names[:3])}, ...){_or_headerless(contract)}; its first"
        f" line names {named} of these columns and most lines have {common}"
        f" field{'s' if common != 1 else ''}. {_suggest_form(lines, header, contract)}"
    )
    raise InputRejectedError(msg)


def require_lines(head: bytes, source: Path) -> list[str]:
    """Return the first lines of a text that are not blank; ``read_head`` gives the head.

    Raises:
        InputRejectedError: there is none, or the first line is too long.
    """
    if len(head) >= HEAD_BYTES and b"\n" not in head:
        msg = (
            f"Cannot read {source}: its first line is longer than {HEAD_BYTES} bytes. Expected"
            " lines of comma-separated text, each ended by a line feed."
        )
        raise InputRejectedError(msg)
    lines = [line for _, line in filled_lines(head)]
    if not lines:
        held = "holds only blank lines" if head else "is empty"
        msg = f"Cannot read {source}: it {held}. Expected connections, one a line."
        raise InputRejectedError(msg)
    return lines


def _describe_strange(
    header: Header, layout: tuple[str, ...] | None, contract: Contract, source: Path
) -> str:
    """Return the message for a header that does not fit the contract."""
    where = f"Cannot read {source} as {contract.name}: line {header.line_number}"
    first, second, third, *_ = (*contract.feature_names, "", "")
    separated = ""
    if header.separator != ",":
        separated = f" Its fields are separated by {OTHER_SEPARATORS[header.separator]}"
        if layout is not None:
            return (
                f"{where} is a header.{separated}, and those of its rows by commas. Write the"
                " header with commas and deliver the file again; none of its rows is stored."
            )
        separated += ": deliver the file with commas."
    remove = (
        f" Or, if the columns are in the order of the contract ({first}, {second}, ...), remove the"
        " line."
        if layout is not None and len(layout) == len(header.names)
        else ""
    )
    if counts_columns(header.names, contract):
        return (
            f"{where} numbers the columns ({some_of(header.names, HALF_MESSAGE)}) and does not name"
            f" them. Replace the numbers by names: {first}, {second}, {third}, ...{remove} None of"
            " the file's rows is stored."
        )
    return (
        f"{where} holds words where connections have numbers, so it is a header, and"
        f" {contract.name} does not know its names: "
        f"{show_unknown(header.names, contract.feature_names, contract)} Expected"
        f" {len(contract.features)} columns: {first}, {second}, {third}, ... ({NOT_COUNTED})."
        f"{separated} Correct the names, or deliver a file of this source.{remove} None of its rows"
        " is stored."
    )


def _or_headerless(contract: Contract) -> str:
    """Return in words which lines without a header are expected."""
    widths = " or ".join(str(width) for width in sorted(map(len, contract.headerless)))
    return f", or lines of {widths} comma-separated fields without a header" if widths else ""


def _suggest_form(lines: Sequence[str], header: Header | None, contract: Contract) -> str:
    """Return a guess at what is wrong with a file that fits no layout, from its first lines."""
    if any("\0" in line for line in lines):
        return "It holds NUL bytes, which no text does: it may be of another format."
    widths = {len(layout) for layout in contract.headerless}
    for separator, separators in OTHER_SEPARATORS.items():
        is_headers = header is not None and header.separator == separator
        if is_headers or len(lines[0].split(separator)) in widths - {1}:
            return f"Its fields are separated by {separators}: deliver it with commas."
    return "Check the separator, and that the file is of this source."


def arrange_columns(
    names: Sequence[str], contract: Contract, source: Path, *, header_line: int
) -> Layout:
    """Return the layout of a file with these column names; ``fold`` says how names are compared.

    Raises:
        InputRejectedError: a name occurs twice, two names fit one column, or a feature is missing.
    """
    repeated = [name for name, times in Counter(names).items() if name and times > 1]
    if repeated:
        msg = (
            f"Cannot read {source}: more than one column is named {some_of(repeated)}. Noctule"
            " cannot tell which one to read. Give each column its own name."
        )
        raise InputRejectedError(msg)
    places = find_columns(names, contract)
    for name, alike in places.items():
        if len(alike) > 1:
            msg = (
                f"Cannot read {source}: more than one column may be {name}:"
                f" {some_of([names[place] for place in alike])} ({NOT_COUNTED}). Noctule cannot"
                " tell which one to read. Give each column its own name."
            )
            raise InputRejectedError(msg)
    missing = [name for name in contract.feature_names if name not in places]
    if missing:
        unknown = len(names) - len(places)
        others = f" Not declared: {show_unknown(names, missing, contract)}" if unknown else ""
        msg = (
            f"Cannot read {source} as {contract.name}: {len(contract.features)} feature columns"
            f" are needed, {len(missing)} of them missing: {some_of(missing)}"
            f" ({NOT_COUNTED}).{others} Add or rename the missing columns and deliver the file"
            " again; none of its rows is stored."
        )
        raise InputRejectedError(msg)
    columns = tuple(column for column in contract.columns if column.name in places)
    positions = tuple(places[column.name][0] for column in columns)
    pairs = [(names[place], column.name) for place, column in zip(positions, columns, strict=True)]
    return Layout(
        columns=columns,
        positions=positions,
        names=tuple(names),
        extra=tuple(
            name or f"(unnamed field {place + 1})"
            for place, name in enumerate(names)
            if place not in positions
        ),
        header_line=header_line,
        respelled=tuple((name, declared) for name, declared in pairs if name != declared),
    )
