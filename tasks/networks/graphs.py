"""Dense layers as an ONNX graph: the form in which networks, projections and linear models run.

Belongs here: building such a graph from weights, and running it. Does not belong here: fitting the
weights (Keras and scikit-learn do), or the meaning of the output.

ONNX Runtime computes every row of a product in the same way, so that a row's output does not depend
on the other rows; numpy does not guarantee that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from tasks.arrays import Matrix

if TYPE_CHECKING:
    import onnxruntime

Weights: TypeAlias = npt.NDArray[np.floating[Any]]

OPSET, IR_VERSION = 17, 8
"""Fixed, so that equal weights give equal bytes with every version of the onnx package; onnxruntime
reads them since 1.14."""


@dataclass(frozen=True)
class DenseGraph:
    """Dense layers, ready to run."""

    content: bytes
    """The ONNX model: Gemm and Relu, weights included."""
    threads: int = 1
    """Threads of Gemm; they do not change an output."""

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(
            self.content, options, providers=["CPUExecutionProvider"]
        )

    @property
    def n_inputs(self) -> int:
        """Width of an input row."""
        return int(self._session.get_inputs()[0].shape[1])

    @property
    def n_outputs(self) -> int:
        """Width of an output row."""
        return int(self._session.get_outputs()[0].shape[1])

    def run(self, inputs: Matrix) -> Matrix:
        """Return the outputs of rows, float32 (n_rows, n_inputs) to float32 (n_rows, n_outputs)."""
        if not len(inputs):
            return np.zeros((0, self.n_outputs), dtype=np.float32)
        result: Matrix = self._session.run(None, {"input": inputs})[0]
        return result

    def save(self, path: Path) -> None:
        """Write the graph; equal weights give equal bytes."""
        path.write_bytes(self.content)

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> "DenseGraph":
        """Read a stored graph, ready to run; imports onnxruntime only."""
        graph = cls(path.read_bytes(), threads)
        graph.run(np.zeros((1, graph.n_inputs), dtype=np.float32))
        return graph


@dataclass(frozen=True)
class GraphDetector:
    """The base of a detector that is stored as one graph."""

    graph: DenseGraph

    def save(self, folder: Path, stem: str) -> None:
        """Write the graph."""
        self.graph.save(folder / f"{stem}.onnx")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> Self:
        """Read a stored graph, ready to run; imports onnxruntime only."""
        return cls(DenseGraph.load(folder / f"{stem}.onnx", threads))


def join_layers(
    layers: Sequence[tuple[Weights, Weights, bool]],
    threads: int = 1,
    *,
    is_sigmoid: bool = False,
) -> DenseGraph:
    """Return the graph of dense layers; with ``is_sigmoid``, a sigmoid follows the last.

    Each layer has its kernel (n_in, n_out), its bias (n_out,) and whether a Relu follows.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, values = [], []
    reads = "input"
    for index, (kernel, bias, is_rectified) in enumerate(layers):
        for name, value in (("kernel", kernel), ("bias", bias)):
            single = np.ascontiguousarray(value, dtype=np.float32)
            values.append(numpy_helper.from_array(single, f"{name}_{index}"))
        names = [f"dense_{index}", f"relu_{index}"] if is_rectified else [f"dense_{index}"]
        if index == len(layers) - 1 and not is_sigmoid:
            names[-1] = "output"
        nodes.append(
            helper.make_node("Gemm", [reads, f"kernel_{index}", f"bias_{index}"], [names[0]])
        )
        if is_rectified:
            nodes.append(helper.make_node("Relu", [names[0]], [names[1]]))
        reads = names[-1]
    if is_sigmoid:
        nodes.append(helper.make_node("Sigmoid", [reads], ["output"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", int(width)])
        for name, width in (("input", layers[0][0].shape[0]), ("output", layers[-1][0].shape[1]))
    ]
    graph = helper.make_graph(nodes, "dense", ends[:1], ends[1:], values)
    model = helper.make_model(
        graph,
        producer_name="noctule",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return DenseGraph(model.SerializeToString(deterministic=True), threads)
