"""Forward and backward of K members at once: what each loses on its batch, and the gradients of all."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.stack.batch import Feed, Together, losses, pulled, together
from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.stack.graphs import Graphs
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.stack.sight import Sight
from tuneful.pipeline.step import full
from tuneful.pipeline.train import Run


def cast(run: Run) -> Any:
    """Around forward passes: the precision in which a run computes them."""
    kind = run.passes.type
    return contextlib.nullcontext() if kind is None else torch.autocast(run.device.type, kind)


def gradients(
    runs: Sequence[Run],
    bank: Bank,
    program: Program,
    streams: Streams,
    feed: Feed,
    begin: int,
    end: int,
    sight: Sight | None = None,
    graphs: Graphs | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of members begin .. end, [k], and the gradients of each parameter, [k, *shape].

    runs: these members; sight: what looks at this step; graphs: those of a GPU. Statistics of batch norms take note of the batch; nothing else is changed,
    whatever is raised.
    """
    with torch.no_grad():
        batch = together(runs, feed, begin)
    streams.begin(begin, end, runs)
    leaves, others = bank.leaves(begin, end), bank.others(begin, end)
    if graphs is not None and sight is None and graphs.serves(runs, batch, streams):
        return graphs.passed(passed, (begin, end), runs, batch, program, streams, leaves, others)
    if not runs[0].hooks.shakes:
        return passed(runs, batch, program, streams, leaves, others, sight)
    with contextlib.ExitStack() as around:
        for run in runs:
            around.enter_context(run.hooks.around(run.params, run.step))
        return passed(runs, batch, program, streams, leaves, others, sight)


def passed(
    runs: Sequence[Run],
    batch: Together,
    program: Program,
    streams: Streams,
    leaves: Mapping[str, Tensor],
    others: Mapping[str, Tensor],
    sight: Sight | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """As `gradients`, of a batch and tensors that are there. leaves: what gradients are taken of; others: what else networks have."""
    if program.manual is not None and runs[0].passes.type is None:
        with torch.no_grad():
            z = program.manual.there(batch.x, leaves, streams, len(runs), batch.shared, sight)
            if sight is not None:
                sight.outputs(z, batch)
            each, g = pulled(runs, z, batch)
            return each, program.manual.back(g, leaves)
    with cast(runs[0]):
        z = program(batch.x, {**leaves, **others}, streams, len(runs), batch.shared, sight)
    if sight is not None:
        sight.outputs(z, batch)
    each = losses(runs, full(z), batch)
    found = torch.autograd.grad(each.sum(), list(leaves.values()), allow_unused=True)
    return each.detach(), {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
