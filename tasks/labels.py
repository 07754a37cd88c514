"""What a labelled file says of its connections: attack or not, and which.

Belongs here: reading a contract's label and attack columns, and what is wrong with them. Does not
belong here: anything that scores; labels are for training and metrics only.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from storage.text import printable
from tasks.shown import plural

CORRECT_LABELS = "Correct the labels and try again; nothing was stored."
"""What to do about unclear labels of a file that is asked for by name."""

UNCLEAR_SHOWN = 5
"""Unclear labels that are named, the most frequent first: a guess, enough to see what is wrong."""

LABEL_CHARACTERS = 40
"""Characters shown of one: a guess, twice the longest name of NSL-KDD."""

OTHER_FAMILY = "other"
"""The family of an attack the contract's list does not know."""


def has_labels(contract: Contract, columns: Collection[str]) -> bool:
    """Tell whether a file with these columns says which connections are attacks."""
    return _label_column(contract, columns) is not None


def is_attack(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression that is true for attacks, and null where the label is.

    Whatever is not exactly the contract's word for normal is an attack: a file that may hold
    anything else is refused before; see ``find_unclear_labels``.

    Args:
        contract: names the label column, and the attack column that stands in for it.
        columns: of the file, which must be labelled; see ``has_labels``.
    """
    column = _label_column(contract, columns)
    assert column is not None  # noqa: S101  # callers ask has_labels first
    return (pl.col(column) != contract.normal_label).alias("is_attack")


def find_unclear_labels(parts: Iterable[Path], contract: Contract) -> str | None:
    """Say which labels would count as attacks, but may not be meant so; None if all are clear.

    Where the label column has declared values, any other is unclear. Else a label is the name of an
    attack, and a name the contract does not know is that of a new one; unclear is what equals the
    word for normal but for case, blanks and full stops at the end (raw KDD99 files write
    ``normal.``), and a name of which nothing else is left. Where both columns are there, a name
    that says normal of an attack, or the reverse, is unclear too.

    Args:
        parts: Parquet files of accepted, labelled connections.
        contract: names the label column and its values.
    """
    found: Counter[tuple[str, str]] = Counter()
    for part in parts:
        rows_of_part = pl.scan_parquet(part)
        columns = pl.read_parquet_schema(part).keys()
        column = _label_column(contract, columns)
        if column is None:
            continue
        is_unclear = _is_unclear(contract, column)
        unclear = rows_of_part.filter(is_unclear).group_by(column).len()
        for label, rows in unclear.collect().iter_rows():
            found[column, label] += rows
        if column == contract.label and contract.attack in columns:
            is_against = _contradicts(contract) & ~is_unclear
            against = rows_of_part.filter(is_against).group_by(column, contract.attack).len()
            for label, name, rows in against.collect().iter_rows():
                found[f"{column} '{label}' beside {contract.attack}", name] += rows
    if not found:
        return None
    first = next(iter(found))[0].partition(" ")[0]
    expected = _declared(contract, first) or (contract.normal_label,)
    shown = [
        f"{column} '{printable(label, LABEL_CHARACTERS)}' in {plural(rows, 'row')}"
        for (column, label), rows in sorted(found.items(), key=lambda one: (-one[1], one[0]))
    ]
    rest = len(shown) - UNCLEAR_SHOWN
    more = f" and {plural(rest, 'other label')}" if rest > 0 else ""
    return (
        f"{plural(found.total(), 'row')} cannot be told to be normal or an attack: "
        f"{', '.join(shown[:UNCLEAR_SHOWN])}{more}. Expected "
        f"{' or '.join(repr(value) for value in expected)}, written exactly so"
        f"{'' if _declared(contract, first) else ', or the name of an attack'}."
    )


class LabelledCounts(BaseModel):
    """What became of rows that came with a label. Labels are read after the scores are made."""

    model_config = ConfigDict(frozen=True)

    normal: int = 0
    attack: int = 0
    flagged_normal: int = 0
    """False alarms among the normals."""
    flagged_attack: int = 0
    """Hits among the attacks."""

    @property
    def rows(self) -> int:
        """How many have a label."""
        return self.normal + self.attack

    def __add__(self, other: "LabelledCounts") -> "LabelledCounts":
        """Add up the counts of two parts."""
        return LabelledCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields}
        )


def count_labelled(part: Path, contract: Contract, is_flagged: pl.Series) -> LabelledCounts:
    """Count the labelled rows of a part, and the flagged ones among them.

    A part whose labels are not clear counts as unlabelled: a night goes on.

    Args:
        part: accepted connections, perhaps with labels.
        contract: names the label.
        is_flagged: of the same rows in the same order.
    """
    truth = _read_truth(part, contract)
    return LabelledCounts() if truth is None else _count(truth, is_flagged)


def count_labelled_above(
    part: Path, scores: Path, contract: Contract, thresholds: Sequence[float]
) -> list[LabelledCounts]:
    """Count the labelled rows of a part, and those above each of some thresholds.

    Args:
        part: accepted connections, perhaps with labels.
        scores: of the same rows in the same order.
        contract: names the label.
        thresholds: of ``anomaly_score``.
    """
    truth = _read_truth(part, contract)
    if truth is None:
        return [LabelledCounts() for _ in thresholds]
    score = pl.read_parquet(scores, columns=["anomaly_score"])["anomaly_score"]
    return [_count(truth, score > threshold) for threshold in thresholds]


def _read_truth(part: Path, contract: Contract) -> pl.Series | None:
    """Read which rows of a part are attacks; None where it does not say so, or not clearly."""
    columns = pl.read_parquet_schema(part).keys()
    if not has_labels(contract, columns) or find_unclear_labels([part], contract):
        return None
    labels = pl.read_parquet(part, columns=_label_columns(contract, columns))
    return labels.select(is_attack(contract, columns))["is_attack"]


def _count(truth: pl.Series, is_flagged: pl.Series) -> LabelledCounts:
    """Count labelled rows; a row without a label is none of them."""
    return LabelledCounts(
        normal=int((~truth).sum()),
        attack=int(truth.sum()),
        flagged_normal=int((~truth & is_flagged).sum()),
        flagged_attack=int((truth & is_flagged).sum()),
    )


def attack_name(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression that names the attack, and is null where the file does not.

    The label column's own word for an attack names none.

    Args:
        contract: names the attack column.
        columns: of the file; one without that column names no attack.
    """
    if contract.attack is None or contract.attack not in columns:
        return pl.lit(None, dtype=pl.String).alias("attack")
    name = pl.col(contract.attack)
    is_normal = name == contract.normal_label
    says_no_more = name.is_in(["", *_declared(contract, contract.label)])
    return pl.when(is_normal | ~says_no_more).then(name).alias("attack")


def family_of(attack: str, families: Mapping[str, str]) -> str:
    """Return an attack's family."""
    return families.get(attack, OTHER_FAMILY)


def _is_unclear(contract: Contract, column: str) -> pl.Expr:
    """Return the expression that is true for unclear labels; see ``find_unclear_labels``."""
    label = pl.col(column)
    if declared := _declared(contract, column):
        return ~label.is_in(declared)
    bare = _bare(label)
    return (label != contract.normal_label) & ((bare == contract.normal_label) | (bare == ""))


def _bare(label: pl.Expr) -> pl.Expr:
    """Return a label in small letters, without blanks, and full stops at the end."""
    return label.str.strip_chars().str.strip_chars_end(".").str.strip_chars().str.to_lowercase()


def _contradicts(contract: Contract) -> pl.Expr:
    """Return the expression that is true where the attack's name says other than the label."""
    assert contract.label is not None  # noqa: S101 - the caller has found the column
    assert contract.attack is not None  # noqa: S101 - likewise
    label, name = pl.col(contract.label), pl.col(contract.attack)
    is_normal = _bare(name) == contract.normal_label
    return (_bare(name) != "") & ((label == contract.normal_label) != is_normal)


def _declared(contract: Contract, column: str | None) -> tuple[str, ...]:
    """Return the values that the label column is declared to have; none for names of attacks."""
    declared = contract.by_name.get(column) if column and column == contract.label else None
    return tuple(map(str, declared.values or ())) if declared else ()


def _label_columns(contract: Contract, columns: Collection[str]) -> list[str]:
    """Name those of the columns that hold labels."""
    return [name for name in (contract.label, contract.attack) if name and name in columns]


def _label_column(contract: Contract, columns: Collection[str]) -> str | None:
    for column in (contract.label, contract.attack):
        if column is not None and column in columns:
            return column
    return None
