"""Linear: one weighted sum per output; logistic regression for classes, linear regression for values.

    y = W x + b,  x flattened

Source: Legendre 1805 (least squares); Cox, J. R. Stat. Soc. B 20, 1958 (logistic).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import nn

from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model


class Linear(Model):
    """The floor that every other model must beat."""

    source: ClassVar[str] = "Cox, J. R. Stat. Soc. B 20, 1958"
    cost: ClassVar[str] = "inputs * outputs weights"

    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram", "vector", "series")

    kind: Literal["linear"] = "linear"

    def build(self, form: Form) -> nn.Module:
        """Flatten, then one layer; any shape."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(form.shape), form.outputs))
