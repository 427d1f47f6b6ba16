"""A body that is called in every rank on rows of its own, and whose gradients are summed over all: torch's DDP, batch norms together.

    joined = Joined(body, ranks, sample)
    with joined.quiet(): z = joined(x); ...backward()      # a part of a batch whose gradients wait for the last part
    z = joined(x); ...backward()                           # p.grad is the sum over ranks, sent while the backward pass goes on

DDP takes the mean over ranks, so losses go in multiplied by their number (`times`). Every rank weighs its rows by the weight of the
whole batch: what is summed is the gradient of the mean over all rows, however uneven the pieces are.

Source: Li et al., VLDB 2020, arXiv:2006.15704.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.pipeline.ranks.group import Ranks
from tuneful.pipeline.ranks.norms import norms, together


class Joined:
    """body: the same on every rank, where it is to stay; sample: gives a few rows as the body sees them."""

    def __init__(self, body: nn.Module, ranks: Ranks, sample: Callable[[], Tensor]) -> None:
        from torch.nn.parallel import DistributedDataParallel

        self.body, self.ranks = body, ranks
        self.norms = norms(body)
        device = [ranks.device] if ranks.device.type == "cuda" else None
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "`broadcast_buffers` is deprecated", FutureWarning
            )  # torch 2.11 has no other name
            self.module: nn.Module = DistributedDataParallel(
                body, device_ids=device, broadcast_buffers=False, find_unused_parameters=unused(body, sample())
            )
        self.times = float(ranks.world)
        self._before: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        return self.through(self.module)(x)

    def through(self, called: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """That call, with the batch norms of the body over all ranks."""
        if not self.norms:
            return called

        def call(x: Tensor) -> Tensor:
            with together(self.norms, self.ranks):
                return called(x)

        return call

    def remember(self) -> None:
        """A step begins: keep what a forward pass changes, so that a step which is broken off can be taken back."""
        if self.norms:
            self._before = [one.clone() for one in self.body.buffers()]

    def back(self) -> None:
        """Take back what the forward pass of a broken step has changed."""
        with torch.no_grad():
            for one, old in zip(self.body.buffers(), self._before, strict=bool(self._before)):
                one.copy_(old)

    def quiet(self, quiet: bool = True) -> AbstractContextManager[None]:
        """Around forward and backward of a part that is not the last of its batch: nothing is sent."""
        module: Any = self.module
        return module.no_sync() if quiet else contextlib.nullcontext()


@contextlib.contextmanager
def _unmoved(body: nn.Module) -> Generator[None]:
    """Buffers, gradients and the stream of random numbers are as before afterwards."""
    before = [one.detach().clone() for one in body.buffers()]
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            for p in body.parameters():
                p.grad = None
            with torch.no_grad():
                for one, old in zip(body.buffers(), before, strict=True):
                    one.copy_(old)


def unused(body: nn.Module, sample: Tensor) -> bool:
    """Are there parameters that a pass does not use? Then DDP must look for them in every step."""
    with _unmoved(body):
        body(sample).float().sum().backward()
        return any(p.grad is None for p in body.parameters() if p.requires_grad)


__all__ = ["Joined"]
