"""AdamW with its two means in eight or four bits, by torchao.

    AdamW's step (adamw.py), with m and v kept as small integers (or 8-bit floats), a scale for each block of numbers

A network's state takes a quarter or an eighth of AdamW's. Small tensors (below 4096 numbers) keep full precision. The step is
compiled by torch when it is first taken, which takes some seconds and a C++ compiler.

Decay is decoupled: a step removes lr * decay of a weight.

Source: Dettmers et al., ICLR 2022, arXiv:2110.02861 (8 bits); Li et al., NeurIPS 2023, arXiv:2309.01507 (4 bits); torchao's classes,
the package of the extra tuneful[lowbit].  Memory: 2 * 8/32 (4/32) of a tensor per parameter, and a scale per block.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.adamw import AdamW
from tuneful.techniques.optimizers.groups import as_groups, for_torch

ADAMW = AdamW()
CLASSES = {"int8": "AdamW8bit", "int4": "AdamW4bit", "fp8": "AdamWFp8"}


class LowBitAdamW(Optimizer):
    """AdamW for networks whose optimizer state does not fit."""

    source: ClassVar[str] = "Dettmers et al., ICLR 2022, arXiv:2110.02861; Li et al., NeurIPS 2023, arXiv:2309.01507"
    cost: ClassVar[str] = "half or a quarter of a tensor per parameter; needs torchao"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    fixed: ClassVar[tuple[str, ...]] = ("form",)
    unsaved: ClassVar[str] = "torchao keeps its state in tensors of its own, which the file of a run cannot hold"
    stackable: ClassVar[str] = "its state is rounded in blocks that would reach from one trial into the next"

    kind: Literal["lowbit_adamw"] = "lowbit_adamw"
    lr: Positive = 1e-3  # step size
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.01  # share of a weight lost per step, times lr
    form: Literal["int8", "int4", "fp8"] = "int8"  # of each number of the state

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """AdamW's step, which this is but for the rounding of m and v. See interfaces.Optimizer for the shapes."""
        own = SimpleNamespace(lr=h.lr, beta1=h.beta1, beta2=h.beta2, eps=h.eps, decay=h.decay, cautious=False)
        ADAMW.step_(p, g, s, t, own)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torchao's class. Raises ModelError where torchao is missing."""
        try:
            import torchao.optim as low  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ModelError(
                f"optimizer lowbit_adamw needs the package torchao, which is not there ({error})",
                "pip install 'tuneful[lowbit]', or write optimizer=adamw",
            ) from None
        betas = (self.beta1, self.beta2)
        groups = for_torch(as_groups(params, self), betas)
        return getattr(low, CLASSES[self.form])(groups, lr=self.lr, betas=betas, eps=self.eps, weight_decay=self.decay)
