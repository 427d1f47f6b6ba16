"""Hyperband: successive halving from several first rungs in turn.

Nobody knows beforehand how early trials can be told apart, so that several guesses share the budget.

With S the number of rungs below the full length, bracket s = S, S - 1, ..., 0 begins ceil((S + 1) eta^s / (s + 1)) trials with the
share eta^-s of the full length; the last one trains all of its trials to their end. All brackets cost about the same.

Source: Li et al., JMLR 18 (2018), algorithm 1, arXiv:1603.06560.  Unlike there, trials are paused exactly and never trained anew, and the
next bracket begins while trials of this one are on their way.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.core.config import Fraction
from tuneful.techniques.search.brackets import Bracket, Bracketed
from tuneful.techniques.search.rungs import rungs


class Hyperband(Bracketed):
    """Successive halving from several first rungs in turn."""

    kind: Literal["hyperband"] = "hyperband"
    first: Fraction = 0.03  # the earliest first rung, as a share of the full length

    source: ClassVar[str] = "Li et al., JMLR 18 (2018), arXiv:1603.06560"
    cost: ClassVar[str] = "one saved state for each paused trial"

    def brackets(self, epochs: float) -> tuple[Bracket, ...]:
        """From the one with the earliest rung to the one without halving."""
        lengths = rungs(self.first, self.eta, epochs)
        most = len(lengths) - 1
        return tuple(
            Bracket(math.ceil((most + 1) * self.eta**s / (s + 1)), lengths[most - s :]) for s in range(most, -1, -1)
        )
