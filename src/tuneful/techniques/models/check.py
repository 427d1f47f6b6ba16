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
from tuneful.core.form import Form


@dataclass(frozen=True)
class Size:
    """parameters: numbers that are learned or fixed, tied ones once; multiply_adds: for one example, in linear layers and
    convolutions (others cost little)."""

    parameters: int
    multiply_adds: int


def check(net: nn.Module, form: Form) -> Size:
    """Run two examples through a network and see that [2, *form.answer] comes out; give its size.

    Runs in evaluation mode and without gradients: the network, its statistics and the global dice are as before.
    Raises: ModelError when the network fails (its own error is the cause), gives anything but one floating tensor
        [2, *form.answer], gives a number that is not finite, or has nothing to train.
    Cost: one forward pass of two examples.
    """
    result, parts = _dry_run(net, form)
    answer = [2, *form.answer]
    wanted = f"a tensor {answer} of floats for a batch of two"
    if not isinstance(result, Tensor):
        raise ModelError(
            f"the network gave {type(result).__name__}; it must give {wanted}", "return the logits (or values) alone"
        )
    if list(result.shape) != answer:
        what = "one number per class, before softmax" if form.outputs > 1 else "one number per example"
        what += ", for each place of the sequence" if form.each == "place" else ""
        raise ModelError(
            f"the network gave shape {list(result.shape)} for input {[2, *form.shape]}; it must give {answer}",
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


def size(net: nn.Module, form: Form) -> Size:
    """Parameters, and multiply-adds for one example. Raises ModelError when the network fails on it."""
    _, multiply_adds = _dry_run(net, form)
    return Size(_parameters(net), multiply_adds)


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _dry_run(net: nn.Module, form: Form) -> tuple[object, int]:
    """What two normal examples give, and the multiply-adds of one."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Linear):
            counts.append(output.numel() * module.in_features)
        elif isinstance(module, _ConvTransposeNd):
            counts.append(inputs[0].numel() * module.out_channels // module.groups * math.prod(module.kernel_size))
        elif isinstance(module, _ConvNd):
            counts.append(output.numel() * module.in_channels // module.groups * math.prod(module.kernel_size))

    dice = torch.Generator().manual_seed(0)
    if form.whole:
        x = torch.randint(min(2, form.vocabulary - 1), form.vocabulary, (2, *form.shape), generator=dice).to(_device(net))
    else:
        x = torch.randn(2, *form.shape, generator=dice).to(_device(net))
    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]
    try:
        with _evaluating(net), torch.no_grad(), torch.random.fork_rng(devices=[]):
            result = net(x)
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"the network failed on a batch of shape {list(x.shape)}: {type(error).__name__}: {error}",
            f"its forward() must take one {'int64' if form.whole else 'float32'} tensor of that shape",
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
