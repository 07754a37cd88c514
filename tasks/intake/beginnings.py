"""The beginning of a delivered file: the names that it has, or its first lines.

Belongs here: reading it, for any contract. Does not belong here: which contract it fits
(``tasks.intake.recognise``).
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from expectations.contract import Contract, Form
from expectations.names import fold
from tasks.intake.content import is_parquet, read_content
from tasks.intake.fields import NAMED, split_names
from tasks.intake.header import filled_lines, is_comment
from tasks.intake.json_records import FirstRecords, looks_json, read_first
from tasks.intake.lines import read_head
from tasks.intake.parquet_files import read_footer
from tasks.intake.text_layout import require_lines
from tasks.wording import plural, some_of

HEADER_LINES: Final = 20
"""First lines, beside comments, in which names are looked for. A guess: other lines may stand above
a header."""
SHOWN_NAMES: Final = 180
"""Characters of names in a message."""


class FirstLines:
    """The first lines of a text, as one form reads them; each is cut once by each separator."""

    def __init__(self, head: bytes, form: Form) -> None:
        """Keep the lines that are not blank."""
        self.lines = [line for _, line in filled_lines(head, form)]
        rows = [at for at, line in enumerate(self.lines) if not is_comment(line, form)]
        end = next(iter(rows[HEADER_LINES:]), len(self.lines))
        self.header_places = range(end)
        """The lines in which names are looked for."""
        self._has_quotes = form.has_quotes
        self._split: dict[tuple[int, str], list[str]] = {}
        self._folded: dict[tuple[int, str], Mapping[str, int]] = {}

    def split(self, place: int, separator: str) -> list[str]:
        """Return the fields of one of the lines."""
        key = (place, separator)
        if key not in self._split:
            line = self.lines[place]
            self._split[key] = split_names(line, separator, has_quotes=self._has_quotes)
        return self._split[key]

    def fold(self, place: int, separator: str) -> Mapping[str, int]:
        """Return the fields of one of the lines as ``fold`` writes them, each with its place."""
        key = (place, separator)
        if key not in self._folded:
            fields = self.split(place, separator)
            self._folded[key] = {fold(one): at for at, one in reversed([*enumerate(fields)])}
        return self._folded[key]


class Beginning:
    """The beginning of a file: its names, or its first lines."""

    def __init__(
        self,
        form: str,
        names: Sequence[str] | None = None,
        records: FirstRecords | None = None,
        head: bytes = b"",
    ) -> None:
        """Keep what was read; ``form`` is ``Parquet``, ``JSON`` or ``text``."""
        self.form = form
        self._names = names
        self._records = records
        self._head = head
        self._texts: dict[tuple[object, ...], FirstLines] = {}

    def names_for(self, contract: Contract) -> tuple[str, ...] | None:
        """Return the names of the fields where the form gives each value a name."""
        if self._records is not None:
            return self._records.names(contract.form.records)
        return None if self._names is None else tuple(self._names)

    def lines_for(self, form: Form) -> FirstLines:
        """Return the first lines of a text as a form reads them."""
        key = (form.encoding, form.comment, form.has_quotes)
        if key not in self._texts:
            self._texts[key] = FirstLines(self._head, form)
        return self._texts[key]

    @cached_property
    def first_names(self) -> tuple[str, ...]:
        """The names of the fields; of a text, the fields of its first line."""
        if self._records is not None:
            return self._records.names(None)
        if self._names is not None:
            return tuple(self._names)
        text = self.lines_for(Form())
        line = text.lines[0]
        separators = [one for one in (",", *NAMED) if one not in " :"]
        separator = max(separators, key=line.count)
        return tuple(text.split(0, separator if separator in line else "blanks"))

    @property
    def described(self) -> str:
        """What the file names, in words, a sentence."""
        names, shown = self.first_names, some_of(self.first_names, SHOWN_NAMES)
        if self.form == "text":
            return f"Its first line has {plural(len(names), 'field')}: {shown}."
        return f"Its {self.form} has the names {shown}."


def read_beginning(path: Path) -> Beginning:
    """Read the beginning of a file.

    Raises:
        InputRejectedError: it cannot be read, is empty, or is of a form that Noctule does not read.
    """
    if is_parquet(path):
        return Beginning("Parquet", names=read_footer(path).names)
    head, pieces = read_head(read_content(path))
    if looks_json(head):
        return Beginning("JSON", records=read_first(pieces)[0])
    require_lines(head, path)
    return Beginning("text", head=head)
