"""CMA-ES: a cloud of points whose center and shape move towards the better half of each generation.

For numbers only; a dial that is a choice is drawn at random beside it. Strong where dials act together and trials are many (hundreds).
Trials that are paused count with the value that they have at the longest length that enough trials have reached.

Source: Hansen & Ostermeier, Evol. Comput. 9 (2001); Hansen, 2016, arXiv:1604.00772.  Ours is Optuna's, on the package cmaes.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.errors import MissingError
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class CMAES(Proposer):
    """A cloud of points that moves and bends towards the better half."""

    kind: Literal["cma_es"] = "cma_es"

    source: ClassVar[str] = "Hansen, 2016, arXiv:1604.00772"
    cost: ClassVar[str] = "milliseconds a proposal"

    def sampler(self, seed: int) -> BaseSampler:
        if importlib.util.find_spec("cmaes") is None:
            raise MissingError("cmaes", "cmaes", "proposer=cma_es")
        from optuna.samplers import CmaEsSampler

        from tuneful.techniques.search.rated import level

        return level(CmaEsSampler(seed=seed % 2**32, warn_independent_sampling=False))

    def because(self, finished: int) -> str:
        return f"from the cloud that CMA-ES has moved after {finished} trials"
