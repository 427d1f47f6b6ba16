"""The shape of every plug. A technique is a settings class (its dials) with one or two methods (its idea).

Families never import one another; all of them import only `core` and this room, whose names are all taken from here. Outsiders
pass instances of their own subclasses and run our contract tests on them.
"""

from __future__ import annotations

from tuneful.techniques.interfaces.augment import Augment
from tuneful.techniques.interfaces.block import Attention, Residual
from tuneful.techniques.interfaces.compressor import Compressor, Sight
from tuneful.techniques.interfaces.init import Init
from tuneful.techniques.interfaces.loss import Loss
from tuneful.techniques.interfaces.model import Model
from tuneful.techniques.interfaces.optimizer import Optimizer, Rate
from tuneful.techniques.interfaces.proposer import Birth, Proposer
from tuneful.techniques.interfaces.regularizer import Regularizer
from tuneful.techniques.interfaces.schedule import Schedule
from tuneful.techniques.interfaces.scheduler import Scheduler, Step
from tuneful.techniques.interfaces.technique import Dice, Hyper, Overrides, Role, Technique

__all__ = [
    "Attention", "Augment", "Birth", "Compressor", "Dice", "Hyper", "Init", "Loss", "Model", "Optimizer", "Overrides", "Proposer", "Rate", "Regularizer",
    "Residual", "Role", "Schedule", "Scheduler", "Sight", "Step", "Technique",
]  # fmt: skip
