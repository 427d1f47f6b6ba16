"""A network that was changed, trained on by our own loop.

The recipe is that of the candidate but for what belongs to a beginning: weights are taken as they are, the rate
falls to nothing along a cosine, averages and early stopping are left out.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import PrivateAttr
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.candidate import Candidate, Network
from tuneful.pipeline.goals import goal
from tuneful.pipeline.goals.goal import Goal
from tuneful.pipeline.train import Run
from tuneful.techniques.compressors.distil import Distil, Taught
from tuneful.techniques.inits import AsBuilt
from tuneful.techniques.interfaces import Compressor, Loss, Model
from tuneful.techniques.schedules import Cosine

RATE = 1.0  # of the recipe's own rate, at the beginning
BEGINNINGS = (
    "averaging",
    "horizons",
    "swa",
    "lawa",
    "early_stopping",
    "lookahead",
)  # regularizers that a short training is too short for


class Given(Model):
    """A network that is there already."""

    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True
    filled: ClassVar[bool] = True
    stackable: ClassVar[str] = "it has weights of its own"

    kind: Literal["given"] = "given"

    _body: nn.Module | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, body: nn.Module) -> Given:
        """A model whose networks are copies of this one."""
        made = cls()
        made._body = body
        return made

    def replace(self, **changes: Any) -> Given:
        """See `Settings.replace`; the network goes along."""
        made = super().replace(**changes)
        made._body = self._body
        return made

    def build(self, form: Form) -> nn.Module:
        """A copy, which trains."""
        if self._body is None:
            raise ModelError("this model holds no network")
        return copy.deepcopy(self._body).requires_grad_(True).train()


def bare(task: Task, body: nn.Module) -> Any:
    """The body without what the goal puts around it."""
    wrapped = type(goal(task)).around is not Goal.around
    return body.inner if wrapped else body


def untaught(task: Task, body: nn.Module) -> Any:
    """The same without the teachers of `learned` either."""
    inner = bare(task, body)
    return inner.student if isinstance(inner, Taught) else inner


def fitted(task: Task, network: Network, body: nn.Module) -> Network:
    """The network with another body, and what the goal puts around it."""
    made = Network(network.front, goal(task).around(task, body), network.back, network.views, network.classes)
    return copy.deepcopy(made).eval()


def lesson(recipe: Recipe, body: nn.Module, epochs: float, loss: Loss | None = None, rate: float = RATE) -> Recipe:
    """The recipe by which a network is trained on. rate: times the recipe's own."""
    plan: Any = recipe
    kept = tuple(one for one in plan.regularizers if one.kind not in BEGINNINGS and not one.kind.startswith("exposure"))
    changes: dict[str, Any] = {
        "model": Given.of(body), "init": AsBuilt(), "epochs": float(epochs), "schedule": Cosine(), "regularizers": kept,
        "validate_every": float(epochs), "plan": "off", "precision": "fp32", "batch_schedule": "none", "decay_schedule": "none",
        "momentum_schedule": "none",
    }  # fmt: skip
    if loss is not None:
        changes["loss"] = loss
    made = recipe.replace(changes)
    return made.replace("optimizer.lr", float(plan.optimizer.lr) * rate) if hasattr(plan.optimizer, "lr") else made


def learned(
    task: Task, candidate: Candidate, body: nn.Module, step: Compressor, teacher: nn.Module, *, until: float = float("inf"),
    rate: float = RATE,
) -> Candidate:  # fmt: skip
    """The candidate with this body in place of its own, trained on as the step asks. teacher: the original's body, which teaches
    where the step says so; until: a `time.monotonic()` moment at which it ends at the latest.

    Raises ModelError when the loss diverges, or the time is up."""
    plan: Any = candidate.recipe
    loss = step.taught(plan.loss)
    if step.teaching:
        lessons = Distil(width=1.0, weight=step.teaching)
        body, loss = Taught(body, (teacher,), False, torch.empty(0)), lessons.taught(loss)
    run = Run(task, lesson(candidate.recipe, body, step.learns, loss, rate), device="cpu")
    memory: dict[str, Tensor] = {}
    done = 0
    for _ in run.walk(beat=0.0 if step.follows else 0.25):
        if step.follows and run.step > done:
            done = run.step
            step.follow_(untaught(task, run.body), memory, done, run.steps)
        if time.monotonic() > until:
            raise ModelError(f"training on was cut off after {run.epoch:.2g} of {step.learns:g} epochs, since the time was up",
                             "give a longer --budget, or fewer epochs")  # fmt: skip
    if run.lost:
        raise ModelError(f"training on {run.ended}", "a smaller share, or another step, may do")
    made = run.candidate()
    if step.teaching:
        made = replace(made, network=fitted(task, made.network, untaught(task, made.network.body)))
    seconds = {key: candidate.seconds.get(key, 0.0) + made.seconds.get(key, 0.0) for key in made.seconds}
    return Candidate(made.network, candidate.recipe, candidate.steps + made.steps, made.value, seconds, candidate.notes)


__all__ = ["Given", "bare", "fitted", "learned", "lesson", "untaught"]
