"""The shape of a compressor: a network or its exported graph in, a smaller or faster one out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True)
class Sight:
    """What a compressor may look at: examples of train, drawn by the seed; never valid, which judges it, nor test.

    raw: [N, *shape] as the exported graph takes them, float32 or int64; x: the same as the body sees them, behind the front;
    target: as the loss takes them; loss: (what the body gives, target) -> their mean loss; seed: of all chance.
    """

    raw: NDArray[np.generic]
    x: Tensor
    target: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int


class Compressor(Technique):
    """Makes a network smaller or faster at the price of a small error. One of two hooks is overridden:

        body = c.on_network(body, sight)      # a network: another one, that trains, exports and saves like any
        model = c.on_graph(model, sight)      # an ONNX file: another one, with the same input and output

    What is given is never changed. Both are functions of their arguments and the seed. Both raise ModelError, with a
    sentence, where the technique cannot work. Whoever calls them judges the result: a compressor promises no quality.
    """

    family: ClassVar[str] = "compressor"
    graphs: ClassVar[bool] = (
        False  # does it change the exported graph, after which the network is no longer what is shipped?
    )

    @property
    def learns(self) -> float:
        """For how many epochs the result has to be trained on; 0: not at all."""
        return 0.0

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """Another body, [B, *shape] to the same answers."""
        raise NotImplementedError

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """Another ONNX file, with the same input "x" and output."""
        raise NotImplementedError
