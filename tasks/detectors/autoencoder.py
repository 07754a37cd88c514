"""The autoencoder: a network trained to reproduce normal traffic, run as an ONNX graph.

Belongs here: training it with Keras on JAX, its reconstruction error and its expected values. Does
not belong here: importing Keras (``tasks.networks.training``, only when a network is trained), or
the graph (``tasks.networks.graphs``).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from tasks.arrays import Floats, Matrix, Positions
from tasks.detectors.base import DetectorOptions, mean_squared_errors, squared_errors_by_group
from tasks.features.parameters import CLIP
from tasks.networks.graphs import GraphDetector
from tasks.networks.training import fold_network, import_keras

if TYPE_CHECKING:
    import keras

CONFIG_FILE = "autoencoder.json"
WEIGHTS_FILE = "autoencoder.weights.h5"


class AutoencoderOptions(DetectorOptions):
    """Shape and training of the network. The decoder mirrors the encoder."""

    kind: Literal["autoencoder"] = "autoencoder"
    recipe: Literal["default", "as_described"] = "default"
    """``default``: mean squared error, Adam, no dropout, a linear output. ``as_described``: as the
    second of the two works describes it: dropout, RMSprop, a sigmoid output and binary
    cross-entropy. That loss is ill-posed for standardised inputs: it has no minimum where an input
    is not within [0, 1], and falls below zero."""
    layers: tuple[int, ...] = Field(default=(128, 64, 32, 8), min_length=1)
    """Widths of the encoder's layers; the last is the bottleneck."""
    epochs: int = Field(default=40, ge=1)
    """Most passes over the training rows; early stopping usually ends before."""
    max_steps: int = Field(default=2_500, ge=1)
    """Most gradient steps, which bounds the cost on large training files."""
    batch_rows: int = Field(default=512, ge=1)
    """Most rows in a gradient step, fewer on small files (``choose_batch_rows``): enough for
    ``max_steps`` to pass over a large file several times, a guess. On 25,192 rows half as many
    do slightly better: the ROC AUC of the autoencoder alone, by cross-validation within the
    training file (``benchmarks.choices``), is .986 to .988 with 512 and .988 to .991 with
    256."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Adam's step, for this batch size."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better held-out error before training stops."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the units that a step leaves out after each layer of the encoder; used by
    ``as_described`` only, from the second work."""
    held_out_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the normal rows that only early stopping uses."""


EPOCH_STEPS = 16
LEAST_BATCH_ROWS = 32
"""See ``choose_batch_rows``; with fewer rows a step follows single connections."""


@dataclass(frozen=True)
class Autoencoder(GraphDetector):
    """A network trained to reproduce normal connections; the score is the mean squared error."""

    network: "keras.Sequential | None" = field(default=None, compare=False)
    """The Keras network the graph was made of; None where the detector was read from files."""
    history: tuple[dict[str, float], ...] = ()
    """For each epoch of the training: ``loss`` on the training rows and ``held_out_loss``."""
    kind: str = "autoencoder"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return each row's mean squared reconstruction error, (n_rows,)."""
        return mean_squared_errors(inputs, self.graph.run(inputs))

    def expect(self, inputs: Matrix) -> Matrix:
        """Return each row as the network rebuilds it, clipped to the range of its inputs.

        Where the network overshoots an input that was itself clipped, the error raises the score.
        Such an error is no reason, because no other value of the input would lower the score.
        """
        rebuilt: Matrix = self.graph.run(inputs).clip(-CLIP, CLIP)
        return rebuilt

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return the squared error of each group of inputs, (n_rows, n_groups)."""
        del typical  # the network computes what it expects of a row
        return squared_errors_by_group(inputs, self.expect(inputs), groups)


def choose_batch_rows(rows: int, most: int) -> int:
    """Return the rows in a gradient step: a power of two that gives an epoch at least 16 steps.

    With steps of 512, a few thousand rows make too few steps for the network to settle. Measured
    once while building, the ROC AUC of the autoencoder alone with 512 rows and with this rule: .692
    and .742 on 3,426 normal rows of CIC-IDS2017, .958 and .983 on 980 of NF-BoT-IoT-v2, .976 and
    .985 on 5,057 of UNSW-NB15. From 8,192 rows on a step has 512.

    ``rows`` are those of the fit; ``most`` is the limit of the options.
    """
    wanted = max(rows // EPOCH_STEPS, LEAST_BATCH_ROWS)
    return min(most, 1 << (wanted.bit_length() - 1))


def fit_autoencoder(
    normal: Matrix, options: AutoencoderOptions, seed: int, threads: int = 1
) -> Autoencoder:
    """Train a network to reproduce normal connections.

    A held-out part of the rows decides when training stops; the weights of its best epoch are kept.
    Seeds the random generators of this process. The arguments are those of
    ``registry.fit_one_class``; the result has its Keras network and the history of its training.

    Source: Sakurada & Yairi 2014, section 3, for the reconstruction error as a score.
    """
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(normal))
    held_out_rows = max(1, round(options.held_out_fraction * len(normal)))
    held_out, training = normal[order[:held_out_rows]], normal[order[held_out_rows:]]
    network = build_network(normal.shape[1], options)
    is_described = options.recipe == "as_described"
    optimizer = keras.optimizers.RMSprop if is_described else keras.optimizers.Adam
    network.compile(
        optimizer=optimizer(options.learning_rate),
        loss="binary_crossentropy" if is_described else "mse",
    )
    batch_rows = choose_batch_rows(len(training), options.batch_rows)
    steps_per_epoch = -(-len(training) // batch_rows)
    fitted = network.fit(
        training,
        training,
        batch_size=batch_rows,
        epochs=min(options.epochs, max(1, options.max_steps // steps_per_epoch)),
        validation_data=(held_out, held_out),
        callbacks=[
            keras.callbacks.EarlyStopping(patience=options.patience, restore_best_weights=True)
        ],
        verbose=0,
    )
    losses = zip(fitted.history["loss"], fitted.history["val_loss"], strict=True)
    return Autoencoder(
        graph=fold_network(network, threads, keeps_sigmoid=is_described),
        network=network,
        history=tuple({"loss": float(a), "held_out_loss": float(b)} for a, b in losses),
    )


def build_network(width: int, options: AutoencoderOptions) -> "keras.Sequential":
    """Build the untrained network: dense Relu layers down, up again, and the output."""
    keras = import_keras()
    is_described = options.recipe == "as_described"
    layers = [keras.Input((width,), name="connection")]
    for index, units in enumerate((*options.layers, *options.layers[-2::-1])):
        layers.append(keras.layers.Dense(units, activation="relu", name=f"dense_{index}"))
        if is_described and index < len(options.layers):
            layers.append(keras.layers.Dropout(options.dropout, name=f"dropout_{index}"))
    layers.append(
        keras.layers.Dense(
            width, activation="sigmoid" if is_described else None, name="reconstruction"
        )
    )
    return keras.Sequential(layers, name="autoencoder")


def save_network(network: "keras.Sequential", folder: Path) -> None:
    """Write the Keras configuration and weights, from which training can continue."""
    (folder / CONFIG_FILE).write_text(network.to_json(sort_keys=True) + "\n")
    network.save_weights(folder / WEIGHTS_FILE)
