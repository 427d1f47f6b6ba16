"""What a search over each optimizer varies when nobody names a range.

About a decade and a half around the default rate, logarithmic; the memory of the mean by equal steps of log(1 - b); decay from
none upwards; and the one setting that is the method's own. Each default lies inside, so that a search may begin with it.

Source: which settings matter, and on which scale, follows Choi et al., "On empirical comparisons of optimizers for deep
learning", 2019, arXiv:1910.05446, section 4 and appendix D; the widths are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

COUPLED = "0,1e-5,1e-4,1e-3"  # decay that is added to the gradient
DECOUPLED = "0,0.01,0.05,0.1,0.3"  # decay that the rate multiplies
MEAN = "0.5,0.8,0.9,0.95,0.98"  # memory of the gradient's mean
VELOCITY = {"lr": "1e-3..0.3", "momentum": MEAN, "decay": COUPLED}
ADAM = {"lr": "1e-4..3e-2", "beta1": MEAN, "decay": COUPLED}
ADAMW = {"lr": "1e-4..3e-2", "beta1": MEAN, "decay": DECOUPLED}

RANGES: Mapping[str, Mapping[str, str]] = {
    "sgd": {"lr": "1e-2..3", "decay": COUPLED},
    "gd": {"lr": "3e-2..5", "decay": COUPLED},
    "momentum": VELOCITY,
    "nesterov": VELOCITY,
    "adagrad": {"lr": "1e-3..0.3", "decay": COUPLED},
    "adadelta": {"lr": "0.1..10", "rho": "0.8,0.9,0.95,0.99", "decay": COUPLED},
    "rmsprop": {"lr": "1e-4..3e-2", "beta": "0.9,0.95,0.99,0.999", "decay": COUPLED},
    "adam": ADAM,
    "amsgrad": ADAM,
    "nadam": {**ADAM, "lr": "2e-4..6e-2"},
    "radam": {**ADAM, "lr": "1e-3..0.1"},
    "adamax": {**ADAM, "lr": "5e-4..5e-2"},
    "adamw": ADAMW,
    "nadamw": ADAMW,
    "lowbit_adamw": ADAMW,
    "adabound": {"lr": "1e-4..3e-2", "final_lr": "1e-2..1", "decay": COUPLED},
    "amsbound": {"lr": "1e-4..3e-2", "final_lr": "1e-2..1", "decay": COUPLED},
    "adafactor": {"lr": "1e-3..0.1", "decay": DECOUPLED},
    "lion": {"lr": "1e-4..1e-2", "beta1": MEAN, "decay": "0,0.1,0.3,1,3"},
    "lamb": {"lr": "5e-4..0.1", "beta1": MEAN, "decay": "0,0.01,0.05,0.1"},
    "lars": {"lr": "0.1..30", "momentum": MEAN, "decay": COUPLED},
    "muon": {"lr": "2e-3..0.2", "adam_lr": "1e-4..1e-2", "decay": DECOUPLED},
    "soap": {"lr": "3e-4..3e-2", "beta1": MEAN, "decay": DECOUPLED},
    "schedule_free_sgd": {"lr": "0.1..10", "decay": COUPLED},
    "schedule_free_adamw": {"lr": "2.5e-4..5e-2", "decay": DECOUPLED},
    "prodigy": {"lr": "0.3..3", "decay": DECOUPLED},
    "sam": {**VELOCITY, "rho": "1e-2..0.3"},
    "asam": {**VELOCITY, "rho": "0.1..2"},
    "lookahead": {**VELOCITY, "pace": "0.5,0.8"},
    "lbfgs": {"lr": "0.1..1", "iterations": "2,4,8"},
}
"""{kind: {setting: range}}, in the syntax of `core.space`."""
