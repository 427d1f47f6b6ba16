"""Zero residual: every residual block begins as the identity, so that a deep network begins as a shallow one.

    y = x + branch(x);   the last weight of each branch (a norm's scale, a Linear, a convolution) and its bias are zero

Its gradient is not zero, so the branch grows from the first step on. Everything else is drawn by another init.

Source: Goyal et al. 2017, section 5.1 (the last norm of each block), arXiv:1706.02677; where there are no norms: Zhang et al.,
ICLR 2019, arXiv:1901.09321, and Bachlechner et al., UAI 2021, arXiv:2003.04887.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.techniques.inits.he import He
from tuneful.techniques.inits.lecun import LeCun
from tuneful.techniques.inits.orthogonal import Orthogonal
from tuneful.techniques.inits.truncated import TruncatedNormal
from tuneful.techniques.inits.xavier import Xavier
from tuneful.techniques.interfaces import Init, Residual

OTHERS: dict[str, Init] = {
    "he": He(),
    "xavier": Xavier(),
    "lecun": LeCun(),
    "orthogonal": Orthogonal(),
    "truncated_normal": TruncatedNormal(),
}


class ZeroResidual(Init):
    """For networks with residual blocks: each begins as the identity."""

    source: ClassVar[str] = "Goyal et al. 2017, arXiv:1706.02677"
    cost: ClassVar[str] = "what the other init costs"

    kind: Literal["zero_residual"] = "zero_residual"
    others: Literal["he", "xavier", "lecun", "orthogonal", "truncated_normal"] = "he"  # draws all other weights

    @property
    def drawer(self) -> Init:
        """The init that is named in `others`."""
        return OTHERS[self.others]

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """As the other init fills it."""
        self.drawer.fill_(weight, fan_in, fan_out, gain, dice)

    @torch.no_grad()
    def settle_(self, net: nn.Module, sample: Tensor | None, twin: nn.Module | None) -> None:
        """Zero the ends of all branches. Raises ModelError where there is no residual block."""
        found = False
        for module in net.modules():
            for end in _ends(module):
                found = True
                for p in end.parameters(recurse=False):
                    p.zero_()
        if not found:
            raise ModelError(
                f"init is zero_residual, and {type(net).__name__} has no residual block that is known as one",
                "derive your block from tuneful.techniques.interfaces.Residual beside nn.Module, or take init=he",
            )


def _ends(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, Residual):
        yield from module.ends()
    elif isinstance(module, nn.TransformerEncoderLayer):
        yield from (module.self_attn.out_proj, module.linear2)
    elif isinstance(module, nn.TransformerDecoderLayer):
        yield from (module.self_attn.out_proj, module.multihead_attn.out_proj, module.linear2)
