"""Sobol's sequence: points that fill the space evenly, however many there will be.

Trial n gets the n-th point of a (t, s)-sequence in base 2, each dial turned round by an amount that hangs on its name, so that no point
lies in a corner. Where chance leaves gaps and heaps, this leaves few.

Source: Sobol', USSR Comput. Math. 7 (1967), 86-112; directions of Joe & Kuo, 2008, as in SciPy; the turn: Cranley & Patterson, 1976.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class Sobol(Proposer):
    """Evenly filling points in base 2."""

    kind: Literal["sobol"] = "sobol"
    turn: Count = 1  # another number, another set of points that fills as evenly

    source: ClassVar[str] = "Sobol', USSR Comput. Math. 7 (1967)"
    cost: ClassVar[str] = "nothing"

    def sampler(self, seed: int) -> BaseSampler:
        from tuneful.techniques.search.dials import dial_by_dial

        return dial_by_dial(lambda study, trial, name, dial: turned(study, trial, name, self.turn))

    def because(self, finished: int) -> str:
        return "the next point of an evenly filling sequence (Sobol's)"


def turned(study: Study, trial: FrozenTrial, name: str, turn: int) -> float:
    """Where the dial of this name lies at the trial's point of the sequence, moved around by a shift of its own."""
    from scipy.stats.qmc import Sobol as Sequence

    from tuneful.core.chance import key
    from tuneful.techniques.search.dials import order

    number = order(study, trial, name)
    sequence = Sequence(number + 1, scramble=False)
    if trial.number:
        sequence.fast_forward(trial.number)
    point = float(sequence.random(1)[0, number])
    return (point + key(turn, f"turn {name}") / 2**63) % 1.0
