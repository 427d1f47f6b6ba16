"""The networks of K members as one program: a chain stacked by hand where the network is one, else torch's vmap.

    program = Program(net)                    # the network of any member: its structure serves all
    z = program(x, tensors, streams)          # x [K, B, ...], tensors [K, *shape] by name: z [K, B, ...]

Gradients are taken from outside, of the sum over all members: a mean would make each member's gradient K times too small.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase

from tuneful.pipeline.stack.chain import chain, run
from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.stack.manual import manual
from tuneful.pipeline.stack.unrolled import replaced


class Program:
    """net: of one member. by_hand: try a chain first; axes: of its batches."""

    def __init__(self, net: nn.Module, by_hand: bool = True, axes: int = 0) -> None:
        self.links = chain(net) if by_hand else None
        self.manual = manual(net, axes) if by_hand else None  # the same chain there and back, for training in full precision
        self.net: nn.Module = net
        self.counts: list[str] = []
        if self.links is None:
            self.net = replaced(copy.deepcopy(net))
            for name, module in self.net.named_modules():
                if isinstance(module, _NormBase) and module.num_batches_tracked is not None and module.momentum is not None:
                    module.num_batches_tracked = None  # counted by hand: vmap cannot, and nothing reads it
                    self.counts.append(f"{name}.num_batches_tracked".lstrip("."))

    def __call__(
        self,
        x: Tensor,
        tensors: Mapping[str, Tensor],
        streams: Streams | None,
        k: int,
        shared: bool = False,
        sight: Any = None,
    ) -> Tensor:
        """x: [K, B, ...], or [B, ...] where all members see the same. streams: where members draw; None outside of training.
        sight: what a chain tells of its layers."""
        if self.links is not None:
            return run(self.links, x, k, shared, tensors, streams, sight)
        self.net.train(streams is not None)
        held = {name: t for name, t in tensors.items() if name not in self.counts}
        for name in self.counts if streams is not None else ():
            tensors[name].add_(1)

        def one(held: dict[str, Tensor], x: Tensor, carrier: Tensor) -> Tensor:
            if streams is None or not streams.active:
                return functional_call(self.net, held, (x,))
            streams.carrier = carrier
            with streams:
                return functional_call(self.net, held, (x,))

        mapped = torch.vmap(one, in_dims=(0, None if shared else 0, 0), randomness="different")
        with sdpa_kernel(SDPBackend.MATH):  # torch's attention has a rule for stacks in this kernel alone
            return mapped(held, x, torch.zeros(k, device=x.device))
