"""A step taken: a variant in, another one out, measured and judged against the original."""

from __future__ import annotations

import copy
import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from tuneful.core.chance import key
from tuneful.core.errors import ArtifactError, ModelError
from tuneful.core.task import Task
from tuneful.pipeline.candidate import Candidate, Network, as_input
from tuneful.pipeline.goals import goal
from tuneful.pipeline.improve.keep import Keeper
from tuneful.pipeline.improve.learning import bare, learned
from tuneful.pipeline.improve.variant import Variant, measured
from tuneful.pipeline.improve.words import named
from tuneful.runtime.load import fed
from tuneful.techniques.interfaces import Compressor, Sight

EXAMPLES = 512  # of train that a step may look at


def taken(task: Task, step: Compressor, before: Variant, original: Variant, keeper: Keeper) -> Variant:
    """The variant that a step makes of another. The one before is not changed.

    Raises ModelError where the step cannot work on this network or graph, or what it makes cannot run.
    """
    began = time.monotonic()
    candidate = changed(task, step, before)
    try:
        model, answers, value, times, ratios = measured(task, candidate, original)
    except ArtifactError as error:
        raise ModelError(
            f"{step_name(step)} made a graph that onnxruntime cannot run: {error.message}", error.hint
        ) from error
    chain = (*before.steps, step)
    return Variant(
        named(chain), candidate, chain, model, answers, value, times, ratios, keeper.losses(task, answers, original.answers),
        candidate.notes[len(original.candidate.notes) :], before.seconds + time.monotonic() - began,
    )  # fmt: skip


def changed(task: Task, step: Compressor, before: Variant) -> Candidate:
    """The candidate that a step makes. Raises ModelError."""
    candidate = before.candidate
    if not step.graphs and candidate.graph is not None:
        last = step_name(before.steps[-1])
        raise ModelError(
            f"{step_name(step)} changes the network, but {last} before it has changed the exported graph already",
            f"put {step_name(step)} before {last}",
        )
    look = sight(task, candidate)
    if step.graphs:
        return replace(candidate, graph=step.on_graph(before.model, look))
    body = step.on_network(bare(task, candidate.network.body), look)
    if step.learns:
        return learned(task, candidate, body, step.learns)
    return replace(candidate, network=fitted(task, candidate.network, body))


def fitted(task: Task, network: Network, body: nn.Module) -> Network:
    """The network with another body, and what the goal puts around it."""
    made = Network(network.front, goal(task).around(task, body), network.back, network.views, network.classes)
    return copy.deepcopy(made).eval()


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
