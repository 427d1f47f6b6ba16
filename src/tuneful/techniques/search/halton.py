"""Halton's sequence: trial n's dial number k is n, written in the k-th prime and mirrored at the point.

    n = sum_i a_i b^i  ->  sum_i p(a_i) b^(-i-1)

with p a permutation of the figures, drawn for each dial: without it large primes walk together. Fills evenly from the first points on,
also where their number is no power of 2.

Source: Halton, Numer. Math. 2 (1960), 84-90; permuted figures: Braaten & Weller, J. Comput. Phys. 33 (1979).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

FIGURES = 1e-9  # figures worth less than this are left out


def primes(count: int) -> list[int]:
    """The first primes."""
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % one for one in found):
            found.append(number)
        number += 1
    return found


def mirrored(number: int, base: int, figures: list[int]) -> float:
    """A number in (0, 1): its figures in a base, permuted, behind the point. figures: where each goes."""
    out, worth = 0.0, 1.0 / base
    while worth > FIGURES:  # the zeros before a number's first figure are permuted too
        number, figure = divmod(number, base)
        out += figures[figure] * worth
        worth /= base
    return out


class Halton(Proposer):
    """Evenly filling points in the bases of the primes."""

    kind: Literal["halton"] = "halton"
    turn: Count = 1  # another number, another set of points that fills as evenly

    source: ClassVar[str] = "Halton, Numer. Math. 2 (1960)"
    cost: ClassVar[str] = "nothing"

    def sampler(self, seed: int) -> BaseSampler:
        import numpy as np
        from optuna.distributions import BaseDistribution
        from optuna.study import Study
        from optuna.trial import FrozenTrial

        from tuneful.core.chance import key
        from tuneful.techniques.search.dials import dial_by_dial, order

        turn = self.turn

        def rule(study: Study, trial: FrozenTrial, name: str, dial: BaseDistribution) -> float:
            base = primes(order(study, trial, name) + 1)[-1]
            dice = np.random.default_rng(key(turn, f"figures {name}"))
            return mirrored(trial.number, base, dice.permutation(base).tolist())

        return dial_by_dial(rule)

    def because(self, finished: int) -> str:
        return "the next point of an evenly filling sequence (Halton's)"
