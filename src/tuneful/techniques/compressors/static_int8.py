"""Static int8: weights and activations as whole numbers of eight bits, with scales that are fixed before.

    q = clip(round(v / s) + z);   v' = s (q - z)          weights: signed, z = 0;   activations: unsigned, z fits their range

The range of each activation is that of some hundred examples of train: from the least to the largest value, or cut where a
percentile ends, or where the cut histogram says most of the whole one (least Kullback-Leibler divergence). Weights get a scale
for each tensor or for each output channel.

Unsigned activations and signed weights are what x86 multiplies in one instruction: signed-signed was slower than fp32 on
convolutions here (LOG.md). Products and what lies between them are quantized; softmax and norms stay as they are.

Source: Jacob et al., CVPR 2018, arXiv:1712.05877; entropy: Migacz, GPU Technology Conference 2017; by onnxruntime's quantizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tuneful.core.config import Count
from tuneful.techniques.compressors.quantizing import PRODUCTS, loaded, quantized
from tuneful.techniques.interfaces import Compressor, Sight

BETWEEN = (
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "Mul", "Pad", "Relu", "Reshape",
    "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
"""What stays in whole numbers where it stands between two products."""


class StaticInt8(Compressor):
    """A quarter of the size; two to four times as fast where convolutions and linear layers take the time."""

    source: ClassVar[str] = "Jacob et al., CVPR 2018, arXiv:1712.05877"
    cost: ClassVar[str] = "seconds: some hundred examples go through the graph once; no training"
    graphs: ClassVar[bool] = True

    kind: Literal["static_int8"] = "static_int8"
    calibrate: Literal["minmax", "percentile", "entropy"] = "minmax"  # how the range of an activation is found
    weights: Literal["channel", "tensor"] = "channel"  # what has a scale of its own
    where: Literal["all", "products"] = "all"  # products: what stands between two products stays fp32
    percentile: Annotated[float, Field(gt=90, le=100)] = 99.99  # of calibrate=percentile
    examples: Count = 256  # of train, to calibrate with; entropy and percentile keep all their activations in memory

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """The graph with pairs of QuantizeLinear and DequantizeLinear, which onnxruntime makes one integer kernel of."""
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        found = loaded(model, self.kind)
        method = {
            "minmax": CalibrationMethod.MinMax,
            "percentile": CalibrationMethod.Percentile,
            "entropy": CalibrationMethod.Entropy,
        }
        kinds = sorted({node.op_type for node in found.graph.node} & {*PRODUCTS, "Gather"})  # Gather: tables of tokens
        kinds += BETWEEN if self.where == "all" else ()

        def call(before: Path, after: Path) -> None:
            quantize_static(
                before, after, _reader(sight.raw[: self.examples]), quant_format=QuantFormat.QDQ, op_types_to_quantize=kinds,
                per_channel=self.weights == "channel", activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                calibrate_method=method[self.calibrate],
                extra_options={"CalibPercentile": self.percentile, "ActivationSymmetric": False, "WeightSymmetric": True},
            )  # fmt: skip

        return quantized(self.kind, call, found)


def _reader(x: Any, batch: int = 32) -> Any:
    """What onnxruntime's tool reads examples from."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.at = 0

        def get_next(self) -> Any:
            part = x[self.at : self.at + batch]
            self.at += batch
            return {"x": part} if len(part) else None

        def rewind(self) -> None:
            self.at = 0

    return Reader()
