"""Stand-ins for the slow libraries, so that thousands of files can be processed.

Belongs here: a suite that asks pandas in place of Great Expectations, and a model whose scores are
a hash of the row. Does not belong here: the stages around them (see ``pipeline``).

All other code of the stages is the real one. Replaced are the class that runs Great Expectations,
the function that loads a model, and the indentation of receipts: it costs more than a small file.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

import flows.batch
import storage.lake
import tasks.scoring.explain
import tasks.scoring.score
import tasks.validation.row_checks
import tasks.validation.validate
from expectations.suites import BETWEEN, IN_SET, NOT_NULL, ColumnExpectation, SuiteName
from tasks.detectors.family import FAMILY_SCHEMA
from tasks.detectors.member import Attribution
from tests.support.sources import NSL_KDD

THRESHOLD: Final = 6.4
"""Of scores from 0 to 8: a fifth of the rows is flagged, so most small files have a flagged row."""
MOST_REASONS: Final = 2


class PandasSuite:
    """Takes the place of ``SuiteRunner``: asks pandas each expectation of a suite."""

    def __init__(self, _: SuiteName, checks: Sequence[ColumnExpectation]) -> None:
        """Keep the expectations; each is known by its position."""
        self._checks = tuple(checks)

    def find_failures(self, frame: pd.DataFrame) -> Mapping[int, NDArray[np.intp]]:
        """Return the positions of the failing rows for each expectation that failed."""
        failures = {}
        for ordinal, check in enumerate(self._checks):
            failing = np.flatnonzero(_find_failing(check, frame[check.column]))
            if failing.size:
                failures[ordinal] = failing
        return failures


def _find_failing(check: ColumnExpectation, values: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Return which values fail an expectation; a missing one fails only ``NOT_NULL``."""
    is_missing = values.isna().to_numpy()
    if check.expectation == NOT_NULL:
        return is_missing
    if check.expectation == IN_SET:
        return ~is_missing & ~values.isin(check.values or ()).to_numpy()  # noqa: PD011 - of the expectation
    assert check.expectation == BETWEEN
    low = -np.inf if check.minimum is None else check.minimum
    high = np.inf if check.maximum is None else check.maximum
    return ~is_missing & ~values.between(low, high).to_numpy()


@dataclass(frozen=True)
class HashingMember:
    """One of the two detectors of the model."""

    name: str
    reason_name: str

    def attribute(self, encoded: pl.DataFrame) -> Attribution:
        """Return the first features of each row as the reasons."""
        shares = np.zeros(encoded.shape)
        shares[:, :MOST_REASONS] = 0.5
        return Attribution(shares, np.zeros(encoded.shape))


class PlainEncoder:
    """The encoder, as far as scoring and explaining use it."""

    categories = ()
    features = NSL_KDD.feature_names

    def deviations(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Return the numeric columns: their distance from zero."""
        numbers = [column.name for column in NSL_KDD.features if not column.is_categorical]
        return frame.select(pl.col(numbers).cast(pl.Float64)).to_numpy()

    def count_unseen(self, frame: pl.DataFrame) -> Mapping[str, pl.DataFrame]:  # noqa: ARG002
        """Return no value: every category counts as seen in training."""
        return {}

    def encode(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the features unchanged."""
        return frame.select(NSL_KDD.feature_names)

    def render(self, feature: str, expected: float) -> str:
        """Return an expected value as text."""
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
    """The model's card, as far as scoring uses it."""

    contract = NSL_KDD.name
    thresholds = PlainThresholds()


class HashingModel:
    """Takes the place of a fitted model: the scores of a row are a hash of its features."""

    card = PlainCard()
    encoder = PlainEncoder()
    features = NSL_KDD.feature_names
    members = (HashingMember("classifier", "classifier"), HashingMember("one_class", "autoencoder"))

    def name_families(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return no family."""
        return FAMILY_SCHEMA.to_frame().clear(frame.height)

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return scores that are spread evenly from 0 to 8."""
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


_PLAIN_JSON: Final = SimpleNamespace(**vars(json))
_PLAIN_JSON.dumps = lambda value, **_: json.dumps(value)  # the C encoder cannot indent


@contextmanager
def stand_in_models() -> Iterator[None]:
    """Load the hashing model in place of every other, and skip the slow steps, within the block."""
    model = HashingModel()
    with (
        mock.patch.object(storage.lake, "json", _PLAIN_JSON),
        mock.patch.object(flows.batch, "require_contract"),  # it reads the model's files
        mock.patch.object(tasks.scoring.score, "require_contract"),
        mock.patch.object(tasks.scoring.score, "load_model", return_value=model),
        mock.patch.object(tasks.scoring.explain, "load_model", return_value=model),
    ):
        yield


@contextmanager
def stand_in_suites() -> Iterator[None]:
    """Validate with pandas in place of Great Expectations, within the block."""
    with (
        mock.patch.object(tasks.validation.row_checks, "SuiteRunner", PandasSuite),
        mock.patch.object(tasks.validation.validate, "SuiteRunner", PandasSuite),
    ):
        yield
