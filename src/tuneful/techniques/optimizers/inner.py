"""The rule inside another: SAM and Lookahead change what a plain rule is given, or what becomes of it."""

from __future__ import annotations

from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Hyper
from tuneful.techniques.optimizers.adamw import AdamW
from tuneful.techniques.optimizers.broadcast import real
from tuneful.techniques.optimizers.momentum import Momentum

Inner = Literal["momentum", "adamw"]
MOMENTUM, ADAMW = Momentum(), AdamW()


def inner_begin(inner: Inner, p: Tensor) -> dict[str, Tensor]:
    """The state of the rule inside: zeros."""
    return {name: torch.zeros_like(p, memory_format=torch.preserve_format) for name in _rule(inner).state}


def inner_step_(inner: Inner, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
    """One step of the rule inside, in place. Of h it reads lr, decay, and momentum, which is AdamW's beta1 too."""
    if inner == "momentum":
        own = SimpleNamespace(lr=h.lr, decay=h.decay, momentum=h.momentum, nesterov=False)
    else:
        own = SimpleNamespace(lr=h.lr, decay=h.decay, beta1=h.momentum, beta2=ADAMW.beta2, eps=ADAMW.eps, cautious=False)
    _rule(inner).step_(p, g, s, real(t), own)  # AdamW's beta2 is a float here, which a whole tensor would lower to float32


def _rule(inner: Inner) -> Momentum | AdamW:
    return MOMENTUM if inner == "momentum" else ADAMW
