"""Weights alone as whole numbers: eight bits with a scale for each output, or four with a scale for each block of an output.

    q = clip(round(w / s), -m, m);   w' = s q;     s = max |w| / m over the output, or the block;   m: 127, or 7

Activations stay fp32, so no example is needed and little is lost. onnxruntime makes the weights again at loading: the file is a
quarter or nearly an eighth, the speed what it was. torchao's eight bits export to ONNX as well, its four bits want a package for
GPUs (LOG.md); doing it on the graph needs neither, and serves what another step has made.

Source: Jacob et al., CVPR 2018, arXiv:1712.05877; blocks: Dettmers & Zettlemoyer, ICML 2023, arXiv:2212.09720.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tuneful.core.config import Count
from tuneful.techniques.compressors.packing import Packed, constant, nibbles, packed
from tuneful.techniques.interfaces import Compressor, Sight


class WeightOnly(Compressor):
    """A quarter or an eighth of the size at the same speed, with next to no loss at eight bits."""

    source: ClassVar[str] = "Jacob et al., CVPR 2018, arXiv:1712.05877"
    cost: ClassVar[str] = "milliseconds; no examples, no training"
    graphs: ClassVar[bool] = True

    kind: Literal["weight_only"] = "weight_only"
    bits: Literal[8, 4] = 8  # of a weight
    block: Count = 32  # of four bits: weights of one output that share a scale

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """The graph whose weights are whole numbers times scales."""
        return packed(model, self.kind, self._pack, least=2)

    def _pack(self, name: str, value: NDArray[Any]) -> Packed:
        table = value.reshape(len(value), -1)
        width = self.block if self.bits == 4 else table.shape[1]
        short = -table.shape[1] % width
        blocks = np.pad(table, ((0, 0), (0, short))).reshape(-1, width)
        numbers, scales = rounded(blocks, 127 if self.bits == 8 else 7)
        given = [constant(f"{name}/scale", scales)]
        if self.bits == 4:
            more, nodes, row = nibbles(name, numbers + 8)
            given += [
                *more,
                constant(f"{name}/8", np.array(8, np.int32)),
                constant(f"{name}/blocks", np.array(blocks.shape, np.int64)),
            ]
            nodes += [
                helper.make_node("Sub", [row, f"{name}/8"], [f"{name}/signed"]),
                helper.make_node("Cast", [f"{name}/signed"], [f"{name}/float"], to=TensorProto.FLOAT),
                helper.make_node("Reshape", [f"{name}/float", f"{name}/blocks"], [f"{name}/table"]),
            ]
        else:
            given.append(constant(f"{name}/int8", numbers.astype(np.int8)))
            nodes = [helper.make_node("Cast", [f"{name}/int8"], [f"{name}/table"], to=TensorProto.FLOAT)]
        given += [
            constant(f"{name}/rows", np.array([len(table), -1], np.int64)),
            constant(f"{name}/shape", np.array(value.shape, np.int64)),
        ]
        nodes += [
            helper.make_node("Mul", [f"{name}/table", f"{name}/scale"], [f"{name}/scaled"]),
            helper.make_node("Reshape", [f"{name}/scaled", f"{name}/rows"], [f"{name}/all"]),
        ]
        last = f"{name}/all"
        if short:
            given += [
                constant(f"{name}/{what}", np.array([at], np.int64))
                for what, at in (("from", 0), ("to", table.shape[1]), ("axis", 1))
            ]
            nodes.append(helper.make_node("Slice", [last, f"{name}/from", f"{name}/to", f"{name}/axis"], [f"{name}/cut"]))
            last = f"{name}/cut"
        return given, [*nodes, helper.make_node("Reshape", [last, f"{name}/shape"], [name])]


def rounded(rows: NDArray[Any], most: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """(whole numbers in [-most, most], scales [rows, 1]) of each row."""
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / most
    return np.clip(np.rint(rows / scales), -most, most).astype(np.int32), scales.astype(np.float32)


__all__ = ["WeightOnly", "rounded"]
