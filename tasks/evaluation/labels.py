"""The labels of connections: attack or normal, and the attack's name.

Belongs here: reading a contract's label and attack columns, and finding unclear labels. Does not
belong here: scoring; labels are for training and metrics only.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from storage.text import printable
from tasks.intake.label_words import (
    ATTACK_WORDS,
    NO_WORDS,
    NORMAL_WORDS,
    NUMBER,
    PAIRED_WORDS,
    declared_values,
    known_attacks,
    sure_attacks,
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

OTHER_FAMILY = "other"
"""The family of an attack that the contract does not list."""


def has_labels(contract: Contract, columns: Collection[str]) -> bool:
    """Return whether a file with these columns says which connections are attacks."""
    return _label_column(contract, columns) is not None


def is_attack(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression that is true for attacks, and null where the label is.

    Every label other than the contract's word for normal is an attack. Files with unclear labels
    are refused before; see ``find_unclear_labels``. The file must be labelled; see ``has_labels``.
    """
    column = _label_column(contract, columns)
    assert column is not None  # noqa: S101  # callers ask has_labels first
    return (pl.col(column) != contract.normal_label).alias("is_attack")


def find_unclear_labels(parts: Sequence[Path], contract: Contract) -> str | None:
    """Return a sentence on labels that may not mean attack or normal; None if all are clear.

    A label is clear if it is a declared value of the label column, another word for attack, or the
    name of an attack or a family. In the attack column any name may be that of a new attack; in the
    label column only if that column has the name of a known attack or family in some row.
    Never clear are: a label that equals the word for normal except for case, blanks and full stops
    at the end (raw KDD99 files write ``normal.``), another word for normal, a number, a value of
    ``PAIRED_WORDS`` or ``NO_WORDS``, and an empty label. Where a file has both columns, a label and
    a name that contradict each other are unclear too.
    """
    return find_unclear([pl.scan_parquet(part) for part in parts], contract)


def find_unclear(
    frames: Sequence[pl.LazyFrame], contract: Contract, first_rows: int | None = None
) -> str | None:
    """Return a sentence on unclear labels in frames of a file; see ``find_unclear_labels``.

    ``first_rows`` is the number of these rows, if the file may have more. Then a name that no known
    attack has counts as clear.
    """
    found: Counter[tuple[str, str]] = Counter()
    is_new_clear = first_rows is not None or any(_has_known(frame, contract) for frame in frames)
    for frame in frames:
        columns = frame.collect_schema().names()
        column = _label_column(contract, columns)
        if column is None:
            continue
        is_unclear = _is_unclear(contract, column, is_new_clear=is_new_clear)
        unclear = frame.filter(is_unclear).group_by(column).len()
        for label, rows in unclear.collect().iter_rows():
            found[column, label] += rows
        if column == contract.label and contract.attack in columns:
            is_against = _contradicts(contract) & ~is_unclear
            against = frame.filter(is_against).group_by(column, contract.attack).len()
            for label, name, rows in against.collect().iter_rows():
                beside = printable(label, LABEL_CHARACTERS)
                found[f"{column} '{beside}' beside {contract.attack}", name] += rows
    if not found:
        return None
    first = next(iter(found))[0].partition(" ")[0]
    expected = declared_values(contract, first) or (contract.normal_label,)
    shown = [
        f"{column} '{printable(label, LABEL_CHARACTERS)}' in {plural(rows, 'row')}"
        for (column, label), rows in sorted(found.items(), key=lambda one: (-one[1], one[0]))
    ]
    rest = len(shown) - UNCLEAR_SHOWN
    more = f" and {plural(rest, 'other label')}" if rest > 0 else ""
    where = f"{plural(found.total(), 'row')}" + (
        "" if first_rows is None else f" of the first {first_rows:,}"
    )
    return (
        f"unclear labels in {where}: "
        f"{', '.join(shown[:UNCLEAR_SHOWN])}{more}. Expected "
        f"{' or '.join(repr(value) for value in expected)}, written exactly so, or the name of"
        " an attack."
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
    labels = pl.read_parquet(part, columns=_label_columns(contract, columns))
    return labels.select(is_attack(contract, columns))["is_attack"]


def _count(truth: pl.Series, is_flagged: pl.Series) -> LabelledCounts:
    """Count labelled rows; rows without a label are left out."""
    return LabelledCounts(
        normal=int((~truth).sum()),
        attack=int(truth.sum()),
        flagged_normal=int((~truth & is_flagged).sum()),
        flagged_attack=int((truth & is_flagged).sum()),
    )


def attack_name(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression that names the attack, and is null where the file has no name.

    The name comes from the attack column; without one from the label column, if that names attacks.
    The label column's general word for an attack is no name.
    """
    says_no_more = ["", *declared_values(contract, contract.label)]
    names = [pl.lit(None, dtype=pl.String)]
    if contract.label is not None and contract.label in columns:
        label = pl.col(contract.label)
        known = _bare(label)
        name = pl.when(known.is_in(known_attacks(contract))).then(known).otherwise(label)
        is_name = ~label.is_in([contract.normal_label, *says_no_more]) & ~known.is_in(ATTACK_WORDS)
        names.insert(0, pl.when(is_name).then(name))
    if contract.attack is not None and contract.attack in columns:
        name = pl.col(contract.attack)
        is_normal = name == contract.normal_label
        names.insert(0, pl.when(is_normal | ~name.is_in(says_no_more)).then(name))
    return pl.coalesce(names).alias("attack")


def family_of(attack: str, families: Mapping[str, str]) -> str:
    """Return the family of an attack."""
    return families.get(attack, OTHER_FAMILY)


def _is_unclear(contract: Contract, column: str, *, is_new_clear: bool) -> pl.Expr:
    """Return the expression that is true for unclear labels; see ``find_unclear_labels``."""
    label, bare = pl.col(column), _bare(pl.col(column))
    declared = declared_values(contract, column)
    is_clear = label.is_in([contract.normal_label, *declared])
    is_name = ~bare.is_in(["", contract.normal_label, *NORMAL_WORDS, *PAIRED_WORDS, *NO_WORDS])
    is_name &= ~bare.str.contains(f"^{NUMBER}$")
    if declared and not is_new_clear:
        is_name &= bare.is_in(sure_attacks(contract))
    return ~is_clear & ~is_name


def _has_known(frame: pl.LazyFrame, contract: Contract) -> bool:
    """Return whether the label column names an attack or a family of the contract."""
    column = contract.label
    if column is None or column not in frame.collect_schema().names():
        return False
    named = set(sure_attacks(contract)) - ATTACK_WORDS
    return bool(frame.select(_bare(pl.col(column)).is_in(named).any()).collect().item())


def _bare(label: pl.Expr) -> pl.Expr:
    """Return a label in lower case, without blanks around it and full stops at its end."""
    return label.str.strip_chars().str.strip_chars_end(".").str.strip_chars().str.to_lowercase()


def _contradicts(contract: Contract) -> pl.Expr:
    """Return the expression that is true where the attack's name contradicts the label."""
    assert contract.label is not None  # noqa: S101 - the caller has found the column
    assert contract.attack is not None  # noqa: S101 - likewise
    label, name = pl.col(contract.label), pl.col(contract.attack)
    is_normal = _bare(name) == contract.normal_label
    return (_bare(name) != "") & ((label == contract.normal_label) != is_normal)


def _label_columns(contract: Contract, columns: Collection[str]) -> list[str]:
    """Return the columns that hold labels."""
    return [name for name in (contract.label, contract.attack) if name and name in columns]


def _label_column(contract: Contract, columns: Collection[str]) -> str | None:
    return next(iter(_label_columns(contract, columns)), None)
