"""Stand-ins: what takes the place of the dear libraries while thousands of files go by.

Belongs here: Great Expectations as a plain reading of the contract, and a model whose scores are a
hash of the row. Does not belong here: the path of a file around them (see ``workbench``).

Everything else of the stages is the real code: what is replaced is the one class that asks Great
Expectations and the one function that loads a model; and two habits that cost more than a small
file is worth, the compiling of a page's template for each page, and the indenting of receipts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import jinja2
import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

import storage.lake
import tasks.scoring.explain
import tasks.scoring.score
import tasks.validation.row_checks
import tasks.validation.validate
from expectations.nsl_kdd import NSL_KDD
from expectations.suites import BETWEEN, IN_SET, ColumnExpectation, SuiteName
from tasks.detectors.family import FAMILY_SCHEMA
from tests.support.oracles.row_oracle import failed_checks, is_missing

THRESHOLD: Final = 6.4
"""Of a score between 0 and 8: a fifth of the rows is flagged, so that most small files have one."""
MOST_REASONS: Final = 2


class PlainSuite:
    """Takes the place of ``SuiteRunner``."""

    def __init__(self, name: SuiteName, checks: Sequence[ColumnExpectation]) -> None:
        """Keep the checks; a check is known by its ordinal."""
        self._checks = tuple(checks)
        self._is_of_rows = name == "rows"
        self._ordinals = {(one.column, one.expectation): i for i, one in enumerate(checks)}
        self._columns = [name for name in NSL_KDD.by_name if any(c.column == name for c in checks)]

    def find_failures(self, frame: pd.DataFrame) -> Mapping[int, NDArray[np.int64]]:
        """Return the positions of the failing rows for each check that failed."""
        if not self._is_of_rows:
            row = frame.iloc[0]
            failed = [i for i, one in enumerate(self._checks) if _is_broken(one, row[one.column])]
            return {ordinal: np.zeros(1, np.int64) for ordinal in failed}
        found: dict[int, list[int]] = {}
        columns = [_as_python(frame[name]) for name in self._columns]
        for position, values in enumerate(zip(*columns, strict=True)):
            for check in failed_checks(dict(zip(self._columns, values, strict=True))):
                found.setdefault(self._ordinals[check], []).append(position)
        return {ordinal: np.array(found[ordinal], np.int64) for ordinal in sorted(found)}


def _as_python(column: "pd.Series[Any]") -> list[Any]:
    """Return a column's values; names without a value are NaN in pandas."""
    values = column.tolist()
    if column.dtype != "category":
        return values
    return [None if is_missing(value) else value for value in values]


def _is_broken(check: ColumnExpectation, value: Any) -> bool:  # noqa: ANN401 - a statistic of any type
    """Tell whether a statistic fails a check; one without a value fails none."""
    if is_missing(value):
        return False
    if check.expectation == IN_SET:
        return value not in (check.values or ())  # noqa: PD011 - of a check, not of pandas
    assert check.expectation == BETWEEN
    is_low = check.minimum is not None and value < check.minimum
    return is_low or (check.maximum is not None and value > check.maximum)


@dataclass(frozen=True)
class Attribution:
    """Which features raised a score, as the explaining asks for it."""

    shares: NDArray[np.float64]
    expected: NDArray[np.float64]


@dataclass(frozen=True)
class HashingMember:
    """One of the model's two detectors; it holds against a row what its position says."""

    name: str
    reason_name: str

    def attribute(self, encoded: pl.DataFrame) -> Attribution:
        """Give the first features of each row as the reasons."""
        shares = np.zeros(encoded.shape)
        shares[:, :MOST_REASONS] = 0.5
        return Attribution(shares, np.zeros(encoded.shape))


class PlainEncoder:
    """What scoring and explaining ask of the encoder."""

    categories = ()
    features = NSL_KDD.feature_names

    def deviations(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Take every number's distance from zero for that from what is usual."""
        numbers = [column.name for column in NSL_KDD.features if not column.is_categorical]
        return frame.select(pl.col(numbers).cast(pl.Float64)).to_numpy()

    def count_unseen(self, frame: pl.DataFrame) -> Mapping[str, pl.DataFrame]:  # noqa: ARG002
        """Have seen every category."""
        return {}

    def encode(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Leave the features as they are."""
        return frame.select(NSL_KDD.feature_names)

    def render(self, feature: str, expected: float) -> str:
        """Write what was expected."""
        return f"{feature} {expected:g}"


class PlainThresholds:
    """What scoring asks of the thresholds."""

    def value(self, operating_point: str) -> float:  # noqa: ARG002
        """Return the score above which a row is flagged."""
        return THRESHOLD

    def target_flag_rate(self, operating_point: str) -> float:  # noqa: ARG002
        """Return the share of rows that is flagged."""
        return 0.2


class PlainCard:
    """What scoring asks of the model's card."""

    contract = NSL_KDD.name
    thresholds = PlainThresholds()


class HashingModel:
    """Takes the place of a fitted model: a row's scores depend on its features, and on no other."""

    card = PlainCard()
    encoder = PlainEncoder()
    features = NSL_KDD.feature_names
    members = (HashingMember("classifier", "classifier"), HashingMember("one_class", "autoencoder"))

    def name_families(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Name no family."""
        return FAMILY_SCHEMA.to_frame().clear(frame.height)

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score rows from 0 to 8, evenly."""
        hashed = frame.select(NSL_KDD.feature_names).hash_rows(seed=1)
        share = (hashed % 2**20).cast(pl.Float64) / 2**20
        return pl.DataFrame(
            {
                "classifier_score": share * 10 - 5,
                "one_class_score": share,
                "classifier_tail": share * 4,
                "one_class_tail": share * 4,
                "anomaly_score": share * 8,
            }
        )


def _shared_environment(**options: Any) -> jinja2.Environment:  # noqa: ANN401 - jinja's own
    """Keep one environment for all pages: with one of its own each is compiled for 25 ms."""
    if not _kept:
        _kept.append(_Environment(**options))
    return _kept[0]


_PLAIN_JSON: Final = SimpleNamespace(**vars(json))
_PLAIN_JSON.dumps = lambda value, **_: json.dumps(value)  # indented, it is not done in C

_Environment: Final = jinja2.Environment
_kept: Final[list[jinja2.Environment]] = []


@contextmanager
def stand_in_models() -> Iterator[None]:
    """Let every model that is loaded in the block be the hashing one, and spare what is dear."""
    model = HashingModel()
    with (
        mock.patch.object(storage.lake, "json", _PLAIN_JSON),
        mock.patch.object(tasks.scoring.score, "load_model", return_value=model),
        mock.patch.object(tasks.scoring.explain, "load_model", return_value=model),
        mock.patch.object(jinja2, "Environment", _shared_environment),
    ):
        yield


@contextmanager
def stand_in_suites() -> Iterator[None]:
    """Let validation in the block be done by plain Python."""
    with (
        mock.patch.object(tasks.validation.row_checks, "SuiteRunner", PlainSuite),
        mock.patch.object(tasks.validation.validate, "SuiteRunner", PlainSuite),
    ):
        yield
