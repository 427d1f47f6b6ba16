"""Stochastic depth: whole branches of residual blocks are left out at random, example by example.

    training:  y = x + branch(x) * mask / (1 - rate_l), mask ~ Bernoulli(1 - rate_l), one for each example
    rate_l = rate * l / L          for block l = 1, 2, ..., L: early blocks are kept more often

A block is found by `interfaces.Residual`, from which it derives: what the last modules of its branches give is masked. Of
torch's own Transformer layers it is the dropout at the end of each branch. Afterwards nothing is left out.

Source: Huang et al., ECCV 2016, arXiv:1603.09382; a mask per example: Larsson et al., ICLR 2017, arXiv:1605.07648.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Fraction
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Regularizer, Residual


class StochasticDepth(Regularizer):
    """Deep networks trained as many shallow ones."""

    source: ClassVar[str] = "Huang et al., ECCV 2016, arXiv:1603.09382"
    cost: ClassVar[str] = "one product per branch and step (branches are computed all the same); nothing afterwards"

    kind: Literal["stochastic_depth"] = "stochastic_depth"
    rate: Fraction = 0.1  # share of the examples for which the last block is left out

    def prepare(self, net: nn.Module) -> None:
        """Mask the branches of every block. Raises ModelError when the network has none."""
        blocks = [ends for module in net.modules() if (ends := _ends(module))]
        if not blocks:
            raise ModelError(
                f"stochastic_depth.rate is {self.rate:g}, but {type(net).__name__} has no residual block that is known as one",
                "derive your block from tuneful.techniques.interfaces.Residual beside nn.Module, or leave stochastic_depth out",
            )
        for place, ends in enumerate(blocks, 1):
            for end in ends:
                end.register_forward_hook(_dropping(self.rate * place / len(blocks)))


def _dropping(rate: float) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
    def drop(module: nn.Module, inputs: Any, z: Tensor) -> Tensor | None:
        if not module.training or rate == 0:
            return None
        return z * F.dropout(z.new_ones(len(z), *[1] * (z.ndim - 1)), rate, training=True)

    return drop


def _ends(module: nn.Module) -> Sequence[nn.Module]:
    """The modules whose outputs are the branches of a block; none where it is no block."""
    if isinstance(module, Residual):
        return module.ends()
    if isinstance(module, nn.TransformerEncoderLayer):
        return (module.dropout1, module.dropout2)
    if isinstance(module, nn.TransformerDecoderLayer):
        return (module.dropout1, module.dropout2, module.dropout3)
    return ()
