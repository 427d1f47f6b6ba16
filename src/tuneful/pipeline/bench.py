"""The bench: the legs that one process works on, side by side in stacks where that pays, one after the other where it does not.

    bench = Bench(legs)
    bench.take(trial)
    for number, point in bench.walk(): ...      # trials may be taken whenever it yields, as many as `room` says

Legs are sorted by their signature; the largest group trains as one stack (`pipeline.stack`), and a leg that has come to its end makes room
for another of its kind. How many are taken is found by trying: a few at first, four times as many when all of them at once turned out
fastest, one when one by one did. The watch over their first steps hears their losses and looks at nothing else. A leg of which the network fails ends by itself; the others of its stack go on one by one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch

from tuneful.core.errors import ModelError, RecipeError, TunefulError
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.deciding import goal
from tuneful.pipeline.legs import Leg, Legs
from tuneful.pipeline.stack import Stack
from tuneful.pipeline.stack.books import due_now
from tuneful.pipeline.stack.signature import signature, unfit

FEW, MOST = 4, 64  # legs at work, at first and at most
SMALL = 3e-3  # seconds of a step: where it takes longer on a CPU, it is work and not calls, and stacks do not pay
UNSEEN = (
    2**31
)  # steps between two looks of the watch over a trial that begins among others: each would be a step of all, one by one
SHARE = 0.25  # of the time that is left, which the legs at work may take
Failed = Callable[[Trial, Exception], None]
"""What is to happen with a trial whose network fails."""


class Bench:
    """failed: told of a trial whose network cannot be made or run. alone: one leg at a time, whatever would pay."""

    def __init__(self, legs: Legs, failed: Failed, *, alone: bool = False) -> None:
        self.legs, self.failed, self.alone = legs, failed, alone
        self.waiting: dict[str, list[Leg]] = {}  # by signature
        self.stack: Stack | None = None
        self.kind = ""  # the signature of those in the stack
        self.at: dict[int, Leg] = {}  # those in the stack, by their number there
        self.rooms: dict[str, int] = {}  # how many of a signature shall be at work, as far as it was tried
        self.known: dict[
            str, dict[int, float]
        ] = {}  # seconds of a member's step by the width of the stack, for each signature
        self.last: int | None = None  # the trial that has to reach its end in time, so that no other is at work
        self.gain = 1.0  # how much faster the last stack was than its members one by one

    def __len__(self) -> int:
        return len(self.at) + sum(map(len, self.waiting.values()))

    @property
    def room(self) -> int:
        """How many trials more are to be taken now; some at once, since each that comes is a stack laid anew."""
        if self.legs.study.best() is None:  # the first shows whether there is a network at all, and what a step takes
            return int(not len(self))
        if self.last is not None:
            return 0
        most = min(max(1, self.rooms.get(self.kind, 1)), self._most()) if len(self) else 1
        free = most - len(self)
        return free if free >= max(1, most // 4) else 0

    def take(self, trial: Trial, *, last: bool = False) -> None:
        """Work on a trial that was claimed. last: until it is through, on no other."""
        self.last = trial.number if last else self.last
        try:
            leg = self.legs.begun(trial)
        except (ModelError, RecipeError) as error:
            self.failed(trial, error)
            return
        if leg.there or leg.run.ended or leg.refused:  # a process died between saving this and telling the study of it
            leg.end()
            return
        kind = f"{signature(self.legs.task, leg.run.recipe)} {leg.run.execution}"
        if trial.tags.get("deaths"):  # its process died, and it may be to blame
            kind += f" {trial.number}"
            self.rooms[kind] = 1
        self.waiting.setdefault(kind, []).append(leg)
        self.rooms.setdefault(kind, self._first(leg))
        if not self.at:
            self.kind = max(self.waiting, key=lambda one: (len(self.waiting[one]), one == self.kind))

    def _first(self, leg: Leg) -> int:
        """How many of its kind to take at first."""
        if self.alone or unfit(self.legs.task, leg.run.recipe):
            return 1
        return FEW if leg.run.device.type == "cuda" or _seconds(leg) < SMALL else 1

    # ------------------------------------------------------------------------------------------------ going

    def walk(self, beat: float = 0.25) -> Iterator[tuple[int, float, Point | None]]:
        """(trial, epoch, point) at every point of any, and (trial, epoch, None) now and then, until no leg is left or the time is up."""
        while len(self) and not self.legs.halt.due:
            if not self.at:
                self._open()
            assert self.stack is not None
            try:
                for found in self.stack.walk(beat):
                    if found is None:
                        yield self._somebody(None)
                    else:
                        leg = self.at[found[0]]
                        leg.told(found[1])
                        if leg.there:
                            self._out(found[0])
                        yield leg.trial.number, leg.run.epoch, found[1]
                    self._sweep()
                    self._fill()
                self._sweep()
            except Exception as error:  # the user's code may raise anything, and in a stack it is met as it is
                if isinstance(error, TunefulError) and not isinstance(error, ModelError | RecipeError):
                    raise
                self._broken(error)
        if self.legs.halt.due:
            self.clear()

    def clear(self) -> None:
        """Pause every leg as it is. Where the time is up and no trial has a value, one is asked for what it is worth."""
        halt, study = self.legs.halt, self.legs.study
        for number, leg in list(self.at.items()):
            self._out(number, ending=False)
            if (
                halt.due
                and not halt.requested
                and leg.run.step
                and not (leg.run.curve or leg.run.ended)
                and study.best() is None
            ):
                leg.told(leg.run.look())
            leg.end()
        for leg in [leg for held in self.waiting.values() for leg in held]:
            leg.end()
        self.waiting.clear()

    def _open(self) -> None:
        """Begin a stack with the largest group."""
        self.kind = max(self.waiting, key=lambda one: len(self.waiting[one]))
        width: Any = 1 if self.rooms[self.kind] == 1 else "auto"
        self.stack = Stack(self.legs.task, device=self.legs.device, halt=self.legs.halt, model=self.legs.model, width=width)
        self._fill()

    def _fill(self) -> None:
        """Those that wait and are of the stack's kind into it; and learn how many that should be."""
        assert self.stack is not None
        self._learn(self.stack)
        waiting, most = self.waiting.get(self.kind, []), max(1, self.rooms[self.kind])
        free = most - len(self.at)
        if not waiting or free < max(1, min(len(waiting), most // 4)):
            return
        for leg in waiting[:free]:
            if most > 1 and not leg.run.step:
                leg.run.early.every = UNSEEN
            self.at[self.stack.join(leg.run)] = leg
        del waiting[:free]
        if not waiting:
            del self.waiting[self.kind]

    def _learn(self, stack: Stack) -> None:
        """What the stack has measured about its width."""
        paces, room = stack.paces, self.rooms[self.kind]
        if stack.refused or (paces.k > 1 and paces.chosen == 1):
            self.rooms[self.kind] = 1
        elif paces.chosen and paces.k > 1 and paces.gain:
            self.gain = paces.gain
            if paces.chosen >= min(paces.k, room) and room <= len(stack.rows):
                self.rooms[self.kind] = min(4 * room, MOST)
            elif paces.chosen < paces.k:
                self.rooms[self.kind] = max(FEW, min(room, paces.chosen))

    def _most(self) -> int:
        """How many legs memory and time allow."""
        leg = next(iter(self.at.values()), None) or next(held[0] for held in self.waiting.values())
        size = 4 * sum(p.numel() for p in leg.run.params)
        fit = 0.25 * _memory(leg.run.device) / (6 * size)
        left = self.legs.clock.left_for_search
        each = max(_seconds(leg) / self.gain * goal(leg.trial) * leg.run.batches.per_epoch, 1e-6)
        timely = MOST if math.isinf(left) else SHARE * left / each
        return int(max(1, min(MOST, fit, timely)))

    def _sweep(self) -> None:
        """End the legs of members that have come to their end."""
        for number, leg in list(self.at.items()):
            if leg.run.ended:
                self._out(number)

    def _out(self, number: int, *, ending: bool = True) -> None:
        assert self.stack is not None
        leg = self.at.pop(number)
        self.stack.evict(number)
        self.last = None if leg.trial.number == self.last else self.last
        if ending:
            leg.end()

    def _broken(self, error: Exception) -> None:
        """A network of the stack has failed. Alone, the one whose it is fails by itself; of several each is asked alone."""
        assert self.stack is not None
        legs = [(number, self.at.pop(number)) for number in list(self.at)]
        for number, _ in legs:
            self.stack.evict(number)
        if len(legs) == 1 and isinstance(error, TunefulError):
            self.failed(legs[0][1].trial, error)
            return
        for _, leg in legs:
            try:
                run = leg.run
                if due_now(run) and not (run.curve and run.curve[-1].step == run.step):
                    leg.told(run.look())
                for point in () if leg.there else run:
                    leg.told(point)
                    if leg.there:
                        break
                leg.end()
            except (ModelError, RecipeError) as own:
                self.failed(leg.trial, own)

    def _somebody(self, point: Point | None) -> tuple[int, float, Point | None]:
        """One of those at work, for a sign of life."""
        leg = max(self.at.values(), key=lambda one: one.run.epoch)
        return leg.trial.number, leg.run.epoch, point


def _memory(device: torch.device) -> int:
    """Bytes that a device has."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _seconds(leg: Leg) -> float:
    """Seconds that a step of its run takes alone; 0 where nobody has measured it."""
    run = leg.run
    return run.seconds["train"] / run.step if run.step else leg.legs.plans.step_of(run)


__all__ = ["Bench"]
