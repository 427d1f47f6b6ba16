"""The training split as two tensors, its inputs in memory or read ahead by threads, and the order in which a run sees it.

The order of epoch e is a permutation keyed by (seed, "order", e): nothing has to be saved to go on in the middle of an
epoch. Where examples differ in length, those of a batch are made alike (see `alike`). Every batch is full; what is left of an
epoch's permutation is not used in that epoch (another permutation follows).

Where the front is a normalization and the result fits into memory, it is applied once, before the first step: number by number it
gives what it gives batch by batch.

Under outlier exposure the examples of no class stand among them, with the class number -1.

Where the batch size has a schedule, the place of each step is worked out before the first, from the recipe and the number of
examples alone, so a run that is resumed finds the same. The number of steps is such that the epochs come out as wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tuneful.core.chance import key
from tuneful.core.errors import RecipeError
from tuneful.core.task import Split, Task
from tuneful.pipeline.candidate import as_input
from tuneful.pipeline.fronts import Normalize
from tuneful.pipeline.goals import goal
from tuneful.pipeline.lazy import Lazy, Rows, joined
from tuneful.pipeline.ranks import ALONE, Ranks
from tuneful.pipeline.stream import Ahead
from tuneful.techniques.losses.balance import NOTHING
from tuneful.techniques.schedules.follow import between

TOGETHER = 50  # batches whose examples are sorted by length together, where that is done
AT_ONCE = 2**29  # bytes that inputs may take which are normalized before the first step
TRIES = 8  # of finding the number of steps with which the epochs come out


class Order:
    """The order of an epoch, whole (places in train), and cut into batches where somebody asks: the places and, of targets that are
    single numbers, the targets y themselves."""

    def __init__(self, whole: Tensor, y: Tensor, size: int) -> None:
        self.whole, self._y, self._size = whole, y, size

    @cached_property
    def places(self) -> tuple[Tensor, ...]:
        """The places of each batch."""
        return self.whole.split(self._size)

    @cached_property
    def targets(self) -> tuple[Tensor, ...]:
        """The targets of each batch."""
        return self._y.index_select(0, self.whole).split(self._size)


@dataclass(frozen=True)
class Place:
    """Where the batch of a step lies: its first example in the order of an epoch, and how many follow."""

    epoch: int
    start: int
    size: int


def places(plan: Any, n: int) -> list[Place]:
    """The place of every step of a run whose batch size has a schedule, over n examples. plan: the resolved recipe, whose
    batch_size is where the schedule stands at factor 1, and batch_to where it stands at 0."""
    if plan.batch_schedule.reaction([0.0] * 1000, "max") != 1.0:
        raise RecipeError(
            f"batch_schedule is {plan.batch_schedule.kind}, which waits for values; the batches of a run are laid out before it",
            "take step or multi_step",
        )

    def laid(steps: int) -> list[Place]:
        found: list[Place] = []
        epoch = start = 0
        for step in range(steps):
            wanted = between(float(plan.batch_size), plan.batch_to, plan.batch_schedule.factor(step, steps))
            size = max(1, min(round(wanted), n))
            if start + size > n:
                epoch, start = epoch + 1, 0
            found.append(Place(epoch, start, size))
            start += size
        return found

    tried: dict[int, float] = {}  # how many epochs so many steps are off
    steps = max(1, round(plan.epochs * n / plan.batch_size))
    while steps not in tried and len(tried) < TRIES:
        epochs = _done(laid(steps)[-1], n)
        tried[steps] = abs(epochs - plan.epochs)
        steps = max(1, round(steps * plan.epochs / epochs))
    return laid(min(tried, key=lambda steps: tried[steps]))


def _done(place: Place, n: int) -> float:
    """Epochs when the batch there has been seen; what is left counts as seen when the same again does not fit into it."""
    end = place.start + place.size
    return place.epoch + (1.0 if end + place.size > n else end / n)


def alike(order: Tensor, lengths: Tensor, size: int, dice: torch.Generator) -> Tensor:
    """The same examples in another order, in which those of a batch are about equally long: within stretches of TOGETHER batches
    they are sorted by length, and the batches are laid out at random again. What does not fill a batch stays at the end."""
    whole = len(order) // size * size
    stretches = order[:whole].split(TOGETHER * size)
    stood = torch.cat([part[lengths[part].argsort(stable=True)] for part in stretches]) if whole else order[:0]
    rows = stood.reshape(-1, size)
    return torch.cat([rows[torch.randperm(len(rows), generator=dice)].reshape(-1), order[whole:]])


class Batches:
    """Batches of one run, by the number of the step.

    x stays in the type of the split (uint8 images are not inflated) on `device`, or in its files; a batch is float32, or int64 where examples are
    tokens. y: as the goal of the task encodes it. steps: of the whole run; per_epoch: steps an epoch, of the batch size at first.
    ranks: who trains together; whole: is every rank to have all rows of a batch, since examples are blended with others?
    """

    def __init__(self, task: Task, plan: Any, device: torch.device, ranks: Ranks = ALONE, whole: bool = False) -> None:
        split, beside = task.train, task.train.outside
        if beside is not None and len(beside) and any(one.kind == "exposure" for one in plan.regularizers):
            known = np.concatenate([split.y, np.full(len(beside), NOTHING, split.y.dtype)])
            split = Split(joined(split.x, beside), known)
        x = split.x
        self.y: Tensor = goal(task).targets(task, split).to(device)
        self.lengths = goal(task).lengths(task)
        self.size, self.seed, n = int(plan.batch_size), plan.seed, len(self.y)
        self.per_epoch = max(1, n // self.size)
        self.places = places(plan, n) if plan.batch_schedule != "none" else []
        self.steps = len(self.places) or max(1, round(float(plan.epochs) * self.per_epoch))
        self._orders: dict[int, Order] = {}  # of an epoch, and of the next where batches are read ahead
        self._fronted: Tensor | None = None  # all inputs as the body sees them
        self.ranks, self._whole = ranks, whole
        if (least := min((place.size for place in self.places), default=min(self.size, n))) < ranks.world:
            raise RecipeError(
                f"a batch of {least} is less than one row for each of {ranks.world} processes",
                f"batch_size={ranks.world} or more, or fewer devices",
            )
        if isinstance(x, Lazy):
            self._ahead = Ahead(x, self._rows, device, self.steps)
        else:
            self.x, self._ahead = torch.from_numpy(x).to(device), None

    def normalize(self, front: nn.Module) -> None:
        """Take the front ahead of the first step, where that changes no number and fits into memory."""
        plain = isinstance(front, Normalize | nn.Identity) and self._ahead is None
        if plain and self.x.numel() * 4 <= AT_ONCE:
            with torch.no_grad():
                self._fronted = front(as_input(self.x))

    def ready(self, step: int, front: nn.Module) -> tuple[Tensor, Tensor]:
        """The batch of a step behind the front, which has no draws: x as the body sees it without augments, y."""
        if self._fronted is None:
            x, y = self.at(step)
            return front(x), y
        if self.places or self.y.ndim != 1:
            return self._fronted.index_select(0, self._chosen(step)), self._targets(step)
        epoch, number = divmod(step, self.per_epoch)
        order = self.order(epoch)
        return self._fronted.index_select(0, order.places[number]), order.targets[number]

    def mine(self, step: int, front: nn.Module) -> tuple[Tensor, Tensor]:
        """As `ready`, the rows of this rank alone."""
        part = self.ranks.part(self.count(step))
        y = self._targets(step)[part]
        if self._fronted is not None:
            return self._fronted.index_select(0, self._chosen(step)[part]), y
        return front(self.own(step)[0]), y

    def own(self, step: int) -> tuple[Tensor, Tensor]:
        """As `at`, the rows of this rank alone; all of them where examples are blended with others."""
        if self._whole:
            return self.at(step)
        part = self.ranks.part(self.count(step))
        rows = self._chosen(step)[part]
        x = self._ahead.at(step) if self._ahead is not None else self.x.index_select(0, rows)
        return as_input(x), self._targets(step)[part]

    def count(self, step: int) -> int:
        """How many rows the batch of a step has."""
        return self.size if not self.places and self.size <= len(self.y) else len(self._chosen(step))

    def rows(self, step: int) -> Tensor:
        """The places in train of a step's batch."""
        if self.places:
            return self._chosen(step)
        epoch, number = divmod(step, self.per_epoch)
        return self.order(epoch).places[number]

    def holds(self, fronted: bool) -> bool:
        """Are inputs in memory; as the body sees them without augments, where fronted?"""
        return self._fronted is not None if fronted else self._ahead is None

    def taken(self, rows: Tensor, fronted: bool) -> tuple[Tensor, Tensor]:
        """x and y at any places in train, where it `holds` them."""
        whole = self._fronted if fronted and self._fronted is not None else self.x
        y = self.y.index_select(0, rows)
        return as_input(whole.index_select(0, rows)), y.long() if y.dtype == torch.int16 else y

    def share(self, other: Batches) -> None:
        """Hold the same memory as another's batches of the same data."""
        self.y, self._fronted = other.y, other._fronted
        if self._ahead is None:
            self.x = other.x

    def epochs(self, step: int) -> float:
        """Passes over train when so many steps are done."""
        if not self.places:
            return step / self.per_epoch
        return _done(self._place(step - 1), len(self.y)) if step else 0.0

    def due(self, step: int, every: float) -> bool:
        """Is a validation due after so many steps, when there is one every so many epochs?"""
        if not self.places:
            return step % max(1, round(every * self.per_epoch)) == 0
        return self.epochs(step) // every > self.epochs(step - 1) // every

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: x [B, ...] float32 (tokens: int64), y."""
        if self._ahead is None:
            x = self.x.index_select(0, self._chosen(step))
        elif self.ranks.world == 1 or self._whole:
            x = self._ahead.at(step)
        else:
            x = self._ahead.now(self._chosen(step).cpu().numpy())  # what is read ahead are this rank's rows
        return as_input(x), self._targets(step)

    def _chosen(self, step: int) -> Tensor:
        if not self.places:
            epoch, number = divmod(step, self.per_epoch)
            return self.order(epoch).places[number]
        place = self._place(step)
        return self.order(place.epoch).whole[place.start : place.start + place.size]

    def _targets(self, step: int) -> Tensor:
        if not self.places and self.y.ndim == 1:
            epoch, number = divmod(step, self.per_epoch)
            return self.order(epoch).targets[number]
        y = self.y.index_select(0, self._chosen(step))
        return y.long() if y.dtype == torch.int16 else y  # masks are kept small

    def order(self, epoch: int) -> Order:
        """The order of an epoch; the last two that were asked for are kept."""
        if (known := self._orders.get(epoch)) is not None:
            return known
        dice = torch.Generator().manual_seed(key(self.seed, "order", epoch))
        while len(self._orders) >= 2:
            self._orders.pop(next(iter(self._orders)))
        order = torch.randperm(len(self.y), generator=dice)
        order = order if self.lengths is None else alike(order, torch.from_numpy(self.lengths), self.size, dice)
        self._orders[epoch] = Order(order.to(self.y.device), self.y, self.size)
        return self._orders[epoch]

    def _rows(self, step: int) -> Rows:
        rows = self._chosen(step)
        return (rows if self._whole else rows[self.ranks.part(len(rows))]).cpu().numpy()

    def _place(self, step: int) -> Place:
        if not self.places:
            epoch, number = divmod(step, self.per_epoch)
            return Place(epoch, number * self.size, self.size)
        last, beyond = self.places[min(step, self.steps - 1)], max(0, step - self.steps + 1)
        return Place(last.epoch + beyond, 0, last.size) if beyond else last
