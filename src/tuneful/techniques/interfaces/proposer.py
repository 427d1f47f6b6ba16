"""The shape of a proposer: which recipe a search tries next."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneful.core.space import Space
    from tuneful.core.task import Objective
    from tuneful.core.trial import Trial


@dataclass(frozen=True)
class Birth:
    """A trial that begins as a grown copy of another: whose (parent), with which dials, and why."""

    parent: int
    dials: Mapping[str, Any]
    because: str


class Proposer(Technique):
    """Says which recipe to try next, as a sampler of Optuna."""

    family: ClassVar[str] = "proposer"
    portfolio: ClassVar[bool] = False  # does a search begin with points that did well elsewhere, before it is asked?

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """An Optuna sampler all of whose chance comes from `seed`. A new one is made for every proposal, with a seed keyed by
        the trial's number, so that an interrupted search goes on as if it had not been."""

    def after(self, given: int) -> Proposer:
        """The same for a search whose first trials, so many, are given to it: what it tries before it learns comes behind them."""
        return self

    def birth(self, trials: Sequence[Trial], space: Space, objective: Objective, seed: int) -> Birth | None:
        """The next trial as a grown copy of one that has trained, where the proposer wants that; None: it is drawn by the sampler."""
        return None

    @abstractmethod
    def because(self, finished: int) -> str:
        """Why the next proposal is what it is, when `finished` trials have values."""
