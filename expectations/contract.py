"""The description of a data source: its columns, declared once, and the rules that join them.

Belongs here: the types a contract is made of and what is derived from the declaration alone.
Does not belong here: any one source's columns (see ``nsl_kdd``) or the reading of files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

Role = Literal["feature", "label", "identifier", "ignored"]
"""What a column is for. Only features ever reach a model."""

Severity = Literal["required", "advisory"]
"""Whether a violation quarantines the row (required) or is only reported (advisory)."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One declared column of a data source."""

    name: str
    """Its name in files, frames and SQL."""
    dtype: "PolarsDataType"
    """Its polars type in the lake: ``Int64``, ``Float64`` or ``String``."""
    meaning: str
    """One sentence from the source's own documentation."""
    unit: str = ""
    """``s``, ``bytes``, ``connections``, ``ratio`` ...; empty for categories and flags."""
    resolution: float | None = None
    """Smallest difference between two numbers that means something: a power of ten, 1 of whole
    numbers. A float is read as the nearest multiple of it, and as it is where this is None."""
    role: Role = "feature"
    nullable: bool = False
    minimum: float | None = None
    """Smallest value allowed, inclusive; None for no bound."""
    maximum: float | None = None
    """Largest value allowed, inclusive; None for no bound."""
    values: tuple[str, ...] | tuple[int, ...] | None = None
    """The values known; None where the domain is open or a range."""
    severity: Severity = "required"
    """What a value outside the range or the known values does. A null or a value of the wrong
    type in a feature always quarantines the row: it cannot be scored."""

    @property
    def is_categorical(self) -> bool:
        """Whether the values are names rather than quantities."""
        return self.dtype == pl.String

    @property
    def is_flag(self) -> bool:
        """Whether 0 and 1 are declared values, which stand for no and yes."""
        return not self.is_categorical and {0, 1} <= set(self.values or ())


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A condition that joins columns of one row, and must hold in every row."""

    name: str
    """Snake case, unique in the contract; the name of the derived column that is checked."""
    columns: tuple[str, ...]
    """The columns it reads."""
    meaning: str
    """What the condition says, as an analyst would say it."""
    holds: pl.Expr
    """A boolean expression over ``columns``: true where the rule holds."""
    severity: Severity = "required"


@dataclass(frozen=True, kw_only=True)
class BatchBound:
    """Bounds on a whole batch. A required one that fails rejects the batch."""

    name: str
    """The profile statistic, as ``tasks.validation.validate`` names it."""
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "advisory"
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A data source: its columns in the order of headerless files, and its rules."""

    name: str
    title: str
    source: str
    """Where the declaration comes from: citation of the documentation."""
    columns: tuple[Column, ...]
    row_rules: tuple[RowRule, ...] = ()
    profile: tuple[BatchBound, ...] = ()
    label: str | None = None
    """The label column of a file with a header."""
    normal_label: str = "normal"
    """The value of a label that means "not an attack"."""
    attack: str | None = None
    """The column that names the attack type, where a file has one."""
    headerless: tuple[tuple[str, ...], ...] = ()
    """The column lists a file without a header may have, told apart by their length."""
    families: Mapping[str, str] | None = None
    """Attack name -> attack family."""
    techniques: Mapping[str, str] | None = None
    """Attack family -> the MITRE ATT&CK technique that all of it are, where there is one."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns that may reach a model, in declared order."""
        return tuple(column for column in self.columns if column.role == "feature")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in declared order."""
        return tuple(column.name for column in self.features)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole declaration: what was read under another one is read again."""
        declared = {one.name: getattr(self, one.name) for one in fields(self)}
        declared["row_rules"] = [
            # An expression's text cuts long lists short, and its repr names an address in memory;
            # its serialised form is whole and the same in every process.
            {one.name: getattr(rule, one.name) for one in fields(rule) if one.name != "holds"}
            | {"holds": rule.holds.meta.serialize(format="json")}
            for rule in self.row_rules
        ]
        for name in ("families", "techniques"):
            declared[name] = sorted((getattr(self, name) or {}).items())
        return hashlib.sha256(repr(declared).encode()).hexdigest()

    @cached_property
    def schema(self) -> Mapping[str, "PolarsDataType"]:
        """The reader's schema: every declared column and its polars type."""
        return {column.name: column.dtype for column in self.columns}
