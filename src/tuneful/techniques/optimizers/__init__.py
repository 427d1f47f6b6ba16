"""Optimizers: rules that turn gradients into steps, each a readable formula and a drop-in `torch.optim.Optimizer`."""

from __future__ import annotations

from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers.adabound import AdaBound
from tuneful.techniques.optimizers.adadelta import Adadelta
from tuneful.techniques.optimizers.adafactor import Adafactor
from tuneful.techniques.optimizers.adagrad import Adagrad
from tuneful.techniques.optimizers.adam import Adam
from tuneful.techniques.optimizers.adamax import Adamax
from tuneful.techniques.optimizers.adamw import AdamW
from tuneful.techniques.optimizers.amsbound import AMSBound
from tuneful.techniques.optimizers.amsgrad import AMSGrad
from tuneful.techniques.optimizers.asam import ASAM
from tuneful.techniques.optimizers.gd import GD
from tuneful.techniques.optimizers.groups import decay_groups, parameter_groups, rated
from tuneful.techniques.optimizers.lamb import LAMB
from tuneful.techniques.optimizers.lars import LARS
from tuneful.techniques.optimizers.lbfgs import LBFGS
from tuneful.techniques.optimizers.lion import Lion
from tuneful.techniques.optimizers.lookahead import Lookahead
from tuneful.techniques.optimizers.lowbit_adamw import LowBitAdamW
from tuneful.techniques.optimizers.momentum import Momentum
from tuneful.techniques.optimizers.muon import Muon
from tuneful.techniques.optimizers.nadam import NAdam
from tuneful.techniques.optimizers.nadamw import NAdamW
from tuneful.techniques.optimizers.nesterov import Nesterov
from tuneful.techniques.optimizers.prodigy import Prodigy
from tuneful.techniques.optimizers.radam import RAdam
from tuneful.techniques.optimizers.rmsprop import RMSprop
from tuneful.techniques.optimizers.rule import RuleOptimizer
from tuneful.techniques.optimizers.sam import SAM
from tuneful.techniques.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from tuneful.techniques.optimizers.schedule_free_sgd import ScheduleFreeSGD
from tuneful.techniques.optimizers.sgd import SGD
from tuneful.techniques.optimizers.soap import SOAP

TABLE: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "adamw": AdamW,
    "adabound": AdaBound,
    "lion": Lion,
    "muon": Muon,
    "gd": GD,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": RMSprop,
    "amsgrad": AMSGrad,
    "amsbound": AMSBound,
    "nadam": NAdam,
    "nadamw": NAdamW,
    "radam": RAdam,
    "adamax": Adamax,
    "adafactor": Adafactor,
    "lamb": LAMB,
    "lars": LARS,
    "soap": SOAP,
    "schedule_free_sgd": ScheduleFreeSGD,
    "schedule_free_adamw": ScheduleFreeAdamW,
    "prodigy": Prodigy,
    "sam": SAM,
    "asam": ASAM,
    "lookahead": Lookahead,
    "lbfgs": LBFGS,
    "lowbit_adamw": LowBitAdamW,
}

__all__ = [
    "AMSBound",
    "AMSGrad",
    "ASAM",
    "AdaBound",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GD",
    "LAMB",
    "LARS",
    "LBFGS",
    "Lion",
    "Lookahead",
    "LowBitAdamW",
    "Momentum",
    "Muon",
    "NAdam",
    "NAdamW",
    "Nesterov",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "RuleOptimizer",
    "SAM",
    "SGD",
    "SOAP",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "TABLE",
    "decay_groups",
    "parameter_groups",
    "rated",
]
