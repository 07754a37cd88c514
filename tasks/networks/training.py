"""What all networks share in training: Keras on JAX, and the graph of its layers.

Belongs here: importing Keras so that training is repeatable, and folding layers. Does not belong
here: any one network, or running it (``graphs``, which needs no Keras).
"""

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from expectations.errors import UsageError
from tasks.networks.graphs import DenseGraph, Weights, join_layers

if TYPE_CHECKING:
    import keras


def import_keras() -> ModuleType:
    """Import Keras with JAX on the CPU and one thread, which makes training repeatable.

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
            f"Cannot train a network: it needs Keras on JAX, but this process imported Keras "
            f"on {backend}. Train in a new process, or set KERAS_BACKEND=jax before Keras is "
            "imported."
        )
        raise UsageError(message)
    module: ModuleType = keras
    return module


def fold_network(
    network: "keras.Sequential", threads: int = 1, *, keeps_sigmoid: bool = False
) -> DenseGraph:
    """Return a network's layers as a graph that computes the same, up to rounding.

    Batch normalisation is folded into the next dense layer; dropout only acts in training. A
    sigmoid at the end is left out by default: its input, the log-odds, orders rows whose output
    rounds to 1. The network may have ``Dense`` (Relu or linear; the last may be a sigmoid),
    ``BatchNormalization`` and ``Dropout`` layers.
    """
    layers: list[tuple[Weights, Weights, bool]] = []
    scale: Weights | None = None
    shift: Weights | None = None
    for layer in network.layers:
        weights = [np.asarray(weight, dtype=np.float64) for weight in layer.get_weights()]
        name = type(layer).__name__
        if name == "Dense":
            kernel, bias = weights
            if scale is not None and shift is not None:
                kernel, bias = scale[:, np.newaxis] * kernel, bias + shift @ kernel
            layers.append((kernel, bias, layer.activation.__name__ == "relu"))
            scale = shift = None
        elif name == "BatchNormalization":
            gamma, beta, mean, variance = weights
            scale = gamma / np.sqrt(variance + layer.epsilon)
            shift = beta - mean * scale
        else:
            assert name == "Dropout", f"a graph cannot hold {name}"  # noqa: S101 - our mistake
    if scale is not None and shift is not None:
        layers.append((np.diag(scale), shift, False))
    return join_layers(layers, threads, is_sigmoid=keeps_sigmoid)
