"""The shape of a compressor: a network or its exported graph in, a smaller or faster one out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tuneful.techniques.interfaces.loss import Loss
from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True)
class Sight:
    """What a compressor may look at: examples of train, drawn by the seed; never valid, which judges it, nor test.

    raw: [N, *shape] as the exported graph takes them, float32 or int64; x: the same as the body sees them, behind the front;
    target: as the loss takes them; loss: (what the body gives, target) -> their mean loss; seed: of all chance; teachers: bodies
    that a student may learn from, the original's first.
    """

    raw: NDArray[np.generic]
    x: Tensor
    target: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int
    teachers: tuple[nn.Module, ...] = ()


class Compressor(Technique):
    """Makes a network smaller or faster at the price of a small error. A subclass overrides what it needs:

        body = c.on_network(body, sight)                   # another one, that trains, exports and saves like any
        # where c.learns: the body is trained on for so many epochs with the loss c.taught(loss), and after each step t = 1, 2, ...
        c.follow_(body, memory, t, steps)
        body = c.settled(body)                             # what is exported
        model = c.on_graph(model, sight)                   # an ONNX file: another one, with the same input and output

    What is given to `on_network` and `on_graph` is never changed. All are functions of their arguments and the seed, and raise
    ModelError, with a sentence, where the technique cannot work. Whoever calls them judges the result: a compressor promises no
    quality.
    """

    family: ClassVar[str] = "compressor"
    graphs: ClassVar[bool] = (
        False  # does it change the exported graph, after which the network is no longer what is shipped?
    )
    networks: ClassVar[bool] = False  # does it change the network?
    follows: ClassVar[bool] = False  # does it act after each step of the training?

    @property
    def learns(self) -> float:
        """For how many epochs the network has to be trained on; 0: not at all."""
        return 0.0

    @property
    def teaching(self) -> float:
        """How much of the loss is what the original says, while the network is trained on."""
        return 0.0

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """Another body, [B, *shape] to the same answers."""
        return body

    def taught(self, loss: Loss) -> Loss:
        """The loss that the network is trained on with."""
        return loss

    def follow_(self, body: nn.Module, memory: dict[str, Tensor], t: int, steps: int) -> None:
        """After step t of the training: change the weights in place. `p.grad` is that of the step; memory: what is remembered."""

    def settled(self, body: nn.Module) -> nn.Module:
        """What is left when the training is over; may be the same."""
        return body

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """Another ONNX file, with the same input "x" and output."""
        return model
