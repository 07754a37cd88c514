"""The files to train on: which are taken, which are left for next time, and how labels are read.

Belongs here: every check that is possible before a flow begins. Does not belong here: reading the
files (``flows.training_lake``). Nothing heavy is imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expectations.errors import InputRejectedError, UsageError
from expectations.registry import get_contract
from flows.clock import utc_now
from flows.places import open_folder
from flows.settings import Settings
from storage.batch_ids import UNRECOGNISED
from storage.text import printable
from tasks.evaluation.label_columns import TRAIN_ON, LabelChoice, choose_labels
from tasks.intake.chosen_contract import find_contract
from tasks.intake.inbox import SkippedPath, pending_files
from tasks.intake.label_words import LabelReading
from tasks.wording import plural, some_of

SKIPPED_SHOWN = 5
"""Most left-out files that a message names. A guess."""
NAME_CHARACTERS = 40
"""Most characters of a file's name in such a message. A guess: most names are shorter."""


@dataclass(frozen=True)
class ListedFiles:
    """The labelled files that were found, and those that were left out."""

    by_contract: Mapping[str, tuple[Path, ...]]
    refused: tuple[str, ...]
    """Why no contract was recognised for the other files, a sentence for each."""
    skipped: tuple[SkippedPath, ...]
    """Other files in the folders, each with the reason why it was left out."""
    of_others: tuple[SkippedPath, ...] = ()
    """Files in the folders that have another contract than the settings say."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence that names the first files that were skipped, or nothing."""
        return _name_left_out(self.skipped)


def _name_left_out(files: Sequence[SkippedPath]) -> tuple[str, ...]:
    """Return one sentence that names the first files that were left out, or nothing."""
    named = [f"{printable(one.path.name, NAME_CHARACTERS)} ({one.reason})" for one in files]
    more = len(named) - SKIPPED_SHOWN
    rest = f" and {plural(more, 'more')}" if more > 0 else ""
    return (f"left out: {', '.join(named[:SKIPPED_SHOWN])}{rest}",) if named else ()


@dataclass(frozen=True)
class TrainingFiles:
    """The files of one contract to train on."""

    contract: str
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    """What was left out."""


def list_labelled(settings: Settings, files: list[Path] | None) -> ListedFiles:
    """List labelled files by contract: files that are named, and complete files in folders.

    Without ``files``, the training folder is read. If the settings say a contract, named files have
    it, and so have files of folders that no other contract claims.

    Raises:
        UsageError: a folder cannot be read.
    """
    places = files or [open_folder(settings, "training")]
    listed: dict[str, tuple[Path, ...]] = {}
    refused: list[str] = []
    skipped: list[SkippedPath] = []
    of_others: list[SkippedPath] = []

    def add(file: Path, *, is_named: bool) -> None:
        said = settings.contract
        try:
            found = find_contract(file, said if is_named else None)
        except InputRejectedError as error:
            refused.append(str(error))
            return
        if found.refusal is not None and said is None:
            refused.append(found.refusal)
        elif said is None or found.name in {said, UNRECOGNISED}:
            name = said or found.name
            listed[name] = (*listed.get(name, ()), file)
        else:
            of_others.append(SkippedPath(file, f"a file of contract {found.name}"))

    for place in places:
        if not place.is_dir():
            add(place, is_named=True)
            continue
        contents = pending_files(place, utc_now(), settings.settle_s)
        skipped += contents.skipped
        for file in contents.pending:
            add(file.path, is_named=False)
    return ListedFiles(listed, tuple(refused), tuple(skipped), tuple(of_others))


def require_files(found: ListedFiles, places: Sequence[Path]) -> TrainingFiles:
    """Return the files, which must be of one contract.

    Raises:
        InputRejectedError: no contract is recognised for one of them.
        UsageError: there is no file, no complete file, or there are files of several contracts.
    """
    if found.refused:
        raise InputRejectedError(found.refused[0])
    if len(found.by_contract) > 1:
        named = "; ".join(
            f"{contract}: {some_of([file.name for file in files], NAME_CHARACTERS)}"
            for contract, files in found.by_contract.items()
        )
        message = (
            f"Cannot train: the files are of several contracts ({named}). A model is of one"
            " contract: name only its files, or say --contract NAME"
        )
        raise UsageError(message)
    for contract, files in found.by_contract.items():
        return TrainingFiles(contract, files, _name_left_out([*found.skipped, *found.of_others]))
    where = ", ".join(map(str, places))
    if found.of_others:
        message = (
            f"Cannot train: no file in {where} has the contract that is asked for;"
            f" {_name_left_out(found.of_others)[0]}. Name a file, or leave out --contract and"
            " NOCTULE_CONTRACT"
        )
        raise UsageError(message)
    message = (
        f"Cannot train: no file in {where} can be used now; {found.notes[0]}. Wait until a file"
        " does not change any more, or name it: noctule train FILE"
        if found.skipped
        else f"Cannot train: there is no file in {where}. Put labelled files there, or name one:"
        " noctule train FILE"
    )
    raise UsageError(message)


def choose_training_labels(
    settings: Settings, found: TrainingFiles, asked: LabelReading, *, is_unlabelled: bool
) -> list[LabelChoice]:
    """Return how the labels of each file are read, from the beginning of each file.

    Raises:
        InputRejectedError: a file cannot be read, or cannot be trained on in this way.
        UsageError: no file has the given label column.
    """
    return choose_labels(
        found.files,
        get_contract(found.contract),
        asked,
        TRAIN_ON,
        is_unlabelled=is_unlabelled,
        limit_bytes=settings.max_file_bytes,
    )
