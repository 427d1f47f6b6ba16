"""ViT: an image as a sequence of patches, read by a Transformer.

    patches of p x p pixels -> linear -> + learned places (and a class token before them) -> blocks -> norm -> linear

The patch is about an eighth of the shorter side, at most 16 pixels: 4 at 28x28 and 32x32, 8 at 64x64, 16 at 224x224. Sides that it
does not divide are filled up with zeros on the right and below. Without much data a ViT learns worse than convolutions do.

Source: Dosovitskiy et al., ICLR 2021, arXiv:2010.11929; the mean in place of a class token: Zhai et al., CVPR 2022,
arXiv:2106.04560; small: width 384, depth 12, heads 6 (Touvron et al., ICML 2021, arXiv:2012.12877).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Auto, Count, Positive
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.attention import TransformerBlock
from tuneful.techniques.models.maps import sides

ACROSS, COARSEST = 8, 16  # patches along the shorter side, about; pixels a side of the largest patch


class ViT(Model):
    """For images, where there are many of them or the weights are given."""

    source: ClassVar[str] = "Dosovitskiy et al., ICLR 2021, arXiv:2010.11929"
    cost: ClassVar[str] = "depth * 12 * width^2 weights; 64 patches of 32x32, width 192, depth 6: 0.18e9 multiply-adds"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["vit"] = "vit"
    width: Count = 192  # numbers of a patch; ViT-small has 384
    depth: Count = 6  # blocks; ViT-small has 12
    heads: Count = 3  # of attention; they divide the width
    ratio: Positive = 4.0  # hidden units of a block's MLP, in widths
    patch: Count | Auto = "auto"  # pixels a side; auto: about an eighth of the shorter side, at most 16
    pool: Literal["mean", "class"] = "mean"  # what is read out: the mean of all patches, or a token of its own
    activation: Activation = "gelu"  # nonlinear function of the MLPs

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4, or where the heads do not divide the width."""
        channels, side = sides(form, "vit")
        patch = max(1, min(COARSEST, round(side / ACROSS))) if self.patch == "auto" else self.patch
        high, wide = (-(-pixels // patch) for pixels in form.shape[1:])
        blocks = [TransformerBlock(self.width, self.heads, self.ratio, self.activation) for _ in range(self.depth)]
        return nn.Sequential(
            Patches(channels, self.width, patch, high * wide, self.pool == "class"),
            *blocks, nn.LayerNorm(self.width), Read(self.pool == "class"), nn.Dropout(0.0), nn.Linear(self.width, form.outputs),
        )  # fmt: skip


class Patches(nn.Module):
    """[B, C, H, W] to [B, T, width]: each patch as a vector that knows its place."""

    def __init__(self, channels: int, width: int, patch: int, count: int, token: bool) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if token else None
        self.places = nn.Parameter(torch.empty(1, count + token, width))
        nn.init.trunc_normal_(self.places, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        patch = self.cut.kernel_size[0]
        x = F.pad(x, (0, -x.shape[-1] % patch, 0, -x.shape[-2] % patch))
        x = self.cut(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + self.places


class Read(nn.Module):
    """The class token, or the mean over all places."""

    def __init__(self, token: bool) -> None:
        super().__init__()
        self.token = token

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0] if self.token else x.mean(dim=1)
