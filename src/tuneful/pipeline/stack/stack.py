"""Stack: many trials of one shape trained at once as one tensor program.

    stack = Stack(task, [recipe.replace("optimizer.lr", lr) for lr in rates])
    for number, point in stack:
        print(number, point.epoch, point.value)
    candidate = stack.runs[0].candidate()

Each member is a `Run` whose tensors are rows of the stack's (`bank`): what it is, and what is saved of it, is a single run's, and
it goes the way that it goes alone, its order of the data, augmentation and dropout included (float64: to 1e-9; float32: to
rounding). A member that a scheduler pauses is evicted and the rest stands together again; it may go on alone, in another stack or in
another process, and come back.

Members need not be at one step. In ten of its first 200 steps a run is looked at (`sight`); networks that cannot be looked at in a
stack take these steps one by one. How many step at once is measured (`width`); where stacking does not pay, or cannot be, members
train one by one in their own loops, and `reason` says why.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.core.trial import Point
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.limits import Halt, out_of_memory
from tuneful.pipeline.stack.averages import Averages
from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.stack.batch import Feed, together
from tuneful.pipeline.stack.books import Losses, clock_of, due_now, kin, put_, quiet, restrain_, saved
from tuneful.pipeline.stack.chance import Draw, Streams, recorded
from tuneful.pipeline.stack.gradients import gradients
from tuneful.pipeline.stack.graphs import Graphs
from tuneful.pipeline.stack.judging import judged, serves
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.stack.sight import Sights
from tuneful.pipeline.stack.signature import apart, unfit
from tuneful.pipeline.stack.stepping import Stepping
from tuneful.pipeline.stack.trial import found
from tuneful.pipeline.stack.width import Width
from tuneful.pipeline.step import arithmetic, channels_last
from tuneful.pipeline.train import Run
from tuneful.techniques.models import with_callable

__all__ = ["Stack"]
FEW = 4  # members of which the pace one by one is measured


class Stack:
    """Trials that train together. Iterating trains and yields (number, Point) at every validation of a member.

    task, recipes: what and how; all of one signature. device, halt: as for `Run`; the halt is shared by all.
    model: the user's own model settings, where states name its factory alone. width: how many step at once at most; "auto": measured
    on the first steps, so that the last digits of float32 may be others on another day. known: what stacks of this kind have measured.

    runs: all members that there ever were, by number, also those that have ended or were evicted. reason: why they step as they do.
    Errors: RecipeError for members that cannot stand in one stack, with the reason.
    """

    def __init__(
        self,
        task: Task,
        recipes: Sequence[Recipe] = (),
        *,
        device: str | None = None,
        halt: Halt | None = None,
        model: Any = None,
        width: int | Literal["auto"] = "auto",
        known: dict[int, float] | None = None,
    ) -> None:
        self.task, self.device, self.model, self.width = task, device, model, width
        self.halt = halt if halt is not None else Halt()
        self.runs: dict[int, Run] = {}
        self.rows: list[int] = []  # the numbers of those that train side by side, in the order of the rows
        self.aside: list[int] = []  # of those that went back to fp32 and go on by themselves
        self.bank: Bank | None = None  # None: members have tensors of their own
        self.averages: Averages | None = None
        self.program: Program | None = None
        self.draws: dict[int, list[Draw]] = {}  # where each member draws, by number
        self.silent: list[Draw] = []  # of those that draw nothing
        self.heard = Losses()
        self.single = ""  # why members train one by one in their own loops; "": they need not
        self.refused = ""  # why the network cannot be stacked; "": it can, or nobody tried
        self.looks, self.graphs = False, Graphs()  # may members look at the next step?
        self.paces = Width(1)
        self.known: dict[int, float] = {} if known is None else known
        for recipe in recipes:
            self.add(recipe)

    # ------------------------------------------------------------------------------------------------ members

    def add(self, recipe: Recipe) -> int:
        """A new member, and its number. Raises RecipeError where it does not fit the others."""
        return self.join(Run(self.task, recipe, device=self.device, halt=self.halt))

    def enter(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> int:
        """A member that goes on from a state, as `Run.state` or `state` gave it or `pipeline.state.load` read it; its number."""
        recipe = from_data(plain["recipe"])
        recipe = recipe if self.model is None else recipe.replace(model=with_callable(recipe.model, self.model))
        run = Run(self.task, recipe, device=self.device, halt=self.halt)
        run.put({name: tensor.detach().clone() for name, tensor in tensors.items()}, dict(plain))
        return self.join(run)

    def join(self, run: Run) -> int:
        """A run as it is as a member, and its number. Raises RecipeError where it does not fit the others."""
        number = len(self.runs)
        for first in list(self.runs.values())[:1]:
            run.batches.share(first.batches)
            if reason := apart(self.task, first.recipe, run.recipe):
                raise RecipeError(f"member {number} does not fit into the stack: {reason}", "train it in a stack of its own")
        self.runs[number] = run
        if not run.ended:
            self._free()
            self.rows.append(number)
            self.single = ""
        return number

    def evict(self, number: int) -> Run:
        """Take a member out; what is left stands together again. The run may be saved, iterated alone, or enter another stack."""
        if number in self.rows:
            self._free()
            self.rows.remove(number)
            self.single = ""  # to be asked again
        elif number in self.aside:
            self.aside.remove(number)
        return self.runs[number]

    def state(self, number: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a member is, as `Run.state` of a single run: for `state.save`, `Run.put`, or another stack's `enter`.
        The tensors are the member's own, not copies."""
        if self.bank is not None:
            self.stepping.write()
        return self.runs[number].state()

    @property
    def ended(self) -> bool:
        """Have all members come to their end?"""
        return not self.rows and not self.aside

    # ------------------------------------------------------------------------------------------------ the stack

    @property
    def reason(self) -> str:
        """Why members step as they do, in words."""
        return "; ".join(filter(None, (self.refused or self.single or self.paces.reason, self.graphs.refused)))

    def _lay(self) -> None:
        """Put the members that train side by side, unless they had better train one by one."""
        runs = self.members
        self.single = self._alone()
        if self.single:
            return
        for run in runs:
            run.network.train()
            run.guard()
        self.draws |= {number: self._recorded(self.runs[number]) for number in self.rows if number not in self.draws}
        self.bank = Bank([run.body for run in runs])
        self.streams = Streams([self.draws[number] for number in self.rows], runs[0].device)
        self.feed, self.kin, self.graphs = Feed(), kin(runs), Graphs()
        if self.program is None:
            self.program, self.refused = found(runs, self.bank, self.streams)
            self.single = self.refused
            self.sights = Sights(runs[0].body, self.program)
        self.stepping = Stepping(runs, self.bank)
        if self.single:
            self._free()
            return
        if all(Averages.serve(run) for run in runs):
            self.averages = Averages(runs, self.bank)
        if not self.paces.serves(len(runs)):
            self.paces = Width(len(runs), self.width if isinstance(self.width, int) else None, self.known)

    def _alone(self) -> str:
        """Why members need not be laid side by side at all; "" where they shall."""
        if self.refused or len(self.rows) < 2:
            return self.refused or "there is one member"
        if self.width == 1:
            return "a width of 1 was asked for"
        if reason := unfit(self.task, self.members[0].recipe):
            return reason
        if others := [run.execution for run in self.members if run.execution != self.members[0].execution]:
            return f"they are carried out in several ways: {self.members[0].execution}; {others[0]}"
        how = self.members[0].execution
        if self.members[0].micro > 1 or how.compiled or how.graphed or how.recompute or how.precision == "fp16":
            return f"their steps are carried out in a way of their own: {how}"
        return self.paces.reason if self.paces.chosen == 1 and self.paces.serves(len(self.rows)) else ""

    def _recorded(self, run: Run) -> list[Draw]:
        """Where a run draws. This is the first pass of its network, which may fail."""
        if run.passes.draws or not self.silent:
            x = together([run]).x  # [B, ...]
            found = recorded(run.body, channels_last(x) if run.passes.laid else x)
            if run.passes.draws:
                return found
            self.silent = found
        return self.silent

    def _free(self) -> None:
        """Give every member tensors of its own again."""
        if self.bank is None:
            return
        self.stepping.write()
        for run in self.members:
            Bank.free(run.body)
            Stepping.free(run)
        if self.averages is not None:
            self.averages.free()
        self.bank = self.averages = None

    @property
    def members(self) -> list[Run]:
        """Those that train, in the order of the rows."""
        return [self.runs[number] for number in self.rows]

    # ------------------------------------------------------------------------------------------------ going

    def __iter__(self) -> Iterator[tuple[int, Point]]:
        return (found for found in self.walk() if found is not None)

    def walk(self, beat: float = 0.25) -> Iterator[tuple[int, Point] | None]:
        """As iterating, with a None about every `beat` seconds in between. Members may be added, entered and evicted whenever
        it yields."""
        beaten = time.monotonic()
        while not self.ended and not self.halt.due:
            if self.rows and self.bank is None and not self.single:
                self._lay()
            yield from self._one_by_one([*self.rows, *self.aside] if self.single else self.aside, beat)
            if self.bank is None:  # one by one, or members have come or gone meanwhile
                continue
            with arithmetic(self.members[0].execution.threads):
                self._advance(min(quiet(run) for run in self.members))
            for number in list(self.rows):
                self._rescue(number)
            due = [number for number in self.rows if due_now(self.runs[number])]
            told = self._judged(due)
            for number in due:
                if number in self.rows:
                    point = self.runs[number].look(told.get(number))
                    if not self._rescue(number):
                        yield number, point
                        beaten = time.monotonic()
            for number in list(self.rows):
                self._close(number)
            saved(self.members if self.bank is not None else (), self.stepping)
            if time.monotonic() - beaten > beat:
                yield None
                beaten = time.monotonic()

    def _one_by_one(self, numbers: Sequence[int], beat: float) -> Iterator[tuple[int, Point] | None]:
        """Each of these in its own loop until its next point."""
        for number in list(numbers):
            run, found = self.runs[number], None
            for found in run.walk(beat):
                if found is not None:
                    yield number, found
                    break
                yield None
            if self.halt.due:
                return
            if number in self.rows or number in self.aside:
                self._close(number)

    def _rescue(self, number: int) -> bool:
        """Is this member lost in a precision below fp32? Then it goes on by itself, in fp32, from its last good state."""
        if not self.runs[number].losing:
            return False
        self.evict(number)
        self.runs[number].retreat()
        self.aside.append(number)
        return True

    def _close(self, number: int) -> None:
        """Take out a member that has come to its end."""
        run = self.runs[number]
        if run.step >= run.steps and not run.ended:
            run.ended = f"all {run.recipe.epochs:g} epochs are done"
        if run.ended:
            self.evict(number)

    def _advance(self, steps: int) -> None:
        """So many steps of all members, in which no point is due and none ends unless it fails."""
        began, runs = time.monotonic(), self.members
        self.looks = steps == 1  # `quiet` ends before each step that is looked at
        self._stacked(steps, len(runs))
        self.heard.tell(self.members)
        share = (time.monotonic() - began) / len(runs)
        for run in runs:
            run.seconds["train"] += share

    def _stacked(self, steps: int, k: int) -> None:
        """So many steps of k members, in the width that is chosen or tried."""
        while steps and self.paces.chosen == 0:
            steps -= 1
            width, watched = self.paces.next(), any(run.early.looking for run in self.members)
            clock, some = clock_of(self.members[0]), min(FEW, k) if width == 1 else k
            began = clock()
            self._chunks(width, 1, 0, some)
            if not watched:
                self.paces.took(width, (clock() - began) * k / some)
            self._chunks(k, 1, some, k)
        if steps:
            self._chunks(self.paces.chosen, steps, 0, k)
        if self.paces.chosen == 1:
            self._free()
            self.single = self.paces.reason

    def _chunks(self, width: int, steps: int, begin: int, end: int) -> None:
        """So many steps of members begin .. end, `width` at once, or as many as memory turns out to hold."""
        while begin < end:
            width = min(width, self.paces.chosen or width)
            stop = min(begin + width, end)
            for done in range(1, steps + 1):
                self._tick(begin, stop)
                if 0 < self.paces.chosen < stop - begin:
                    self._chunks(self.paces.chosen, steps - done, begin, stop)
                    break
            begin = stop

    def _judged(self, due: Sequence[int]) -> dict[int, Any]:
        """What members whose points are due say of valid, by number; those alone that are judged in one pass."""
        if self.bank is None or self.program is None:
            return {}
        self.stepping.write()
        if len(due) < len(self.rows) or not all(serves(run) for run in self.members):
            return {}
        runs, began = self.members, time.monotonic()
        read = self.bank if self.averages is None else self.averages.bank
        for run in runs:
            run.kept.load_(run.step, run.steps)
        told = judged(runs, self.program, read.tensors)
        share = (time.monotonic() - began) / len(runs)
        for run in runs:
            run.seconds["validate"] += share
        return dict(zip(self.rows, told, strict=True))

    def _tick(self, begin: int, end: int) -> None:
        """One step of members begin .. end."""
        assert self.bank is not None
        assert self.program is not None
        runs = self.members[begin:end]
        looks = self.looks and any(run.early.looking for run in runs)
        if end - begin == 1 or (looks and self.sights.blind):
            self._singly(runs)
            return
        sight = self.sights.of(runs, self.bank, begin, end) if looks else None
        put_(runs, self.kin[begin:end])
        first = runs[0]
        before = {name: t.clone() for name, t in self.bank.others(begin, end).items()}  # statistics of batch norms, mostly
        try:
            each, grads = gradients(runs, self.bank, self.program, self.streams, self.feed, begin, end, sight, self.graphs)
        except Exception as error:  # the user's code may raise anything
            if not out_of_memory(error):
                raise
            self.graphs = Graphs()  # whose memory is free again
            for name, t in self.bank.others(begin, end).items():
                t.copy_(before[name])
            self._narrower(begin, end)
            return
        if first.hooks.penalties or first.hooks.limits or first.hooks.noises:
            restrain_(runs, grads)
        self.stepping.step_(begin, end, grads)
        if sight is not None:
            sight.moved(grads)
        for run in runs if first.hooks.settles else ():
            run.hooks.settle_(run.optimizer)
        self._count(runs, begin, end, each)

    def _narrower(self, begin: int, end: int) -> None:
        """Memory ran out in a step of members begin .. end: they take it, and those to come, half as many at once."""
        width = -(-(end - begin) // 2)
        for run in self.members[begin:end]:
            said = f"memory ran out in step {run.step} with {end - begin} members at once: {width} at once from now on"
            run.notes.append(said)
        self.paces = Width(len(self.rows), width)
        self.paces.reason = f"memory ran out with {end - begin} members at once"
        self._tick(begin, begin + width)
        self._tick(begin + width, end)

    def _singly(self, runs: Sequence[Run]) -> None:
        self.heard.tell(self.members)
        self.stepping.write()
        for run in runs:
            if not run.ended:
                run._one_step()
        self.stepping.read()

    def _count(self, runs: Sequence[Run], begin: int, end: int, each: Tensor) -> None:
        """Averages, sums and counts after a step."""
        if self.averages is not None:
            self.averages.update_(begin, end)
        for run in runs:
            run.step += 1
            if self.averages is None and run.kept.keepers:
                run.kept.update_(run.step, run.steps)
        self.heard.add(begin, end, each)
