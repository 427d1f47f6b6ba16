"""What happens to one batch inside a step: it is augmented, goes through the network, and gradients come back.

Functions of what they are given; what a step changes of a run (counters, weights, averages) stands in `pipeline.train`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase

from tuneful.core.chance import key
from tuneful.core.errors import ModelError
from tuneful.core.task import Task
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.limits import out_of_memory
from tuneful.techniques.augments import apply
from tuneful.techniques.regularizers import Exposure

TINY = 1e-40  # below the smallest normal float32
LARGE = 16  # pixels of the shorter side from which images are laid out channel by channel (LOG.md)


@contextlib.contextmanager
def arithmetic(threads: int) -> Generator[None]:
    """Inside, torch computes with so many threads, and numbers too small to be stored in full count as zero, since
    they are slow to compute with. Afterwards both are as before: other code in the process may need such numbers."""
    before, flushed = torch.get_num_threads(), float(torch.tensor(TINY) * 1) == 0
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(flushed)


def augmented(x: Tensor, y: Tensor, task: Task, plan: Any, step: int, front: nn.Module) -> tuple[Tensor, Tensor]:
    """The batch as the body sees it, with class numbers where nothing blends classes, else probabilities [B, L].

    x: [B, ...] as the splits hold it, which `front` normalizes (or makes spectrograms of); y: targets as the goal encodes them;
    plan: the resolved recipe, whose seed with the step decides every draw. The augments act after the front, but those of
    sounds that are meant for the recording before it.
    """
    soft = y
    blends = goal(task).blends
    exposed = [one for one in plan.regularizers if isinstance(one, Exposure)]
    if blends and (plan.augments or exposed or any(one.kind == "smoothing" for one in plan.regularizers)):
        soft = F.one_hot(y.clamp(min=0), task.outputs).to(x.dtype if x.is_floating_point() else torch.float32)
        for one in exposed:
            soft = one.outsiders(soft * (y >= 0).unsqueeze(-1))
    unknown = task.kind == "multilabel"  # where a label is not known (-1), neither is a blend with it
    soft = soft.masked_fill(soft < 0, torch.nan) if unknown and plan.augments else soft
    sounds = x.ndim == 3 and form(task).kind == "spectrogram"
    for raw in (True, False):
        chosen = [one for one in plan.augments if (one.raw and sounds) is raw]
        dice = [torch.Generator().manual_seed(key(plan.seed, one.kind, step)) for one in chosen]
        x, soft = apply(chosen, x, soft, dice) if chosen else (x, soft)
        x = front(x) if raw else x
    soft = soft.nan_to_num(-1.0) if unknown else soft
    for one in plan.regularizers:
        soft = one.targets(soft) if blends and soft.is_floating_point() else soft
    return x, soft


def thrown(seed: int, purpose: str, step: int, params: Sequence[Tensor]) -> Callable[[], torch.Generator]:
    """What makes the generator of a step, keyed, on the device of the parameters; it costs nothing until it is called."""
    return lambda: torch.Generator(params[0].device).manual_seed(key(seed, purpose, step))


def shaken(plan: Any, params: Sequence[nn.Parameter], step: int) -> contextlib.AbstractContextManager[Any]:
    """Around forward and backward: the weights as the regularizers want them there."""
    around = contextlib.ExitStack()
    for one in plan.regularizers:
        if one.shakes:
            around.enter_context(one.during(params, thrown(plan.seed, one.kind, step, params)))
    return around


def restrain_(plan: Any, params: Sequence[nn.Parameter], memories: Mapping[str, dict[str, Tensor]], step: int) -> None:
    """Penalties, then limits, then noise, on the gradients of a step."""
    for one in plan.regularizers:
        one.penalize_(params)
    for one in plan.regularizers:
        one.limit_(params, memories[one.kind])
    for one in plan.regularizers:
        one.disturb_(params, step + 1, thrown(plan.seed, one.kind, step, params))


def settle_(plan: Any, optimizer: torch.optim.Optimizer) -> None:
    """What regularizers do to the weights after the optimizer's step."""
    for one in plan.regularizers:
        for group in optimizer.param_groups:
            one.settle_(group["params"], group["lr"])


def channels_last(x: Tensor) -> Tensor:
    """Images [B, C, H, W] with the channels of a pixel side by side in memory, in which convolutions are faster; numbers and
    shape stay. Small ones, and all else, as they are. Not for people's own networks: `x.view(len(x), -1)` would fail in them."""
    if x.ndim != 4 or min(x.shape[2:]) < LARGE:
        return x
    b, c, h, w = x.shape
    # With one channel both orders are the same to torch, and strides alone tell convolutions which is meant.
    return (
        x.contiguous().as_strided((b, c, h, w), (c * h * w, 1, w * c, c))
        if c == 1
        else x.contiguous(memory_format=torch.channels_last)
    )


def gradients_(
    body: nn.Module, x: Tensor, target: Tensor, plan: Any, prepared: Tensor | None, step: int, parts: int
) -> Tensor | None:
    """Add the gradients of the mean loss over the batch to `p.grad`, part after part, and return that loss.

    prepared: what the loss learned from all targets of train. None when memory ran out on the way; `p.grad` then holds some of the parts. Dropout is keyed by the step. Raises
    ModelError when the network fails for another reason.
    """
    torch.default_generator.manual_seed(key(plan.seed, "dropout", step))
    if x.device.type == "cuda":
        torch.cuda.manual_seed(key(plan.seed, "dropout", step))
    total = torch.zeros((), device=x.device)
    weight = plan.loss.weight(target, prepared)
    try:
        for part, wanted in zip(x.chunk(parts), target.chunk(parts), strict=True):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
                z = body(part if plan.model.kind == "own" else channels_last(part))
            # The members of an ensemble answer one by one, [B * K, L]: each is judged, and all together weigh as one.
            times = max(1, len(z) // max(1, len(wanted)))
            wanted = wanted.repeat_interleave(times, dim=0) if times > 1 else wanted
            loss = plan.loss.total(z.float(), wanted, prepared) / (weight * times)
            loss.backward()
            total = total + loss.detach()
    except Exception as error:  # the user's code may raise anything
        if not out_of_memory(error):
            raise ModelError.raised(f"in step {step}", error) from error
        return None
    return total


@contextlib.contextmanager
def frozen_statistics(body: nn.Module, frozen: bool = True) -> Generator[None]:
    """Inside, batch norms use the statistics of their batch and remember nothing: for further gradients within one step."""
    norms: list[Any] = [m for m in body.modules() if isinstance(m, _NormBase) and m.track_running_stats] if frozen else []
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


class NoMemoryError(Exception):
    """Memory ran out inside a step: the run has ended, and its reason is told."""


def stepped_(optimizer: torch.optim.Optimizer, asks: bool, body: nn.Module, ready: Callable[[], Tensor]) -> Tensor:
    """One step of the optimizer, and the loss before it.

    ready() makes gradients and gives the loss. asks: the optimizer calls it itself, as often as it needs gradients; batch norms
    take note of the first alone.
    """
    if not asks:
        loss = ready()
        optimizer.step()
        return loss
    losses: list[Tensor] = []

    def closure() -> Any:
        with frozen_statistics(body, frozen=bool(losses)):
            losses.append(ready())
        return losses[-1]

    optimizer.step(closure)
    return losses[0]
