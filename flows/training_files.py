"""The files to train on: which are taken, which are left for next time, and how labels are read.

Belongs here: every check that is possible before a flow begins. Does not belong here: reading the
files (``flows.training_lake``). Nothing heavy is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expectations.errors import UsageError
from expectations.registry import get_contract
from flows.clock import utc_now
from flows.places import open_folder
from flows.settings import Settings
from storage.text import printable
from tasks.evaluation.label_columns import TRAIN_ON, LabelChoice, choose_labels
from tasks.intake.inbox import SkippedPath, pending_files
from tasks.intake.label_words import LabelReading
from tasks.wording import plural

SKIPPED_SHOWN = 5
"""Most left-out files that a message names. A guess."""
NAME_CHARACTERS = 40
"""Most characters of a file's name in such a message. A guess: most names are shorter."""


@dataclass(frozen=True)
class TrainingFiles:
    """The files to train on, and those that were left out."""

    files: tuple[Path, ...]
    skipped: tuple[SkippedPath, ...]
    """Other files in the folders, each with the reason why it was left out."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence that names the first files that were left out, or nothing."""
        named = [
            f"{printable(one.path.name, NAME_CHARACTERS)} ({one.reason})" for one in self.skipped
        ]
        more = len(named) - SKIPPED_SHOWN
        rest = f" and {plural(more, 'more')}" if more > 0 else ""
        return (f"left out: {', '.join(named[:SKIPPED_SHOWN])}{rest}",) if named else ()


def list_labelled(settings: Settings, files: list[Path] | None) -> TrainingFiles:
    """List the files to train on: files that are named, and complete files in folders.

    Without ``files``, the training folder is read.

    Raises:
        UsageError: a folder cannot be read.
    """
    places = files or [open_folder(settings, "training")]
    listed: list[Path] = []
    skipped: list[SkippedPath] = []
    for place in places:
        if place.is_dir():
            contents = pending_files(place, utc_now(), settings.settle_s)
            listed += [file.path for file in contents.pending]
            skipped += contents.skipped
        else:
            listed.append(place)
    return TrainingFiles(tuple(listed), tuple(skipped))


def require_files(found: TrainingFiles, places: Sequence[Path]) -> TrainingFiles:
    """Return the files; raise an error if there is none.

    Raises:
        UsageError: there is no file, or no complete file.
    """
    if found.files:
        return found
    where = ", ".join(map(str, places))
    message = (
        f"Cannot train: no file in {where} can be used now; {found.notes[0]}. Wait until a file"
        " does not change any more, or name it: noctule train FILE"
        if found.skipped
        else f"Cannot train: there is no file in {where}. Put labelled files there, or name one:"
        " noctule train FILE"
    )
    raise UsageError(message)


def choose_training_labels(
    settings: Settings, sources: Sequence[Path], asked: LabelReading, *, is_unlabelled: bool
) -> list[LabelChoice]:
    """Return how the labels of each file are read, from the beginning of each file.

    Raises:
        InputRejectedError: a file cannot be read, or cannot be trained on in this way.
        UsageError: no file has the given label column.
    """
    return choose_labels(
        sources,
        get_contract(settings.contract),
        asked,
        TRAIN_ON,
        is_unlabelled=is_unlabelled,
        limit_bytes=settings.max_file_bytes,
    )
