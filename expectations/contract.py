"""The classes of a contract: columns, the rules that join them, and bounds on a whole batch.

Belongs here: those classes, and what is derived only from a declaration. Does not belong here: the
page of one source, reading a page, or reading files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import polars as pl
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from expectations.rules import compile_rule, find_columns

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

Role = Literal["feature", "label", "identifier", "ignored"]
"""The use of a column. Only features reach a model."""

Severity = Literal["required", "advisory"]
"""Whether a violation quarantines the row (``required``) or is only reported (``advisory``)."""

Kind = Literal[
    "number", "count", "ratio", "flag", "category", "set", "time", "interval", "address", "port",
    "protocol", "id",
]  # fmt: skip
"""What the values of a column are:

- ``number``: any number; ``ratio``: a number, as a rule from 0 to 1; ``interval``: a length of
  time in seconds;
- ``count``: a whole number of things; ``flag``: 0 or 1; ``port``: a whole number up to 65,535;
- ``category``: one of some names; ``protocol``: the name of a transport protocol, in lower case;
  ``set``: several names, whose order means nothing;
- ``time``: a moment, in UTC; ``address``: an IP address, or another name of a host; ``id``: a text
  that tells one connection from another.
"""

DTYPES: Final[Mapping[Kind, "PolarsDataType"]] = {
    "number": pl.Float64(),
    "count": pl.Int64(),
    "ratio": pl.Float64(),
    "flag": pl.Int64(),
    "category": pl.String(),
    "set": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "interval": pl.Float64(),
    "address": pl.String(),
    "port": pl.Int64(),
    "protocol": pl.String(),
    "id": pl.String(),
}
"""The polars type of each kind in the lake. A set is a text: its names in order, with commas."""

IDENTIFIER_KINDS: Final = frozenset({"time", "address", "port", "id"})
"""Kinds that no model gets: they tell who and when, and a model would learn them by heart."""

_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Column:
    """One column of a data source."""

    name: str
    """Its name in frames, messages and SQL."""
    kind: Kind
    sources: tuple[str, ...] = ()
    """Its names in files, beside ``name``; see ``tasks.intake.header`` for how names are
    compared."""
    meaning: str
    """One sentence from the source's own documentation."""
    unit: str = ""
    """``s``, ``bytes``, ``connections``, ``ratio`` ...; empty for categories and flags."""
    scale: float = 1.0
    """The factor from a number in the file to ``unit``: .001 where the file has milliseconds."""
    formats: tuple[str, ...] = ()
    """How a time is written; the first that fits counts: ``iso``, ``epoch`` with ``_s``, ``_ms``,
    ``_us`` or ``_ns``, or a pattern of ``strptime`` such as ``%d/%m/%Y %H:%M``. Empty: ``iso``, or
    seconds since 1970. Of an interval: empty for a number, or ``clock`` for ``01:02:03.5``."""
    zone: str = "UTC"
    """The zone of times that do not name theirs, as in the IANA database."""
    first_hour: int | None = None
    """Set where times have 12 hours and no am or pm: the earliest hour of the morning. Earlier
    hours are in the afternoon."""
    separator: str = ","
    """What stands between the names of a set."""
    resolution: float | None = None
    """The smallest meaningful difference between two numbers, a power of ten; 1 for whole numbers.
    A float is rounded to the nearest multiple of it; None: floats are not rounded."""
    role: Role = "feature"
    nullable: bool = False
    optional: bool = False
    """Whether a file may lack the column. Only features can be needed."""
    minimum: float | None = None
    """The smallest allowed value, inclusive; None for no bound."""
    maximum: float | None = None
    """The largest allowed value, inclusive; None for no bound."""
    values: tuple[int, ...] | tuple[str, ...] | None = None
    """The known values; None if any value, or any in the range, is allowed."""
    severity: Severity = "required"
    """The effect of a value outside the range or the known values. A null, or a value of the wrong
    type, in a feature that is not nullable always quarantines the row."""

    @property
    def dtype(self) -> "PolarsDataType":
        """Its polars type in the lake."""
        return DTYPES[self.kind]

    @property
    def is_categorical(self) -> bool:
        """Whether the values are texts, not numbers."""
        return self.dtype == pl.String

    @property
    def is_flag(self) -> bool:
        """Whether 0 and 1 are among the declared values, as no and yes."""
        return self.kind == "flag" or (not self.is_categorical and {0, 1} <= set(self.values or ()))


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class RowRule:
    """A condition on several columns that must hold in every row."""

    name: str
    """Snake case, unique in the contract; also the name of the derived column that is checked."""
    meaning: str
    """The condition in the words of an analyst."""
    holds: str
    """The condition as SQL, in the language of ``expectations.rules``. Unknown, because a value is
    null, counts as kept."""
    severity: Severity = "required"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return find_columns(self.holds)

    @cached_property
    def expression(self) -> pl.Expr:
        """The condition as a boolean expression of polars."""
        return compile_rule(self.holds)


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class BatchBound:
    """Bounds on one statistic of a batch. A batch outside a required bound is rejected."""

    name: str
    """The statistic, as ``tasks.validation.batch_profile`` names it."""
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "advisory"
    meaning: str = ""

    @property
    def column(self) -> str | None:
        """The column that the statistic is of; None if it is of the whole batch."""
        _, _, subject = self.name.partition(".")
        is_whole = not subject or self.name == "null_ratio.highest"
        return None if is_whole else subject.partition(".")[0]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Form:
    """How the files of a source are written. Compression is told from the file."""

    kind: Literal["text", "json"] = "text"
    """``text``: lines of fields; ``json``: a JSON object on each line. A Parquet file is read under
    either."""
    separators: tuple[str, ...] = (",",)
    """What may stand between two fields of a line; one file has one of them. ``blanks`` is any
    number of blanks."""
    has_quotes: bool = True
    """Whether a field may be in double quotes, by RFC 4180."""
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    """How a line that is no UTF-8 is decoded; ``utf-8``: such a line is quarantined."""
    header: Literal["names", "ignored"] = "names"
    """Whether the header names the columns, or is passed over because it is not the data's."""
    orders: tuple[tuple[str, ...], ...] = ()
    """The possible columns of a file whose header does not name them; their number tells them
    apart. An undeclared name is a field that is not read."""
    repeated: Literal["refused", "first"] = "refused"
    """What is done if several columns have one name: the file is refused, or the first is read."""
    comment: str | None = None
    """How a line begins that is no row."""
    trailer: str | None = None
    """How the first of some closing lines begins, which are no rows."""
    trailer_lines: int = 1
    """The number of those lines."""
    nulls: tuple[str, ...] = ()
    """How a missing value is written, beside an empty field."""
    non_finite: Literal["quarantined", "null"] = "quarantined"
    """What infinity and NaN in a file are."""
    records: Mapping[str, str] | None = None
    """Which records of a mixed file count: their value in each of these fields. None: all."""


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Labels:
    """Which column says what a connection was, and how its values are read.

    A value in ``normal``, ``attacks``, ``ignored`` or ``families`` may have ``*`` for any
    characters. Of several that fit, one without ``*`` counts before one with it, and then the
    longer one. Blanks around a value never count.
    """

    column: str
    """The declared column, of role ``label``."""
    normal: tuple[str, ...]
    """Values that mean normal; the first is the word that messages use."""
    attacks: tuple[str, ...] = ()
    """Values that mean an attack. Empty: all that mean neither normal nor nothing."""
    ignored: tuple[str, ...] = ()
    """Values that mean neither."""
    names: str | None = None
    """The declared column, of role ``label``, with the name of the attack; None: the values of
    ``column`` name it, if anything does."""
    prefix: str = ""
    """What is removed from the beginning of a value."""
    strip: str = ""
    """Characters that are removed from both ends of a value, besides blanks."""
    folds_case: bool = True
    """Whether upper and lower case letters are the same."""
    families: Mapping[str, str] | None = None
    """Attack -> family of attacks."""
    techniques: Mapping[str, str] | None = None
    """Family -> the MITRE ATT&CK technique that all its attacks share; families without one are
    left out."""


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Contract:
    """A data source: its form, its columns, its labels and its rules."""

    name: str
    title: str
    source: str
    """The documentation that the declaration follows, as a citation."""
    form: Form = Form()
    match: tuple[str, ...] = ()
    """Names in a header by which a file of this source is recognised; empty: its features."""
    columns: tuple[Column, ...]
    row_rules: tuple[RowRule, ...] = ()
    profile: tuple[BatchBound, ...] = ()
    labels: Labels | None = None
    """None: the source has no labels, so models are trained on its traffic alone."""

    @property
    def label(self) -> str | None:
        """The label column of a labelled file."""
        return self.labels.column if self.labels else None

    @property
    def attack(self) -> str | None:
        """The column with the name of the attack; None if the source has none."""
        return self.labels.names if self.labels else None

    @property
    def families(self) -> Mapping[str, str] | None:
        """Attack -> family of attacks."""
        return self.labels.families if self.labels else None

    @property
    def techniques(self) -> Mapping[str, str] | None:
        """Family -> the MITRE ATT&CK technique that all its attacks share."""
        return self.labels.techniques if self.labels else None

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
    def identifiers(self) -> tuple[Column, ...]:
        """The columns that tell who and when, in declared order."""
        return tuple(column for column in self.columns if column.role == "identifier")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole declaration; if it changes, files are validated again."""
        declared = [(one.name, getattr(self, one.name)) for one in fields(self)]
        return hashlib.sha256(repr(declared).encode()).hexdigest()

    @cached_property
    def feature_fingerprint(self) -> str:
        """SHA-256 of what decides the numbers that a model gets; a model fits one value of it."""
        decisive = [
            (one.name, one.kind, one.unit, one.scale, one.resolution, one.nullable, one.separator)
            for one in self.features
        ]
        declared = (decisive, self.form.nulls, self.form.non_finite)
        return hashlib.sha256(repr(declared).encode()).hexdigest()

    @cached_property
    def schema(self) -> Mapping[str, "PolarsDataType"]:
        """The reader's schema: every declared column and its polars type."""
        return {column.name: column.dtype for column in self.columns}
