"""Graphs to ONNX files, and the files run again: the only imports of onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...data.errors import RunError, reason_of

OPSET = 18

MOST_WITHIN = 1 << 30
"""Bytes of weights that lie in the graph's own file, which holds at most 2 GiB; more lie in a second one beside it."""

LENGTHS = ("frames", "frame_mask", "patches", "patch_mask", "title_tokens", "title_mask")
"""Inputs whose second dimension is a length."""


def write_graph(graph: nn.Module, path: Path, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> None:
    """Writes a graph for any number of videos, frames, patches and title tokens.

    Args:
        inputs: an example, with more than one of each.
        outputs: names.

    Raises:
        RunError: PyTorch cannot export it, as it may be of an unusual text model.
    """
    dynamic = torch.export.Dim.DYNAMIC
    shapes = {name: {0: dynamic, 1: dynamic} if name in LENGTHS else {0: dynamic} for name in inputs}
    size = sum(tensor.nbytes for tensor in (*graph.parameters(), *graph.buffers()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's exporter warns of its own parts
            program = torch.onnx.export(
                graph.eval(),
                (),
                kwargs=dict(inputs),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever a text model's operations bring about
        raise RunError(f"the run cannot be exported to ONNX: {reason_of(error)}") from error
    assert program is not None
    _forget_origins(program.model)
    program.save(path, external_data=size > MOST_WITHIN)


def _forget_origins(model: Any) -> None:
    """Takes out which lines of which files on this machine each operation comes from."""
    for function in (model.graph, *model.functions.values()):
        function.metadata_props.clear()
        for node in function.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()


class OnnxGraph:
    """A file of :func:`write_graph`, to be run on the CPU."""

    def __init__(self, path: Path):
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
        """The graph's outputs by their names."""
        given = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in inputs.items()}
        return dict(zip(self.outputs, self._session.run(None, given), strict=True))

    def signature(self) -> dict[str, dict[str, Any]]:
        """Types and shapes of inputs and outputs; a dimension that may be any is ``null``."""
        sides = {"inputs": self._session.get_inputs(), "outputs": self._session.get_outputs()}
        return {
            side: {
                each.name: {
                    "type": each.type,
                    "shape": [size if isinstance(size, int) else None for size in each.shape],
                }
                for each in found
            }
            for side, found in sides.items()
        }
