"""What a labelled file says of its connections: attack or not, and which.

Belongs here: reading a contract's label and attack columns. Does not belong here: anything that
scores; labels are for training and metrics only.
"""

from collections.abc import Collection, Mapping

import polars as pl

from expectations.contract import Contract

OTHER_FAMILY = "other"
"""The family of an attack the contract's list does not know."""


def has_labels(contract: Contract, columns: Collection[str]) -> bool:
    """Tell whether a file with these columns says which connections are attacks."""
    return _label_column(contract, columns) is not None


def is_attack(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression that is true for attacks, and null where the label is.

    Args:
        contract: names the label column, and the attack column that stands in for it.
        columns: of the file, which must be labelled; see ``has_labels``.
    """
    column = _label_column(contract, columns)
    assert column is not None  # noqa: S101  # callers ask has_labels first
    return (pl.col(column) != contract.normal_label).alias("is_attack")


def attack_name(contract: Contract, columns: Collection[str]) -> pl.Expr:
    """Return the expression that names the attack, and is null where the file does not.

    Args:
        contract: names the attack column.
        columns: of the file; one without that column names no attack.
    """
    if contract.attack is None or contract.attack not in columns:
        return pl.lit(None, dtype=pl.String).alias("attack")
    name = pl.col(contract.attack)
    return pl.when(name != "").then(name).alias("attack")


def family_of(attack: str, families: Mapping[str, str]) -> str:
    """Return an attack's family."""
    return families.get(attack, OTHER_FAMILY)


def _label_column(contract: Contract, columns: Collection[str]) -> str | None:
    for column in (contract.label, contract.attack):
        if column is not None and column in columns:
            return column
    return None
