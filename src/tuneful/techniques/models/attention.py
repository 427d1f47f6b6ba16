"""Self-attention of several heads, and the Transformer's block around it: what models of patches and of words are made of.

    a = softmax(scale q k^T) v, per head;  q, k, v, and what leaves: linear maps
    block: x + attention(norm(x)), then x + mlp(norm(x))          (norms first: Xiong et al., ICML 2020, arXiv:2002.04745)

Source: Vaswani et al., NeurIPS 2017, arXiv:1706.03762.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Attention, Residual
from tuneful.techniques.models.activations import Activation, activation


class SelfAttention(nn.Module, Attention):
    """[B, T, width] to the same. Raises ModelError when the heads do not divide the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ModelError(
                f"model.width is {width}, which {heads} heads do not divide",
                f"write model.width={width // heads * heads or heads}",
            )
        self.heads, self.head = heads, width // heads
        self.scale = self.head**-0.5
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """mask: [B, 1, 1 or T, T], true where a place may be looked at; causal: no place looks at later ones."""
        q, k, v = self.into(x).unflatten(-1, (3, self.heads, self.head)).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=self.scale)
        return self.out(a.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module, Residual):
    """Attention, then a small MLP at every place; both are added to what enters them."""

    def __init__(self, width: int, heads: int, ratio: float, then: Activation) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        hidden = max(1, round(ratio * width))
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), activation(then), nn.Dropout(0.0), nn.Linear(hidden, width), nn.Dropout(0.0)
        )
        self.drop = nn.Dropout(0.0)

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x), mask, causal))
        return x + self.mlp(self.norm2(x))

    def ends(self) -> Sequence[nn.Module]:
        """The linear maps at the ends of attention and MLP."""
        return [self.attention.out, self.mlp[3]]
