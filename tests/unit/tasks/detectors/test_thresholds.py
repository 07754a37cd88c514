"""Thresholds: flagging above them, and the names of operating points.

Their choice for a night has its tests in ``tests/unit/tasks/evaluation/test_operating_points.py``.
"""

import polars as pl
import pytest

from expectations.errors import UsageError
from tasks.detectors.model import Model
from tasks.detectors.thresholds import flag


def test_only_a_score_above_the_threshold_is_flagged() -> None:
    scores = pl.DataFrame({"anomaly_score": [1.0, 2.0, 3.0], "classifier_score": [0.0, 0.1, -1.0]})
    assert flag(scores, "default", 2.0).to_list() == [False, False, True]
    assert flag(scores, "p50", 0.0).to_list() == [False, True, False]


def test_an_unknown_operating_point_is_refused(tiny_model: Model) -> None:
    with pytest.raises(UsageError, match="default, low_alert, p50"):
        tiny_model.card.thresholds.value("p90")
