"""Dry run: can these members be stacked, and does the program give what each gives alone?

Two members' gradients and buffers on a real batch are taken both ways, on copies. What raises inside of vmap (a branch that depends
on numbers, a change in place that it does not know) or comes out differently (chance from another source than dropout, a count of
the network's own) is trained singly, with the reason told.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tuneful.core.chance import key
from tuneful.pipeline.stack.bank import Bank, parts
from tuneful.pipeline.stack.batch import losses, together
from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.stack.gradients import cast, passed
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.step import channels_last, full
from tuneful.pipeline.train import Run

NEAR = {torch.float64: 1e-7, torch.float32: 5e-3, torch.bfloat16: 0.2}  # of the largest number of a tensor


def found(runs: Sequence[Run], bank: Bank, streams: Streams) -> tuple[Program | None, str]:
    """A program that gives what the members give alone, by hand before vmap; where there is none, why."""
    reason, axes = "", together(runs[:1]).x.ndim  # one member's batch, which all of it share
    for by_hand in (True, False):
        program = Program(runs[0].body, by_hand, axes)
        if by_hand and program.links is None:
            continue
        why = tried(runs, bank, streams, program)
        if not why:
            return program, ""
        reason = reason or why
    return None, reason


def tried(runs: Sequence[Run], bank: Bank, streams: Streams, program: Program) -> str:
    """Why the first two members cannot be stacked by this program; "" where they can. Nothing of them is changed."""
    pair = list(runs[:2])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of rules that vmap lacks; how fast it is without them is measured
            ours = _stacked(pair, bank, streams, program)
    except Exception as error:  # the user's code may raise anything, and vmap too
        first = str(error).strip().splitlines()
        return f"the network cannot be stacked: {first[0] if first else type(error).__name__}"
    for at, run in enumerate(pair):
        for name, alone in _alone(run).items():
            one = ours[name][at]
            if alone.dtype.is_floating_point:
                near = NEAR.get(alone.dtype, 0.2) if run.passes.type is None else 0.2
                same = (one - alone).abs().max() <= near * alone.abs().max().clamp(min=1e-5) if alone.numel() else True
            else:
                same = torch.equal(one, alone)
            if not same:
                return f"in a stack {name} comes out differently than alone: the network may draw chance or keep books in its own way"
    return ""


def _stacked(runs: Sequence[Run], bank: Bank, streams: Streams, program: Program) -> dict[str, Tensor]:
    """Gradients and buffers after a step of both, [2, *] by name."""
    leaves = {name: t.detach().clone().requires_grad_() for name, t in bank.leaves(0, 2).items()}
    others = {name: t.detach().clone() for name, t in bank.others(0, 2).items()}
    streams.begin(0, 2, runs)
    _, grads = passed(runs, together(runs), program, streams, leaves, others)
    return {**others, **{name: grads.get(name, torch.zeros_like(p)) for name, p in leaves.items()}}


def _alone(run: Run) -> Mapping[str, Tensor]:
    """Gradients and buffers after a step of one, by name."""
    twin: nn.Module = copy.deepcopy(run.body).train()
    batch = together([run])
    x = batch.x if batch.shared else batch.x[0]
    torch.default_generator.manual_seed(key(run.plan.seed, "dropout", run.step))
    with cast(run):
        z = twin(channels_last(x) if run.passes.laid else x)
    losses([run], full(z).unsqueeze(0), batch).sum().backward()
    return {
        name: t.grad if t.grad is not None else torch.zeros_like(t) if t.requires_grad else t
        for name, t in parts(twin).items()
    }
