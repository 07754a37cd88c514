"""Selections: the columns that a detector reads where it does not read all encoded columns.

Belongs here: the selections that have a name, and their stored form. Does not belong here: the
encoding, or the detector that reads the result.

``forest``, ``rfe`` and ``uncorrelated`` keep some columns; ``pca`` and ``autoencoder`` project all
columns on new ones. In both cases a row's inputs depend on that row alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from expectations.errors import UsageError
from tasks.arrays import Floats, Mask, Matrix, Positions
from tasks.features.names import SelectionName
from tasks.networks.graphs import DenseGraph, join_layers
from tasks.networks.training import fold_network, import_keras

SIZES: dict[str, int] = {"forest": 50, "rfe": 50, "pca": 50, "autoencoder": 25}
"""Default number of columns of a selection: as in the figures of its method. The other selections
have no fixed number."""

FOREST_TREES = 100
"""Trees of the ranking forest: scikit-learn's default, and as in the figures of the method."""

RFE_STEP = 0.1
"""Share of all columns that each round of elimination removes. A guess: that takes a dozen forests;
to remove one column at a time would take a forest for each column."""

MAX_CORRELATION = 0.95
"""Largest correlation, of either sign, of two kept columns. A guess: the second column of a
stronger pair gives a tree no new information."""

CODE_LAYERS = (100, 50)
"""Widths of the encoder before the codes, as in the figures of the method."""

CODE_EPOCHS, CODE_BATCH_ROWS, CODE_STEPS = 100, 1_024, 2_500
"""Training of the codes: as in the figures of the method. The limit of steps, for large files, is a
guess."""


class Selection(Protocol):
    """Makes a detector's inputs from encoded rows."""

    @property
    def method(self) -> SelectionName:
        """Its name, such as ``pca``."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        ...

    def transform(self, inputs: Matrix) -> Matrix:
        """Return its columns of encoded rows, (n_rows, width) to (n_rows, n_selected)."""
        ...

    def save(self, folder: Path, stem: str) -> None:
        """Write ``<stem>.json``, and ``<stem>.onnx`` for a projection."""
        ...


@dataclass(frozen=True)
class ColumnSubset:
    """Some of the encoded columns."""

    method: SelectionName
    positions: Positions
    """(n_selected,), the position of each among the encoded columns."""
    names: tuple[str, ...]
    """Such as ``src_bytes`` or ``service=http``; the most important first for ``forest``."""
    importances: tuple[float, ...] = ()
    """Mean decrease in impurity of each; all columns of the encoding would sum to 1."""

    def transform(self, inputs: Matrix) -> Matrix:
        """Return the columns."""
        return np.ascontiguousarray(inputs[:, self.positions])

    def save(self, folder: Path, stem: str) -> None:
        """Write the columns as JSON."""
        state = {
            "method": self.method,
            "positions": self.positions.tolist(),
            "columns": self.names,
            "importances": self.importances,
        }
        _write(folder / f"{stem}.json", state)


@dataclass(frozen=True)
class ColumnProjection:
    """New columns, which a graph makes of all encoded ones."""

    method: SelectionName
    graph: DenseGraph
    shares: tuple[float, ...] = ()
    """The share of the variance that each principal component explains."""

    @property
    def names(self) -> tuple[str, ...]:
        """``pca 1`` and so on."""
        return tuple(f"{self.method} {index + 1}" for index in range(self.graph.n_outputs))

    def transform(self, inputs: Matrix) -> Matrix:
        """Run the graph."""
        return self.graph.run(inputs)

    def save(self, folder: Path, stem: str) -> None:
        """Write the graph, and the rest as JSON."""
        _write(folder / f"{stem}.json", {"method": self.method, "shares": self.shares})
        self.graph.save(folder / f"{stem}.onnx")


def load_selection(folder: Path, stem: str, threads: int = 1) -> Selection:
    """Read a stored selection."""
    state = json.loads((folder / f"{stem}.json").read_bytes())
    if "positions" not in state:
        graph = DenseGraph.load(folder / f"{stem}.onnx", threads)
        return ColumnProjection(state["method"], graph, tuple(state["shares"]))
    return ColumnSubset(
        method=state["method"],
        positions=np.array(state["positions"], dtype=np.intp),
        names=tuple(state["columns"]),
        importances=tuple(state["importances"]),
    )


def fit_selection(
    method: SelectionName,
    inputs: Matrix,
    is_attack: Mask,
    names: Sequence[str],
    seed: int,
    size: int | None = None,
    threads: int = 1,
) -> Selection:
    """Fit a selection on training rows.

    Args:
        method: any but ``none``.
        inputs: (n_rows, width), of training rows only.
        is_attack: (n_rows,), both values present; only ``forest`` and ``rfe`` look at it.
        names: (width,), of the columns.
        seed: of forests and networks.
        size: number of columns, at most ``width``; see ``SIZES``.
        threads: used to fit; does not change the result.

    Raises:
        UsageError: the method finds its size by itself.
    """
    if size is not None and method not in SIZES:
        message = (
            f"Cannot select {size} columns by {method!r}: it finds its number of columns itself"
        )
        raise UsageError(message)
    count = min(size or SIZES.get(method, 0), inputs.shape[1])
    if method == "pca":
        return _fit_components(inputs, min(count, len(inputs)))
    if method == "autoencoder":
        return _fit_codes(inputs, count, seed, threads)
    importances: Floats | None = None
    if method == "forest":
        importances = _grow(inputs, is_attack, seed, threads)
        kept = np.argsort(-importances, kind="stable")[:count]
    elif method == "rfe":
        kept = _eliminate(inputs, is_attack, count, seed, threads)
    else:
        kept = _drop_correlated(inputs)
    return ColumnSubset(
        method=method,
        positions=kept.astype(np.intp),
        names=tuple(names[index] for index in kept),
        importances=() if importances is None else tuple(importances[kept].tolist()),
    )


def _grow(inputs: Matrix, is_attack: Mask, seed: int, threads: int) -> Floats:
    """Return the importance of each column to a random forest, (width,).

    Source: Breiman 2001, section 10, with scikit-learn's mean decrease in impurity.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(FOREST_TREES, random_state=seed, n_jobs=threads)
    importances: Floats = forest.fit(inputs, is_attack).feature_importances_
    return importances


def _eliminate(inputs: Matrix, is_attack: Mask, count: int, seed: int, threads: int) -> Positions:
    """Return the columns left when the least important are removed round by round, in order.

    A single column stays.

    Source: Guyon et al. 2002, section 4, with a random forest's importances as the ranking.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_selection import RFE

    if inputs.shape[1] == 1:
        return np.zeros(1, dtype=np.intp)
    forest = RandomForestClassifier(FOREST_TREES, random_state=seed, n_jobs=threads)
    chosen = RFE(forest, n_features_to_select=count, step=RFE_STEP).fit(inputs, is_attack)
    return np.flatnonzero(chosen.support_)


def _drop_correlated(inputs: Matrix) -> Positions:
    """Return the columns that vary and do not strongly correlate with an earlier kept one.

    Where no column varies, the first stays.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    values = inputs.astype(np.float64)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    with threadpool_limits(1):  # sums over several threads differ from run to run
        correlation = np.abs(scaled.T @ scaled) / len(values)
    kept: list[int] = []
    for column in np.flatnonzero(spread > 0):
        if not (correlation[column, kept] > MAX_CORRELATION).any():
            kept.append(int(column))
    return np.array(kept or [0], dtype=np.intp)


def _fit_components(inputs: Matrix, count: int) -> ColumnProjection:
    """Fit principal components of all rows.

    Source: Jolliffe 2002, chapter 3, as scikit-learn computes it from the whole decomposition.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), np.errstate(invalid="ignore"):  # the shares of no variance are NaN
        pca = PCA(count, svd_solver="full").fit(inputs.astype(np.float64))
    kernel = pca.components_.T
    graph = join_layers([(kernel, -(pca.mean_ @ kernel), False)])
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    return ColumnProjection("pca", graph, tuple(shares.tolist()))


def _fit_codes(inputs: Matrix, count: int, seed: int, threads: int) -> ColumnProjection:
    """Train an autoencoder on all rows, attacks among them, and keep its encoder.

    Batch normalisation after each hidden layer, mean squared error, Adam. The output is linear,
    because encoded values are not limited to [0, 1].
    """
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    hidden = (*CODE_LAYERS, count, *CODE_LAYERS[::-1])
    layers = [keras.Input((inputs.shape[1],))]
    for units in hidden:
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization()]
    network = keras.Sequential([*layers, keras.layers.Dense(inputs.shape[1])])
    network.compile(optimizer="adam", loss="mse")
    steps = -(-len(inputs) // CODE_BATCH_ROWS)
    network.fit(
        inputs,
        inputs,
        batch_size=CODE_BATCH_ROWS,
        epochs=min(CODE_EPOCHS, max(1, CODE_STEPS // steps)),
        verbose=0,
    )
    encoder = keras.Sequential([keras.Input((inputs.shape[1],)), *network.layers[: 2 * 3]])
    return ColumnProjection("autoencoder", fold_network(encoder, threads))


def _write(path: Path, state: dict[str, object]) -> None:
    path.write_text(json.dumps(state, sort_keys=True, indent=1) + "\n", encoding="utf-8")
