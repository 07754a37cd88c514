"""A selection is fitted on training rows, stored with the model, and gives a detector's inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expectations.errors import UsageError
from tasks.arrays import Matrix
from tasks.detectors.member import Member
from tasks.features.encoding import Encoder
from tasks.features.names import SELECTIONS, SelectionName
from tasks.features.selection import (
    ColumnProjection,
    ColumnSubset,
    Selection,
    fit_selection,
    load_selection,
)
from tasks.training.members import fit_encoder, fit_supervised
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows, read_training_rows
from tests.support.sources import NSL_KDD

SIZE = 6


@pytest.fixture(scope="module")
def rows(training_part: Path) -> TrainingRows:
    return read_training_rows([training_part], NSL_KDD)


@pytest.fixture(scope="module")
def encoder(rows: TrainingRows) -> Encoder:
    return fit_encoder(rows, np.ones(rows.count, dtype=np.bool_))


@pytest.fixture(scope="module")
def neural(rows: TrainingRows, encoder: Encoder) -> Matrix:
    return encoder.encode(rows.features).neural


def fit(method: SelectionName, rows: TrainingRows, encoder: Encoder, threads: int = 1) -> Selection:
    neural = encoder.encode(rows.features).neural
    size = None if method == "uncorrelated" else SIZE
    names = encoder.column_names
    return fit_selection(method, neural, rows.is_attack, names, 3, size, threads)


@pytest.fixture(scope="module", params=[name for name in SELECTIONS if name != "none"])
def selection(request: pytest.FixtureRequest, rows: TrainingRows, encoder: Encoder) -> Selection:
    return fit(request.param, rows, encoder)


def test_a_selection_gives_as_many_columns_as_it_names(
    selection: Selection, neural: Matrix
) -> None:
    read = selection.transform(neural)
    assert read.dtype == np.float32
    assert read.shape == (len(neural), len(selection.names))
    assert read.flags.c_contiguous
    if selection.method != "uncorrelated":
        assert len(selection.names) == SIZE


def test_selected_columns_of_a_row_do_not_depend_on_other_rows(
    selection: Selection, neural: Matrix
) -> None:
    whole = selection.transform(neural)
    for size in (1, 7, 64):
        parts = [selection.transform(neural[at : at + size]) for at in range(0, 128, size)]
        assert np.concatenate(parts)[:128].tobytes() == whole[:128].tobytes()


def test_a_stored_selection_reads_the_same(
    selection: Selection, neural: Matrix, tmp_path: Path
) -> None:
    selection.save(tmp_path, "classifier-selection")
    loaded = load_selection(tmp_path, "classifier-selection")
    assert (loaded.method, loaded.names) == (selection.method, selection.names)
    assert loaded.transform(neural).tobytes() == selection.transform(neural).tobytes()


def test_the_same_rows_and_seed_give_the_same_files(
    selection: Selection, rows: TrainingRows, encoder: Encoder, tmp_path: Path
) -> None:
    again = fit(selection.method, rows, encoder, threads=2)
    files = []
    for number, one in enumerate((selection, again)):
        (tmp_path / str(number)).mkdir()
        one.save(tmp_path / str(number), "s")
        files.append({path.name: path.read_bytes() for path in (tmp_path / str(number)).iterdir()})
    assert files[0] == files[1]


@pytest.mark.parametrize("method", ["forest", "rfe"])
def test_the_columns_that_separate_attacks_are_kept(
    method: SelectionName, rows: TrainingRows, encoder: Encoder
) -> None:
    kept = fit(method, rows, encoder)
    assert {"src_bytes", "flag=SF"} <= set(kept.names)


def test_a_forest_ranks_the_columns_it_keeps(rows: TrainingRows, encoder: Encoder) -> None:
    kept = fit("forest", rows, encoder)
    assert isinstance(kept, ColumnSubset)
    assert list(kept.importances) == sorted(kept.importances, reverse=True)


def test_principal_components_are_those_of_the_covariance(
    rows: TrainingRows, encoder: Encoder, neural: Matrix
) -> None:
    made = fit("pca", rows, encoder)
    assert isinstance(made, ColumnProjection)
    centred = neural.astype(np.float64) - neural.mean(axis=0, dtype=np.float64)
    variances = np.linalg.eigvalsh(centred.T @ centred / len(centred))[::-1]
    np.testing.assert_allclose(made.shares, variances[:SIZE] / variances.sum(), rtol=1e-6)
    np.testing.assert_allclose(made.transform(neural).var(axis=0), variances[:SIZE], rtol=1e-3)


def test_of_correlated_columns_the_first_is_kept() -> None:
    random = np.random.default_rng(0)
    first, other = random.normal(size=(2, 400))
    inputs = np.column_stack([first, np.ones(400), -2 * first, other]).astype(np.float32)
    kept = fit_selection("uncorrelated", inputs, other > 0, ["a", "constant", "-2 a", "b"], 0)
    assert kept.names == ("a", "b")


def test_a_size_is_refused_where_the_method_finds_it_itself(neural: Matrix) -> None:
    is_attack = np.arange(len(neural)) % 2 == 0
    with pytest.raises(UsageError, match="it finds its number of columns itself"):
        fit_selection("uncorrelated", neural, is_attack, ["x"] * neural.shape[1], 0, size=3)


# A classifier that reads a selection


@pytest.fixture(scope="module")
def selected(rows: TrainingRows, tiny_options: TrainingOptions) -> Member:
    options = tiny_options.model_copy(update={"selection": "forest", "top_k": SIZE})
    return fit_supervised(rows, np.ones(rows.count, dtype=np.bool_), options)


def test_a_feature_that_was_not_selected_cannot_move_the_score(
    selected: Member, make_connections: Callable[..., pl.DataFrame]
) -> None:
    frame = make_connections(12, seed=4)
    moved = frame.with_columns(pl.lit(0.77).alias("dst_host_rerror_rate"))
    kept = frame.with_columns(pl.lit("REJ").alias("flag"))
    encode = selected.encoder.encode
    assert selected.score(encode(moved)).tolist() == selected.score(encode(frame)).tolist()
    assert selected.score(encode(kept)).tolist() != selected.score(encode(frame)).tolist()


def test_a_selection_is_stored_with_the_classifier(
    selected: Member, rows: TrainingRows, tmp_path: Path
) -> None:
    card = selected.save(tmp_path)
    loaded = Member.load(tmp_path, "classifier", card, selected.encoder, selected.typical)
    encoded = selected.encoder.encode(rows.features)
    assert loaded.score(encoded).tolist() == selected.score(encoded).tolist()


def test_reasons_of_selected_columns_name_their_features(
    selected: Member, rows: TrainingRows
) -> None:
    shares = selected.attribute(selected.encoder.encode(rows.features[:6])).shares
    used = {selected.encoder.features[index] for index in np.flatnonzero(shares.sum(axis=0))}
    assert selected.selection is not None
    assert used <= {name.partition("=")[0] for name in selected.selection.names}


def test_reasons_of_projections_name_features_that_are_not_typical(
    rows: TrainingRows,
    tiny_options: TrainingOptions,
    make_connections: Callable[..., pl.DataFrame],
) -> None:
    options = tiny_options.model_copy(update={"selection": "pca", "top_k": SIZE})
    member = fit_supervised(rows, np.ones(rows.count, dtype=np.bool_), options)
    attacks = make_connections(60, seed=4).filter(pl.col("attack") == "neptune")
    encoded = member.encoder.encode(attacks)
    shares = member.attribute(encoded).shares
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares[encoded.ordinal == member.typical.ordinal] == 0).all()
