"""Brackets of trials: groups that begin together and are halved together. What successive halving and Hyperband have in common.

A bracket is (how many trials, the rungs). Trials fill one bracket after the other in the order in which they begin. When all of a
bracket that are meant to come to a rung have been there, or failed, the best 1/eta of them go on to the next. While some of them are on
their way, others of an earlier rung cannot, and trials of the next bracket begin: nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step
from tuneful.techniques.search.rungs import beyond, by_number, epoch_of, ordered, over


@dataclass(frozen=True)
class Bracket:
    """size: trials that begin in it; rungs: their lengths, the last the full one."""

    size: int
    rungs: tuple[float, ...]


def filled(brackets: Sequence[Bracket], trials: Sequence[Trial]) -> Iterator[tuple[Bracket, list[Trial]]]:
    """Brackets, one after the other and then from the first again, with their trials; the last one is not full."""
    begun, at, number = by_number(trials), 0, 0
    while True:
        bracket = brackets[number % len(brackets)]
        held = begun[at : at + bracket.size]
        yield bracket, held
        if len(held) < bracket.size:
            return
        at, number = at + bracket.size, number + 1


def step(
    brackets: Sequence[Bracket], trials: Sequence[Trial], objective: Objective, eta: int, closing: bool = False
) -> Step:
    """What is to be done next, where the bracket that began first goes first. closing: one that is not full is halved as it is."""
    fresh = brackets[0]
    for bracket, held in filled(brackets, trials):
        fresh = bracket
        if (closing or len(held) == bracket.size) and (found := _halved(bracket, held, objective, eta)) is not None:
            return found
    return Step(None, fresh.rungs[0], f"a bracket of {fresh.size} is being filled")


def _halved(bracket: Bracket, held: list[Trial], objective: Objective, eta: int) -> Step | None:
    """The next of a bracket's trials to go on; None while it is over, or others have to come to their rung first."""
    there = held
    for rung, higher in zip(bracket.rungs[:-1], bracket.rungs[1:], strict=True):
        if not all(over(trial, rung) for trial in there):
            return None
        best = ordered(there, rung, objective)[: len(there) // eta]
        for order, (trial, _) in enumerate(best, 1):
            if trial.state == "paused" and not beyond(epoch_of(trial), higher):
                said = (
                    f"number {order} of the {len(there)} of its bracket at {rung:.3g} epochs, so it goes on to {higher:.3g}"
                )
                return Step(trial.number, higher, said)
        there = [trial for trial, _ in best]
    return None


def why(brackets: Sequence[Bracket], trials: Sequence[Trial], objective: Objective, eta: int) -> dict[int, str]:
    """Why each of them that waits does, in words."""
    told: dict[int, str] = {}
    for bracket, held in filled(brackets, trials):
        there = held
        told |= {one.number: "it waits for its turn" for one in held}
        for rung in bracket.rungs[:-1]:
            if not all(over(one, rung) for one in there):
                told |= {one.number: f"others of its bracket had not come to {rung:.3g} epochs" for one in there}
                break
            found, goes = ordered(there, rung, objective), len(there) // eta
            went = f"{goes} went on" if goes else "none went on"
            for place, (one, _) in enumerate(found[goes:], goes + 1):
                told[one.number] = f"number {place} of the {len(there)} of its bracket at {rung:.3g} epochs, of which {went}"
            there = [one for one, _ in found[:goes]]
    return {one.number: told[one.number] for one in trials if one.state == "paused"}


class Bracketed(Scheduler):
    """A scheduler whose trials fill brackets."""

    eta: Annotated[int, Field(ge=2)] = 3  # one of this many goes on from a rung

    def brackets(self, epochs: float) -> tuple[Bracket, ...]:
        """Those that are filled in turn, for trials of this full length."""
        raise NotImplementedError

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        return step(self.brackets(epochs), trials, objective, self.eta)

    def closing(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        return step(self.brackets(epochs), trials, objective, self.eta, closing=True)

    def waiting(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> dict[int, str]:
        return why(self.brackets(epochs), trials, objective, self.eta)


__all__ = ["Bracket", "Bracketed", "filled", "step", "why"]
