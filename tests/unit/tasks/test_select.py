"""Selection picks encoded columns, is stored with the model, and decides what the trees read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.nsl_kdd import NSL_KDD
from tasks.detectors.classifier import Classifier
from tasks.holdout import TrainingOptions, fit_trees
from tasks.training_data import TrainingRows, read_training_rows


@pytest.fixture(scope="module")
def rows(training_part: Path) -> TrainingRows:
    return read_training_rows([training_part], NSL_KDD)


@pytest.fixture(scope="module")
def selected(rows: TrainingRows, tiny_options: TrainingOptions) -> Classifier:
    options = tiny_options.model_copy(update={"selection": "forest", "top_k": 6})
    return fit_trees(rows, np.ones(rows.count, dtype=np.bool_), options)


def test_the_columns_that_tell_attacks_apart_are_kept(selected: Classifier) -> None:
    assert selected.selection is not None
    assert len(selected.selection.columns) == 6
    assert {"src_bytes", "flag=SF"} <= set(selected.selection.columns)
    assert list(selected.selection.importances) == sorted(
        selected.selection.importances, reverse=True
    )


def test_the_trees_read_the_selected_columns_and_no_others(
    selected: Classifier, rows: TrainingRows
) -> None:
    encoded = selected.encoder.encode(rows.features)
    matrix = selected.matrix(encoded)
    assert matrix.shape == (rows.count, 6)
    assert selected.booster.num_feature() == 6
    assert selected.selection is not None
    names = selected.encoder.column_names
    for index, name in enumerate(selected.selection.columns):
        np.testing.assert_array_equal(matrix[:, index], encoded.neural[:, names.index(name)])


def test_a_feature_that_was_not_selected_cannot_move_the_score(
    selected: Classifier, make_connections: Callable[..., pl.DataFrame]
) -> None:
    frame = make_connections(12, seed=4)
    moved = frame.with_columns(pl.lit(0.77).alias("dst_host_rerror_rate"))
    kept = frame.with_columns(pl.lit("REJ").alias("flag"))
    encode = selected.encoder.encode
    assert selected.score(encode(moved)).tolist() == selected.score(encode(frame)).tolist()
    assert selected.score(encode(kept)).tolist() != selected.score(encode(frame)).tolist()


def test_a_selection_is_stored_with_the_classifier(
    selected: Classifier, rows: TrainingRows, tmp_path: Path
) -> None:
    selected.save(tmp_path)
    loaded = Classifier.load(tmp_path, selected.encoder)
    assert loaded.selection == selected.selection
    encoded = selected.encoder.encode(rows.features)
    assert loaded.score(encoded).tolist() == selected.score(encoded).tolist()


def test_reasons_of_selected_columns_name_their_features(
    selected: Classifier, rows: TrainingRows
) -> None:
    shares = selected.attribute(selected.encoder.encode(rows.features[:6])).shares
    used = {selected.encoder.features[index] for index in np.flatnonzero(shares.sum(axis=0))}
    assert selected.selection is not None
    assert used <= {name.partition("=")[0] for name in selected.selection.columns}
