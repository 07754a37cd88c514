"""The one-class network, as it serves: an ONNX graph that reconstructs normal traffic.

Belongs here: the error it leaves, and what it would have expected. Does not belong here: training
(see ``autoencoder_training``, which needs Keras; this module must not), or the graph
(``tasks.networks.graphs``).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tasks.arrays import Floats, Matrix
from tasks.detectors.base import Positions, sum_groups
from tasks.features.encoding import CLIP
from tasks.networks.graphs import GraphDetector

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Autoencoder(GraphDetector):
    """A network trained to reproduce normal connections; the score is the mean squared error."""

    network: "keras.Sequential | None" = field(default=None, compare=False)
    """What it was folded from, where it was trained here and now."""
    history: tuple[dict[str, float], ...] = ()
    """Of that training, for each epoch: ``loss`` on the training rows and ``held_out_loss``."""
    kind: str = "autoencoder"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return each row's mean squared reconstruction error, (n_rows,)."""
        difference = inputs - self.graph.run(inputs)
        errors: Matrix = np.square(difference, out=difference).mean(axis=1)
        return errors.astype(np.float64)

    def expect(self, inputs: Matrix) -> Matrix:
        """Return what the network makes of each row, within the range of its inputs.

        Where it overshot a value that was itself clipped, the error raises the score, but no value
        would have been less remarkable: it is no reason.
        """
        rebuilt: Matrix = self.graph.run(inputs).clip(-CLIP, CLIP)
        return rebuilt

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return the squared error of each group of inputs, (n_rows, n_groups)."""
        del typical  # what it expects of a row, it says itself
        errors = np.square(inputs - self.expect(inputs)).astype(np.float64)
        return sum_groups(errors, groups)
