"""What a network is, before it is trained: does it fit the data, how large is it, how much does it compute?"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tuneful.core.errors import ModelError
from tuneful.core.form import Form


@dataclass(frozen=True)
class Size:
    """parameters: numbers that are learned or fixed, tied ones once; multiply_adds: for one example, in all products of
    matrices: linear layers, convolutions, attention, recurrent layers (everything else costs little)."""

    parameters: int
    multiply_adds: int


def check(net: nn.Module, form: Form) -> Size:
    """Run two examples through a network and see that [2, *form.answer] comes out; give its size.

    Runs in evaluation mode and without gradients: the network, its statistics and the global dice are as before.
    Raises: ModelError when the network fails (its own error is the cause), gives anything but one floating tensor
        [2, *form.answer], gives a number that is not finite, or has nothing to train.
    Cost: one forward pass of two examples, ten times as slow as usual, since it is counted.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_UNCOUNTED)
    fits(net, form, counter)
    return Size(_parameters(net), counter.get_total_flops() // 2 // 2)


def fits(net: nn.Module, form: Form, counter: AbstractContextManager[Any] | None = None) -> None:
    """As `check`, but its size is not asked for. counter: what the pass is done in."""
    _takes_one_input(net)
    result = _dry_run(net, form, counter or nullcontext())
    answer = [2, *form.answer]
    wanted = f"a tensor {answer} of floats for a batch of two"
    if not isinstance(result, Tensor):
        raise ModelError(
            f"the network gave {type(result).__name__}; it must give {wanted}", "return the logits (or values) alone"
        )
    if list(result.shape) != answer:
        what = "one number per class, before softmax" if form.outputs > 1 else "one number per example"
        if form.each == "place":
            what += f", for each {'pixel, the classes before the rows' if form.kind == 'image' else 'place of the sequence'}"
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


def size(net: nn.Module, form: Form) -> Size:
    """Parameters, and multiply-adds for one example. Raises ModelError when the network fails on it."""
    counter = FlopCounterMode(display=False, custom_mapping=_UNCOUNTED)
    _dry_run(net, form, counter)
    return Size(
        _parameters(net), counter.get_total_flops() // 2 // 2
    )  # a multiply-add is two operations; there were two examples


def _takes_one_input(net: nn.Module) -> None:
    """Raises ModelError when forward() asks for more than one argument."""
    try:
        parameters = inspect.signature(net.forward).parameters.values()
    except (TypeError, ValueError):  # compiled: it keeps its signature to itself
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    asked = [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    if len(asked) > 1:
        raise ModelError(
            f"the network's forward() asks for {len(asked)} inputs ({', '.join(asked)}); it must take one tensor",
            "give the others defaults, or put the inputs into one tensor and part them inside",
        )


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _dry_run(net: nn.Module, form: Form, counter: AbstractContextManager[Any]) -> object:
    """What two normal examples give."""
    dice = torch.Generator().manual_seed(0)
    if form.whole:
        x = torch.randint(min(2, form.vocabulary - 1), form.vocabulary, (2, *form.shape), generator=dice).to(_device(net))
        if form.kind == "pair":
            x[:, form.source :] %= form.outputs
    else:
        x = torch.randn(2, *form.shape, generator=dice).to(_device(net))
    try:
        with _evaluating(net), torch.no_grad(), torch.random.fork_rng(devices=[]), _by_parts(), counter:
            result = net(x)
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"the network failed on a batch of shape {list(x.shape)}: {type(error).__name__}: {error}",
            f"its forward() must take one {'int64' if form.whole else 'float32'} tensor of that shape",
        ) from error
    return result


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return 2 * math.prod(query) * key[-2] + 2 * math.prod(query[:-1]) * key[-2] * value[-1]


def _recurrent(x: torch.Size, own: torch.Size, back: torch.Size, *_: object, **__: object) -> int:
    return 2 * math.prod(x[:-1]) * (math.prod(own) + math.prod(back))


_UNCOUNTED = {  # what torch's counter does not know: kernels of the CPU
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
}


@contextmanager
def _by_parts() -> Iterator[None]:
    """Inside, torch's attention layers compute by parts that can be counted, not in one kernel."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


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
