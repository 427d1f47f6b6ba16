"""Structured pruning: whole channels, units and heads go, and the network that is left is really smaller.

    of each family of groups (`depends`), the share with the least importance goes:

    magnitude   the mean square of all weights of the group, in each of its tensors over that tensor's mean; summed
    taylor      (sum_w w dL/dw)^2 over the weights of the group, L the loss on some examples of train
    scale       the scale that its batch norm (or layer norm) gives it, |gamma|

uniform: every family loses the same share; global: importances, over their family's mean, are ranked all together, and a family
keeps a tenth at least. What is kept of a family is rounded up to a multiple, since kernels compute in blocks: 23
of 32 channels took half as long again as all 32 here (LOG.md). Afterwards the network is trained on for some epochs.

Source: Li et al., ICLR 2017, arXiv:1608.08710 (magnitude of filters); Molchanov et al., CVPR 2019, arXiv:1906.10771 (taylor);
Liu et al., ICCV 2017, arXiv:1708.06519 (scale); Michel et al., NeurIPS 2019, arXiv:1905.10650 (heads).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tuneful.core.config import Count, NonNegative, Share
from tuneful.core.errors import ModelError
from tuneful.techniques.compressors.cutting import cut_
from tuneful.techniques.compressors.depends import Family, Group, families
from tuneful.techniques.interfaces import Compressor, Sight

LEAST = 0.1  # of a family that stays, at least, where importances are ranked all together
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
BATCH = 64  # examples at once through the network, for the gradient


class Prune(Compressor):
    """Fewer channels in every layer: multiply-adds fall with about the square of what is kept."""

    source: ClassVar[str] = "Li et al., ICLR 2017, arXiv:1608.08710; Molchanov et al., CVPR 2019, arXiv:1906.10771"
    cost: ClassVar[str] = "some seconds, and the epochs of training on"

    networks: ClassVar[bool] = True

    kind: Literal["prune"] = "prune"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.3  # of the units of each layer that go
    epochs: NonNegative = 5.0  # of training on afterwards
    teach: Share = 0.5  # how much of the loss is what the original says (as in distil), while it is trained on
    by: Literal["magnitude", "taylor", "scale"] = "taylor"  # what says how important a unit is
    spread: Literal["uniform", "global"] = "uniform"  # does every layer lose the same share?
    what: Literal["all", "channels", "heads"] = "all"  # channels: of convolutions and linear layers
    multiple: Count = 8  # what is kept of a layer is a multiple of this, where it has so many

    @property
    def learns(self) -> float:
        """See `Compressor`."""
        return self.epochs

    @property
    def teaching(self) -> float:
        """See `Compressor`."""
        return self.teach

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """A smaller copy. Raises ModelError where nothing can go, or where what is left cannot run."""
        found = [f for f in families(body, sight.x) if self.what == "all" or f.head == (self.what == "heads")]
        if not found:
            what = {"all": "units", "channels": "channels", "heads": "heads of attention"}[self.what]
            raise ModelError(f"prune finds no {what} in this network that could go by themselves",
                             "recurrent layers and torch's own attention stay whole; quantization may help")  # fmt: skip
        importance = [_importance(self.by, family, body, sight) for family in found]
        gone = self._uniform(found, importance) if self.spread == "uniform" else self._global(found, importance)
        if not gone:
            raise ModelError(
                f"prune.share is {self.share:g}, which takes nothing from layers that keep a multiple of {self.multiple} units",
                "give a larger share, or a smaller multiple",
            )
        made = copy.deepcopy(body)
        cut_(made, gone)
        _runs(made, body, sight.x[:2])
        return made

    def _uniform(self, found: Sequence[Family], importance: Sequence[Tensor]) -> list[Group]:
        gone: list[Group] = []
        for family, worth in zip(found, importance, strict=True):
            gone += _least(family, worth, self._kept(len(worth), len(worth) * (1 - self.share), family))
        return gone

    def _global(self, found: Sequence[Family], importance: Sequence[Tensor]) -> list[Group]:
        scaled = [worth / worth.mean().clamp(min=1e-30) for worth in importance]
        every = torch.cat(scaled).sort().values
        limit = every[min(len(every) - 1, int(self.share * len(every)))]
        gone: list[Group] = []
        for family, worth in zip(found, scaled, strict=True):
            stays = max(int((worth >= limit).sum()), math.ceil(LEAST * len(worth)))
            gone += _least(family, worth, self._kept(len(worth), stays, family))
        return gone

    def _kept(self, count: int, wanted: float, family: Family) -> int:
        """How many of so many stay."""
        multiple = self.multiple if not family.head else 1
        return min(count, max(1, math.ceil(round(wanted, 6) / multiple)) * multiple)


def _least(family: Family, worth: Tensor, kept: int) -> list[Group]:
    order = worth.argsort(stable=True)[: len(worth) - kept]
    return [family.groups[at] for at in order.tolist()]


def _importance(by: str, family: Family, body: nn.Module, sight: Sight) -> Tensor:
    """How important each group of a family is, [groups]."""
    weights = dict(body.named_parameters())
    norms: set[str] = set()
    if by == "scale":
        norms = {f"{path}.weight" if path else "weight" for path, one in body.named_modules() if isinstance(one, NORMS)}
        if not any(name in norms for name, _ in family.groups[0].indices):
            by = "magnitude"  # this family has no norm
    gradients = _gradients(body, sight) if by == "taylor" else {}
    found = torch.zeros(len(family.groups))
    for name, axis in family.groups[0].indices:
        if name not in weights or (by == "scale" and name not in norms):
            continue
        value = weights[name].detach()
        table = value * gradients[name] if by == "taylor" and name in gradients else value**2
        along = table.abs() if by == "scale" else table
        each = along.movedim(axis, 0).reshape(along.shape[axis], -1)
        each = each.sum(1) if by == "taylor" else each.mean(1)
        told = torch.stack([each[group.indices[name, axis]].sum() for group in family.groups])
        found += told if by != "magnitude" else told / told.mean().clamp(min=1e-30)
    return found**2 if by == "taylor" else found


def _gradients(body: nn.Module, sight: Sight) -> dict[str, Tensor]:
    """dL/dw of the mean loss over what is seen, by name; taken once and kept with what was seen."""
    net = copy.deepcopy(body).eval()
    for p in net.parameters():
        p.requires_grad_(True)
    for at in range(0, len(sight.x), BATCH):
        part = slice(at, at + BATCH)
        (sight.loss(net(sight.x[part]), sight.target[part]) * len(sight.x[part]) / len(sight.x)).backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def _runs(made: nn.Module, before: nn.Module, x: Tensor) -> None:
    """Raises ModelError where what is left does not run, or gives another shape."""
    modes = [(module, module.training) for net in (made, before) for module in net.modules()]
    try:
        with torch.no_grad():
            made.eval()
            before.eval()
            if made(x).shape != before(x).shape:
                raise ModelError("what prune leaves of this network gives another shape")
    except ModelError:
        raise
    except Exception as error:  # the user's code may raise anything
        said = next(iter(str(error).splitlines()), type(error).__name__)[:150]
        raise ModelError(
            f"what prune leaves of this network does not run: {said}",
            "its forward() holds the number of its units as a number; read it from the weights, or prune what=channels",
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode


__all__ = ["Prune"]
