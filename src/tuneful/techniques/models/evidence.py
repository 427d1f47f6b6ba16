"""Evidence: how much more often each n-gram stands in texts of a class than in others, counted, then corrected by learning.

    r_ic = log (p_ic / sum_j p_jc) - log (q_ic / sum_j q_jc)      p_ic = 1 + texts of class c in train that hold i, q_ic = 1 + others
    d_i  = 1 + log ((1 + N) / (1 + texts that hold i))
    ratio member of a view:    z_c = sum_i r_ic w_ic / ||r_c|| + b_c         w begins as trust / sqrt(m)
    rarity member of a view:   z_c = sum_i d_i  w_ic / ||d||   + b_c         w begins as 0

m is how many n-grams of the view a text of train has on average: naive Bayes takes them for independent, which they are the less the more there are.
The sums are over the n-grams i of one view (words, or letters) that a text holds, and so are the lengths || ||. r and d are counted once, before the
first step, and stay; w and b are learned. Each member learns by its own answers, [B * K, L] while it trains, and the answers are
averaged afterwards: members that learned together would leave to one view what the other tells. Dropout leaves n-grams out.

Source: Wang & Manning, ACL 2012 (NBSVM: linear models on features scaled by log-count ratios); averages of members: Mesnil et al., ICLR 2015
workshop, arXiv:1412.5335. Inverse document frequency: Sparck Jones, Journal of Documentation 28, 1972.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import NonNegative
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model

_BATCH = 4096  # texts that are counted at once


class Evidence(Model):
    """For texts of few classes: sentiment, spam, topics. With few texts hardly anything that is trained alone is better."""

    source: ClassVar[str] = "Wang & Manning, ACL 2012"
    cost: ClassVar[str] = (
        "(one or two) * vocabulary * classes weights, as many multiply-adds as n-grams in a text times classes"
    )

    serves: ClassVar[tuple[FormKind, ...]] = ("grams",)
    stackable: ClassVar[str] = "its members answer one by one while it trains: it is a stack already"

    kind: Literal["evidence"] = "evidence"
    rarity: bool = True  # members beside those of the ratios, whose n-grams count by how rare they are
    trust: NonNegative = 3.0  # how far the count is believed at first

    def build(self, form: Form) -> nn.Module:
        """For sets of n-grams of any number from 1."""
        return _Evidence(form.groups or (form.vocabulary - 1,), form.outputs, self)

    def learn_(self, net: nn.Module, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Count. Where the target is no class, every ratio stays 0."""
        cast("_Evidence", net).count_(x, y)


class _Member(nn.Module):
    """What the n-grams of one view tell, scaled in one way."""

    scale: Tensor

    def __init__(self, size: int, outputs: int, ratio: bool) -> None:
        super().__init__()
        self.ratio = ratio
        self.register_buffer("scale", torch.zeros(size + 1, outputs if ratio else 1))  # row 0 is what fills up
        self.weight = nn.Parameter(torch.full((size + 1, outputs), float(ratio)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.keep = nn.Dropout(0.0)

    def forward(self, at_BM: Tensor) -> Tensor:
        """As it is exported: what is none of this view is 0."""
        told, length = F.embedding(at_BM, self.scale * self.weight), F.embedding(at_BM, self.scale).square().sum(1)
        return (told * self.keep((at_BM != 0).to(told.dtype)).unsqueeze(-1)).sum(1) / self._root(length) + self.bias

    def ragged(self, flat: Tensor, starts_B: Tensor) -> Tensor:
        """The same without what fills up: all rows' numbers one behind the other, and where each row starts."""
        kept = self.keep(torch.ones_like(flat, dtype=self.weight.dtype))
        told = F.embedding_bag(flat, self.scale * self.weight, starts_B, mode="sum", per_sample_weights=kept)
        with torch.no_grad():
            length = F.embedding_bag(flat, self.scale.square(), starts_B, mode="sum")
        return told / self._root(length) + self.bias

    def _root(self, length: Tensor) -> Tensor:
        return length.clamp(min=1e-12).sqrt()


class _Evidence(nn.Module):
    def __init__(self, sizes: tuple[int, ...], outputs: int, dials: Evidence) -> None:
        super().__init__()
        self.outputs, self.trust = outputs, dials.trust
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        self.views = [(start, size) for start, size in zip(starts, sizes, strict=True) if size]
        hows = [ratio for ratio in (True, False) if (outputs > 1 if ratio else dials.rarity or outputs < 2)]
        self.members = nn.ModuleList(
            nn.ModuleList(_Member(size, outputs, ratio) for ratio in hows) for _, size in self.views
        )

    def forward(self, x_BM: Tensor) -> Tensor:
        whole = torch.compiler.is_exporting() or x_BM.device.type == "meta"  # how many are there must not decide shapes
        answers: list[Tensor] = []
        for (start, size), members in zip(self.views, self.members, strict=True):
            there = (x_BM > start) & (x_BM <= start + size)
            if whole:
                at = torch.where(there, x_BM - start, 0)
                answers += [member(at) for member in self._of(members)]
            else:
                flat, counts = x_BM[there] - start, there.sum(1)
                answers += [member.ragged(flat, counts.cumsum(0) - counts) for member in self._of(members)]
        told = torch.stack(answers, dim=1)
        return told.flatten(0, 1) if self.training else told.mean(dim=1)

    def _of(self, members: nn.Module) -> list[_Member]:
        return [member for member in members.children() if isinstance(member, _Member)]

    @torch.no_grad()
    def count_(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        held, texts = self._counts(x, y)
        for (start, size), members in zip(self.views, self.members, strict=True):
            here = held[start + 1 : start + size + 1]
            total = here.sum(1)
            known = (total > 0).unsqueeze(-1)
            mean = max(1.0, float(total.sum()) / max(1, texts))
            for member in self._of(members):
                if not member.ratio:
                    counted = 1 + ((1 + texts) / (1 + total)).log().unsqueeze(-1)
                elif held.shape[1] == self.outputs:
                    p, q = 1 + here, 1 + total.unsqueeze(-1) - here
                    counted = (p / p.sum(0)).log() - (q / q.sum(0)).log()
                    member.weight.fill_(self.trust / mean**0.5)
                else:
                    continue
                member.scale[1:] = torch.where(known, counted, 0).float()

    def _counts(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[Tensor, int]:
        """(how many texts of each class hold each n-gram, [V, L] or [V, 1] where the target is no class; texts in all)."""
        classed = y.ndim == 1 and y.dtype.kind in "iu" and int(y.max(initial=0)) < self.outputs
        known = np.flatnonzero(y >= 0) if classed else np.arange(len(y))  # outsiders are of no class
        groups = self.outputs if classed else 1
        last = max(start + size for start, size in self.views)
        held = torch.zeros((last + 1) * groups, dtype=torch.float64)
        for start in range(0, len(known), _BATCH):
            rows = known[start : start + _BATCH]
            at = torch.from_numpy(np.array(x[rows], dtype=np.int64)) * groups
            label = (
                torch.from_numpy(np.array(y[rows], dtype=np.int64)) if classed else torch.zeros(len(rows), dtype=torch.int64)
            )
            held += torch.bincount((at + label.unsqueeze(-1))[at != 0], minlength=len(held)).double()
        return held.reshape(-1, groups), len(known)
