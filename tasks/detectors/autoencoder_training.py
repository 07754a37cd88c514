"""The unsupervised detector in training: a Keras network on the JAX backend.

Belongs here: everything that needs Keras. Does not belong here: serving (see ``autoencoder``).
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from expectations.errors import UsageError
from tasks.detectors.autoencoder import Autoencoder, build_graph
from tasks.encode import Encoder, Matrix

if TYPE_CHECKING:
    import keras

CONFIG_FILE = "autoencoder.json"
WEIGHTS_FILE = "autoencoder.weights.h5"


class AutoencoderOptions(BaseModel):
    """Shape and training of the network. The decoder mirrors the encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[int, ...] = Field(default=(128, 64, 32, 8), min_length=1)
    """Widths of the encoder's layers; the last is the bottleneck."""
    epochs: int = Field(default=40, ge=1)
    """Most passes over the training rows; early stopping usually ends before."""
    max_steps: int = Field(default=2_500, ge=1)
    """Most gradient steps, which bounds the cost on large training files."""
    batch_rows: int = Field(default=512, ge=1)
    """Rows a gradient step sees: so many that ``max_steps`` still goes through a large file several
    times, a guess. On 25,192 rows half as many do slightly better: ROC AUC of the autoencoder
    alone, by cross-validation within the training file (``benchmarks.choices``), .986 to .988 with
    512 and .988 to .991 with 256."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Adam's step, for this batch size."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better held-out error before training stops."""
    held_out_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the normal rows that only early stopping sees."""


@dataclass(frozen=True)
class TrainedAutoencoder:
    """A network that was trained here and now."""

    network: "keras.Sequential"
    served: Autoencoder
    history: tuple[dict[str, float], ...]
    """For each epoch: ``loss`` on the training rows and ``held_out_loss``, mean squared errors."""

    def save(self, folder: Path) -> None:
        """Write the Keras configuration and weights: what training can be continued from."""
        (folder / CONFIG_FILE).write_text(self.network.to_json(sort_keys=True) + "\n")
        self.network.save_weights(folder / WEIGHTS_FILE)


def fit_autoencoder(
    normal: Matrix, encoder: Encoder, options: AutoencoderOptions, seed: int, threads: int = 1
) -> TrainedAutoencoder:
    """Train a network to reproduce normal connections.

    Mean squared error, Adam, no dropout; a held-out part of the rows stops the training and the
    weights of its best epoch are kept. Seeds the random generators of this process.

    Args:
        normal: (n_rows, width), encoded normal connections, at least 2.
        encoder: the one that encoded them.
        options: shape and training.
        seed: of the weights, the held-out part and the order of the rows.
        threads: used to serve the result; training runs on one thread, to be repeatable.

    Returns:
        The network, and the graph that serves in its place.

    Source: Sakurada & Yairi 2014, section 3, for the reconstruction error as a score.
    """
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(normal))
    held_out_rows = max(1, round(options.held_out_fraction * len(normal)))
    held_out, training = normal[order[:held_out_rows]], normal[order[held_out_rows:]]
    network = build_network(normal.shape[1], options)
    network.compile(optimizer=keras.optimizers.Adam(options.learning_rate), loss="mse")
    steps_per_epoch = -(-len(training) // options.batch_rows)
    fitted = network.fit(
        training,
        training,
        batch_size=options.batch_rows,
        epochs=min(options.epochs, max(1, options.max_steps // steps_per_epoch)),
        validation_data=(held_out, held_out),
        callbacks=[
            keras.callbacks.EarlyStopping(patience=options.patience, restore_best_weights=True)
        ],
        verbose=0,
    )
    losses = zip(fitted.history["loss"], fitted.history["val_loss"], strict=True)
    return TrainedAutoencoder(
        network=network,
        served=Autoencoder(build_graph(network.get_weights()), encoder, threads),
        history=tuple({"loss": float(a), "held_out_loss": float(b)} for a, b in losses),
    )


def build_network(width: int, options: AutoencoderOptions) -> "keras.Sequential":
    """Build the untrained network: dense Relu layers down, up again, and a linear output."""
    keras = import_keras()
    hidden = (*options.layers, *options.layers[-2::-1])
    return keras.Sequential(
        [
            keras.Input((width,), name="connection"),
            *(
                keras.layers.Dense(units, activation="relu", name=f"dense_{index}")
                for index, units in enumerate(hidden)
            ),
            keras.layers.Dense(width, name="reconstruction"),
        ],
        name="autoencoder",
    )


def import_keras() -> ModuleType:
    """Import Keras on JAX, on the CPU and one thread, which makes training repeatable.

    Raises:
        UsageError: this process has already imported Keras with another backend.
    """
    if "jax" not in sys.modules:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        single = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {single}".strip()
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    import keras

    backend = keras.backend.backend()
    if backend != "jax":
        message = (
            f"Cannot train the autoencoder: it needs Keras on JAX, but this process imported Keras "
            f"on {backend}. Train in a process of its own, or set KERAS_BACKEND=jax before Keras "
            "is imported."
        )
        raise UsageError(message)
    module: ModuleType = keras
    return module
