"""Forward and backward of K members at once: what each loses on its batch, and the gradients of all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor

from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.stack.batch import losses, together
from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.stack.sight import Sight
from tuneful.pipeline.stack.trial import cast
from tuneful.pipeline.step import full
from tuneful.pipeline.train import Run


def gradients(
    runs: Sequence[Run], bank: Bank, program: Program, streams: Streams, begin: int, end: int, sight: Sight | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of members begin .. end, [k], and the gradients of each parameter, [k, *shape].

    runs: these members; sight: what looks at this step. Statistics of batch norms take note of the batch; nothing else is changed, whatever is raised.
    """
    with torch.no_grad():
        batch = together(runs)
    leaves, hooks = bank.leaves(begin, end), runs[0].hooks
    streams.begin(begin, end, [run.plan.seed for run in runs], [run.step for run in runs])
    with contextlib.ExitStack() as around:
        for run in runs if hooks.shakes else ():
            around.enter_context(run.hooks.around(run.params, run.step))
        with cast(runs[0]):
            z = program(batch.x, {**leaves, **bank.others(begin, end)}, streams, len(runs), batch.shared, sight)
        if sight is not None:
            sight.outputs(z, batch)
        each = losses(runs, full(z), batch)
        found = torch.autograd.grad(each.sum(), list(leaves.values()), allow_unused=True)
    return each.detach(), {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
