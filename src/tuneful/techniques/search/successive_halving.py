"""Successive halving: of a group that begins together the best 1/eta go on, and of these again.

eta^k trials begin, where the full length is eta^k times the first rung, or `trials` of them. Those that go on have eta times the length
before they are compared again; when one has come to its full length, the next group begins. All of a rung are compared before any goes
on, so nobody is promoted by having been early, as in ASHA, and a group that is not full when the trials of a budget have begun is halved
as it is.

Source: Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943.  Unlike there, trials are paused exactly and never trained anew.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Auto, Count, Fraction
from tuneful.techniques.search.brackets import Bracket, Bracketed
from tuneful.techniques.search.rungs import rungs


class SuccessiveHalving(Bracketed):
    """Of a group that begins together the best 1/eta go on, again and again."""

    kind: Literal["successive_halving"] = "successive_halving"
    first: Fraction = 0.1  # the first rung, as a share of the full length
    trials: Count | Auto = "auto"  # in a group; auto: as many as leave one at the end

    source: ClassVar[str] = "Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943"
    cost: ClassVar[str] = "one saved state for each paused trial"

    def brackets(self, epochs: float) -> tuple[Bracket, ...]:
        """The one kind of group there is."""
        lengths = rungs(self.first, self.eta, epochs)
        size = self.eta ** (len(lengths) - 1) if self.trials == "auto" else int(self.trials)
        return (Bracket(size, lengths),)
