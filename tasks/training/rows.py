"""The rows a model is fitted on: read, checked, and dealt into folds.

Belongs here: labelled rows, what is wrong with them, and which fold each belongs to. Does not
belong here: any model, or which attacks are held out (``attack_groups``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from expectations.contract import Column, Contract
from expectations.errors import TrainingDataError
from tasks.arrays import Mask
from tasks.evaluation.labels import (
    CORRECT_LABELS,
    WORDS_SHOWN,
    attack_name,
    find_unclear_labels,
    has_labels,
    holds_labels,
    is_attack,
)
from tasks.intake.label_words import ATTACK, IS_ATTACK
from tasks.intake.numerals import round_to_resolution
from tasks.wording import plural

MIN_DISTINCT = 50
"""Fewest different connections of each class that a model is fitted on. A guess: with fewer, the
tail of a fold would be fitted to a handful of normal rows. Without labels, fewest connections: a
scan makes thousands of flows of a few shapes, and they are ordinary traffic where they come each
night."""

MIN_SHAPES = 10
"""Fewest different connections without labels: one for each fold of the largest number of folds.
A model of so few knows little, and ``describe_rows`` says so."""


@dataclass(frozen=True)
class TrainingRows:
    """Labelled connections."""

    features: pl.DataFrame
    """One row per connection; the contract's features, in declared order."""
    columns: tuple[Column, ...]
    """The declarations of the features, in the same order."""
    is_attack: Mask
    """(n_rows,)."""
    attacks: npt.NDArray[np.str_] | None
    """(n_rows,), the attack's name; empty where the files name none, and for normal rows. None
    where they name no attack at all."""
    alike: npt.NDArray[np.intp]
    """(n_rows,), position of the first row with the same features."""
    rows_unlabelled: int
    """Rows of the files that are left out because they have no label."""
    is_labelled: bool = True
    """False where no file has labels; every row then counts as normal."""

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.is_attack)

    @property
    def attack_names(self) -> tuple[str, ...] | None:
        """The names of the attacks among the rows, sorted; None where the files name none."""
        if self.attacks is None:
            return None
        return tuple(sorted({str(name) for name in self.attacks[self.is_attack] if name}))

    def count_conflicts(self) -> int:
        """Count the rows whose features occur both in a normal row and in an attack."""
        attacks = np.bincount(self.alike, weights=self.is_attack, minlength=self.count)
        total = np.bincount(self.alike, minlength=self.count)
        conflicting = (attacks > 0) & (attacks < total)
        return int(total[conflicting].sum())

    def count_duplicates(self) -> int:
        """Count the rows that have the features of an earlier row."""
        return int((self.alike != np.arange(self.count)).sum())


def read_training_rows(parts: Sequence[Path], contract: Contract) -> TrainingRows:
    """Read the connections of all Parquet parts, in order.

    A row without a label is left out of labelled files. Where no part is labelled, all rows are
    treated as normal.

    Raises:
        TrainingDataError: some parts have labels and others none, or labels are not clear, one
            class of a labelled file is absent, or there are too few rows.
    """
    if not parts:
        message = "Cannot train: no files of connections were given. Name at least one."
        raise TrainingDataError(message)
    is_labelled = require_alike({str(part): [part] for part in parts}, contract)
    if is_labelled:
        require_clear("these files", parts, contract)
    every = pl.concat([_read_part(part, contract, is_labelled=is_labelled) for part in parts])
    frame = every.drop_nulls(IS_ATTACK)
    is_named = frame.select((pl.col(IS_ATTACK) & pl.col(ATTACK).is_not_null()).any()).item()
    alike = frame.with_row_index("_row").select(
        pl.col("_row").first().over(contract.feature_names).cast(pl.Int64)
    )
    rows = TrainingRows(
        features=frame.select(contract.feature_names),
        columns=contract.features,
        is_attack=frame[IS_ATTACK].to_numpy(),
        attacks=frame[ATTACK].fill_null("").to_numpy().astype(np.str_) if is_named else None,
        alike=alike.to_series().to_numpy().astype(np.intp),
        rows_unlabelled=every.height - frame.height,
        is_labelled=is_labelled,
    )
    _check(rows, contract)
    return rows


def require_alike(files: Mapping[str, Sequence[Path]], contract: Contract) -> bool:
    """Return whether files are labelled; refuse labelled files together with others.

    A file is labelled if it has a column of labels. Where all of these are empty, no row of any
    file has a label, and the files count as not labelled. ``files`` maps the name of a file, as the
    user knows it, to its accepted rows.

    Raises:
        TrainingDataError: some are labelled and some are not.
    """
    labelled = {
        name: all(has_labels(contract, pl.read_parquet_schema(part).keys()) for part in parts)
        for name, parts in files.items()
    }
    if len(set(labelled.values())) > 1:
        with_labels = next(name for name, one in labelled.items() if one)
        without = next(name for name, one in labelled.items() if not one)
        message = (
            f"Cannot train on {without} together with {with_labels}: the latter says which of its "
            "connections are attacks, the former does not. Train on the labelled "
            "files only, or on the others only with --unlabelled: then every connection counts"
            " as normal."
        )
        raise TrainingDataError(message)
    every = [part for parts in files.values() for part in parts]
    return all(labelled.values()) and holds_labels(every, contract)


def require_clear(file_name: str, parts: Sequence[Path], contract: Contract) -> None:
    """Refuse a labelled file whose labels could be misread.

    Raises:
        TrainingDataError: a label is not clear.
    """
    if unclear := find_unclear_labels(parts, contract):
        message = f"Cannot train on {file_name}: {unclear} {CORRECT_LABELS}"
        raise TrainingDataError(message)


def assign_folds(rows: TrainingRows, folds: int, seed: int) -> npt.NDArray[np.intp]:
    """Deal the rows into folds of about equal size and equal shares of attacks.

    Connections with the same features share a fold. Otherwise a model would be evaluated on copies
    of rows it was fitted on.

    Returns:
        (n_rows,), each row's fold, from 0.
    """
    return _deal(rows, seed) % folds


def assign_blocks(rows: TrainingRows, folds: int, blocks: int, seed: int) -> npt.NDArray[np.intp]:
    """Deal the rows of every fold into blocks.

    Within a fold, blocks are of about equal size and equal shares of attacks. Connections with the
    same features share a block.

    Returns:
        (n_rows,), each row's block, from 0; ``folds`` and ``seed`` are those of ``assign_folds``.
    """
    return _deal(rows, seed) // folds % blocks


def _deal(rows: TrainingRows, seed: int) -> npt.NDArray[np.intp]:
    """Return each row's place in the shuffled order of its class; copies share a place."""
    random = np.random.default_rng(seed)
    place = np.zeros(rows.count, dtype=np.intp)
    first = np.unique(rows.alike)
    for chosen in (first[rows.is_attack[first]], first[~rows.is_attack[first]]):
        place[random.permutation(chosen)] = np.arange(len(chosen))
    return place[rows.alike]


def _read_part(part: Path, contract: Contract, *, is_labelled: bool) -> pl.DataFrame:
    columns = pl.read_parquet_schema(part).keys()
    label = is_attack(contract, columns) if is_labelled else pl.lit(value=False).alias(IS_ATTACK)
    wanted = pl.scan_parquet(part).select(
        *contract.feature_names, label, attack_name(contract, columns)
    )
    # Earlier versions wrote parts without rounding.
    return round_to_resolution(wanted.collect(), contract.features)


def _check(rows: TrainingRows, contract: Contract) -> None:
    first = np.unique(rows.alike)
    attacks = int(rows.is_attack[first].sum())
    if not rows.is_labelled:
        if rows.count < MIN_DISTINCT or len(first) < MIN_SHAPES:
            message = (
                f"Cannot train: expected at least {MIN_DISTINCT} connections of contract"
                f" {contract.name!r}, {MIN_SHAPES} of them different, got"
                f" {plural(rows.count, 'connection')}, {len(first)} different. Name more files."
            )
            raise TrainingDataError(message)
        return
    for label, distinct in (("attack", attacks), ("normal", len(first) - attacks)):
        if distinct >= MIN_DISTINCT:
            continue
        only_normal = (
            ", or take the labels out and train with --unlabelled: all of it is normal traffic then"
            if label == "attack" and not attacks
            else ""
        )
        total = int(rows.is_attack.sum() if label == "attack" else (~rows.is_attack).sum())
        unlabelled = f"; {rows.rows_unlabelled} more have no label" if rows.rows_unlabelled else ""
        message = (
            f"Cannot train: expected at least {MIN_DISTINCT} different {label} connections of "
            f"contract {contract.name!r}, got {distinct} ({total} of {rows.count} rows are "
            f"{label}; {_describe_words(contract)}{unlabelled}), and no earlier training file of"
            f" it has enough. Name a file that has them besides{only_normal}."
        )
        raise TrainingDataError(message)


def _describe_words(contract: Contract) -> str:
    """Return in words which labels mean normal and which an attack."""
    normal = contract.labels.normal if contract.labels else ()
    attacks = contract.labels.attacks if contract.labels else ()
    means_normal = " or ".join(map(repr, normal[:WORDS_SHOWN])) or "nothing"
    means_attack = " or ".join(map(repr, attacks[:WORDS_SHOWN])) or "anything else"
    return f"{means_normal} is normal, {means_attack} an attack"
