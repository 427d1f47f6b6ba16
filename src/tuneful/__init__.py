"""tuneful finds the best deep-learning model that a budget can buy, and proves it.

    import tuneful

    result = tuneful.optimize("digits", budget="60s")
    print(result.headline)

Importing this is light: what a name stands for, torch included, is loaded when the name is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Threads of a parallel region wait for one another by spinning. On a machine that has anything else to do, the default length
# of the spin makes a training of two threads an order of magnitude slower than one of one (decision 0004).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from tuneful.core.artifact import Artifact
    from tuneful.core.budget import Budget
    from tuneful.core.errors import TunefulError
    from tuneful.core.measure import Measure
    from tuneful.core.recipe import Recipe
    from tuneful.core.study import Study
    from tuneful.core.task import Task
    from tuneful.pipeline.ablate import ablate
    from tuneful.pipeline.calls import optimize, train, tune
    from tuneful.pipeline.candidate import Candidate
    from tuneful.pipeline.compare import Compared, Comparison, compare
    from tuneful.pipeline.doctor import doctor
    from tuneful.pipeline.improve import Improved, improve
    from tuneful.pipeline.optimize import Result, Work
    from tuneful.pipeline.prepare import prepare
    from tuneful.pipeline.prove import prove
    from tuneful.pipeline.ship import ship
    from tuneful.pipeline.stack import Stack
    from tuneful.pipeline.train import Run
    from tuneful.runtime.load import load
    from tuneful.runtime.watch.face import Watched, watch

_FROM = {
    "Artifact": "tuneful.core.artifact",
    "Budget": "tuneful.core.budget",
    "Candidate": "tuneful.pipeline.candidate",
    "Compared": "tuneful.pipeline.compare",
    "Comparison": "tuneful.pipeline.compare",
    "Improved": "tuneful.pipeline.improve",
    "Measure": "tuneful.core.measure",
    "Recipe": "tuneful.core.recipe",
    "Result": "tuneful.pipeline.optimize",
    "Run": "tuneful.pipeline.train",
    "Stack": "tuneful.pipeline.stack",
    "Study": "tuneful.core.study",
    "Task": "tuneful.core.task",
    "TunefulError": "tuneful.core.errors",
    "Watched": "tuneful.runtime.watch.face",
    "Work": "tuneful.pipeline.optimize",
    "ablate": "tuneful.pipeline.ablate",
    "compare": "tuneful.pipeline.compare",
    "doctor": "tuneful.pipeline.doctor",
    "improve": "tuneful.pipeline.improve",
    "load": "tuneful.runtime.load",
    "optimize": "tuneful.pipeline.calls",
    "prepare": "tuneful.pipeline.prepare",
    "prove": "tuneful.pipeline.prove",
    "ship": "tuneful.pipeline.ship",
    "train": "tuneful.pipeline.calls",
    "tune": "tuneful.pipeline.calls",
    "watch": "tuneful.runtime.watch.face",
}

__all__ = [
    "Artifact",
    "Budget",
    "Candidate",
    "Compared",
    "Comparison",
    "Improved",
    "Measure",
    "Recipe",
    "Result",
    "Run",
    "Stack",
    "Study",
    "Task",
    "TunefulError",
    "Watched",
    "Work",
    "__version__",
    "ablate",
    "compare",
    "doctor",
    "improve",
    "load",
    "optimize",
    "prepare",
    "prove",
    "ship",
    "train",
    "tune",
    "watch",
]


def __getattr__(name: str) -> object:
    if name not in _FROM:
        raise AttributeError(f"module 'tuneful' has no attribute {name!r}")
    value = getattr(importlib.import_module(_FROM[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
