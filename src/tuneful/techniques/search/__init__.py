"""Which recipe to try next (proposers), and which trial gets the next epochs (schedulers). No torch."""

from __future__ import annotations

from tuneful.techniques.interfaces import Proposer, Scheduler
from tuneful.techniques.search.asha import ASHA
from tuneful.techniques.search.cma_es import CMAES
from tuneful.techniques.search.coarse_to_fine import CoarseToFine
from tuneful.techniques.search.curves import Curves
from tuneful.techniques.search.evolution import Evolution
from tuneful.techniques.search.freeze_thaw import FreezeThaw
from tuneful.techniques.search.full import Full
from tuneful.techniques.search.gp import GP
from tuneful.techniques.search.grid import Grid
from tuneful.techniques.search.halton import Halton
from tuneful.techniques.search.hyperband import Hyperband
from tuneful.techniques.search.median import Median
from tuneful.techniques.search.morph import Morph
from tuneful.techniques.search.nsga_ii import NSGAII
from tuneful.techniques.search.pbt import PBT
from tuneful.techniques.search.percentile import Percentile
from tuneful.techniques.search.random import Random
from tuneful.techniques.search.sampled import Sampled
from tuneful.techniques.search.sobol import Sobol
from tuneful.techniques.search.successive_halving import SuccessiveHalving
from tuneful.techniques.search.tpe import TPE

PROPOSERS: dict[str, type[Proposer]] = {
    "grid": Grid,
    "random": Random,
    "sobol": Sobol,
    "halton": Halton,
    "coarse_to_fine": CoarseToFine,
    "tpe": TPE,
    "curves": Curves,
    "gp": GP,
    "cma_es": CMAES,
    "nsga_ii": NSGAII,
    "evolution": Evolution,
    "morph": Morph,
}
SCHEDULERS: dict[str, type[Scheduler]] = {
    "asha": ASHA,
    "median": Median,
    "percentile": Percentile,
    "successive_halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "freeze_thaw": FreezeThaw,
    "pbt": PBT,
    "full": Full,
}

__all__ = [
    "ASHA", "CMAES", "GP", "NSGAII", "PROPOSERS", "SCHEDULERS", "TPE", "CoarseToFine", "Curves", "Evolution", "FreezeThaw", "Full", "Grid", "Halton", "Hyperband",
    "Median", "Morph", "PBT", "Percentile", "Random", "Sampled", "Sobol", "SuccessiveHalving",
]  # fmt: skip
