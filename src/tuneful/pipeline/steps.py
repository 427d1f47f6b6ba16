"""Steps: a network, its optimizer and all that a training takes from one step to the next; what `train.Run` walks on.

What is the same in every step is made once, before the first: which regularizers act where, what the front makes of the inputs, how
much a batch weighs. A step then does what the network and the optimizer need, and reads no number from the device.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuneful.core.errors import RankError, RecipeError
from tuneful.core.execution import Execution
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.core.trial import Point
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.begin import begun
from tuneful.pipeline.candidate import Network, ends
from tuneful.pipeline.carrying import Body, carried, cores, plain, recomputable
from tuneful.pipeline.course import Course
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.early import EVERY, Early, gone
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.ranks import ALONE, FUSED, Joined, Ranks, Sharded, unshardable
from tuneful.pipeline.readout import Readout
from tuneful.pipeline.step import Augmenter, Hooks, NoMemoryError, Passes, arithmetic, stepped_
from tuneful.techniques.augments import fit, require_views
from tuneful.techniques.optimizers.groups import parameter_groups, rated
from tuneful.techniques.regularizers import EarlyStopping

UNSEEN = 1 << 30  # steps between two looks of the watch where no rank has whole weights to look at
PARTS = "parts"  # what a rank leaves for the others when its memory has run out: in how many parts to try a batch
LOOK = 25  # steps between two looks at the loss, which cost a wait for the device


class Steps:
    """See `train.Run`, whose arguments these are."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        *,
        device: str | None,
        halt: Halt | None,
        save_to: Path | None,
        save_every: float,
        execution: Execution | None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.task = task
        self.recipe = recipe = resolve(recipe, task)
        self.ranks = ranks
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if ranks.world > 1:
            self.device = ranks.device
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
        named = {p: name for name, p in body.named_parameters()}
        body = goal(task).around(task, body)
        self.network = Network(front, body, back, recipe.views, goal(task).blends).to(self.device)
        self.body = self.network.body
        names = [named.get(p) for p in self.body.parameters()]
        self.joined: Joined | None = None
        copied = None
        if ranks.shard:
            copied = copy.deepcopy(self.network)  # in which the leader puts the weights together, to be judged and written
            copied = copied if ranks.leads else copied.to("cpu")
            self.joined = Sharded(self.body, ranks)
        paced: dict[Tensor, Any] = {
            p: rates[name] for p, name in zip(self.body.parameters(), names, strict=True) if name in rates
        }
        self.params = [p for p in self.body.parameters() if p.requires_grad]
        groups = rated(parameter_groups(self.body, self.plan.optimizer), self.plan.optimizer, paced)
        self.optimizer: torch.optim.Optimizer = self.plan.optimizer.build(groups)
        if ranks.shard and (why := unshardable(self.plan.optimizer, self.optimizer)):
            raise RecipeError(f"{why}, and weights are sharded", "optimizer=adamw, or no --shard")
        self._fused = any(group.get("fused") for group in self.optimizer.param_groups)
        self.course = Course(recipe, self.optimizer)
        self.augmenter, self.hooks = Augmenter(task, self.plan, self.network.front), Hooks.of(self.plan)
        self.batches = Batches(task, recipe, self.device, ranks, self.augmenter.blends)
        self.prepared: Tensor | None = self.plan.loss.prepare(self.batches.y, self.form.outputs)
        self.batches.normalize(self.network.front)
        if ranks.world > 1 and self.joined is None:
            self.joined = Joined(self.body, ranks, lambda: self._seen(0)[0][:2])
        self.passes = Passes(self.body, self.plan, self.batches.y, self.prepared, self.joined)
        self.kept = Readout(self.network, recipe, self.batches, self.optimizer, copied, ranks)
        self.memories: dict[str, dict[str, Tensor]] = {
            one.kind: one.start_memory(self.params) for one in self.plan.regularizers
        }  # what limits remember from step to step
        self.best: dict[str, Tensor] = {}  # the best point's weights, kept under early stopping
        self.keeps_best = any(isinstance(one, EarlyStopping) for one in self.plan.regularizers)

        self.step = 0
        self.steps = self.batches.steps
        self.early = Early(self.body, self.optimizer, self.plan, self.steps, every=UNSEEN if ranks.shard else EVERY)
        self.micro = 1  # micro-batches a step; doubled when memory runs out
        self._carried: dict[Execution, Body] = {}
        self.use(execution or plain(recipe, self.form))
        self.curve: list[Point] = []
        self.notes: list[str] = []
        self.ended = ""
        self.lost = False  # did it end because its loss, or what the network gives, is no number any more?
        self.seconds = {"train": 0.0, "validate": 0.0, "save": 0.0}
        self._heard: list[Tensor] = []  # losses of steps, not added up yet: reading one would wait for the device
        self._loss = 0.0  # sum since the last point
        self._look = 0.0  # sum since the last look
        self._first = math.nan  # mean loss of the first LOOK steps
        self._losses = 0
        self._every = float(recipe.validate_every)
        self._saved = time.monotonic()

    @property
    def epoch(self) -> float:
        """Passes over train so far."""
        return self.batches.epochs(self.step)

    @property
    def waits_to_be_saved(self) -> bool:
        """Is it `save_every` seconds since it was saved last?"""
        return time.monotonic() - self._saved > self.save_every

    def _lr(self) -> float:
        """The rate of the last step, as the recipe counts it: the factors of groups left out."""
        group = self.optimizer.param_groups[0]
        return self.plan.optimizer.lr * float(group["lr"]) / group["initial_lr"]

    def use(self, how: Execution) -> None:
        """Carry out the steps so from the next one on. Raises what compiling or capturing raises."""
        if self.ranks.world > 1:
            shared = 1 if self.device.type == "cuda" else max(1, cores() // self.ranks.world)
            how = how.replace(
                ranks=self.ranks.world, threads=min(how.threads, shared), graphed=False, sharded=self.ranks.shard
            )
            how = how.replace(fused=how.fused and not (self.ranks.shard and not isinstance(self.optimizer, FUSED)))
        else:
            how = how.replace(ranks=1, sharded=False)
        self.execution, self.micro = how, how.parts
        if how not in self._carried:
            self._carried[how] = carried(self.body, how, lambda: self._seen(0)[0], self.joined)
        self.network.laid = self.kept.network.laid = how.layout == "channels_last"
        for group in self.optimizer.param_groups:
            if "fused" in group and self._fused:
                group["fused"] = how.fused
        scale = self.passes.scaler or torch.amp.GradScaler(self.device.type)
        self.passes.scaler = scale if how.precision == "fp16" else None
        self.passes.use(how, self._carried[how])

    def timed(self, least: int, seconds: float) -> float:
        """Do at least so many steps, until the time is over, and return seconds a step. For measuring; the run goes on from there."""
        self.early.steps = 0  # looks would be measured too
        with arithmetic(self.execution.threads):
            began, before = time.perf_counter(), self.step
            while self.step - before < least or time.perf_counter() - began < seconds:
                self._one_step()
        return (time.perf_counter() - began) / (self.step - before)

    def advance(self, steps: int) -> float:
        """Do so many steps without a validation, and return their mean loss; nan when the run ended in them. For probing."""
        with arithmetic(self.execution.threads):
            self._add_up()
            before = self._loss
            for _ in range(steps):
                self._one_step()
                if self.ended:
                    return math.nan
        self._add_up()
        return (self._loss - before) / steps

    # ------------------------------------------------------------------------------------------------ one step

    def _one_step(self) -> None:
        step = self.step
        if self.joined is not None:
            self.joined.remember()
        x, target, plain = self._seen(step)
        self.course.put_(step, self.steps)
        try:
            if self.early.over:
                loss = self._stepped(x, target, plain)
            else:
                with self.early.during(), self.passes.uncarried(self.early.looking):
                    loss = self._stepped(x, target, plain)
        except NoMemoryError:
            return
        self.hooks.settle_(self.optimizer)
        self.step = step = step + 1
        self.kept.update_(step, self.steps)
        self.note(loss, target)

    def note(self, loss: Tensor, target: Tensor) -> None:
        """Take note of a step that is done and counted. loss: of its batch, before the step."""
        self._heard.append(loss)
        if self.step % LOOK == 0 or self.step == self.steps:
            self._look_at_loss()
        if not self.early.over:
            self.ended = self.early.heard(loss, target, self.notes) or self.ended

    def noted(self, losses: Sequence[float]) -> None:
        """Take note of the last steps, which are done, counted, and known to the watch already; only the last of them may be one at
        which the loss is looked at."""
        self._add_up()
        self._sum(losses)
        if self.step % LOOK == 0 or self.step == self.steps:
            before = self.ended
            self._look_at_loss()
            self.ended = before or self.ended

    def _seen(self, step: int) -> tuple[Tensor, Tensor, bool]:
        """The batch of a step as the body and the loss see it; and are its targets rows of train as they are?"""
        front = self.network.front
        if self.joined is not None:
            return self._own(step)
        if self.augmenter.idle:
            return *self.batches.ready(step, front), True
        x, y = self.batches.at(step)
        with torch.no_grad():
            x, target = self.augmenter(x, y, step)
        return x, target, target is y

    def _own(self, step: int) -> tuple[Tensor, Tensor, bool]:
        """As `_seen`, the rows of this rank."""
        if self.augmenter.idle:
            return *self.batches.mine(step, self.network.front), True
        x, y = self.batches.own(step)
        of = self.batches.count(step)
        part = self.ranks.part(of)
        with torch.no_grad():
            x, target = self.augmenter(x, y, step, among=None if self.augmenter.blends else (part, of))
        plain = target is y
        return (x[part], target[part], plain) if self.augmenter.blends else (x, target, plain)

    def _stepped(self, x: Tensor, target: Tensor, plain: bool) -> Tensor:
        """The optimizer's step; plain: see `Passes.gradients_`. Raises NoMemoryError when the run has ended in it."""
        if not self.plan.optimizer.closure:
            loss = self._ready(x, target, plain)
            if self.passes.scaler is None:
                self.optimizer.step()
            else:
                self.passes.scaler.step(self.optimizer)  # not where a gradient is beyond fp16
                self.passes.scaler.update()
            return loss
        return stepped_(self.optimizer, self.body, lambda: self._ready(x, target, plain))

    def _ready(self, x: Tensor, target: Tensor, plain: bool) -> Tensor:
        """The loss of the batch, with gradients in `p.grad` that a step may take. Raises NoMemoryError when the run has ended in it."""
        if self.hooks.shakes:
            with self.hooks.around(self.params, self.step):
                loss = self._gradients(x, target, plain)
        else:
            loss = self._gradients(x, target, plain)
        if loss is None:
            raise NoMemoryError
        if self.passes.scaler is not None:
            self.passes.scaler.unscale_(self.optimizer)
        self.hooks.restrain_(self.params, self.memories, self.step)
        return loss

    def _gradients(self, x: Tensor, target: Tensor, plain: bool) -> Tensor | None:
        """Gradients of the mean loss over the batch, in `p.grad`; None when the run has ended in it."""
        while True:
            for p in self.params:
                p.grad = None
            of = self.batches.count(self.step) if self.joined is not None else 0
            loss = self.passes.gradients_(x, target, self.step, self.micro, plain, of)
            if loss is not None or not self._smaller(len(x)):
                return loss

    def _smaller(self, batch: int) -> bool:
        """Memory ran out: halve the micro-batch. False (and the run has ended) when it is one example already."""
        if self.joined is not None:  # the others wait for its gradients, so all begin this step again, in more parts
            if self.micro < batch:
                self.ranks.say(PARTS, min(batch, self.micro * 2))
            raise RankError(
                f"memory ran out on rank {self.ranks.rank} in step {self.step}, with {batch} rows in {self.micro} parts",
                "the same command goes on in more parts; --restarts 3 does so by itself"
                if self.micro < batch
                else "more devices, --shard, or a smaller batch_size",
            )
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.micro >= batch:
            if self.execution.recompute and not self.execution.offload and self.device.type == "cuda":
                self.use(self.execution.replace(offload=True, parts=self.micro))
                self.notes.append(
                    f"memory ran out in step {self.step}: activations wait in the CPU's memory for the backward pass"
                )
                return True
            if not self.execution.recompute and recomputable(self.body):
                self.use(self.execution.replace(recompute=True, parts=self.micro, compiled=False, graphed=False))
                self.notes.append(f"memory ran out in step {self.step}: activations are computed again in the backward pass")
                return True
            self.ended = f"failed: memory ran out in step {self.step} with one example at a time"
            return False
        self.micro = min(batch, self.micro * 2)
        self.notes.append(
            f"memory ran out in step {self.step}: a batch of {batch} now goes in {self.micro} parts whose gradients are added up"
        )
        return True

    def _add_up(self) -> None:
        """Add the losses of the last steps to their sums, one after the other, so that it does not matter when."""
        self._sum(torch.stack(self._heard).tolist() if self._heard else ())
        self._heard.clear()

    def _sum(self, losses: Iterable[float]) -> None:
        for loss in losses:
            self._loss += loss
            self._look += loss
            self._losses += 1

    def _look_at_loss(self) -> None:
        self._add_up()
        steps = LOOK if self.step % LOOK == 0 else self.step % LOOK
        mean = self._look / steps
        self._look = 0.0
        if math.isnan(self._first):
            self._first = mean
        self.ended, self.lost = gone(mean, self._first, self.step), not math.isfinite(mean)


__all__ = ["LOOK", "PARTS", "Steps"]
