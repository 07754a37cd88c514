"""What a detector reads of the encoded columns, when it does not read all of them as they are.

Belongs here: the choices that have a name, and their stored form. Does not belong here: the
encoding itself, or the detector that reads the result.

Some choices keep columns (``forest``, ``rfe``, ``uncorrelated``), others make new ones of all
(``pca``, ``autoencoder``). Either way a row's inputs depend on that row alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from expectations.errors import UsageError
from tasks.arrays import Floats, Mask, Matrix
from tasks.features.names import SelectionName
from tasks.networks.graphs import DenseGraph, join_layers

SIZES: dict[str, int] = {"forest": 50, "rfe": 50, "pca": 50, "autoencoder": 25}
"""How many columns each gives unless told otherwise: as many as for the method's figures. The
others give as many as there are."""

FOREST_TREES = 100
"""Trees of the ranking forest: scikit-learn's default, and what the method's figures used."""

RFE_STEP = 0.1
"""Share of all columns that each round of elimination removes. A guess: a dozen forests, where one
column at a time would take as many as there are columns."""

MAX_CORRELATION = 0.95
"""Columns whose correlation with an earlier one is stronger are removed, whatever its sign. A
guess: such a pair tells a tree nothing twice."""

CODE_LAYERS = (100, 50)
"""Widths of the encoder before the codes, as for the method's figures."""

CODE_EPOCHS, CODE_BATCH_ROWS, CODE_STEPS = 100, 1_024, 2_500
"""Training of the codes: as for the method's figures, and no more steps than these on large files,
a guess."""

Positions: TypeAlias = npt.NDArray[np.intp]


class Selection(Protocol):
    """What a detector reads of encoded rows."""

    @property
    def method(self) -> SelectionName:
        """Its name."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What its columns are called, in order."""
        ...

    def transform(self, inputs: Matrix) -> Matrix:
        """Make its columns of encoded rows, (n_rows, width) to (n_rows, n_selected)."""
        ...

    def save(self, folder: Path, stem: str) -> None:
        """Write ``<stem>.json``, and ``<stem>.onnx`` where new columns are made."""
        ...


@dataclass(frozen=True)
class ColumnSubset:
    """Some of the encoded columns."""

    method: SelectionName
    positions: Positions
    """(n_selected,), of each among the encoded columns."""
    names: tuple[str, ...]
    """Such as ``src_bytes`` or ``service=http``, the most important first where that was asked."""
    importances: tuple[float, ...] = ()
    """Mean decrease in impurity of each; all columns of the encoding would sum to 1."""

    def transform(self, inputs: Matrix) -> Matrix:
        """Take the columns."""
        return np.ascontiguousarray(inputs[:, self.positions])

    def save(self, folder: Path, stem: str) -> None:
        """Write the choice as JSON."""
        state = {
            "method": self.method,
            "positions": self.positions.tolist(),
            "columns": self.names,
            "importances": self.importances,
        }
        _write(folder / f"{stem}.json", state)


@dataclass(frozen=True)
class ColumnProjection:
    """New columns, made of all encoded ones by a graph."""

    method: SelectionName
    graph: DenseGraph
    shares: tuple[float, ...] = ()
    """Of principal components: the share of the variance that each explains."""

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
    """Choose what a detector reads.

    Args:
        method: any but ``none``.
        inputs: (n_rows, width), of training rows only.
        is_attack: (n_rows,), both values present; only ``forest`` and ``rfe`` look at it.
        names: (width,), what the columns are called.
        seed: of forests and networks.
        size: how many columns to give, all where there are fewer; see ``SIZES``.
        threads: used to fit; does not change the result.

    Raises:
        UsageError: a size where the method has none of its own.
    """
    if size is not None and method not in SIZES:
        message = f"Cannot select {size} columns by {method!r}: it finds out how many to keep"
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


def _eliminate(
    inputs: Matrix, is_attack: Mask, count: int, seed: int, threads: int
) -> npt.NDArray[np.intp]:
    """Remove the least important columns round by round; return those left, in their order.

    Source: Guyon et al. 2002, section 4, with a random forest's importances as the ranking.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_selection import RFE

    forest = RandomForestClassifier(FOREST_TREES, random_state=seed, n_jobs=threads)
    chosen = RFE(forest, n_features_to_select=count, step=RFE_STEP).fit(inputs, is_attack)
    return np.flatnonzero(chosen.support_)


def _drop_correlated(inputs: Matrix) -> npt.NDArray[np.intp]:
    """Keep the columns that vary and that no earlier one kept is strongly correlated with."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    values = inputs.astype(np.float64)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    with threadpool_limits(1):  # sums over threads would differ from run to run
        correlation = np.abs(scaled.T @ scaled) / len(values)
    kept: list[int] = []
    for column in np.flatnonzero(spread > 0):
        if not (correlation[column, kept] > MAX_CORRELATION).any():
            kept.append(int(column))
    return np.array(kept, dtype=np.intp)


def _fit_components(inputs: Matrix, count: int) -> ColumnProjection:
    """Fit principal components of all rows.

    Source: Jolliffe 2002, chapter 3, as scikit-learn computes it from the whole decomposition.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        pca = PCA(count, svd_solver="full").fit(inputs.astype(np.float64))
    kernel = pca.components_.T
    graph = join_layers([(kernel, -(pca.mean_ @ kernel), False)])
    return ColumnProjection("pca", graph, tuple(pca.explained_variance_ratio_.tolist()))


def _fit_codes(inputs: Matrix, count: int, seed: int, threads: int) -> ColumnProjection:
    """Train an autoencoder on all rows, attacks among them, and keep its encoder.

    Batch normalisation after each hidden layer, mean squared error, Adam. The output is linear:
    the encoding is not confined to [0, 1].
    """
    from tasks.networks.training import fold_network, import_keras

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
