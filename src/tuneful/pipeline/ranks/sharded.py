"""A body whose weights, gradients and optimizer state are parted among the ranks: torch's FSDP2.

    sharded = Sharded(body, ranks)            # before the optimizer is built: the parameters are others afterwards
    z = sharded(x); ...backward()             # weights of a block are gathered when they are used, and gradients summed and parted

Each rank keeps one share of every parameter and of what the optimizer keeps for it, so W ranks train a model of nearly W times the size. A
block is what is gathered at once: the parts of the outermost sequence, then the body with what is left. Gathering costs messages in the
forward and the backward pass: where a model fits, `joined` is faster.

Rank 0 puts the weights together to judge and to write them, so it needs room for one copy of the weights, without gradients and state.

Source: Zhao et al., VLDB 2023, arXiv:2304.11277; Rajbhandari et al., SC 2020 (ZeRO stage 3), arXiv:1910.02054.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.pipeline.ranks.group import Ranks
from tuneful.pipeline.ranks.joined import Joined
from tuneful.pipeline.ranks.norms import norms
from tuneful.techniques.optimizers.rule import RuleOptimizer

PARTED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)
FUSED = (torch.optim.Adam, torch.optim.AdamW)
"""Those of torch whose fused kernels step shares; of SGD and Adagrad only the loop does."""


class Sharded(Joined):
    """body: the same on every rank, where it is to stay."""

    def __init__(self, body: nn.Module, ranks: Ranks) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self.body, self.ranks = body, ranks
        self.norms = norms(body)
        mesh = init_device_mesh(ranks.device.type, (ranks.world,))
        for block in parts(body):
            fully_shard(block, mesh=mesh)
        fully_shard(body, mesh=mesh)
        self.module = body
        self.times = float(ranks.world)
        self._before: list[Tensor] = []

    @contextmanager
    def quiet(self, quiet: bool = True) -> Generator[None]:
        """Around forward and backward of a part that is not the last of its batch: gradients are not summed over ranks yet."""
        module: Any = self.module
        module.set_requires_gradient_sync(not quiet)
        try:
            yield
        finally:
            module.set_requires_gradient_sync(True)


def parts(body: nn.Module) -> list[nn.Module]:
    """What is gathered at once: the parts of the outermost sequence that has several with parameters of their own; none where a part
    shares a parameter with something outside of it."""
    for one in body.modules():
        if isinstance(one, nn.Sequential | nn.ModuleList):
            found = [part for part in one if next(part.parameters(), None) is not None]
            if len(found) > 1:
                inside = [{id(p) for p in part.parameters()} for part in found]
                outside = {id(p) for n, p in body.named_parameters(remove_duplicate=False) if not _within(n, body, found)}
                apart = sum(map(len, inside)) == len(set().union(*inside)) and not outside & set().union(*inside)
                return found if apart else []
    return []


def _within(name: str, body: nn.Module, found: list[nn.Module]) -> bool:
    """Does a parameter of this name belong to one of these modules?"""
    module = body
    for word in name.split(".")[:-1]:
        module = module.get_submodule(word)
        if any(module is part for part in found):
            return True
    return False


def unshardable(settings: Any, optimizer: torch.optim.Optimizer) -> str:
    """settings: of the optimizer, as the recipe has them. Why this optimizer cannot step shares of weights; "" where it can: it moves every number by itself."""
    if settings.closure or settings.averages:
        return f"{settings.kind} needs the weights of all ranks between two steps"
    if isinstance(optimizer, RuleOptimizer):
        whole = any(not settings.separable(optimizer.hyper(group)) for group in optimizer.param_groups)
        return f"{settings.kind} looks at whole tensors" if whole else ""
    return "" if isinstance(optimizer, PARTED) else f"{settings.kind} is not known to move every number by itself"


__all__ = ["FUSED", "Sharded", "parts", "unshardable"]
