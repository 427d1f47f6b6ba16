"""Magnitude warp: a series becomes larger in one stretch and smaller in another, smoothly.

    x'[c, t] = x[c, t] f_c(t),  f_c: the cubic spline through values ~ N(1, std^2) at knots + 2 places evenly over the time

The spline is a matrix [knots + 2, T] that does not depend on the draw, so all curves of a batch are one product.

Source: Um et al., ICMI 2017, arXiv:1706.00527 (four knots and std 0.2 there); the spline's ends are "not a knot", as scipy's
CubicSpline, which their code uses, takes them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tuneful.core.config import NonNegative
from tuneful.core.form import FormKind
from tuneful.techniques.augments.scaling import require_series
from tuneful.techniques.interfaces import Augment


class MagnitudeWarp(Augment):
    """A movement is stronger at one time than at another."""

    source: ClassVar[str] = "Um et al., ICMI 2017, arXiv:1706.00527"
    cost: ClassVar[str] = "one copy of the batch, and knots + 2 multiply-adds per value"
    serves: ClassVar[tuple[FormKind, ...]] = ("series",)

    kind: Literal["magnitude_warp"] = "magnitude_warp"
    std: NonNegative = 0.2  # deviation of the curve from 1 at its knots
    knots: Annotated[int, Field(ge=2, le=64)] = 4  # places between the ends where the curve is drawn

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A curve for each channel of each example, [B, C, T]."""
        B, C, T = require_series(shape, self.kind)
        heights = torch.randn(B, C, self.knots + 2, generator=dice)
        return {"curve": 1 + self.std * (heights @ spline(self.knots + 2, T))}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Multiply [B, C, T] by the curves; p is given back as it is."""
        return x * drawn["curve"].to(x.device, x.dtype), p


@functools.cache
def spline(places: int, T: int) -> Tensor:
    """[places, T]: heights at `places` even places from the first moment to the last, times this, are the cubic spline through them."""
    from scipy.interpolate import CubicSpline

    curve: Any = CubicSpline(np.linspace(0, max(T - 1, 1), places), np.eye(places))
    return torch.from_numpy(curve(np.arange(T)).T.copy()).float()
