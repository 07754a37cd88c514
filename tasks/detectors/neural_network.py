"""The supervised network: two hidden layers with batch normalisation.

Belongs here: training it with Keras, and scoring with it. Does not belong here: the graph
(``tasks.networks.graphs``).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.base import DetectorOptions, OccludedDetector
from tasks.networks.graphs import GraphDetector
from tasks.networks.training import fold_network, import_keras


class NeuralNetworkOptions(DetectorOptions):
    """Shape and training of the network: as in the first of the two works."""

    kind: Literal["neural_network"] = "neural_network"
    layers: tuple[int, ...] = Field(default=(50, 25), min_length=1)
    """Widths of the hidden layers."""
    epochs: int = Field(default=100, ge=1)
    """Passes over the training rows."""
    batch_rows: int = Field(default=1_024, ge=1)
    """Rows in a gradient step."""
    max_steps: int = Field(default=2_500, ge=1)
    """Most gradient steps, which bounds the cost on large training files: a guess, a few more than
    the work took."""


@dataclass(frozen=True)
class NeuralNetwork(OccludedDetector, GraphDetector):
    """A trained network; the score is the log-odds of an attack."""

    kind: str = "neural_network"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return log-odds, (n_rows,)."""
        return self.graph.run(inputs)[:, 0].astype(np.float64)


def fit_neural_network(
    inputs: Matrix, is_attack: Mask, options: NeuralNetworkOptions, seed: int, threads: int = 1
) -> NeuralNetwork:
    """Train a network to tell attacks from normal traffic.

    Dense layers with Relu, each followed by batch normalisation, and a sigmoid; Adam and binary
    cross-entropy. Seeds the random generators of this process, and trains on one thread, to be
    repeatable. The arguments are those of ``registry.fit_classifier``.
    """
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((inputs.shape[1],))]
    for units in options.layers:
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization()]
    network = keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid")])
    network.compile(optimizer="adam", loss="binary_crossentropy")
    steps = -(-len(inputs) // options.batch_rows)
    network.fit(
        inputs,
        is_attack.astype(np.float32)[:, np.newaxis],
        batch_size=options.batch_rows,
        epochs=min(options.epochs, max(1, options.max_steps // steps)),
        verbose=0,
    )
    return NeuralNetwork(fold_network(network, threads))
