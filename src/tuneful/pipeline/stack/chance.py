"""What a stack leaves out at random: each member draws from the stream that it draws from alone.

Alone, a run seeds torch's generator with its own key at each step, and every dropout draws from it in the order of the network.
Here each member has a generator with that seed, which draws the same numbers in the same order, and the draws of all members are
laid side by side. Rates may differ from member to member.

`Streams` is also a mode under which torch's functions of dropout draw in this way, inside of vmap too; so a network needs no
modules of ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from tuneful.core.chance import key

CHANNELS: tuple[Any, ...] = (F.dropout1d, F.dropout2d, F.dropout3d, F.feature_alpha_dropout)
ALPHA: tuple[Any, ...] = (F.alpha_dropout, F.feature_alpha_dropout)
DROPS: tuple[Any, ...] = (F.dropout, *CHANNELS, F.alpha_dropout)
SELU = 1.7580993408473766  # the lowest value of SELU, with its sign turned round


@dataclass(frozen=True)
class Draw:
    """One place in the order of the network at which a member draws. rate: 0 draws nothing; strides: of what is dropped."""

    function: Any
    rate: float
    strides: tuple[int, ...]


class Recorder(TorchFunctionMode):
    """Notes where a network draws while it computes, and draws nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.randn_like:
            self.draws.append(Draw(func, 1.0, args[0].stride()))
            return torch.zeros_like(args[0])
        if func not in DROPS:
            return func(*args, **(kwargs or {}))
        x, rate, training = _arguments(func, args, kwargs or {})
        if training:
            self.draws.append(Draw(func, rate, x.stride()))
        return x


def _arguments(func: Any, args: Any, kwargs: Any) -> tuple[Tensor, float, bool]:
    given = dict(zip(("input", "p", "training"), args)) | kwargs
    default = 0.0 if func is None else 0.5
    usual = func not in (F.alpha_dropout, F.feature_alpha_dropout)
    return given["input"], float(given.get("p", default)), bool(given.get("training", usual))


def recorded(net: nn.Module, x: Tensor) -> list[Draw]:
    """Where a network in training draws for a batch, in order; the network stays as it is."""
    import copy

    with torch.no_grad(), Recorder() as recorder:
        copy.deepcopy(net).train()(x)
    return recorder.draws


class Streams(TorchFunctionMode):
    """The streams of members that are in one structure. draws: for each member where it draws, in one order."""

    def __init__(self, draws: Sequence[Sequence[Draw]], device: torch.device) -> None:
        super().__init__()
        self.draws = draws
        self.active = any(one.rate > 0 for member in draws for one in member)
        self.dice = [torch.Generator(device) for _ in draws]
        self._at = 0
        self.carrier: Tensor | None = None  # inside vmap: a batched number, by which a draw is known as one of the stack
        self.members = range(len(draws))

    def begin(self, begin: int, end: int, runs: Sequence[Any]) -> None:
        """A step of members begin .. end begins, which are these runs."""
        self._at, self.members = 0, range(begin, end)
        for k, run in zip(self.members, runs, strict=True) if self.active else ():
            self.dice[k].manual_seed(key(run.plan.seed, "dropout", run.step))

    def dropped(self, x: Tensor, function: Any = F.dropout) -> Tensor:
        """x [K, ...] after the next place of each member."""
        at, self._at = self._at, self._at + 1
        draws = [self.draws[k][at] for k in self.members]
        if function is torch.randn_like:
            return self._noise(x, draws, lambda noise, rate, dice: noise.normal_(generator=dice))
        if not any(one.rate > 0 for one in draws):
            return x
        if function not in ALPHA:
            return x * self._factor(x, draws)
        mask = self._noise(x, draws, lambda noise, rate, dice: noise.bernoulli_(1.0 - rate, generator=dice))
        return _alpha(x, mask, [one.rate for one in draws])

    def factor(self, x: Tensor) -> Tensor | None:
        """What plain dropout multiplies x [K, ...] with at the next place of each member; None: nothing is dropped there."""
        at, self._at = self._at, self._at + 1
        draws = [self.draws[k][at] for k in self.members]
        return self._factor(x, draws) if any(one.rate > 0 for one in draws) else None

    def _factor(self, x: Tensor, draws: Sequence[Draw]) -> Tensor:
        mask = self._noise(x, draws, lambda noise, rate, dice: noise.bernoulli_(1.0 - rate, generator=dice))
        rates = [one.rate for one in draws]
        return mask.div_(1.0 - rates[0] if len(set(rates)) == 1 else _column([1.0 - rate for rate in rates], x))

    def _noise(self, x: Tensor, draws: Sequence[Draw], fill: Callable[[Tensor, float, torch.Generator], Any]) -> Tensor:
        shape = x.shape[1:]
        if draws[0].function in CHANNELS:
            shape = (*shape[:2], *[1] * (len(shape) - 2))
        noise = torch.ones((len(draws), *shape), dtype=x.dtype, device=x.device)
        for row, one, k in zip(noise.unbind(0), draws, self.members, strict=True):
            if one.rate <= 0:
                continue
            strides = one.strides if len(shape) == len(one.strides) and one.function not in CHANNELS else row.stride()
            if row.stride() == strides:
                fill(row, one.rate, self.dice[k])
            else:  # numbers are drawn in the order of memory
                own = torch.empty_strided(shape, strides, dtype=x.dtype, device=x.device)
                fill(own, one.rate, self.dice[k])
                row.copy_(own)
        return noise

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.randn_like:
            return self._placed(args[0], func)
        if func in DROPS:
            x, _, training = _arguments(func, args, kwargs or {})
            return self._placed(x, func) if training else x
        return func(*args, **(kwargs or {}))

    def _placed(self, x: Tensor, function: Any) -> Any:
        # Not `self` but a function: what has __torch_function__ is taken for a tensor there.
        return _Placed.apply(x, self.carrier, lambda stacked: self.dropped(stacked, function))


class _Placed(torch.autograd.Function):
    """A draw inside of vmap: what is given to `Streams.dropped` is the whole stack."""

    @staticmethod
    def forward(x: Tensor, carrier: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        raise NotImplementedError("a draw outside of vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        x, _, draw = args
        stacked = x.movedim(in_dims[0], 0) if in_dims[0] is not None else x.expand(info.batch_size, *x.shape)
        return draw(stacked), 0


def _alpha(x: Tensor, mask: Tensor, rates: Sequence[float]) -> Tensor:
    """Alpha dropout, as torch computes it."""
    slopes = [1.0 / math.sqrt((SELU**2 * rate + 1.0) * (1.0 - rate)) if rate > 0 else 1.0 for rate in rates]
    a = _column(slopes, x)
    shift = mask.add(-1.0).mul_(SELU * a).add_(_column([SELU * s * r for s, r in zip(slopes, rates, strict=True)], x))
    return x * mask.mul_(a) + shift


def _column(values: Sequence[float], x: Tensor) -> Tensor:
    return torch.tensor(values, dtype=x.dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 1))
