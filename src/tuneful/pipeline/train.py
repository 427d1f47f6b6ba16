"""Run: the training loop, an iterator of points.

    run = Run(task, recipe)
    for point in run:
        print(point.epoch, point.value)
    candidate = run.candidate()

There are no callbacks: what is to happen between points stands in the caller's loop. A run is a value as far as chance goes:
its state (weights, the optimizer's and the average's tensors, counters, the curve) is everything, since every random draw is
keyed (`core.chance`). Saved at any step and loaded in any process, it goes on as if nothing had happened, bit for bit on CPU
with the same number of threads.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuneful.core.errors import RankError, StateError
from tuneful.core.execution import Execution
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.core.trial import Point
from tuneful.pipeline import judge, state
from tuneful.pipeline.candidate import Candidate, Network
from tuneful.pipeline.carrying import able
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.goals import goal
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.ranks import ALONE, Agreement, Ranks
from tuneful.pipeline.state import State
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.steps import PARTS, Steps
from tuneful.techniques.models import with_callable
from tuneful.techniques.shards import share_of, whole


class Run(Steps):
    """One training of one recipe. Iterating trains and yields a `Point` at every validation; iterating again goes on.

    task, recipe: what and how; "auto" is resolved here. device: "cpu", "cuda", or None for the GPU where there is one.
    halt: shared with the caller, who may ask for a stop. save_to: a file that holds the state, written at every point that
    is `save_every` seconds after the last writing, and in between when an epoch is longer than that. execution: how steps are
    carried out; as the recipe says, when None. ranks: of the group that trains this run together (`ranks.join`); every rank makes
    the same run and iterates it, and breaks off where the others do.

    ended: why the run is over, in words; "" while it is not. Errors: RecipeError, ModelError (the network does not fit).
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        *,
        device: str | None = None,
        halt: Halt | None = None,
        save_to: Path | None = None,
        save_every: float = 20.0,
        execution: Execution | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(
            task, recipe, device=device, halt=halt, save_to=save_to, save_every=save_every, execution=execution, ranks=ranks
        )
        self.agreement = Agreement()
        self._good: State | None = None  # to where a run that is not fp32 goes back when its loss is no number any more

    # going

    def __iter__(self) -> Iterator[Point]:
        return (point for point in self.walk() if point is not None)

    def walk(self, beat: float = 0.25) -> Iterator[Point | None]:
        """As iterating, with a None about every `beat` seconds in between, for a progress bar or a look at the clock."""
        with arithmetic(self.execution.threads):
            if self.ranks.world == 1:
                yield from self._walk(beat)
                return
            try:
                self.agreement.begin(self.step)
                yield from self._walk(beat)
            except GeneratorExit:
                if self.step < self.steps and not self.ended:
                    self.ranks.agreed(1, 0, 0)
                raise
            except RankError as error:
                raise self._broken(error) from error

    def _broken(self, error: RankError) -> RankError:
        """Another rank has ended in the middle of a step. What was done before it is saved; the step was not done."""
        if not (self.ranks.leads and self.save_to and self.joined) or self.plan.optimizer.closure or self.ended:
            return error
        parts = self.ranks.heard(PARTS)  # of the one whose memory ran out
        again = f"the same command goes on from it{f', with batches in {parts} parts' if parts else ''}"
        if self.ranks.shard:  # the shares of the one that has ended are gone
            state.put_in_parts(self.save_to, parts)
            return RankError(f"{error.message}; what was saved before is whole", again)
        self.joined.back()
        self.micro = max(self.micro, parts)
        state.save(self.save_to, *self.state())
        return RankError(f"{error.message}; the run is saved as it was after {self.step} steps", again)

    def _stops(self, now: float) -> bool:
        """Is there to be no further step for now? Of several ranks rank 0 says so, every tenth of a second or so."""
        stop = self.halt.requested or now >= self.halt.deadline
        if self.ranks.world == 1:
            return stop
        if self.step < self.agreement.due:
            return False
        save = self.save_to is not None and now - self._saved > self.save_every
        stop, save = self.agreement.made(self.ranks, self.step, now, stop=stop, save=save)
        if save and not stop and self.save_to is not None:
            self.save(self.save_to)
        return stop

    def _walk(self, beat: float) -> Iterator[Point | None]:
        beaten = began = time.monotonic()
        self.network.train()
        self.guard()
        while self.step < self.steps and not self.ended:
            if self._stops(began):
                break
            self._one_step()
            now = time.monotonic()
            self.seconds["train"] += now - began
            began = now
            if self.losing:
                self.retreat()
                continue
            due = self.batches.due(self.step, self._every) or self.step == self.steps
            if due and not self.ended:
                point = self.look()
                if self.losing:
                    self.retreat()
                    continue
                yield point
                began = beaten = time.monotonic()
                self.agreement.due = self.step  # whoever was told may have had enough
            elif now - beaten > beat and self.step >= self.agreement.due:
                yield None
                began = beaten = time.monotonic()
            if self.save_to and began - self._saved > self.save_every and not self.ended and self.ranks.world == 1:
                self.save(self.save_to)
                began = time.monotonic()
        if self.step >= self.steps and not self.ended:
            self.ended = f"all {self.recipe.epochs:g} epochs are done"

    # ------------------------------------------------------------------------------------------------ a point

    @property
    def readout(self) -> Network:
        """What was judged last: the network itself, or an average of its weights."""
        return self.kept.network

    def look(self, told: Any = None) -> Point:
        """Validate now, whether or not a point is due; the weights stay as they are. told: what `judge.predict` says of valid,
        where somebody knows it already. Of several ranks rank 0 does, and tells the others."""
        if self.ranks.leads:
            self._look_at_valid(told)
        elif self.ranks.shard:  # its part of putting the weights together
            self.kept.judged(self.task, self.step, self.steps)
        if self.ranks.world > 1:
            self._learn(self.ranks.told(self._outcome() if self.ranks.leads else None))
        if not self.lost and self.execution.precision != "fp32":
            self._good = self._kept()
        return self.curve[-1]

    def _look_at_valid(self, told: Any) -> None:
        began = time.monotonic()
        self._add_up()
        before = self.kept.chosen
        p = self.kept.judged(self.task, self.step, self.steps) if told is None else told
        if before and before != self.kept.chosen:
            self.notes.append(f"{self.kept.chosen} is read out")
        finite = bool(torch.isfinite(torch.from_numpy(p)).all())
        value = (
            judge.value(self.task.objective.metric, p, self.task.valid.y, block=goal(self.task).block(self.task))
            if finite
            else judge.nothing(len(self.task.valid))
        )
        loss = judge.score(goal(self.task).watch, p, self.task.valid.y) if finite else math.nan
        self.seconds["validate"] += time.monotonic() - began
        point = Point(
            step=self.step,
            epoch=self.epoch,
            value=value,
            train_loss=self._loss / max(1, self._losses),
            valid_loss=loss,
            lr=self._lr(),
            seconds=sum(self.seconds.values()),
            notes=tuple(self.notes),
        )
        self._loss, self._losses = 0.0, 0
        self.notes.clear()
        self.curve.append(point)
        if not finite:
            self.lost, self.ended = True, f"diverged: the network gives values that are not finite at step {self.step}"
        else:
            self._judge_progress()
        self._react()

    def _outcome(self) -> dict[str, Any]:
        """What a validation changed of the run, as plain data."""
        return {"point": self.curve[-1].as_data(), "ended": self.ended, "lost": self.lost, "chosen": self.kept.chosen}

    def _learn(self, outcome: dict[str, Any]) -> None:
        """Become what rank 0 is after a validation."""
        if self.ranks.leads:
            return
        self._add_up()
        self._loss, self._losses = 0.0, 0
        self.notes.clear()
        self.curve.append(Point.from_data(outcome["point"]))
        self.ended, self.lost, self.kept.chosen = outcome["ended"], outcome["lost"], outcome["chosen"]
        self._react()

    def _kept(self) -> State:
        tensors, plain = self._state()
        return {name: tensor.clone() for name, tensor in tensors.items()}, copy.deepcopy(plain)

    def guard(self) -> None:
        """Keep this state to go back to, where steps are not those of fp32 and none is kept yet."""
        if self._good is None and self.execution.precision != "fp32":
            self._good = self._kept()

    @property
    def losing(self) -> bool:
        """Is it lost, and may go back to a good state?"""
        return self.lost and self._good is not None

    def retreat(self) -> None:
        """Go back to the last good state, and on in fp32. What was told and spent since then stays so."""
        assert self._good is not None
        good = self._good
        lost, why, seconds, precision = self.step, self.ended, dict(self.seconds), self.execution.precision
        self.put(*good)
        self.seconds = seconds
        self._good, self.lost = None, False
        self.passes.scaler = None
        self.use(self.execution.replace(precision="fp32", parts=self.micro))
        self.notes.append(f"{why} in {precision}: back from step {lost} to step {self.step}, and on in fp32")

    def _react(self) -> None:
        self.course.react([point.value.value for point in self.curve], self.task.objective.direction)

    def _judge_progress(self) -> None:
        values = [point.value.value for point in self.curve]
        objective = self.task.objective
        if self.keeps_best and not any(not objective.better(values[-1], old) for old in values[:-1]):
            self.best = {name: tensor.clone() for name, tensor in self.readout.state_dict().items()}
        for one in self.plan.regularizers:
            if reason := one.ends([point.value for point in self.curve], objective.direction):
                self.ended = f"stopped early: {reason}"
        if self.best and (self.ended or self.step >= self.steps):
            # The run ends with the weights of its best point, so its last point tells of them.
            best = next(point for point in self.curve if not any(objective.better(v, point.value.value) for v in values))
            if best is not self.curve[-1]:
                note = f"the weights of step {best.step} are kept"
                self.curve[-1] = replace(
                    self.curve[-1], value=best.value, valid_loss=best.valid_loss, notes=(*self.curve[-1].notes, note)
                )

    def candidate(self) -> Candidate:
        """What the run has made so far, as a copy: the best point's weights under early stopping, else the newest."""
        if self.ranks.leads or not self.ranks.shard:
            self.kept.load_(self.step, self.steps)
        network = copy.deepcopy(self.readout).cpu().eval()
        network.laid = False
        if self.best:
            network.load_state_dict(self.best)
        values = [point.value for point in self.curve]
        value = values[-1] if values else None
        if self.best:
            for one in values:
                value = one if value is None or self.task.objective.better(one.value, value.value) else value
        return Candidate(
            network, self.recipe, self.step, value, dict(self.seconds), tuple(n for p in self.curve for n in p.notes)
        )

    # ------------------------------------------------------------------------------------------------ state

    def save(self, path: Path, *, durable: bool = True) -> None:
        """Write everything that the run is to one file, whole or not at all; of several ranks rank 0 does. durable: see `state.save`.
        Raises StorageError."""
        began = time.monotonic()
        found = self.state()  # of all ranks, since parts of it may lie with each
        if self.ranks.leads:
            state.save(path, *found, durable=durable)
        self._saved = time.monotonic()
        self.seconds["save"] += self._saved - began

    def state(self) -> State:
        """Everything that the run is: tensors, which are its own and not copies, and plain data."""
        tensors, plain = self._state()
        if self._good is not None:
            tensors |= {f"good.{name}": tensor for name, tensor in self._good[0].items()}
            plain = {**plain, "good": self._good[1]}
        return ({name: whole(one) for name, one in tensors.items()} if self.ranks.shard else tensors), plain

    def _state(self) -> State:
        self._add_up()
        tensors: dict[str, Tensor] = {f"net.{k}": v for k, v in self.body.state_dict().items()}
        in_optimizer, plain_optimizer = state.pack(self.optimizer)
        tensors |= {f"opt.{k}": v for k, v in in_optimizer.items()}
        for part, named in (("avg", self.kept.averages), ("mem", self.memories)):
            tensors |= {f"{part}.{kind}.{k}": v for kind, held in named.items() for k, v in held.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {
            f"sum.{k}": torch.tensor(v, dtype=torch.float64) for k, v in (("loss", self._loss), ("look", self._look))
        }
        plain = {
            "recipe": self.recipe.as_data(), "fingerprint": self.task.fingerprint, "step": self.step, "micro": self.micro,
            "curve": [point.as_data() for point in self.curve], "notes": self.notes, "ended": self.ended, "first": repr(self._first),
            "losses": self._losses, "seconds": self.seconds, "optimizer": plain_optimizer, "chosen": self.kept.chosen,
            "early": self.early.seen.as_data(), "execution": self.execution.as_data(),
            "scaler": self.passes.scaler.state_dict() if self.passes.scaler is not None else None,
        }  # fmt: skip
        return tensors, plain

    @classmethod
    def resume(
        cls, task: Task, path: Path, *, model: Any = None, device: str | None = None, halt: Halt | None = None,
        save_to: Path | None = None, save_every: float = 20.0, execution: Execution | None = None, ranks: Ranks = ALONE,
    ) -> Run:  # fmt: skip
        """The run whose state lies at `path`, ready to go on. model: the user's own model settings, when they are not in a file;
        execution: how to go on; as before, when None, as far as this machine can.

        Raises StateError when the state is damaged, or was made with other data.
        """
        tensors, plain = state.load(path)
        if plain["fingerprint"] != task.fingerprint:
            raise StateError(
                f"the state {path} was made with other data (fingerprint {plain['fingerprint'][:12]}, now {task.fingerprint[:12]})",
                "bring back the data, or start anew under another name",
            )
        recipe = from_data(plain["recipe"])
        if model is not None:
            recipe = recipe.replace(model=with_callable(recipe.model, model))
        run = cls(task, recipe, device=device, halt=halt, save_to=save_to, save_every=save_every, ranks=ranks)
        run.put(tensors, plain, f"the state {path}")
        before = Execution.from_data(plain["execution"]) if "execution" in plain else run.execution
        after = (able(before, run.device) if execution is None else execution).replace(
            ranks=ranks.world, sharded=ranks.shard
        )
        if after != before:
            run.use(after.replace(parts=max(after.parts, run.micro)))
            run._good = None if after.precision == "fp32" else run._good
            run.notes.append(
                f"from step {run.step} on it is computed otherwise, with rounding of its own: {after.differs(before)}"
            )
        return run

    def put(self, tensors: dict[str, Tensor], plain: dict[str, Any], what: str = "the state") -> None:
        """Become the run that `state` gave; what: its name in an error. Raises StateError when it does not fit the recipe."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        try:
            own = self.body.state_dict() if self.ranks.shard else {}
            self.body.load_state_dict({name: share_of(one, own.get(name, one)) for name, one in under("net.").items()})
            for part, named in (("avg", self.kept.averages), ("mem", self.memories)):
                for kind, held in named.items():
                    for name, tensor in held.items():
                        tensor.copy_(share_of(tensors[f"{part}.{kind}.{name}"], tensor))
        except (RuntimeError, KeyError) as error:
            raise StateError(
                f"{what} does not fit the network of its recipe: {str(error).splitlines()[-1].strip()}"
            ) from error
        state.unpack(self.optimizer, under("opt."), plain["optimizer"])
        self.best = under("best.")
        self._loss, self._look = (float(tensors[name]) for name in ("sum.loss", "sum.look"))
        self._heard.clear()
        self.step, self.micro, self._losses = plain["step"], plain["micro"], plain["losses"]
        self.curve = [Point.from_data(point) for point in plain["curve"]]
        self.notes, self.ended, self._first = list(plain["notes"]), plain["ended"], float(plain["first"])
        self.seconds = dict(plain["seconds"])
        self.lost = False
        self.kept.chosen = plain["chosen"]
        how = Execution.from_data(plain["execution"]) if "execution" in plain else self.execution
        if how != self.execution or self.passes.scaler is not None:
            self.use(how)
        self.micro = plain["micro"]
        if self.passes.scaler is not None and plain.get("scaler"):
            self.passes.scaler.load_state_dict(plain["scaler"])
        self._good = (under("good."), plain["good"]) if "good" in plain else None
        self.early.take(plain.get("early"))
        self.kept.load_(self.step, self.steps)
        self._react()


__all__ = ["Halt", "Run"]
