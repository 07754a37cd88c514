"""What the fields of a file are: a header read by names, or a headerless list told by its length.

Belongs here: the decision which field is which declared column, and the refusal of files that
leave it open. Does not belong here: reading rows.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.contract import Column, Contract
from expectations.errors import InputRejectedError
from storage.text import printable
from tasks.lines import BYTE_ORDER_MARK
from tasks.reasons import VALUE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 64 << 10
"""How much of a file is looked at to find its layout. A guess: dozens of rows of any table."""
VOTING_LINES = 100
"""Lines whose field counts decide which headerless layout a file has: one ragged first line must
not condemn the rest. A guess."""

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What else tables are separated by: it is named to whoever delivered one, never read."""

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'
_FIELD = re.compile(rf',({_QUOTED}|[^",]*+)')
_LINE = re.compile(rf'(?:,(?:{_QUOTED}|[^",]*+))++')


@dataclass(frozen=True)
class Layout:
    """Where a file's declared columns are."""

    columns: tuple[Column, ...]
    """The declared columns the file has, in the contract's order."""
    positions: tuple[int, ...]
    """The field, from 0, of each of ``columns``."""
    names: tuple[str, ...]
    """What the fields of a line are called, declared or not, in the file's order."""
    extra: tuple[str, ...]
    """Names of the file's other columns, in the file's order."""
    header_line: int
    """Physical line number of the header; 0 where there is none."""

    @property
    def width(self) -> int:
        """Fields of every line."""
        return len(self.names)


def split_fields(line: str) -> list[str] | None:
    """Split one CSV line by RFC 4180, where a field never contains a line end.

    Returns:
        The fields without their quotes; None where a quote is not closed, or stands inside a field
        that is not quoted as a whole.
    """
    if '"' not in line:
        return line.split(",")
    prefixed = f",{line}"
    if not _LINE.fullmatch(prefixed):
        return None
    return [
        field[1:-1].replace('""', '"') if field.startswith('"') else field
        for field in _FIELD.findall(prefixed)
    ]


def read_head(pieces: "Iterator[bytes]") -> tuple[bytes, "Iterator[bytes]"]:
    """Look at the start of a file's content without losing it.

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
    end = start.rfind(b"\n", 0, HEAD_BYTES) + 1 or HEAD_BYTES
    return start if size <= HEAD_BYTES else start[:end], chain(first, pieces)


def recognise_layout(head: bytes, contract: Contract, source: Path) -> Layout:
    """Find out what a CSV file's fields are.

    The first line that is not blank is a header if it names columns: at least half of its fields,
    or half of the features, are declared names (in any case of letters: a header in capitals is
    refused for its names, not taken for a row). Otherwise the file has none, and the contract's
    headerless layout with which most of the first lines agree in length is the file's.

    Args:
        head: the first whole lines of the content, as ``read_head`` gives them.
        contract: the source the file is said to come from.
        source: the file, for messages.

    Raises:
        InputRejectedError: empty, or of no shape the contract knows.
    """
    if _is_utf16(head):
        msg = (
            f"Cannot read {source}: by its bytes it is UTF-16 text. Noctule reads UTF-8. Convert"
            " the file."
        )
        raise InputRejectedError(msg)
    if len(head) >= HEAD_BYTES and b"\n" not in head:
        msg = (
            f"Cannot read {source}: its first line is longer than {HEAD_BYTES} bytes. Expected"
            " lines of comma-separated text, each ended by a line feed."
        )
        raise InputRejectedError(msg)
    text = head.removeprefix(BYTE_ORDER_MARK).decode(errors="replace")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    first = next((number for number, line in enumerate(lines, start=1) if line), None)
    if first is None:
        held = "holds nothing but blank lines" if head else "is empty"
        msg = f"Cannot read {source}: it {held}. Expected connections, one a line."
        raise InputRejectedError(msg)
    names = read_names(lines[first - 1])
    if is_header(names, contract):
        return arrange_columns(names, contract, source, header_line=first)
    filled = [line for line in lines if line][:VOTING_LINES]
    widths = Counter(len(split_fields(line) or ()) for line in filled)
    known = {len(layout): layout for layout in contract.headerless}
    for width, _ in widths.most_common():
        if width in known:
            return arrange_columns(known[width], contract, source, header_line=0)
    common = widths.most_common(1)[0][0]
    named = count_declared(names, contract)
    expected = " or ".join(str(width) for width in sorted(known))
    without = f", or lines of {expected} comma-separated fields without a header" if known else ""
    msg = (
        f"Cannot read {source} as {contract.name}: expected a header that names its columns"
        f" ({', '.join(contract.feature_names[:3])}, ...){without}; its first line names {named} of"
        f" them and most lines have {common} field{'s' if common != 1 else ''}."
        f" {_suggest_form(filled, contract)}"
    )
    raise InputRejectedError(msg)


def _is_utf16(head: bytes) -> bool:
    """Tell UTF-16 with or without its mark: where it is ASCII, every other byte is NUL.

    Most bytes at even or at odd places must be NUL and none at the others: one damaged line does
    not make that of a file.
    """
    fewer, more = sorted([head[::2].count(0), head[1::2].count(0)])
    return fewer == 0 and more > len(head) // 4


def _suggest_form(lines: Sequence[str], contract: Contract) -> str:
    """Say what may be wrong with a file whose fields cannot be told.

    Args:
        lines: its first lines, not blank.
        contract: the source it is said to come from.
    """
    if any("\0" in line for line in lines):
        return "It holds NUL bytes, which no text does: it may be of another format."
    widths = {len(layout) for layout in contract.headerless}
    for separator, plural in OTHER_SEPARATORS.items():
        fields = lines[0].split(separator)
        names = [field.strip(' "') for field in fields]
        if len(fields) > 1 and (len(fields) in widths or is_header(names, contract)):
            return f"Its fields are separated by {plural}: deliver it with commas."
    return "Check the separator, and that the file is of this source."


def read_names(line: str) -> list[str]:
    """Split a line into what would be column names; none where it is no CSV."""
    return [name.strip() for name in split_fields(line) or []]


def join_names(names: Sequence[str]) -> str:
    """Write names as the header that ``read_names`` reads; a line end in one becomes a blank."""
    plain = (" ".join(name.splitlines()) for name in names)
    return ",".join(
        '"{}"'.format(name.replace('"', '""')) if {",", '"'} & set(name) else name for name in plain
    )


def count_declared(names: Sequence[str], contract: Contract) -> int:
    """Count the names that the contract declares, in any case of letters."""
    declared = {name.casefold() for name in contract.by_name}
    return sum(name.casefold() in declared for name in names)


def is_header(names: Sequence[str], contract: Contract) -> bool:
    """Tell whether the first line of a file names its columns; see ``recognise_layout``."""
    named = count_declared(names, contract)
    return named > 0 and 2 * named >= min(len(names), len(contract.features))


def arrange_columns(
    names: Sequence[str], contract: Contract, source: Path, *, header_line: int
) -> Layout:
    """Match a file's column names with the declared ones.

    Raises:
        InputRejectedError: a name twice, or a feature absent.
    """
    repeated = [name for name, times in Counter(names).items() if name and times > 1]
    if repeated:
        named = ", ".join(printable(name, VALUE_CHARACTERS) for name in repeated)
        msg = (
            f"Cannot read {source}: more than one column is named {named}. Which of them is meant"
            " cannot be told; name each column once."
        )
        raise InputRejectedError(msg)
    missing = [name for name in contract.feature_names if name not in names]
    if missing:
        msg = (
            f"Cannot read {source} as {contract.name}: {len(contract.features)} feature columns"
            f" are needed, {len(missing)} of them missing: {', '.join(missing)} (names are matched"
            " exactly). Add them and deliver it again; none of its rows is stored."
        )
        raise InputRejectedError(msg)
    position = {name: index for index, name in enumerate(names)}
    columns = tuple(column for column in contract.columns if column.name in position)
    return Layout(
        columns=columns,
        positions=tuple(position[column.name] for column in columns),
        names=tuple(names),
        extra=tuple(
            name or f"(unnamed field {index})"
            for index, name in enumerate(names, start=1)
            if name not in contract.by_name
        ),
        header_line=header_line,
    )
