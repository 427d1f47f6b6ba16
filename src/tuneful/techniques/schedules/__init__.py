"""Schedules: how the learning rate moves over a run, as a factor that stretches with its length."""

from __future__ import annotations

from tuneful.techniques.interfaces import Schedule
from tuneful.techniques.schedules.constant import Constant
from tuneful.techniques.schedules.cosine import Cosine
from tuneful.techniques.schedules.linear import Linear
from tuneful.techniques.schedules.step import Step

TABLE: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "linear": Linear,
    "cosine": Cosine,
}

__all__ = ["TABLE", "Constant", "Cosine", "Linear", "Step"]
