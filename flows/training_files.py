"""The files to train on: what is there, what is left for next time, and how labels are read.

Belongs here: all that can be said before a file is read and a flow is begun. Does not belong here:
reading them (``flows.train``). Nothing heavy is imported.
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
from tasks.evaluation.label_columns import LabelChoice, choose_labels
from tasks.intake.inbox import LeftFile, pending_files
from tasks.intake.labelling import LabelReading
from tasks.wording import plural

TRAIN_ON = "train on"
"""What messages say is done with a file."""

LEFT_SHOWN = 5
"""Files left out that a message names. A guess."""
NAME_CHARACTERS = 40
"""Characters shown of a name: a guess, as long as names of files usually are."""


@dataclass(frozen=True)
class TrainingFiles:
    """What there is to train on."""

    files: tuple[Path, ...]
    left: tuple[LeftFile, ...]
    """What lies in the folders beside them, each with its reason."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left, a sentence each; of many the first few, and how many more."""
        named = [f"{printable(one.path.name, NAME_CHARACTERS)} ({one.reason})" for one in self.left]
        more = len(named) - LEFT_SHOWN
        rest = f" and {plural(more, 'more')}" if more > 0 else ""
        return (f"left out: {', '.join(named[:LEFT_SHOWN])}{rest}",) if named else ()


def list_labelled(settings: Settings, files: list[Path] | None) -> TrainingFiles:
    """List the files to train on: those named, and what lies whole in the folders named.

    Raises:
        UsageError: a folder cannot be looked into.
    """
    places = files or [open_folder(settings, "training")]
    listed: list[Path] = []
    left: list[LeftFile] = []
    for place in places:
        if place.is_dir():
            contents = pending_files(place, utc_now(), settings.settle_s)
            listed += [file.path for file in contents.pending]
            left += contents.skipped
        else:
            listed.append(place)
    return TrainingFiles(tuple(listed), tuple(left))


def require_files(found: TrainingFiles, places: Sequence[Path]) -> TrainingFiles:
    """Refuse to train on nothing, and say what is left for next time.

    Raises:
        UsageError: no file is there, or none that is whole.
    """
    if found.files:
        return found
    where = ", ".join(map(str, places))
    message = (
        f"Cannot train: no file in {where} can be taken now; {found.notes[0]}. Wait until a file"
        " does not change any more, or name it: noctule train FILE"
        if found.left
        else f"Cannot train: there is no file in {where}. Put labelled files there, or name one:"
        " noctule train FILE"
    )
    raise UsageError(message)


def find_labels(
    settings: Settings, sources: Sequence[Path], asked: LabelReading, *, is_unlabelled: bool
) -> list[LabelChoice]:
    """Return how the labels of each file are read, before any time is spent on it.

    Raises:
        InputRejectedError: a file cannot be read, or trained on in this way.
        UsageError: no file has the label column that is asked for.
    """
    return choose_labels(
        sources,
        get_contract(settings.contract),
        asked,
        TRAIN_ON,
        is_unlabelled=is_unlabelled,
        limit_bytes=settings.max_file_bytes,
    )
