"""The best single feature is found, and a text is not flattered by its own rows."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from tasks.evaluation.single_feature import find_best_feature, rank_feature
from tests.support.sources import column

ATTACK = np.array([False, False, False, True, True, True])
FOLD = np.array([0, 1, 0, 1, 0, 1])


def test_the_best_feature_is_named_whichever_way_its_values_go() -> None:
    frame = pl.DataFrame({"noise": [1, 2, 1, 2, 1, 2], "ttl": [9, 8, 7, 3, 2, 8]})
    found = find_best_feature(frame, [column(name, "count") for name in frame.columns], ATTACK)
    assert found is not None
    assert found.feature == "ttl"
    assert found.roc_auc == pytest.approx(1 - roc_auc_score(ATTACK, frame["ttl"]))


def test_a_null_is_below_all_numbers() -> None:
    values = pl.Series([None, None, 0, 1, 2, 3])
    assert rank_feature(values, column("a", "count"), ATTACK, FOLD) == 1


def test_a_text_ranks_by_the_attacks_of_other_parts() -> None:
    states = pl.Series(["ok", "ok", "bad", "bad", "bad", None])
    assert rank_feature(states, column("a", "category"), ATTACK, FOLD) == pytest.approx(6.5 / 9)
    random = np.random.default_rng(1)
    is_attack = random.random(2_000) < 0.5
    every = pl.Series(map(str, range(2_000)))
    alone = rank_feature(every, column("a", "category"), is_attack, np.arange(2_000) % 4)
    assert alone == pytest.approx(0.5, abs=0.05)


def test_rows_of_one_class_have_no_best_feature() -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert find_best_feature(frame, [column("a", "count")], np.array([True, True])) is None
