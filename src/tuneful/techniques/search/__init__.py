"""Which recipe to try next (proposers), and which trial gets the next epochs (schedulers). No torch."""

from __future__ import annotations

from tuneful.techniques.interfaces import Proposer, Scheduler
from tuneful.techniques.search.asha import ASHA, Full
from tuneful.techniques.search.random import Random
from tuneful.techniques.search.tpe import TPE

PROPOSERS: dict[str, type[Proposer]] = {"random": Random, "tpe": TPE}
SCHEDULERS: dict[str, type[Scheduler]] = {"asha": ASHA, "full": Full}

__all__ = ["ASHA", "PROPOSERS", "SCHEDULERS", "TPE", "Full", "Random"]
