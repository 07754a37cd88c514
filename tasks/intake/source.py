"""The interface to a delivered file, whatever its form.

Belongs here: what every form can do, and how a file is read. Does not belong here: a form (see
``tasks.intake.sources``).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.intake.content import CONTENT_BYTES, SourceChangedError
from tasks.intake.first_rows import FirstRows
from tasks.intake.label_words import LabelReading
from tasks.intake.layout import Layout
from tasks.intake.lines import BLOCK_BYTES, LINE_BYTES
from tasks.intake.parts import ParsedRows


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """How a file is read."""

    block_bytes: int = BLOCK_BYTES
    """Bytes of text parsed at a time."""
    chunk_rows: int = 250_000
    """Most rows of a part, which every later stage holds in memory at once. 250,000 rows of 41
    features take 80 MB; the design's measurements used this size."""
    line_bytes: int = LINE_BYTES
    """Longest line that is read; a longer one is cut and quarantined."""
    content_bytes: int = CONTENT_BYTES
    """Largest content; of Parquet, as text of the fewest bytes that can hold its records."""
    known_bytes: int = 0
    """Bytes at the beginning that another batch accounts for: their rows are counted, not
    parsed."""
    labels: LabelReading | None = None
    """How labels are read; None where they stay as they are, as in a file that is scored."""


@dataclass(frozen=True)
class Reading:
    """One pass over a source."""

    form: str
    """The form of the file in words: ``CSV with header, gzip``."""
    layout: Layout
    rows_known: int
    """Rows at the beginning that another batch accounts for."""
    rows: Iterator[ParsedRows]
    """All other rows, in order."""
    sha256: Callable[[], str]
    """Return the SHA-256 of the content that was read, once ``rows`` is at its end."""


class Source(ABC):
    """A delivered file. Every method opens it again, and raises InputRejectedError where it cannot.

    The error is a ``SourceUnavailableError`` where the file is gone, a ``SourceChangedError`` where
    it changed while it was read; any other says why the content cannot be used.
    """

    def __init__(self, path: Path, contract: Contract, limit_bytes: int = CONTENT_BYTES) -> None:
        """Open nothing yet; ``limit_bytes`` is for Parquet: text is measured when hashed."""
        self.path = path
        self._contract = contract
        self._limit_bytes = limit_bytes

    @abstractmethod
    def read_layout(self) -> Layout:
        """Return which field is which declared column."""

    @abstractmethod
    def read_names(self) -> tuple[str, ...] | None:
        """Return the names that the file gives its fields, in its order; None if it gives none."""

    @abstractmethod
    def read_first(self, places: Mapping[str, int]) -> FirstRows:
        """Return columns of the first rows as text; ``places`` is name -> field, from 0."""

    @abstractmethod
    def read(self, options: IngestOptions) -> Reading:
        """Begin to parse the file; its rows are parsed while they are taken."""

    @abstractmethod
    def read_rows(self, row_numbers: Collection[int], line_bytes: int) -> Iterator[bytes]:
        """Yield some rows, parsed or not, as lines of CSV, by ascending row number from 1."""

    def count_rows(self) -> int:
        """Return the number of rows, parsed or not; 0 where the content cannot be read at all."""
        try:
            return self._count_rows()
        except InputRejectedError:
            return 0

    def read_raw(
        self, line_numbers: Collection[int], sha256: str, line_bytes: int = LINE_BYTES
    ) -> dict[int, bytes]:
        """Read some physical lines again, as they are.

        Args:
            line_numbers: as ingest numbered them; for Parquet these are row numbers. Numbers beyond
                the file are left out of the answer.
            sha256: of the content that was ingested: a line of any other content must not be
                quarantined in its place.
            line_bytes: as ingest had it.

        Returns:
            Line number -> bytes without line end (Parquet: the record rendered as CSV).

        Raises:
            SourceChangedError: the file holds other content now.
        """
        if not line_numbers:
            return {}
        found, found_sha256 = self._find_raw(line_numbers, line_bytes)
        if found_sha256 != sha256:
            raise SourceChangedError.of(self.path)
        return found

    @abstractmethod
    def _count_rows(self) -> int: ...

    @abstractmethod
    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        """Return some lines by number, and the SHA-256 of the content that they are from."""


def pass_through(pieces: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    """Yield pieces unchanged, and hash them."""
    for piece in pieces:
        digest.update(piece)
        yield piece
