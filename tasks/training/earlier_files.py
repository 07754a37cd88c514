"""Earlier training files that are taken too where the files at hand lack connections of one class.

Belongs here: which of the files in the training lake are taken. Does not belong here: reading the
rows (``rows``), or the files that a user names (``flows.training_files``).

Some sources write a file for each day or each attack, so that a file may hold only attacks. The
training lake keeps the accepted rows of every file that was ever trained on. Whole files are taken,
the latest first, and only as many as are needed: a user who wants more of them names them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import UsageError
from storage.lake import UNREADABLE, VALIDATE, read_accepted, read_key, read_summary
from storage.text import printable
from tasks.evaluation.labels import find_unclear_labels, has_labels, is_attack
from tasks.intake.ingest import STAGE as INGEST
from tasks.intake.ingest import IngestSummary
from tasks.intake.label_words import IS_ATTACK
from tasks.training.rows import MIN_DISTINCT
from tasks.validation.accept import AcceptedFile
from tasks.validation.summary import ValidationSummary
from tasks.wording import plural

CLASSES = {False: "normal connections", True: "attacks"}
"""What messages call the two classes, by whether they are attacks."""


class EarlierFiles(BaseModel, frozen=True):
    """Files of the training lake that are trained on besides those at hand."""

    parts: tuple[Path, ...] = ()
    """Their accepted rows, the latest file first."""
    sources: dict[str, str] = {}
    """Batch id -> the file's name."""
    notes: tuple[str, ...] = ()
    """Why they were taken, a sentence."""


def find_earlier_files(
    lake: Path, contract: Contract, files: Sequence[AcceptedFile]
) -> EarlierFiles:
    """Find earlier files with connections of the class of which the files at hand have too few.

    A file of the lake is taken if it was read by the same contract, its labels are clear, and it
    has connections of that class. Nothing is taken where the files at hand have no labels.

    ``lake`` is the training lake; ``files`` are those at hand, all of this contract.
    """
    distinct = _Distinct(contract)
    for file in files:
        distinct.add(file.parts)
    lacking = distinct.lacking
    if not distinct.is_labelled or not lacking:
        return EarlierFiles()
    parts: list[Path] = []
    sources: dict[str, str] = {}
    for folder in _list_folders(lake, contract, {file.job.batch_id for file in files}):
        found = _read_file(folder, contract)
        if found is not None and distinct.add(found[1]):
            sources[folder.name], of_file = found
            parts += of_file
        if not distinct.lacking:
            break
    if not sources:
        return EarlierFiles()
    named = ", ".join(printable(name) or key[:12] for key, name in sources.items())
    too_few = " and ".join(CLASSES[one] for one in lacking)
    what = plural(len(sources), "earlier training file")
    note = f"the files have too few {too_few}, so {what} of {contract.name} {{}} used too: {named}"
    return EarlierFiles(
        parts=tuple(parts),
        sources=sources,
        notes=(note.format("is" if len(sources) == 1 else "are"),),
    )


class _Distinct:
    """Counts different connections of each class, up to the number that is needed."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._features = list(contract.feature_names)
        self._found: dict[bool, pl.DataFrame | None] = {False: None, True: None}
        self.is_labelled = False

    @property
    def lacking(self) -> list[bool]:
        """The classes with too few different connections."""
        return [
            one
            for one, found in self._found.items()
            if found is None or found.height < MIN_DISTINCT
        ]

    def add(self, parts: Sequence[Path]) -> bool:
        """Count the connections of a file; return whether it has any of a class that lacked."""
        is_useful = False
        for part in parts:
            for one in self.lacking:
                is_useful |= self._add_part(part, is_of_class=one)
        return is_useful

    def _add_part(self, part: Path, *, is_of_class: bool) -> bool:
        columns = pl.read_parquet_schema(part).keys()
        if not has_labels(self._contract, columns):
            return False
        label = is_attack(self._contract, columns)
        rows = pl.scan_parquet(part).select(*self._features, label)
        of_class = rows.filter(pl.col(IS_ATTACK) == is_of_class).select(self._features)
        new = of_class.unique().head(MIN_DISTINCT).collect()
        if not new.height:
            return False
        self.is_labelled = True
        found = self._found[is_of_class]
        self._found[is_of_class] = new if found is None else pl.concat([found, new]).unique()
        return True


def _list_folders(lake: Path, contract: Contract, without: set[str]) -> Iterator[Path]:
    """Yield the folders of the contract's other files in the lake, the latest first."""
    found = [
        (done.stat().st_mtime, done.parent.name, done.parent)
        for done in (lake / contract.name).glob(f"*/{VALIDATE}")
        if done.parent.name not in without
    ]
    yield from (folder for _, _, folder in sorted(found, reverse=True))


def _read_file(folder: Path, contract: Contract) -> tuple[str, Sequence[Path]] | None:
    """Return the name and the accepted rows of a file; None where it cannot be trained on."""
    try:
        if read_key(folder / VALIDATE).get("contract") != contract.fingerprint:
            return None
        name = read_summary(folder / INGEST, IngestSummary).file_name
        accepted = read_accepted(folder, ValidationSummary).parts
    except (UsageError, *UNREADABLE):
        return None  # it is damaged, or of another version of Noctule
    parts = [folder / part.path for part in accepted]
    return None if find_unclear_labels(parts, contract) else (name, parts)
