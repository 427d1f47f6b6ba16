"""Sparse weights: the smallest become zero, more and more of them while the network is trained on.

    share(t) = s (1 - (1 - t / T)^3),  t = 1 ... T;  T: half of the steps        (gradual; gradual=false: all at once)

Every `every` steps the mask is drawn anew from the magnitudes; between, what is masked stays zero. With a pattern N:M the M - N
smallest of every M neighbours along the input go instead. The exported file stays dense: zeros make it smaller only where it is
packed (zip), and faster only on hardware that knows the pattern; on a CPU prune whole channels.

Source: Han et al., NIPS 2015, arXiv:1506.02626 (magnitude); Zhu & Gupta 2017, arXiv:1710.01878, eq. 1 (gradual); Zhou et al.,
ICLR 2021, arXiv:2102.04010 (N:M).
"""

from __future__ import annotations

import copy
import re
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from tuneful.core.config import Count, Positive, Share
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Compressor, Sight

PART = 0.5  # of the steps in which the share grows; in the rest, while the rate still falls, the network settles


class Sparse(Compressor):
    """Most weights can be zero; what that saves depends on what runs them."""

    source: ClassVar[str] = "Zhu & Gupta 2017, arXiv:1710.01878; Zhou et al., ICLR 2021, arXiv:2102.04010"
    cost: ClassVar[str] = "the epochs of training on; a sort of the weights every few steps"
    networks: ClassVar[bool] = True
    follows: ClassVar[bool] = True

    kind: Literal["sparse"] = "sparse"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.8  # of the weights of each layer that become zero; of a pattern, its own
    pattern: str = "any"  # N:M, as 2:4: N of M neighbours along the input stay
    epochs: Positive = 5.0  # of training on
    teach: Share = 0.5  # how much of the loss is what the original says (as in distil), while it is trained on
    gradual: bool = True  # does the share grow while it learns?
    every: Count = 10  # steps between two masks

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        match = re.fullmatch(r"(\d+):(\d+)", value)
        if value != "any" and (match is None or not 0 < int(match[1]) < int(match[2])):
            raise ValueError('it must be "any", or N:M with 0 < N < M, such as 2:4')
        return value

    @property
    def learns(self) -> float:
        """See `Compressor`."""
        return self.epochs

    @property
    def teaching(self) -> float:
        """See `Compressor`."""
        return self.teach

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """A copy, whose weights go while it learns. Raises ModelError where there are none that could."""
        if not maskable(body):
            raise ModelError(f"{self.kind} finds no weights of linear layers or convolutions in this network")
        return copy.deepcopy(body)

    def follow_(self, body: nn.Module, memory: dict[str, Tensor], t: int, steps: int) -> None:
        """Masks anew where it is time, and zeros where they say so."""
        ramp = max(1, int(PART * steps))
        due = t == 1 or (self.gradual and t <= ramp and (t % self.every == 0 or t == ramp))
        for name, weight in maskable(body).items():
            if due or name not in memory:
                memory[name] = self._mask(weight.detach().abs(), self.now(t, ramp))
            weight.data.mul_(memory[name])

    def now(self, t: int, ramp: int) -> float:
        """The share after step t."""
        return self.share * (1 - (1 - min(1.0, t / ramp)) ** 3) if self.gradual else self.share

    def _mask(self, worth: Tensor, share: float) -> Tensor:
        if self.pattern == "any":
            return largest(worth, share)
        n, m = map(int, self.pattern.split(":"))
        return of_neighbours(worth, n, m)


def maskable(body: nn.Module) -> dict[str, Tensor]:
    """The weights of linear layers and convolutions, but for those that give the answers: the last one."""
    found: dict[str, Tensor] = {}
    for path, module in body.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            found[f"{path}.weight" if path else "weight"] = module.weight
    if found:
        found.popitem()
    return found


def largest(worth: Tensor, share: float) -> Tensor:
    """1 where a number is not among the least `share` of its tensor."""
    gone = int(share * worth.numel())
    mask = torch.ones_like(worth)
    if gone:
        mask.view(-1)[worth.reshape(-1).argsort()[:gone]] = 0
    return mask


def of_neighbours(worth: Tensor, n: int, m: int) -> Tensor:
    """1 at the n largest of every m neighbours along the inputs of each output; a rest that is shorter than m stays."""
    flat = worth.reshape(len(worth), -1)
    whole = flat.shape[1] // m * m
    groups = flat[:, :whole].reshape(len(flat), -1, m)
    mask = torch.ones_like(flat)
    kept = torch.zeros_like(groups).scatter_(2, groups.topk(n, dim=2).indices, 1.0)
    mask[:, :whole] = kept.reshape(len(flat), -1)
    return mask.reshape(worth.shape)


__all__ = ["Sparse", "largest", "maskable", "of_neighbours"]
