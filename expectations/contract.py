"""The classes of a contract: columns, the rules that join them, and bounds on a whole batch.

Belongs here: those classes, and what is derived only from a declaration. Does not belong here: the
columns of one source (``nsl_kdd``) or reading files.
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
"""The use of a column. Only features reach a model."""

Severity = Literal["required", "advisory"]
"""Whether a violation quarantines the row (``required``) or is only reported (``advisory``)."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a data source."""

    name: str
    """Its name in files, frames and SQL."""
    dtype: "PolarsDataType"
    """Its polars type in the lake: ``Int64``, ``Float64`` or ``String``."""
    meaning: str
    """One sentence from the source's own documentation."""
    unit: str = ""
    """``s``, ``bytes``, ``connections``, ``ratio`` ...; empty for categories and flags."""
    resolution: float | None = None
    """The smallest meaningful difference between two numbers, a power of ten; 1 for whole numbers.
    A float is rounded to the nearest multiple of it; None: floats are not rounded."""
    role: Role = "feature"
    nullable: bool = False
    minimum: float | None = None
    """The smallest allowed value, inclusive; None for no bound."""
    maximum: float | None = None
    """The largest allowed value, inclusive; None for no bound."""
    values: tuple[str, ...] | tuple[int, ...] | None = None
    """The known values; None if any value, or any in the range, is allowed."""
    severity: Severity = "required"
    """The effect of a value outside the range or the known values. A null, or a value of the wrong
    type, in a feature always quarantines the row, because it cannot be scored."""

    @property
    def is_categorical(self) -> bool:
        """Whether the values are texts, not numbers."""
        return self.dtype == pl.String

    @property
    def is_flag(self) -> bool:
        """Whether 0 and 1 are among the declared values, as no and yes."""
        return not self.is_categorical and {0, 1} <= set(self.values or ())


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A condition on several columns that must hold in every row."""

    name: str
    """Snake case, unique in the contract; also the name of the derived column that is checked."""
    columns: tuple[str, ...]
    """The columns that it reads."""
    meaning: str
    """The condition in the words of an analyst."""
    holds: pl.Expr
    """A boolean expression over ``columns``, true if the rule holds."""
    severity: Severity = "required"


@dataclass(frozen=True, kw_only=True)
class BatchBound:
    """Bounds on one statistic of a batch. A batch outside a required bound is rejected."""

    name: str
    """The statistic, as ``tasks.validation.batch_profile`` names it."""
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "advisory"
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A data source: its columns, in the order of a file without a header, and its rules."""

    name: str
    title: str
    source: str
    """The documentation that the declaration follows, as a citation."""
    columns: tuple[Column, ...]
    row_rules: tuple[RowRule, ...] = ()
    profile: tuple[BatchBound, ...] = ()
    label: str | None = None
    """The label column of a file with a header."""
    normal_label: str = "normal"
    """The label of a connection that is not an attack."""
    attack: str | None = None
    """The column with the name of the attack; None if the source has none."""
    headerless: tuple[tuple[str, ...], ...] = ()
    """The possible columns of a file without a header; their number tells them apart."""
    families: Mapping[str, str] | None = None
    """Attack -> family of attacks."""
    techniques: Mapping[str, str] | None = None
    """Family -> the MITRE ATT&CK technique that all its attacks share; families without one are
    left out."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model may use, in declared order."""
        return tuple(column for column in self.columns if column.role == "feature")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in declared order."""
        return tuple(column.name for column in self.features)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole declaration; if it changes, files are validated again."""
        declared = {one.name: getattr(self, one.name) for one in fields(self)}
        declared["row_rules"] = [
            # The text of an expression truncates long lists, and its repr has a memory address;
            # the serialised form is complete and the same in every process.
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
