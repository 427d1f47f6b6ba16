"""Weights kept in few bits, and made again of them when a session is opened: what the steps share that change storage alone.

Each large fp32 tensor of the graph is taken out, and nodes that compute it from smaller constants are put in its place, under its
name. onnxruntime computes them once, at loading (constant folding), so that nothing is slower or faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tuneful.core.errors import ModelError

SMALL = 64  # tensors with fewer numbers stay as they are

Packed = tuple[Sequence[Any], Sequence[Any]]
"""(initializers, nodes whose last one gives the tensor under its name)."""


def packed(model: bytes, what: str, pack: Callable[[str, NDArray[Any]], Packed | None], least: int = 1) -> bytes:
    """A graph whose fp32 tensors of `least` axes or more are packed by `pack(name, value)`; None leaves one as it is."""
    found = onnx.load_from_string(model)
    graph: Any = found.graph
    kept: list[Any] = []
    nodes: list[Any] = []
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor)
        made = None
        if tensor.data_type == TensorProto.FLOAT and value.size >= SMALL and value.ndim >= least:
            made = pack(str(tensor.name), value)
        if made is None:
            kept.append(tensor)
            continue
        kept += made[0]
        nodes += made[1]
    if not nodes:
        raise ModelError(f"{what} finds no fp32 weights of {SMALL} numbers or more in the exported graph",
                         "they may be in fewer bits already")  # fmt: skip
    after = [*nodes, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(after)
    return found.SerializeToString()


def constant(name: str, value: NDArray[Any]) -> Any:
    """An initializer."""
    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def nibbles(name: str, numbers: NDArray[Any]) -> tuple[list[Any], list[Any], str]:
    """Whole numbers in [0, 16), two in a byte: (initializers, nodes, the name of their int32 list)."""
    flat = numbers.reshape(-1).astype(np.uint8)
    count = len(flat)
    even = np.append(flat, np.zeros(count % 2, np.uint8)).reshape(-1, 2)
    given = [
        constant(f"{name}/two", (even[:, 0] + 16 * even[:, 1]).astype(np.uint8)),
        constant(f"{name}/16", np.array(16, np.int32)),
        constant(f"{name}/1", np.array([1], np.int64)),
        constant(f"{name}/flat", np.array([-1], np.int64)),
        constant(f"{name}/0", np.array([0], np.int64)),
        constant(f"{name}/n", np.array([count], np.int64)),
    ]
    nodes = [
        helper.make_node("Cast", [f"{name}/two"], [f"{name}/wide"], to=TensorProto.INT32),
        helper.make_node("Div", [f"{name}/wide", f"{name}/16"], [f"{name}/high"]),
        helper.make_node("Mod", [f"{name}/wide", f"{name}/16"], [f"{name}/low"]),
        helper.make_node("Unsqueeze", [f"{name}/low", f"{name}/1"], [f"{name}/low1"]),
        helper.make_node("Unsqueeze", [f"{name}/high", f"{name}/1"], [f"{name}/high1"]),
        helper.make_node("Concat", [f"{name}/low1", f"{name}/high1"], [f"{name}/both"], axis=1),
        helper.make_node("Reshape", [f"{name}/both", f"{name}/flat"], [f"{name}/row"]),
        helper.make_node("Slice", [f"{name}/row", f"{name}/0", f"{name}/n"], [f"{name}/numbers"]),
    ]
    return given, nodes, f"{name}/numbers"


__all__ = ["SMALL", "Packed", "constant", "nibbles", "packed"]
