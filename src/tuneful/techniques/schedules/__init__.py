"""Schedules: how the learning rate moves over a run, as a factor that stretches with its length."""

from __future__ import annotations

from tuneful.techniques.interfaces import Schedule
from tuneful.techniques.schedules.constant import Constant
from tuneful.techniques.schedules.cosine import Cosine
from tuneful.techniques.schedules.cyclic import Cyclic
from tuneful.techniques.schedules.exponential import Exponential
from tuneful.techniques.schedules.follow import Follow
from tuneful.techniques.schedules.inverse_sqrt import InverseSqrt
from tuneful.techniques.schedules.linear import Linear
from tuneful.techniques.schedules.multi_step import MultiStep
from tuneful.techniques.schedules.noam import Noam
from tuneful.techniques.schedules.one_cycle import OneCycle
from tuneful.techniques.schedules.plateau import Plateau
from tuneful.techniques.schedules.polynomial import Polynomial
from tuneful.techniques.schedules.restarts import WarmRestarts
from tuneful.techniques.schedules.step import Step
from tuneful.techniques.schedules.wsd import WSD

TABLE: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "multi_step": MultiStep,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "linear": Linear,
    "cosine": Cosine,
    "warm_restarts": WarmRestarts,
    "cyclic": Cyclic,
    "one_cycle": OneCycle,
    "plateau": Plateau,
    "inverse_sqrt": InverseSqrt,
    "noam": Noam,
    "wsd": WSD,
}

__all__ = [
    "TABLE", "WSD", "Constant", "Cosine", "Cyclic", "Exponential", "Follow", "InverseSqrt", "Linear", "MultiStep", "Noam", "OneCycle",
    "Plateau", "Polynomial", "Step", "WarmRestarts",
]  # fmt: skip
