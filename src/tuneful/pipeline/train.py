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

from tuneful.core.errors import RecipeError, StateError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.core.trial import Point
from tuneful.pipeline import judge, state
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.begin import begun
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.course import Course
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.early import Early, gone
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.readout import Readout
from tuneful.pipeline.step import NoMemoryError, arithmetic, augmented, gradients_, restrain_, settle_, shaken, stepped_
from tuneful.techniques.augments import fit, require_views
from tuneful.techniques.models import with_callable
from tuneful.techniques.optimizers.groups import parameter_groups, rated
from tuneful.techniques.regularizers import EarlyStopping

LOOK = 25  # steps between two looks at the loss, which cost a wait for the device


class Run:
    """One training of one recipe. Iterating trains and yields a `Point` at every validation; iterating again goes on.

    task, recipe: what and how; "auto" is resolved here. device: "cpu", "cuda", or None for the GPU where there is one.
    halt: shared with the caller, who may ask for a stop. save_to: a file that holds the state, written at every point that
    is `save_every` seconds after the last writing, and in between when an epoch is longer than that.

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
    ) -> None:
        self.task = task
        self.recipe = recipe = resolve(recipe, task)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.halt = halt if halt is not None else Halt()
        self.save_to, self.save_every = save_to, save_every
        self.plan: Any = recipe  # the same recipe; its sections are techniques here

        self.form = form(task)
        body, rates = begun(task, recipe)
        self.plan = recipe.replace(augments=fit(self.plan.augments, self.form))
        if self.plan.loss.kind not in goal(task).losses:
            raise RecipeError(
                f"loss is {self.plan.loss.kind}; a {task.kind} task takes {' or '.join(goal(task).losses)}",
                "leave loss out, and one that fits is chosen",
            )
        front, back = ends(task)
        require_views(recipe.views, self.form)
        paced: dict[Tensor, Any] = {p: rates[name] for name, p in body.named_parameters() if name in rates}
        body = goal(task).around(task, body)
        self.network = Network(front, body, back, recipe.views, goal(task).blends).to(self.device)
        self.body = self.network.body
        self.params = [p for p in self.body.parameters() if p.requires_grad]
        groups = rated(parameter_groups(self.body, self.plan.optimizer), self.plan.optimizer, paced)
        self.optimizer: torch.optim.Optimizer = self.plan.optimizer.build(groups)
        self.course = Course(recipe, self.optimizer)
        self.batches = Batches(task, recipe, self.device)
        self.prepared: Tensor | None = self.plan.loss.prepare(self.batches.y, self.form.outputs)
        self.kept = Readout(self.network, recipe, self.batches, self.optimizer)
        self.memories: dict[str, dict[str, Tensor]] = {
            one.kind: one.start_memory(self.params) for one in self.plan.regularizers
        }  # what limits remember from step to step
        self.best: dict[str, Tensor] = {}  # the best point's weights, kept under early stopping
        self.keeps_best = any(isinstance(one, EarlyStopping) for one in self.plan.regularizers)

        self.step = 0
        self.steps = self.batches.steps
        self.early = Early(self.body, self.optimizer, self.plan, self.steps)
        self.micro = 1  # micro-batches a step; doubled when memory runs out
        self.curve: list[Point] = []
        self.notes: list[str] = []
        self.ended = ""
        self.seconds = {"train": 0.0, "validate": 0.0, "save": 0.0}
        self._loss = torch.zeros((), dtype=torch.float64, device=self.device)  # sum since the last point
        self._look = torch.zeros((), dtype=torch.float64, device=self.device)  # sum since the last look
        self._first = math.nan  # mean loss of the first LOOK steps
        self._losses = 0
        self._saved = time.monotonic()

    # ------------------------------------------------------------------------------------------------ going

    def __iter__(self) -> Iterator[Point]:
        return (point for point in self.walk() if point is not None)

    def walk(self, beat: float = 0.25) -> Iterator[Point | None]:
        """As iterating, with a None about every `beat` seconds in between, for a progress bar or a look at the clock."""
        with arithmetic(int(self.recipe.threads)):
            yield from self._walk(beat)

    def _walk(self, beat: float) -> Iterator[Point | None]:
        beaten = began = time.monotonic()
        self.network.train()
        while self.step < self.steps and not self.ended:
            if self.halt.due:
                break
            self._one_step()
            now = time.monotonic()
            self.seconds["train"] += now - began
            began = now
            due = self.batches.due(self.step, float(self.recipe.validate_every)) or self.step == self.steps
            if not self.ended and due:
                yield self.look()
                began = beaten = time.monotonic()
            elif now - beaten > beat:
                yield None
                began = beaten = time.monotonic()
            if self.save_to and time.monotonic() - self._saved > self.save_every and not self.ended:
                self.save(self.save_to)
                began = time.monotonic()
        if self.step >= self.steps and not self.ended:
            self.ended = f"all {self.recipe.epochs:g} epochs are done"

    def timed(self, least: int, seconds: float) -> float:
        """Do at least so many steps, until the time is over, and return seconds a step. For measuring; the run goes on from there."""
        self.early.steps = 0  # looks would be measured too
        with arithmetic(int(self.recipe.threads)):
            began, before = time.perf_counter(), self.step
            while self.step - before < least or time.perf_counter() - began < seconds:
                self._one_step()
        return (time.perf_counter() - began) / (self.step - before)

    def advance(self, steps: int) -> float:
        """Do so many steps without a validation, and return their mean loss; nan when the run ended in them. For probing."""
        with arithmetic(int(self.recipe.threads)):
            before = self._loss.clone()
            for _ in range(steps):
                self._one_step()
                if self.ended:
                    return math.nan
        return float(self._loss - before) / steps

    @property
    def readout(self) -> Network:
        """What was judged last: the network itself, or an average of its weights."""
        return self.kept.network

    @property
    def epoch(self) -> float:
        """Passes over train so far."""
        return self.batches.epochs(self.step)

    # ------------------------------------------------------------------------------------------------ one step

    def _one_step(self) -> None:
        x, y = self.batches.at(self.step)
        with torch.no_grad():
            x, target = augmented(x, y, self.task, self.plan, self.step, self.network.front)
        self.course.put_(self.step, self.steps)
        try:
            with self.early.during():
                loss = stepped_(self.optimizer, self.plan.optimizer.closure, self.body, lambda: self._ready(x, target))
        except NoMemoryError:
            return
        settle_(self.plan, self.optimizer)
        self.step += 1
        self.kept.update_(self.step, self.steps)
        self._loss += loss
        self._look += loss
        self._losses += 1
        if self.step % LOOK == 0 or self.step == self.steps:
            self._look_at_loss()
        self.ended = self.early.heard(loss, target, self.notes) or self.ended

    def _ready(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of the batch, with gradients in `p.grad` that a step may take. Raises NoMemoryError when the run has ended in it."""
        with shaken(self.plan, self.params, self.step):
            loss = self._gradients(x, target)
        if loss is None:
            raise NoMemoryError
        restrain_(self.plan, self.params, self.memories, self.step)
        return loss

    def _gradients(self, x: Tensor, target: Tensor) -> Tensor | None:
        """Gradients of the mean loss over the batch, in `p.grad`; None when the run has ended in it."""
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            loss = gradients_(self.body, x, target, self.plan, self.prepared, self.step, self.micro)
            if loss is not None or not self._smaller(len(x)):
                return loss

    def _smaller(self, batch: int) -> bool:
        """Memory ran out: halve the micro-batch. False (and the run has ended) when it is one example already."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.micro >= batch:
            self.ended = f"failed: memory ran out in step {self.step} with one example at a time"
            return False
        self.micro = min(batch, self.micro * 2)
        self.notes.append(
            f"memory ran out in step {self.step}: a batch of {batch} now goes in {self.micro} parts whose gradients are added up"
        )
        return True

    def _look_at_loss(self) -> None:
        steps = LOOK if self.step % LOOK == 0 else self.step % LOOK
        mean = float(self._look) / steps
        self._look.zero_()
        if math.isnan(self._first):
            self._first = mean
        self.ended = gone(mean, self._first, self.step)

    # ------------------------------------------------------------------------------------------------ a point

    def look(self) -> Point:
        """Validate now, whether or not a point is due; the weights stay as they are."""
        began = time.monotonic()
        before = self.kept.chosen
        p = self.kept.judged(self.task, self.step, self.steps)
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
            train_loss=float(self._loss) / max(1, self._losses),
            valid_loss=loss,
            lr=self._lr(),
            seconds=sum(self.seconds.values()),
            notes=tuple(self.notes),
        )
        self._loss.zero_()
        self._losses = 0
        self.notes.clear()
        self.curve.append(point)
        if not finite:
            self.ended = f"diverged: the network gives values that are not finite at step {self.step}"
        else:
            self._judge_progress()
        self._react()
        return self.curve[-1]

    def _lr(self) -> float:
        """The rate of the last step, as the recipe counts it: the factors of groups left out."""
        group = self.optimizer.param_groups[0]
        return self.plan.optimizer.lr * float(group["lr"]) / group["initial_lr"]

    def _react(self) -> None:
        values = [point.value.value for point in self.curve]
        self.course.react(values, self.task.objective.direction)

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
        self.kept.load_(self.step, self.steps)
        network = copy.deepcopy(self.readout).cpu().eval()
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

    def save(self, path: Path) -> None:
        """Write everything that the run is to one file, whole or not at all. Raises StorageError."""
        began = time.monotonic()
        state.save(path, *self.state())
        self._saved = time.monotonic()
        self.seconds["save"] += self._saved - began

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the run is: tensors, which are its own and not copies, and plain data."""
        tensors: dict[str, Tensor] = {f"net.{k}": v for k, v in self.body.state_dict().items()}
        in_optimizer, plain_optimizer = state.pack(self.optimizer)
        tensors |= {f"opt.{k}": v for k, v in in_optimizer.items()}
        for part, named in (("avg", self.kept.averages), ("mem", self.memories)):
            tensors |= {f"{part}.{kind}.{k}": v for kind, held in named.items() for k, v in held.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {"sum.loss": self._loss, "sum.look": self._look}
        plain = {
            "recipe": self.recipe.as_data(), "fingerprint": self.task.fingerprint, "step": self.step, "micro": self.micro,
            "curve": [point.as_data() for point in self.curve], "notes": self.notes, "ended": self.ended, "first": repr(self._first),
            "losses": self._losses, "seconds": self.seconds, "optimizer": plain_optimizer, "chosen": self.kept.chosen,
            "early": self.early.seen.as_data(),
        }  # fmt: skip
        return tensors, plain

    @classmethod
    def resume(
        cls, task: Task, path: Path, *, model: Any = None, device: str | None = None, halt: Halt | None = None,
        save_to: Path | None = None, save_every: float = 20.0,
    ) -> Run:  # fmt: skip
        """The run whose state lies at `path`, ready to go on. model: the user's own model settings, when they are not in a file.

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
        run = cls(task, recipe, device=device, halt=halt, save_to=save_to, save_every=save_every)
        run.put(tensors, plain, f"the state {path}")
        return run

    def put(self, tensors: dict[str, Tensor], plain: dict[str, Any], what: str = "the state") -> None:
        """Become the run that `state` gave; what: its name in an error. Raises StateError when it does not fit the recipe."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        try:
            self.body.load_state_dict(under("net."))
            for part, named in (("avg", self.kept.averages), ("mem", self.memories)):
                for kind, held in named.items():
                    for name, tensor in held.items():
                        tensor.copy_(tensors[f"{part}.{kind}.{name}"])
        except (RuntimeError, KeyError) as error:
            raise StateError(
                f"{what} does not fit the network of its recipe: {str(error).splitlines()[-1].strip()}"
            ) from error
        state.unpack(self.optimizer, under("opt."), plain["optimizer"])
        self.best = under("best.")
        self._loss, self._look = (tensors[name].to(self.device) for name in ("sum.loss", "sum.look"))
        self.step, self.micro, self._losses = plain["step"], plain["micro"], plain["losses"]
        self.curve = [Point.from_data(point) for point in plain["curve"]]
        self.notes, self.ended, self._first = list(plain["notes"]), plain["ended"], float(plain["first"])
        self.seconds = dict(plain["seconds"])
        self.kept.chosen = plain["chosen"]
        self.early.take(plain.get("early"))
        self.kept.load_(self.step, self.steps)
        self._react()


__all__ = ["Halt", "Run"]
