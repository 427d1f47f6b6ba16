"""Half: weights are kept in sixteen bits, and widened when a session is opened.

    w' = float32(float16(w))

The file is half as large. onnxruntime's kernels on a CPU compute in fp32, so the widening is done once, at loading, and nothing
is slower or faster. float16 has ten bits behind the point and ends at 65504; bfloat16 has seven and fp32's range.

Source: IEEE 754-2008 (binary16); Kalamkar et al. 2019, arXiv:1905.12322 (bfloat16).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Compressor, Sight

SMALL = 64  # tensors with fewer numbers stay as they are


class Half(Compressor):
    """Half of the size, the same speed, and next to no error."""

    source: ClassVar[str] = "IEEE 754-2008; Kalamkar et al. 2019, arXiv:1905.12322"
    cost: ClassVar[str] = "milliseconds; the weights are widened at every loading"
    graphs: ClassVar[bool] = True

    kind: Literal["half"] = "half"
    type: Literal["float16", "bfloat16"] = "float16"  # how a weight is kept

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """The graph whose large fp32 tensors are kept in sixteen bits and widened by a Cast. Raises ModelError for a weight that
        float16 cannot hold."""
        found = onnx.load_from_string(model)
        graph: Any = found.graph
        into = TensorProto.FLOAT16 if self.type == "float16" else TensorProto.BFLOAT16
        kept: list[Any] = []
        casts: list[Any] = []
        for tensor in graph.initializer:
            value = numpy_helper.to_array(tensor)
            if tensor.data_type != TensorProto.FLOAT or value.size < SMALL:
                kept.append(tensor)
                continue
            if into == TensorProto.FLOAT16 and float(np.abs(value).max()) > float(np.finfo(np.float16).max):
                raise ModelError(
                    f"the weight {tensor.name} has values up to {np.abs(value).max():.3g}; float16 ends at 65504",
                    "take half type=bfloat16",
                )
            name = f"{tensor.name}_{self.type}"
            kept.append(_narrowed(value, name, into))
            casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
        if not casts:
            raise ModelError(f"{self.kind} finds no fp32 weights of {SMALL} numbers or more in the exported graph")
        del graph.initializer[:]
        graph.initializer.extend(kept)
        nodes = [*casts, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        return found.SerializeToString()


def _narrowed(value: Any, name: str, into: int) -> Any:
    if into == TensorProto.FLOAT16:
        return numpy_helper.from_array(value.astype(np.float16), name)
    bits = value.astype(np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to the nearest, ties to even
    tensor = TensorProto(name=name, data_type=into, dims=value.shape)
    tensor.raw_data = rounded.tobytes()
    return tensor
