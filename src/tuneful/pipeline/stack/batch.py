"""The batches of K members side by side: drawn, augmented and softened for each as for itself.

Members of one seed that are at one step see the same batch. Then it is drawn once, and the network's first layer sees it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.core.chance import key
from tuneful.pipeline.stack.crossing import FEW, Crossing, crossed
from tuneful.pipeline.train import Run
from tuneful.techniques.augments import apply_stack
from tuneful.techniques.losses.balance import NOTHING
from tuneful.techniques.regularizers import Smoothing


@dataclass(frozen=True)
class Together:
    """x: [K, B, ...], or [B, ...] where all members see the same (shared); target: [K, B, ...]; plain: are targets rows of train as
    they are?"""

    x: Tensor
    target: Tensor
    shared: bool
    plain: bool


class Feed:
    """Where the rows of the next batches lie, for members that stay side by side at one step: those of some steps at once."""

    def __init__(self) -> None:
        self.windows: dict[tuple[int, int], tuple[tuple[int, int], Tensor]] = {}  # by the place of members in the stack

    def rows(self, runs: Sequence[Run], begin: int = 0) -> Tensor:
        """Places in train of the next batch of each run, [k * B]. begin: of these runs in the stack."""
        first, k = runs[0], len(runs)
        step, batches = first.step, first.batches
        size, width = batches.size, max(1, min(STEPS, WINDOW // (k * batches.size)))
        if batches.places or size > len(batches.y) or any(run.step != step for run in runs):
            return torch.cat([run.batches.rows(run.step) for run in runs])
        epoch, number = divmod(step, batches.per_epoch)
        stretch, at = divmod(number, width)
        known, window = self.windows.get((begin, k), (None, None))
        if window is None or known != (epoch, stretch):
            begins = stretch * width * size
            window = torch.stack([run.batches.order(epoch).whole[begins : begins + width * size] for run in runs])
            self.windows[begin, k] = (epoch, stretch), window
        return window[:, at * size : (at + 1) * size].reshape(-1)


STEPS, WINDOW = 64, 1 << 17  # steps, and rows of all members, of which the places are laid out at once


def together(runs: Sequence[Run], feed: Feed | None = None, begin: int = 0) -> Together:
    """The next batch of each run, as the body of each sees it alone. feed: where the runs stay side by side, from begin on."""
    first = runs[0]
    shared = all(
        run.step == first.step and run.plan.seed == first.plan.seed and run.plan.augments == first.plan.augments
        for run in runs
    )
    seen = runs[:1] if shared else runs
    x, y = _drawn(seen, first.augmenter.idle, feed, begin)
    target = y
    if not first.augmenter.idle:
        x, target = _augmented(x, y, seen)
        target = _targets(target, runs)
    if shared and len(target) < len(runs):
        target = target.expand(len(runs), *target.shape[1:])
    return Together(x[0] if shared else x, target, shared, target is y or first.augmenter.idle)


def _drawn(runs: Sequence[Run], fronted: bool, feed: Feed | None, begin: int) -> tuple[Tensor, Tensor]:
    """x and y, [K, B, ...]: as the splits hold them, or behind the front."""
    k, first = len(runs), runs[0].batches
    if first.holds(fronted):
        rows = first.rows(runs[0].step) if k == 1 else (feed or Feed()).rows(runs, begin)
        x, y = first.taken(rows, fronted)
        return x.unflatten(0, (k, -1)), y.unflatten(0, (k, -1))
    if fronted:
        pairs = [run.batches.ready(run.step, run.network.front) for run in runs]
    else:
        pairs = [run.batches.at(run.step) for run in runs]
    return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])


def _augmented(x: Tensor, y: Tensor, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
    """As `pipeline.step.Augmenter` up to the regularizers' targets, for [K, B, ...]."""
    how, soft = runs[0].augmenter, y
    if how.softens:
        soft = F.one_hot(y.clamp(min=0), how.outputs).to(x.dtype if x.is_floating_point() else torch.get_default_dtype())
        for one in how.exposed:
            known = soft * (y >= 0).unsqueeze(-1)
            soft = one.outsiders(known.flatten(0, 1)).view_as(known)
    soft = soft.masked_fill(soft < 0, torch.nan) if how.unknown else soft
    recording = how.sounds and x.ndim == 4
    if how.before and recording:
        x, soft = _applied([run.augmenter.before for run in runs], x, soft, runs)
    x = how.front(x.flatten(0, 1)).unflatten(0, (len(runs), -1))
    if how.after if recording else how.augments:
        chosen = [run.augmenter.after if recording else run.augmenter.augments for run in runs]
        x, soft = _applied(chosen, x, soft, runs)
    return x, soft.nan_to_num(-1.0) if how.unknown else soft


def _applied(chosen: Sequence[Sequence[Any]], x: Tensor, soft: Tensor, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
    dice = [
        [torch.Generator().manual_seed(key(run.plan.seed, one.kind, run.step)) for one in own]
        for run, own in zip(runs, chosen, strict=True)
    ]
    return apply_stack(chosen, x, soft, dice)


def _targets(soft: Tensor, runs: Sequence[Run]) -> Tensor:
    """What the regularizers make of the targets; soft may be [1, B, ...], the same for all."""
    k = len(runs)
    for place, one in enumerate(runs[0].augmenter.targets if soft.is_floating_point() else ()):
        members: list[Any] = [run.augmenter.targets[place] for run in runs]
        if all(other == one for other in members):
            soft = one.targets(soft)
        elif type(one) is Smoothing:
            amounts = torch.tensor([m.amount for m in members], dtype=torch.float64).to(soft.device)
            rest, share = (v.to(soft).reshape(-1, *[1] * (soft.ndim - 1)) for v in (1.0 - amounts, amounts / soft.shape[-1]))
            soft = soft * rest + share
        else:
            wide = soft.expand(k, *soft.shape[1:])
            soft = torch.stack([member.targets(row) for member, row in zip(members, wide.unbind(0), strict=True)])
    return soft


def losses(runs: Sequence[Run], z: Tensor, batch: Together) -> Tensor:
    """The mean loss of each member over its batch, [K]. z: what the networks give, [K, B, ...]."""
    loss, prepared, target = runs[0].plan.loss, runs[0].prepared, batch.target
    wanted, times = _wanted(z, target)
    try:
        if _crosses(runs[0], z, target):
            if z.shape[2] <= FEW:
                totals: Tensor = Crossing.apply(z, wanted)  # type: ignore[assignment]
            else:
                lines = F.cross_entropy(z.flatten(0, 1), wanted.flatten(), reduction="none", ignore_index=NOTHING)
                totals = lines.view(len(z), -1).sum(1)
        else:
            totals = torch.vmap(lambda z, y: loss.total(z, y, prepared))(z, wanted)
        weights = _weights(runs[0], batch)
    except RuntimeError:  # what it does depends on the numbers themselves
        pairs = list(zip(z.unbind(0), wanted.unbind(0), target.unbind(0), strict=True))
        totals = torch.stack([loss.total(one, y, prepared) for one, y, _ in pairs])
        weights = torch.stack([loss.weight(y, prepared) for _, _, y in pairs])
    return totals / (weights * times)


def pulled(runs: Sequence[Run], z: Tensor, batch: Together) -> tuple[Tensor, Tensor]:
    """As `losses`, with the gradient of their sum with regard to z, for what goes back by itself."""
    if _crosses(runs[0], z, batch.target) and z.shape[2] <= FEW:
        wanted, times = _wanted(z, batch.target)
        totals, g = crossed(z, wanted)
        weights = _weights(runs[0], batch) * times
        if isinstance(weights, Tensor):
            return totals / weights, g.div_(weights.view(-1, 1, 1))
        return totals.div_(weights), g.div_(weights)
    leaf = z.detach().requires_grad_()
    with torch.enable_grad():
        each = losses(runs, leaf, batch)
        (g,) = torch.autograd.grad(each.sum(), leaf)
    return each.detach(), g


def _wanted(z: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """The targets of all answers, and how many answers an example has: ensembles answer one by one."""
    times = max(1, z.shape[1] // max(1, target.shape[1]))
    return (target.repeat_interleave(times, dim=1) if times > 1 else target), times


def _crosses(run: Run, z: Tensor, target: Tensor) -> bool:
    """Is the loss a plain cross-entropy of class numbers?"""
    return run.plan.loss.kind == "cross_entropy" and run.prepared is None and z.ndim == 3 and not target.is_floating_point()


def _weights(run: Run, batch: Together) -> Any:
    """What sums of losses over the batches are divided by."""
    each = run.passes.each
    if batch.plain and each is not None:
        return each * batch.target.shape[1]
    return torch.vmap(lambda y: run.plan.loss.weight(y, run.prepared))(batch.target)
