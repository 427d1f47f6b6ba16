"""What a network is, before it is trained: does it fit the data, how large is it, how much does it compute?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from tuneful.core.errors import ModelError


@dataclass(frozen=True)
class Size:
    """parameters: numbers that are learned or fixed, tied ones once; multiply_adds: for one example, in linear layers and
    convolutions (others cost little)."""

    parameters: int
    multiply_adds: int


def check(net: nn.Module, shape: tuple[int, ...], outputs: int) -> Size:
    """Run two examples through a network and see that [2, outputs] comes out; give its size.

    Runs in evaluation mode and without gradients: the network, its statistics and the global dice are as before.
    Raises: ModelError when the network fails (its own error is the cause), gives anything but one floating tensor
        [2, outputs], gives a number that is not finite, or has nothing to train.
    Cost: one forward pass of two examples.
    """
    result, parts = _dry_run(net, shape)
    wanted = f"a tensor [2, {outputs}] of floats for a batch of two"
    if not isinstance(result, Tensor):
        raise ModelError(
            f"the network gave {type(result).__name__}; it must give {wanted}", "return the logits (or values) alone"
        )
    if tuple(result.shape) != (2, outputs):
        what = "one number per class, before softmax" if outputs > 1 else "one number per example"
        raise ModelError(
            f"the network gave shape {list(result.shape)} for input {[2, *shape]}; it must give [2, {outputs}]",
            f"that is {what}",
        )
    if not result.is_floating_point():
        raise ModelError(
            f"the network gave numbers of type {result.dtype}; it must give {wanted}", "leave out argmax and rounding"
        )
    if not bool(torch.isfinite(result).all()):
        raise ModelError(
            "the network gave NaN or infinite numbers for an input of mean 0 and deviation 1; it must give finite ones",
            "look for a division by zero or a logarithm of it, and for weights that were never filled",
        )
    if not any(p.requires_grad for p in net.parameters()):
        raise ModelError("the network has no parameter that can be trained; it needs one or more", "set requires_grad=True")
    return Size(_parameters(net), parts)


def size(net: nn.Module, shape: tuple[int, ...]) -> Size:
    """Parameters, and multiply-adds for one example of `shape`. Raises ModelError when the network fails on it."""
    _, multiply_adds = _dry_run(net, shape)
    return Size(_parameters(net), multiply_adds)


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _dry_run(net: nn.Module, shape: tuple[int, ...]) -> tuple[object, int]:
    """What two normal examples give, and the multiply-adds of one."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Linear):
            counts.append(output.numel() * module.in_features)
        elif isinstance(module, _ConvTransposeNd):
            counts.append(inputs[0].numel() * module.out_channels // module.groups * math.prod(module.kernel_size))
        elif isinstance(module, _ConvNd):
            counts.append(output.numel() * module.in_channels // module.groups * math.prod(module.kernel_size))

    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(_device(net))
    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]
    try:
        with _evaluating(net), torch.no_grad(), torch.random.fork_rng(devices=[]):
            result = net(x)
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"the network failed on a batch of shape {list(x.shape)}: {type(error).__name__}: {error}",
            "its forward() must take one float32 tensor of that shape",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return result, sum(counts) // 2


def _device(net: nn.Module) -> torch.device:
    return next((t.device for t in (*net.parameters(), *net.buffers())), torch.device("cpu"))


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every module's own mode afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
