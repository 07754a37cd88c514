"""The autoencoder in service: an ONNX graph that reconstructs normal traffic.

Belongs here: its reconstruction error and its expected values. Does not belong here: training
(``autoencoder_training``, which needs Keras; this module must not), or the graph
(``tasks.networks.graphs``).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.arrays import Floats, Matrix, Positions
from tasks.detectors.base import mean_squared_errors, squared_errors_by_group
from tasks.features.encoding import CLIP
from tasks.networks.graphs import GraphDetector

if TYPE_CHECKING:
    import keras


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
        It is no reason, because no other value of the input would lower the score.
        """
        rebuilt: Matrix = self.graph.run(inputs).clip(-CLIP, CLIP)
        return rebuilt

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return the squared error of each group of inputs, (n_rows, n_groups)."""
        del typical  # the network says itself what it expects of a row
        return squared_errors_by_group(inputs, self.expect(inputs), groups)
