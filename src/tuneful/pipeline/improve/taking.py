"""A step taken: a variant in, another one out, measured and judged against the original."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import torch

from tuneful.core.chance import key
from tuneful.core.errors import ArtifactError, ModelError
from tuneful.core.task import Task
from tuneful.pipeline.candidate import Candidate, as_input
from tuneful.pipeline.export import export
from tuneful.pipeline.goals import goal
from tuneful.pipeline.improve.keep import Keeper
from tuneful.pipeline.improve.learning import bare, fitted, learned
from tuneful.pipeline.improve.opened import Origin
from tuneful.pipeline.improve.pupils import averaged, pupil, teachers
from tuneful.pipeline.improve.variant import Variant, counted, measured
from tuneful.pipeline.improve.words import named
from tuneful.runtime.load import fed
from tuneful.techniques.compressors import Average, Distil
from tuneful.techniques.interfaces import Compressor, Sight

EXAMPLES = 512  # of train that a step may look at


def taken(
    origin: Origin, step: Compressor, before: Variant, original: Variant, keeper: Keeper, until: float = math.inf
) -> Variant:
    """The variant that a step makes of another. The one before is not changed. until: the `time.monotonic()` moment at which a
    training on is cut off.

    Raises ModelError where the step cannot work on this network or graph, or what it makes cannot run.
    """
    began, task = time.monotonic(), origin.task
    candidate = changed(origin, step, before, until)
    try:
        model, answers, value, times, ratios = measured(task, candidate, original)
    except ArtifactError as error:
        raise ModelError(
            f"{step_name(step)} made a graph that onnxruntime cannot run: {error.message}", error.hint
        ) from error
    chain = (*before.steps, step)
    return Variant(
        named(chain), candidate, chain, model, answers, value, times, ratios, keeper.losses(task, answers, original.answers),
        candidate.notes[len(original.candidate.notes) :], before.seconds + time.monotonic() - began, counted(task, candidate),
    )  # fmt: skip


def changed(origin: Origin, step: Compressor, before: Variant, until: float = math.inf) -> Candidate:
    """The candidate that a step makes. Raises ModelError."""
    task, candidate = origin.task, before.candidate
    if step.networks and candidate.graph is not None:
        last = step_name(before.steps[-1])
        raise ModelError(
            f"{step_name(step)} changes the network, but {last} before it has changed the exported graph already",
            f"put {step_name(step)} before {last}",
        )
    look, model = sight(task, candidate), before.model
    if isinstance(step, Average):
        return averaged(origin, step)
    if isinstance(step, Distil):
        look = replace(look, teachers=teachers(origin, step))
        candidate = pupil(origin, step, candidate)
    if step.networks:
        body = step.on_network(bare(task, candidate.network.body), look)
        if step.learns:
            candidate = learned(task, candidate, body, step, bare(task, origin.candidate.network.body), until=until)

            body = bare(task, candidate.network.body)
        candidate = replace(candidate, network=fitted(task, candidate.network, step.settled(body)))
        model = export(candidate.network, task) if step.graphs else b""
    return replace(candidate, graph=step.on_graph(model, look)) if step.graphs else candidate


def step_name(step: Compressor) -> str:
    """The kind of a step."""
    return str(getattr(step, "kind", type(step).__name__))


def sight(task: Task, candidate: Candidate) -> Sight:
    """What a step may look at: some hundred examples of train, drawn by the seed of the recipe."""
    seed = int(candidate.recipe.seed)
    dice = np.random.default_rng(key(seed, "improve"))
    chosen = np.sort(dice.permutation(len(task.train))[:EXAMPLES])
    raw = np.asarray(task.train.x[chosen])
    with torch.no_grad():
        x = candidate.network.front(as_input(torch.from_numpy(raw)))
    target = goal(task).encode(task, torch.from_numpy(np.asarray(task.train.y[chosen])))
    loss = candidate.recipe.loss
    prepared = loss.prepare(target, task.outputs)  # pyright: ignore[reportAttributeAccessIssue]

    def mean(z: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return loss.total(z, wanted, prepared) / loss.weight(wanted, prepared)  # pyright: ignore[reportAttributeAccessIssue]

    return Sight(fed(raw), x, target, mean, seed)


__all__ = ["changed", "sight", "step_name", "taken"]
