"""The labels of connections: attack or normal, and the attack's name.

Belongs here: reading the label columns of a frame or a file, and finding unclear labels. Does not
belong here: what one value means (``tasks.intake.label_words``), or scoring; labels are for
training and metrics only.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from storage.text import printable
from tasks.intake.label_words import (
    ATTACK,
    IS_ATTACK,
    OTHER_FAMILY,
    LabelWords,
    Meaning,
    label_columns,
    map_labels,
)
from tasks.wording import plural

CORRECT_LABELS = (
    "Correct the labels, or say with --normal VALUE which value means normal, and try again;"
    " nothing was stored."
)
"""The advice on unclear labels of a file that the user named."""

UNCLEAR_SHOWN = 4
"""Unclear labels in a message, the most frequent first: a guess, enough to see what is wrong."""

LABEL_CHARACTERS = 20
"""Characters shown of a label: a guess, longer than any name of NSL-KDD. Four labels, each beside
the name of an attack, stay below the 200 characters of a file that a message may repeat."""

WORDS_SHOWN = 6
"""Words of the contract that such a message shows. A guess: more do not help to see what is wrong.
"""


def has_labels(contract: Contract, columns: Collection[str]) -> bool:
    """Return whether a file with these columns may say which connections are attacks."""
    return IS_ATTACK in columns or _label_column(contract, columns) is not None


def expect_labels(contract: Contract) -> str:
    """Return a sentence on the columns in which a file of this contract has its labels."""
    columns = " or ".join(map(repr, label_columns(contract)))
    if not columns:
        return f"Contract {contract.name!r} declares no labels: name their column with --label."
    return f"Expected a column {columns}, got none."


def holds_labels(parts: Sequence[Path], contract: Contract) -> bool:
    """Return whether a row of these parts says whether it is an attack."""
    return any(not is_empty(pl.scan_parquet(part), contract) for part in parts)


def is_empty(frame: pl.LazyFrame, contract: Contract) -> bool:
    """Return whether no row of a frame says whether it is an attack."""
    columns = frame.collect_schema().names()
    if not has_labels(contract, columns):
        return True
    return bool(frame.select(is_attack(contract, columns).is_null().all()).collect().item())


def is_attack(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression ``_is_attack``: true for attacks, and null where a row has no label.

    A label that is unclear counts as an attack. Files with such labels are refused before; see
    ``find_unclear_labels``. The file must be labelled; see ``has_labels``. The labels that a user
    names, which ingest has read, come before those of the contract.
    """
    if IS_ATTACK in columns:
        return pl.col(IS_ATTACK)
    column = _label_column(contract, columns)
    assert column is not None  # noqa: S101  # callers ask has_labels first
    words = LabelWords(contract)

    def is_true(value: str | None) -> bool | None:
        meaning = words.find_meaning(value)
        return None if meaning == "none" else meaning != "normal"

    return map_labels(column, is_true, pl.Boolean).alias(IS_ATTACK)


def attack_name(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression ``_attack``: the attack's name, null where the file has none.

    The name comes from the column of names; without one from the label column, if that names
    attacks. A general word for an attack is no name.
    """
    if ATTACK in columns:
        return pl.col(ATTACK)
    words = LabelWords(contract)
    names = [
        map_labels(name, words.name_attack, pl.String)
        for name in reversed(label_columns(contract))
        if name in columns
    ]
    return pl.coalesce([*names, pl.lit(None, dtype=pl.String)]).alias(ATTACK)


def name_families(attacks: Iterable[str], contract: Contract) -> dict[str, str]:
    """Return the family of each of these attacks; ``OTHER_FAMILY`` where the contract has none.

    If the contract has no families at all, each name is its own family.
    """
    if not contract.families:
        return {name: name for name in attacks}
    words = LabelWords(contract)
    return {name: words.find_family(name) or OTHER_FAMILY for name in dict.fromkeys(attacks)}


def find_unclear_labels(parts: Sequence[Path], contract: Contract) -> str | None:
    """Return a sentence on labels that may not mean attack or normal; None if all are clear.

    ``LabelWords.find_meaning`` says which values are. Where the contract declares the values of the
    label column, a name that it does not know is clear only if that column has the name of a known
    attack or family in some row. In the column of attack names any name may be that of a new
    attack. Where a file has both columns, a label and a name that contradict each other are unclear
    too. Labels that a user names were checked when they were read.
    """
    return find_unclear([pl.scan_parquet(part) for part in parts], contract)


def find_unclear(
    frames: Sequence[pl.LazyFrame], contract: Contract, first_rows: int | None = None
) -> str | None:
    """Return a sentence on unclear labels in frames of a file; see ``find_unclear_labels``.

    ``first_rows`` is the number of these rows, if the file may have more. Then a name that no known
    attack has counts as clear.
    """
    words = LabelWords(contract)
    found: Counter[tuple[str, str]] = Counter()
    counted = [_count_labels(frame, contract) for frame in frames]
    needs_known = (
        words.needs_known
        and first_rows is None
        and not any(
            column == contract.label and words.names_known(label)
            for labels in counted
            for column, label, _ in labels
        )
    )
    for labels in counted:
        for (column, label, name), rows in labels.items():
            meaning = words.find_meaning(label)
            is_new = needs_known and column == contract.label and meaning == "attack"
            if meaning == "unclear" or (is_new and not words.is_surely_attack(label)):
                found[column, label] += rows
            elif name is not None and _contradict(meaning, words.find_name_meaning(name)):
                beside = printable(label, LABEL_CHARACTERS)
                found[f"{column} '{beside}' beside {contract.attack}", name] += rows
    if not found:
        return None
    shown = [
        f"{column} '{printable(label, LABEL_CHARACTERS)}' in {plural(rows, 'row')}"
        for (column, label), rows in sorted(found.items(), key=lambda one: (-one[1], one[0]))
    ]
    rest = len(shown) - UNCLEAR_SHOWN
    more = f" and {plural(rest, 'other label')}" if rest > 0 else ""
    where = f"{plural(found.total(), 'row')}" + (
        "" if first_rows is None else f" of the first {first_rows:,}"
    )
    expected = [repr(value) for value in words.expected[:WORDS_SHOWN]]
    others = " or another of its words" if len(words.expected) > WORDS_SHOWN else ""
    name = "" if contract.labels and contract.labels.attacks else ", or the name of an attack"
    return (
        f"unclear labels in {where}: "
        f"{', '.join(shown[:UNCLEAR_SHOWN])}{more}. Expected "
        f"{' or '.join(expected)}{others}{name}."
    )


class LabelledCounts(BaseModel, frozen=True):
    """Counts of rows with a label, and the flagged ones. Scoring does not read labels."""

    normal: int = 0
    attack: int = 0
    flagged_normal: int = 0
    """False positives."""
    flagged_attack: int = 0
    """True positives."""

    @property
    def rows(self) -> int:
        """Rows with a label."""
        return self.normal + self.attack

    def __add__(self, other: "LabelledCounts") -> "LabelledCounts":
        """Add up the counts of two parts."""
        return LabelledCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields}
        )


def count_labelled(part: Path, contract: Contract, is_flagged: pl.Series) -> LabelledCounts:
    """Count the labelled rows of a part, and the flagged ones.

    A part with unclear labels counts as unlabelled, so that the night goes on.
    """
    truth = _read_truth(part, contract)
    return LabelledCounts() if truth is None else _count(truth, is_flagged)


def count_labelled_above(
    part: Path, scores: Path, contract: Contract, thresholds: Sequence[float]
) -> list[LabelledCounts]:
    """Count the labelled rows of a part, and those with an anomaly score above each threshold."""
    truth = _read_truth(part, contract)
    if truth is None:
        return [LabelledCounts() for _ in thresholds]
    score = pl.read_parquet(scores, columns=["anomaly_score"])["anomaly_score"]
    return [_count(truth, score > threshold) for threshold in thresholds]


def _read_truth(part: Path, contract: Contract) -> pl.Series | None:
    """Return which rows of a part are attacks; None where it has no labels, or unclear ones."""
    columns = pl.read_parquet_schema(part).keys()
    if not has_labels(contract, columns) or find_unclear_labels([part], contract):
        return None
    truth = pl.scan_parquet(part).select(is_attack(contract, columns)).collect()
    return truth[IS_ATTACK]


def _count(truth: pl.Series, is_flagged: pl.Series) -> LabelledCounts:
    """Count labelled rows; rows without a label are left out."""
    return LabelledCounts(
        normal=int((~truth).sum()),
        attack=int(truth.sum()),
        flagged_normal=int((~truth & is_flagged).sum()),
        flagged_attack=int((truth & is_flagged).sum()),
    )


def _count_labels(frame: pl.LazyFrame, contract: Contract) -> Counter[tuple[str, str, str | None]]:
    """Count the rows by label column, label and the attack's name beside it.

    The name is None where there is no column of names besides. There are no labels to check where a
    user named them.
    """
    columns = frame.collect_schema().names()
    column = _label_column(contract, columns)
    if column is None or IS_ATTACK in columns:
        return Counter()
    is_beside = contract.attack is not None and contract.attack in columns
    beside = contract.attack if is_beside and column != contract.attack else None
    name = pl.lit(None, dtype=pl.String) if beside is None else pl.col(beside).cast(pl.String)
    counted = (
        frame.select(pl.col(column).cast(pl.String).alias("_label"), name.alias("_name"))
        .drop_nulls("_label")
        .group_by("_label", "_name")
        .len("_rows")
        .collect()
    )
    return Counter({(column, label, named): rows for label, named, rows in counted.iter_rows()})


def _contradict(label: Meaning, name: Meaning) -> bool:
    """Return whether a label and the attack's name beside it contradict each other."""
    return {label, name} == {"normal", "attack"}


def _label_column(contract: Contract, columns: Collection[str]) -> str | None:
    return next((name for name in label_columns(contract) if name in columns), None)
