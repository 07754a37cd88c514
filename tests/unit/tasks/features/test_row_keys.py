"""Keys of rows: equal features, equal key, in any frame and on any machine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from tasks.features.row_keys import RowKeys, hash_rows, read_row_keys

FRAME = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "x"], "c": [0.5, 0.25, 1e-9]})


def test_the_key_of_a_row_never_changes() -> None:
    assert hash_rows(FRAME).tolist() == KNOWN


KNOWN = [9400809060810762950, 13879436724372913381, 15811843620230688767]


def test_a_row_is_found_by_its_features_alone(tmp_path: Path) -> None:
    RowKeys.of(FRAME).save(tmp_path)
    keys = read_row_keys(tmp_path)
    assert keys is not None
    asked = FRAME.reverse().with_columns(a=pl.Series([None, 2, 1]), other=pl.lit("z"))
    assert keys.match(asked).to_list() == [True, True, True]
    assert keys.match(FRAME.with_columns(c=pl.col("c") + 1e-12)).to_list() == [False] * 3
    assert keys.match(FRAME.with_columns(b=pl.lit("y"))).to_list() == [False, True, False]
    assert read_row_keys(tmp_path / "none") is None


def test_zero_is_zero_of_either_sign() -> None:
    first, second = hash_rows(pl.DataFrame({"a": [0.0, -0.0]}))
    assert first == second


def test_values_do_not_run_into_each_other() -> None:
    frame = pl.DataFrame({"a": ["xy", "x"], "b": ["z", "yz"]})
    first, second = hash_rows(frame)
    assert first != second


def test_every_training_row_matches(make_connections: Callable[..., pl.DataFrame]) -> None:
    features = make_connections(500, seed=3).drop("row_number", "line_number", "class", "attack")
    keys = RowKeys.of(features)
    assert keys.match(features).all()
    assert not keys.match(make_connections(500, seed=4)).any()
    assert len(keys.keys) == len(np.unique(hash_rows(features)))
