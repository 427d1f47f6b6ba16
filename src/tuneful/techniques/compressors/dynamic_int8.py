"""Dynamic int8: weights as whole numbers of eight bits; the range of an activation is measured anew in every call.

    y = s_x s_w ((q_x - z_x) q_w);   s_x, z_x: from the least and the largest number of this very x

Nothing has to be calibrated, and an unusual input cannot leave its range; but the range costs a pass over every activation.
It helps recurrent layers and small batches of Transformers. It made convolutions six times slower here, so they are left out.

Source: Jacob et al., CVPR 2018, arXiv:1712.05877 (arithmetic); by onnxruntime's quantizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import onnx

from tuneful.core.errors import ModelError
from tuneful.techniques.compressors.quantizing import quantized
from tuneful.techniques.interfaces import Compressor, Sight

SERVED = ("MatMul", "Gemm", "LSTM", "Attention", "Gather")  # Gather: tables of tokens


class DynamicInt8(Compressor):
    """For recurrent layers, and for Transformers that see few examples at once."""

    source: ClassVar[str] = "Jacob et al., CVPR 2018, arXiv:1712.05877"
    cost: ClassVar[str] = "below a second; no examples, no training"
    graphs: ClassVar[bool] = True

    kind: Literal["dynamic_int8"] = "dynamic_int8"
    weights: Literal["channel", "tensor"] = "tensor"  # what has a scale of its own

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """The graph with integer products where it has linear and recurrent layers."""
        from onnxruntime.quantization import QuantType, quantize_dynamic

        found = onnx.load_from_string(model)
        if not any(node.op_type in SERVED[:-1] for node in found.graph.node):
            raise ModelError(
                f"{self.kind} finds no linear and no LSTM layer in the exported graph; it makes convolutions slower",
                "take static_int8",
            )

        def call(before: Path, after: Path) -> None:
            quantize_dynamic(
                before, after, op_types_to_quantize=list(SERVED), per_channel=self.weights == "channel", weight_type=QuantType.QInt8
            )  # fmt: skip

        return quantized(self.kind, call, found)
