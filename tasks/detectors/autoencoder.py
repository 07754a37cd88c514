"""The unsupervised detector, as it serves: an ONNX graph that reconstructs normal traffic.

Belongs here: the graph, the error it leaves and its attribution. Does not belong here: training
(see ``autoencoder_training``, which needs Keras; this module must not).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.detectors.base import Attribution, normalise
from tasks.encode import Encoded, Encoder, Floats, Matrix

if TYPE_CHECKING:
    import onnxruntime

GRAPH_FILE = "autoencoder.onnx"

OPSET, IR_VERSION = 17, 8
"""Fixed, so that equal weights give equal bytes whatever the onnx package; any onnxruntime since
1.14 reads them."""


@dataclass(frozen=True)
class Autoencoder:
    """A network trained to reproduce normal connections; the score is the mean squared error."""

    graph: bytes
    """The ONNX model: Gemm and Relu, weights included."""
    encoder: Encoder
    threads: int = 1
    """Used by Gemm; does not change a score."""
    name: str = "autoencoder"

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])

    def reconstruct(self, neural: Matrix) -> Matrix:
        """Pass rows through the bottleneck and back, (n_rows, width)."""
        if not len(neural):
            return neural
        result: Matrix = self._session.run(None, {"input": neural})[0]
        return result

    def score(self, encoded: Encoded) -> Floats:
        """Return each row's mean squared reconstruction error, (n_rows,)."""
        difference = encoded.neural - self.reconstruct(encoded.neural)
        errors: Matrix = np.square(difference, out=difference).mean(axis=1)
        return errors.astype(np.float64)

    def attribute(self, encoded: Encoded) -> Attribution:
        """Attribute the error to features, one-hot columns folded into theirs.

        The expected value is the network's reconstruction, in natural units. Where it lies beyond
        the clipped range the network overshot a value that was itself clipped: such an error
        raises the score, but no value would have been less remarkable, so it is no reason.
        """
        rebuilt = self.encoder.clip(self.reconstruct(encoded.neural))
        errors = np.square(encoded.neural - rebuilt).astype(np.float64)
        shares = normalise(self.encoder.fold(errors, self.encoder.sources))
        return Attribution(shares, self.encoder.decode(rebuilt))

    def save(self, folder: Path) -> None:
        """Write the graph."""
        (folder / GRAPH_FILE).write_bytes(self.graph)

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, threads: int = 1) -> "Autoencoder":
        """Read a stored graph and make it ready; imports onnxruntime only."""
        autoencoder = cls((folder / GRAPH_FILE).read_bytes(), encoder, threads)
        autoencoder.reconstruct(np.zeros((1, encoder.width), dtype=np.float32))
        return autoencoder


def build_graph(weights: Sequence[Matrix]) -> bytes:
    """Write dense layers, Relu between them and none at the end, as an ONNX model.

    Args:
        weights: kernel (n_in, n_out) and bias (n_out,) of each layer in turn, as
            ``keras.Model.get_weights`` gives them.

    Returns:
        The serialised model: input ``input`` and output ``output``, float32 (n_rows, width).
    """
    from onnx import TensorProto, helper, numpy_helper

    layers = list(zip(weights[::2], weights[1::2], strict=True))
    nodes, values = [], []
    reads = "input"
    for index, (kernel, bias) in enumerate(layers):
        values.append(numpy_helper.from_array(np.ascontiguousarray(kernel), f"kernel_{index}"))
        values.append(numpy_helper.from_array(np.ascontiguousarray(bias), f"bias_{index}"))
        is_last = index == len(layers) - 1
        writes = "output" if is_last else f"dense_{index}"
        nodes.append(
            helper.make_node("Gemm", [reads, f"kernel_{index}", f"bias_{index}"], [writes])
        )
        if not is_last:
            reads = f"relu_{index}"
            nodes.append(helper.make_node("Relu", [writes], [reads]))
    shape = ["rows", int(layers[0][0].shape[0])]
    graph = helper.make_graph(
        nodes,
        "autoencoder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        values,
    )
    model = helper.make_model(
        graph,
        producer_name="noctule",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised
