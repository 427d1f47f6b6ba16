"""Weight sharing: the weights of a layer are cast into a few groups, and each is kept as the number of its group.

    w' = c[k],   k = argmin_j |w - c_j|;   c: centres of k-means in one dimension, begun evenly between the least and the largest weight

256 groups take a byte a weight, 16 half a byte. The file is a quarter or an eighth; the speed is what it was, since onnxruntime
makes the weights again at loading.

Source: Han et al., ICLR 2016, arXiv:1510.00149, section 3 (their linear beginning); k-means: Lloyd, IEEE Trans. Inf. Theory 28, 1982.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tuneful.core.config import Count
from tuneful.techniques.compressors.packing import Packed, constant, nibbles, packed
from tuneful.techniques.interfaces import Compressor, Sight

ROUNDS = 30  # of k-means, at most


class Share(Compressor):
    """A quarter or an eighth of the size at the same speed."""

    source: ClassVar[str] = "Han et al., ICLR 2016, arXiv:1510.00149"
    cost: ClassVar[str] = "a second a million weights; no examples, no training"
    graphs: ClassVar[bool] = True

    kind: Literal["share"] = "share"
    bits: Literal[8, 4] = 4  # of the number of a group, so 256 or 16 groups a layer
    rounds: Count = ROUNDS  # of k-means, at most

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """The graph whose weights are looked up in books of their values."""
        return packed(model, self.kind, self._pack, least=2)

    def _pack(self, name: str, value: NDArray[Any]) -> Packed:
        book, numbers = grouped(value.reshape(-1), 2**self.bits, self.rounds)
        given = [constant(f"{name}/book", book), constant(f"{name}/shape", np.array(value.shape, np.int64))]
        if self.bits == 4:
            more, nodes, row = nibbles(name, numbers)
            given += more
        else:
            given.append(constant(f"{name}/group", numbers.astype(np.uint8)))
            row = f"{name}/numbers"
            nodes = [helper.make_node("Cast", [f"{name}/group"], [row], to=TensorProto.INT32)]
        nodes += [
            helper.make_node("Gather", [f"{name}/book", row], [f"{name}/values"]),
            helper.make_node("Reshape", [f"{name}/values", f"{name}/shape"], [name]),
        ]
        return given, nodes


def grouped(values: NDArray[Any], count: int, rounds: int = ROUNDS) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """(centres, the number of each value's centre): k-means on a line, where a group is what lies between two middles."""
    order = np.sort(values.astype(np.float64))
    sums = np.append(0.0, order.cumsum())
    centres = np.linspace(order[0], order[-1], count)
    for _ in range(rounds):
        ends = np.concatenate([[0], np.searchsorted(order, (centres[1:] + centres[:-1]) / 2), [len(order)]])
        held = np.diff(ends)
        new = np.where(held > 0, np.diff(sums[ends]) / np.maximum(held, 1), centres)
        if np.array_equal(new, centres):
            break
        centres = new
    return centres.astype(np.float32), np.searchsorted((centres[1:] + centres[:-1]) / 2, values)


__all__ = ["Share", "grouped"]
