"""The choice of a file's label column from its first rows, before the file is read.

Belongs here: the choice of the column, and refusing files where it is unclear. Does not belong
here: reading its values (``tasks.intake.labelling``).
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from expectations.contract import Contract
from expectations.errors import TrainingDataError, UsageError
from expectations.names import fold
from storage.text import printable
from tasks.evaluation.file_head import FileHead, read_file_head
from tasks.evaluation.labels import CORRECT_LABELS, find_unclear, has_labels, is_empty
from tasks.intake.content import CONTENT_BYTES
from tasks.intake.label_words import (
    NORMAL_WORDS,
    LabelReading,
    fold_value,
    label_columns,
    looks_labelled,
    says_which,
)
from tasks.intake.labelling import (
    VALUES_COUNTED,
    VALUES_SHOWN,
    LabelReader,
    LabelTally,
    arrange_label,
    describe_values,
    shown,
)
from tasks.wording import plural

if TYPE_CHECKING:
    from tasks.validation.accept import AcceptedFile

TRAIN_ON = "train on"
"""What messages say about a file that a model is fitted on: "Cannot train on night.csv"."""

LABEL_WORDS = frozenset(
    {
        "anomalous", "anomaly", "attack", "attacks", "benign", "category", "class", "classes",
        "classification", "intrusion", "label", "labels", "malicious", "malware", "normal",
        "outcome", "outlier", "result", "target", "targets", "threat", "truth", "type", "verdict",
        "y",
    }
)  # fmt: skip
"""A column whose name has one of these words may hold labels, such as ``is_attack`` and
``groundTruth``. They are from public data sets and textbooks. A needless word does no harm: a
message names the column, and its values are not used."""

WHOLE_WORD = 5
"""Fewest letters of a word that counts within another, as in ``attackcat``. A guess: too many words
contain a shorter one."""

NAMES_SHOWN = 5
"""Columns that a message names; ``OTHERS_SHOWN`` besides a described one. Guesses."""
OTHERS_SHOWN = 2
NAME_CHARACTERS = 30
"""Characters of a column's name in an advised option: a guess, longer than most names."""

_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


@dataclass(frozen=True)
class LabelChoice:
    """How the labels of a file are read."""

    reading: LabelReading | None
    """None where the labels have the contract's columns and words, or are not used."""
    notes: tuple[str, ...] = ()
    """Notes for a reader of the metrics, a sentence each."""


def ask_labels(
    label: str | None, normal: Sequence[str] | None, *, is_unlabelled: bool = False
) -> LabelReading:
    """Return how the user's options ask to read labels.

    Raises:
        UsageError: the options contradict each other.
    """
    if is_unlabelled and (label is not None or normal):
        given = "--label" if label is not None else "--normal"
        message = (
            f"Cannot use {given} with --unlabelled: {given} describes the labels, and --unlabelled"
            " treats every connection as normal. Leave one of them out"
        )
        raise UsageError(message)
    return LabelReading(column=label, normal=tuple(normal or ()))


def choose_labels(
    sources: Sequence[Path],
    contract: Contract,
    asked: LabelReading,
    doing: str,
    *,
    is_unlabelled: bool = False,
    limit_bytes: int = CONTENT_BYTES,
) -> list[LabelChoice]:
    """Return how the labels of each file are read, chosen by its first rows.

    ``asked`` is the reading that the user asks for. ``doing`` is for messages: ``train on``,
    ``evaluate``, ``study``. With ``is_unlabelled``, every connection counts as normal.

    Raises:
        InputRejectedError: a file cannot be read.
        TrainingDataError: a file has no labels, or unclear ones; or it has labels, and
            ``is_unlabelled`` is set.
        UsageError: no file has the column that the user names, or it is no label column.
    """
    heads = [read_file_head(source, contract, limit_bytes) for source in sources]
    require_column(heads, contract, asked)
    found = [
        find_labels(head, contract, asked, doing, is_unlabelled=is_unlabelled) for head in heads
    ]
    if all(head.is_whole for head in heads):
        require_normal(
            [
                (head.name, _tally(head, contract, one.reading))
                for head, one in zip(heads, found, strict=True)
                if one.reading is not None
            ],
            doing,
        )
    return found


def require_column(heads: Sequence[FileHead], contract: Contract, asked: LabelReading) -> None:
    """Refuse a label column that cannot be one.

    Raises:
        UsageError: the contract declares it as no label, or no file has it; or only its words are
            named, and the contract declares no label.
    """
    if asked.column is None:
        if asked.normal and not label_columns(contract):
            message = (
                f"Cannot use --normal: contract {contract.name!r} declares no label. Name the"
                " column that says which connections are attacks with --label COLUMN"
            )
            raise UsageError(message)
        return
    meant = fold(asked.column)
    declared = next((one for one in contract.columns if fold(one.name) == meant), None)
    # A source without labels may declare a column that this user knows to be one.
    may_hold = {"label"} if label_columns(contract) else {"label", "ignored"}
    if declared is not None and declared.role not in may_hold:
        message = (
            f"Cannot use --label {shown(asked.column)}: {contract.name} declares that column as"
            f" {'a feature' if declared.role == 'feature' else declared.role}, and no label."
            " Name the column that says which connections are attacks"
        )
        raise UsageError(message)
    if not any(head.find(asked.column) for head in heads):
        names = dict.fromkeys(name for head in heads for name in head.values)
        message = (
            f"Cannot use --label {shown(asked.column)}: no file has such a column. Besides the"
            f" features there {_list_names(list(names))}"
        )
        raise UsageError(message)


def find_labels(
    head: FileHead,
    contract: Contract,
    asked: LabelReading,
    doing: str,
    *,
    is_unlabelled: bool = False,
) -> LabelChoice:
    """Return how the labels of a file are read; see ``choose_labels``."""
    present = [column.name for column in head.layout.columns]
    column = None if asked.column is None else head.find(asked.column)
    labels = {name: head.values[name] for name in present if name in head.values}
    frame = pl.DataFrame(labels, schema=dict.fromkeys(labels, pl.String)).lazy()
    is_declared = has_labels(contract, present)
    is_blank = is_declared and head.is_whole and is_empty(frame, contract)
    if column is not None:
        reading = LabelReading(column=column, normal=asked.normal)
        _require_words(head, column, reading, doing)
        return LabelChoice(reading)
    if not is_declared or is_blank:
        return _find_unlabelled(head, contract, doing, is_unlabelled=is_unlabelled)
    if is_unlabelled:
        names = " and ".join(shown(name) for name in label_columns(contract) if name in present)
        message = (
            f"Cannot {doing} {head.name} with --unlabelled: it says by {names} which of its"
            " connections are attacks. Leave --unlabelled out; or take the labels out of the file,"
            " and the attacks if the model should find them, to fit on normal traffic only."
        )
        raise TrainingDataError(message)
    if asked.normal:
        return LabelChoice(LabelReading(normal=asked.normal))
    if unclear := find_unclear([frame], contract, None if head.is_whole else head.rows):
        message = f"Cannot {doing} {head.name}: {unclear} {CORRECT_LABELS}"
        raise TrainingDataError(message)
    return LabelChoice(None)


def require_normal(files: Sequence[tuple[str, LabelTally]], doing: str) -> None:
    """Refuse label columns whose values cannot mean what they were read as.

    ``files`` has each file's name in messages, and the tally of its label column.

    Raises:
        TrainingDataError: a value means neither normal nor attack; a value that the user declared
            normal is in no row; or no row of any file is normal, and some may not be attacks.
    """
    for name, tally in files:
        if tally.rows_unclear:
            message = (
                f"Cannot {doing} {name}: unclear labels in {plural(tally.rows_unclear, 'row')} of"
                f" its column {shown(tally.column)}: it holds {tally.described}. {CORRECT_LABELS}"
            )
            raise TrainingDataError(message)
    if not files:
        return
    unmet = set.intersection(*(set(tally.unmet) for _, tally in files))
    is_normal_met = any(tally.rows_normal for _, tally in files)
    doubtful = [(name, tally) for name, tally in files if not tally.are_sure]
    if not unmet and (is_normal_met or not doubtful):
        return
    name, tally = (doubtful or files)[0]
    expected = (
        f"no row holds {', '.join(map(shown, sorted(unmet)[:VALUES_SHOWN]))}, which should mean"
        " normal"
        if unmet
        else "no row is normal"
    )
    message = (
        f"Cannot {doing} {name} by its column {shown(tally.column)}: {expected}. It holds"
        f" {tally.described}. Say with --normal VALUE which of them means normal; nothing was"
        " stored."
    )
    raise TrainingDataError(message)


def require_normal_labels(accepted: "Sequence[AcceptedFile]", doing: str) -> None:
    """Refuse files whose label columns ``require_normal`` refuses, now that every row is read.

    Raises:
        TrainingDataError: as of ``require_normal``.
    """
    tallies = [(file.name, file.ingested.labels) for file in accepted]
    require_normal([(name, tally) for name, tally in tallies if tally is not None], doing)


def _tally(head: FileHead, contract: Contract, reading: LabelReading) -> LabelTally:
    """Return the tally of a file's label column in its first rows."""
    reader = LabelReader(reading, arrange_label(head.layout, contract, reading), contract)
    reader.count(head.values[reader.column])
    return reader.close()


def _find_unlabelled(
    head: FileHead, contract: Contract, doing: str, *, is_unlabelled: bool
) -> LabelChoice:
    """Return the choice for a file without labels, with a note on a column that looks like some.

    Raises:
        TrainingDataError: the user did not ask to use it without labels.
    """
    suspects = [name for name in head.values if name not in contract.by_name]
    likely = [name for name in suspects if _holds_labels(head.values[name], contract)]
    likely += [name for name in suspects if name not in likely and _is_called_label(name)]
    declared = label_columns(contract)
    present = {column.name for column in head.layout.columns}
    empty = " and ".join(shown(name) for name in declared if name in present)
    if is_unlabelled or (doing == TRAIN_ON and (empty or not declared)):
        blank = f"its column {empty} is empty: every connection counts as normal"
        notes = (
            f"column {shown(name)} looks like a label ({_describe_head(head, name)}) and is not"
            " used: every connection counts as normal"
            for name in likely[:1]
        )
        return LabelChoice(None, notes=(f"{head.name}: {blank}",) if empty else tuple(notes))
    named = " or ".join(map(shown, declared))
    missing = f"Cannot {doing} {head.name}: " + (
        f"its column {empty} is empty, so it does not say which of its connections are attacks."
        if empty
        else f"it has no column {named} that says which of its connections are attacks."
        if declared
        else f"contract {contract.name!r} declares no column that says which connections are"
        " attacks."
    )
    if likely:
        first, *others = likely
        is_told = any(fold_value(value) in NORMAL_WORDS for value, _ in head.count_values(first))
        also = f" So may {', '.join(map(shown, others[:OTHERS_SHOWN]))}." if others else ""
        advice = (
            f" Column {shown(first)} looks like a label: {_describe_head(head, first)}.{also}"
            f" If it is, add --label {shlex.quote(printable(first, NAME_CHARACTERS))}"
            + ("" if is_told else ", and --normal VALUE for the value that means normal")
        )
    elif suspects:
        advice = (
            " If another column does, name it with --label COLUMN: besides the features there"
            f" {_list_names(suspects)}"
        )
    else:
        advice = " Name a labelled file"
    if doing == TRAIN_ON:
        advice += (
            ". To treat every connection as normal, also attacks, and fit a one-class model"
            " only, add --unlabelled"
        )
    message = f"{missing}{advice}. Nothing was stored."
    raise TrainingDataError(message)


def _require_words(head: FileHead, column: str, reading: LabelReading, doing: str) -> None:
    """Refuse a label column of pairs, such as 0 and 1, unless the user says which means normal.

    Raises:
        TrainingDataError: the user does not say so.
    """
    values = head.values[column].drop_nulls().unique().to_list()
    if reading.normal or not values or says_which(values):
        return
    message = (
        f"Cannot {doing} {head.name} by its column {shown(column)}: {_describe_head(head, column)}."
        " Say with --normal VALUE which of them means normal; nothing was stored."
    )
    raise TrainingDataError(message)


def _holds_labels(values: pl.Series, contract: Contract) -> bool:
    """Return whether a column has values that look like labels, and not too many different ones."""
    different = values.drop_nulls().unique()
    return len(different) <= VALUES_COUNTED and looks_labelled(different.to_list(), contract)


def _is_called_label(name: str) -> bool:
    """Return whether a column's name is that of a label, in any case and with any separators."""
    words = {word.lower() for word in _NAME_WORDS.findall(name)}
    whole = "".join(one for one in name.lower() if one.isalpha())
    return bool(words & LABEL_WORDS) or any(
        word in whole for word in LABEL_WORDS if len(word) >= WHOLE_WORD
    )


def _describe_head(head: FileHead, column: str) -> str:
    """Return a description of the values in the first rows of a column."""
    counted = head.count_values(column)
    more = max(0, len(counted) - VALUES_SHOWN)
    where = "" if head.is_whole else f" of the first {head.rows:,}"
    return f"it holds {describe_values(counted[:VALUES_SHOWN], more)}{where}"


def _list_names(names: Sequence[str]) -> str:
    """Return the columns as the end of a sentence."""
    if not names:
        return "is no other column"
    more = len(names) - NAMES_SHOWN
    rest = f" and {plural(more, 'other column')}" if more > 0 else ""
    verb = "is" if len(names) == 1 else "are"
    return f"{verb} {', '.join(map(shown, names[:NAMES_SHOWN]))}{rest}"
