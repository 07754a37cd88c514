"""The file that a replay of quarantined rows reads: their lines, in the form of their contract.

Belongs here: its header, its line ends and its separator. Does not belong here: which rows these
are (``tasks.intake.replay``).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from expectations.contract import Form
from tasks.intake.fields import join_names, show_line, split_fields

JUDGED_LINES: Final = 1_000
"""Lines that show which separator a file had. A guess: most broken lines keep their separators."""


@dataclass(frozen=True)
class WrittenLines:
    """A file of lines."""

    sha256: str
    size_bytes: int
    row_numbers: tuple[int, ...]
    """Of each line, in order."""


def name_file(stem: str, form: Form) -> str:
    """Return the name of such a file."""
    return f"{stem}.json" if form.kind == "json" else f"{stem}.csv"


def find_separator(lines: Iterable[bytes], width: int, form: Form) -> str:
    """Return the separator that cuts most lines into ``width`` fields; the first of several.

    A contract may allow several, and the lines of one file have one of them.
    """
    if len(form.separators) == 1:
        return form.separators[0]
    judged = [show_line(line, form) for line in islice(lines, JUDGED_LINES)]

    def count(separator: str) -> int:
        cut = (split_fields(line, separator, has_quotes=form.has_quotes) for line in judged)
        return sum(len(fields or ()) == width for fields in cut)

    return max(form.separators, key=count)


def write_lines(
    path: Path,
    lines: Iterable[tuple[int, bytes]],
    form: Form,
    names: Sequence[str] | None,
    separator: str,
) -> WrittenLines:
    """Write lines to a new file; ``names`` is its header, None where lines name their fields.

    ``lines`` are row numbers with the bytes of a line, without its line end.
    """
    digest, size_bytes = hashlib.sha256(), 0
    written: list[int] = []
    with path.open("wb") as file:

        def write(raw: bytes) -> int:
            # CRLF after a line that ends in a carriage return keeps that one. A record of Parquet
            # may have a line end within it, which a line of text cannot have.
            plain = raw.replace(b"\n", b" ")
            line = plain + (b"\r\n" if plain.endswith(b"\r") else b"\n")
            digest.update(line)
            return file.write(line)

        if names is not None:
            header = join_names(names, separator, has_quotes=form.has_quotes)
            size_bytes += write(header.encode())
        for row_number, raw in lines:
            size_bytes += write(raw)
            written.append(row_number)
    return WrittenLines(digest.hexdigest(), size_bytes, tuple(written))
