"""Half: weights are kept in sixteen bits, and widened when a session is opened.

    w' = float32(float16(w))

The file is half as large. onnxruntime's kernels on a CPU compute in fp32, so the widening is done once, at loading, and nothing
is slower or faster. float16 has ten bits behind the point and ends at 65504; bfloat16 has seven and fp32's range.

Source: IEEE 754-2008 (binary16); Kalamkar et al. 2019, arXiv:1905.12322 (bfloat16).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from onnx import TensorProto, helper

from tuneful.core.errors import ModelError
from tuneful.techniques.compressors.packing import Packed, constant, packed
from tuneful.techniques.interfaces import Compressor, Sight


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
        return packed(model, self.kind, self._pack)

    def _pack(self, name: str, value: Any) -> Packed:
        if self.type == "float16" and float(np.abs(value).max()) > float(np.finfo(np.float16).max):
            raise ModelError(
                f"the weight {name} has values up to {np.abs(value).max():.3g}; float16 ends at 65504",
                "take half type=bfloat16",
            )
        into = TensorProto.FLOAT16 if self.type == "float16" else TensorProto.BFLOAT16
        kept = _narrowed(value, f"{name}/{self.type}", into)
        return [kept], [helper.make_node("Cast", [kept.name], [name], to=TensorProto.FLOAT)]


def _narrowed(value: Any, name: str, into: int) -> Any:
    if into == TensorProto.FLOAT16:
        return constant(name, value.astype(np.float16))
    bits = value.astype(np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to the nearest, ties to even
    tensor = TensorProto(name=name, data_type=into, dims=value.shape)
    tensor.raw_data = rounded.tobytes()
    return tensor
