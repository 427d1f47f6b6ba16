"""Optimizers: rules that turn gradients into steps, each a readable formula and a drop-in `torch.optim.Optimizer`."""

from __future__ import annotations

from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers.adabound import AdaBound
from tuneful.techniques.optimizers.adam import Adam
from tuneful.techniques.optimizers.adamw import AdamW
from tuneful.techniques.optimizers.groups import decay_groups, rated
from tuneful.techniques.optimizers.momentum import Momentum
from tuneful.techniques.optimizers.rule import RuleOptimizer
from tuneful.techniques.optimizers.sgd import SGD

TABLE: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "adam": Adam,
    "adamw": AdamW,
    "adabound": AdaBound,
}

__all__ = ["SGD", "TABLE", "AdaBound", "Adam", "AdamW", "Momentum", "RuleOptimizer", "decay_groups", "rated"]
