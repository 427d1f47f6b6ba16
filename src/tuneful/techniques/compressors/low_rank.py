"""Low rank: a layer as two thinner ones, from the largest singular values of its weight.

    W = U S V'   ->   x -> V'_r x -> U_r S_r (V'_r x) + b,      r: so many that  sum_{i <= r} s_i^2 >= keep * sum s_i^2

A convolution [out, in, k, k] becomes one of r maps with the same window, and a 1x1 of those. Only where that has fewer numbers:
r (in k^2 + out) < in k^2 out. The last layer stays. The network is trained on afterwards.

Source: Denton et al., NIPS 2014, arXiv:1404.0736; the form of the convolution: Zhang et al., TPAMI 2016, arXiv:1505.06798.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tuneful.core.config import NonNegative, Share
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Compressor, Sight


class LowRank(Compressor):
    """For wide linear layers and convolutions; narrow ones have no rank to spare."""

    source: ClassVar[str] = "Denton et al., NIPS 2014, arXiv:1404.0736"
    cost: ClassVar[str] = "one singular value decomposition a layer, and the epochs of training on"
    networks: ClassVar[bool] = True

    kind: Literal["low_rank"] = "low_rank"
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.9  # of the sum of squared singular values, layer by layer
    epochs: NonNegative = 3.0  # of training on afterwards
    teach: Share = 0.5  # how much of the loss is what the original says (as in distil), while it is trained on

    @property
    def learns(self) -> float:
        """See `Compressor`."""
        return self.epochs

    @property
    def teaching(self) -> float:
        """See `Compressor`."""
        return self.teach

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """A copy with some layers in two. Raises ModelError where none would become smaller."""
        made = copy.deepcopy(body)
        layers = [(name, one) for name, one in made.named_modules() if name and type(one) in (nn.Linear, nn.Conv2d)]
        changed = 0
        for name, layer in layers[:-1]:
            parts = self._parts(layer)
            if parts is not None:
                made.set_submodule(name, parts)
                changed += 1
        if not changed:
            raise ModelError(f"low_rank.keep is {self.keep:g}; at that no layer of this network becomes smaller by being parted",
                             "keep less, or prune instead")  # fmt: skip
        return made

    def _parts(self, layer: Any) -> nn.Sequential | None:
        if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros"):
            return None
        weight = layer.weight.detach()
        table = weight.reshape(len(weight), -1)
        left, values, right = torch.linalg.svd(table, full_matrices=False)
        rank = ranked(values, self.keep)
        if rank * (table.shape[0] + table.shape[1]) >= table.numel():
            return None
        first, second = right[:rank], left[:, :rank] * values[:rank]
        if isinstance(layer, nn.Linear):
            parts: tuple[Any, Any] = (
                nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, layer.bias is not None),
            )  # fmt: skip
        else:
            window: Any = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
            parts = (
                nn.Conv2d(layer.in_channels, rank, layer.kernel_size, bias=False, **window),  # pyright: ignore[reportArgumentType]
                nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None),
            )
        with torch.no_grad():
            parts[0].weight.copy_(first.reshape(parts[0].weight.shape))
            parts[1].weight.copy_(second.reshape(parts[1].weight.shape))
            if layer.bias is not None:
                parts[1].bias.copy_(layer.bias)
        return nn.Sequential(*parts)


def ranked(values: Tensor, keep: float) -> int:
    """How many of the largest values hold this share of the sum of their squares."""
    held = (values**2).cumsum(0) / (values**2).sum().clamp(min=1e-30)
    return int((held < keep).sum()) + 1


__all__ = ["LowRank", "ranked"]
