"""Early exit: examples that are easy get their answer half-way, from a small head of their own.

    p = softmax(head(h) / T'),  h what the first part of the layers gives;   max p >= threshold: the answer is p, else the rest computes

Both heads learn together, L = L_end + weight L_exit. In the exported graph the rest stands in an If: it is computed only where
some example of the call needs it, so that it pays for calls with one example, or a few. What an example is told never depends on
what else is in the call. For networks that are a sequence of parts, such as convnet, resnet, mlp, vit.

Source: Teerapittayanon et al., ICPR 2016, arXiv:1709.01686 (BranchyNet).
"""

from __future__ import annotations

import copy
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tuneful.core.config import NonNegative, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.compressors.distil import Distilled
from tuneful.techniques.interfaces import Compressor, Loss, Sight


class EarlyExit(Compressor):
    """For calls with one example at a time, most of which are easy."""

    source: ClassVar[str] = "Teerapittayanon et al., ICPR 2016, arXiv:1709.01686"
    cost: ClassVar[str] = "a small head, and the epochs of training on"
    networks: ClassVar[bool] = True

    kind: Literal["early_exit"] = "early_exit"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.9  # the confidence from which on the first answer is given
    after: Annotated[float, Field(gt=0, lt=1)] = 0.5  # where the exit stands, as a share of the parts of the network
    epochs: Positive = 5.0  # of training on
    weight: NonNegative = 0.5  # of the exit's loss

    @property
    def learns(self) -> float:
        """See `Compressor`."""
        return self.epochs

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """A copy with an exit. Raises ModelError where the network is no sequence of parts or the answers are no classes."""
        if sight.target.is_floating_point() or sight.target.ndim != 1:
            raise ModelError("early_exit asks how sure a class is; this task has no classes of examples")
        if type(body) is not nn.Sequential or len(body) < 3:
            raise ModelError(f"early_exit needs a network that is a sequence of parts; this one is {type(body).__name__}",
                             "such as model=convnet, resnet, mlp or vit")  # fmt: skip
        made = copy.deepcopy(body)
        at = min(len(made) - 2, max(1, round(self.after * len(made))))
        first, rest = made[:at], made[at:]
        with torch.no_grad():
            h, z = first.eval()(sight.x[:2]), body.eval()(sight.x[:2])
        return Exiting(first, _head(h, z.shape[-1], sight.seed), rest, self.threshold)

    def taught(self, loss: Loss) -> Loss:
        """Both answers are judged."""
        return Twice(inner=loss, kind=str(getattr(loss, "kind", "")), features=self.weight)


def _head(h: Tensor, outputs: int, seed: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    if h.ndim == 4:
        layers = [nn.AdaptiveAvgPool2d(2 if min(h.shape[2:]) >= 2 else 1), nn.Flatten()]
    elif h.ndim == 3:
        layers = [Middle()]
    with torch.no_grad():
        width = int(nn.Sequential(*layers)(h).shape[-1])
    head = nn.Linear(width, outputs)
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.normal_(0, width**-0.5, generator=dice)
        head.bias.zero_()
    return nn.Sequential(*layers, head)


class Middle(nn.Module):
    """The mean over places."""

    def forward(self, h_BTD: Tensor) -> Tensor:
        return h_BTD.mean(1)


class Exiting(nn.Module):
    """A network with an exit. In training it gives both answers side by side; else one for each example."""

    def __init__(self, first: nn.Module, head: nn.Module, rest: nn.Module, threshold: float) -> None:
        super().__init__()
        self.first, self.head, self.rest, self.threshold = first, head, rest, threshold

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        early = self.head(h)
        if self.training:
            return torch.cat([self.rest(h), early], dim=-1)
        sure = torch.softmax(early, -1).amax(-1, keepdim=True) >= self.threshold
        return torch.cond(sure.all(), self._early, self._late, (h, early, sure))

    def _early(self, h: Tensor, early: Tensor, sure: Tensor) -> Tensor:
        return early.clone()

    def _late(self, h: Tensor, early: Tensor, sure: Tensor) -> Tensor:
        return torch.where(sure, early, self.rest(h))


class Twice(Distilled):
    """The loss of two answers that stand side by side; features: the weight of the second."""

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        """See `Loss`."""
        end, early = z.chunk(2, dim=-1)
        return self.inner.total(end, target, prepared) + self.features * self.inner.total(early, target, prepared)


__all__ = ["EarlyExit", "Exiting"]
