"""What happens to one batch inside a step: it is augmented, goes through the network, and gradients come back.

Functions of what they are given; what a step changes of a run (counters, weights, averages) stands in `pipeline.train`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase

from tuneful.core.chance import key
from tuneful.core.errors import ModelError
from tuneful.core.execution import Execution
from tuneful.core.task import Task
from tuneful.pipeline.candidate import channels_last
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.limits import out_of_memory
from tuneful.pipeline.ranks import Joined
from tuneful.pipeline.ranks.draws import Rows, fused
from tuneful.pipeline.ranks.group import gone, lost
from tuneful.techniques.augments import apply
from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.regularizers import Exposure

TINY = 1e-40  # below the smallest normal float32


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


class Augmenter:
    """What makes of a batch what the body and the loss see; what a recipe asks for here is looked up once.

    plan: the resolved recipe, whose seed with the step decides every draw; front: it normalizes what the splits hold (or makes
    spectrograms of it). The augments act after the front, but those of sounds that are meant for the recording before it.
    """

    def __init__(self, task: Task, plan: Any, front: nn.Module) -> None:
        self.front, self.seed, self.outputs = front, plan.seed, task.outputs
        self.sounds = form(task).kind == "spectrogram"
        self.augments = tuple(plan.augments)
        self.before, self.after = (tuple(one for one in plan.augments if one.raw is raw) for raw in (True, False))
        blends = goal(task).blends
        self.exposed = tuple(one for one in plan.regularizers if isinstance(one, Exposure)) if blends else ()
        smooths = any(one.kind == "smoothing" for one in plan.regularizers)
        self.softens = blends and bool(plan.augments or self.exposed or smooths)
        self.unknown = task.kind == "multilabel" and bool(
            plan.augments
        )  # where a label is not known (-1), neither is a blend
        self.targets = tuple(one for one in plan.regularizers if blends and type(one).targets is not Regularizer.targets)
        self.idle = not (plan.augments or self.softens or self.targets)  # nothing happens but the front
        self.blends = any(one.partners for one in plan.augments)  # are examples blended with others of their batch?

    def __call__(
        self, x: Tensor, y: Tensor, step: int, fronted: bool = False, among: tuple[slice, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The batch as the body sees it, with class numbers where nothing blends classes, else probabilities [B, L].

        x: [B, ...] as the splits hold it, or behind the front already; y: targets as the goal encodes them, given back as they
        are where nothing changes them. among: where a rank has these rows alone, of a batch of so many.
        """
        soft = y
        if self.softens:
            soft = F.one_hot(y.clamp(min=0), self.outputs).to(
                x.dtype if x.is_floating_point() else torch.get_default_dtype()
            )
            for one in self.exposed:
                soft = one.outsiders(soft * (y >= 0).unsqueeze(-1))
        soft = soft.masked_fill(soft < 0, torch.nan) if self.unknown else soft
        recording = self.sounds and x.ndim == 3
        if self.before and recording:
            x, soft = self._applied(self.before, x, soft, step, among)
        x = x if fronted else self.front(x)
        if after := self.after if recording else self.augments:
            x, soft = self._applied(after, x, soft, step, among)
        soft = soft.nan_to_num(-1.0) if self.unknown else soft
        for one in self.targets:
            soft = one.targets(soft) if soft.is_floating_point() else soft
        return x, soft

    def _applied(
        self, chosen: Sequence[Any], x: Tensor, soft: Tensor, step: int, among: tuple[slice, int] | None
    ) -> tuple[Tensor, Tensor]:
        dice = [torch.Generator().manual_seed(key(self.seed, one.kind, step)) for one in chosen]
        return apply(chosen, x, soft, dice, among)


def augmented(x: Tensor, y: Tensor, task: Task, plan: Any, step: int, front: nn.Module) -> tuple[Tensor, Tensor]:
    """One batch, once; see `Augmenter`."""
    return Augmenter(task, plan, front)(x, y, step)


def thrown(seed: int, purpose: str, step: int, params: Sequence[Tensor]) -> Callable[[], torch.Generator]:
    """What makes the generator of a step, keyed, on the device of the parameters; it costs nothing until it is called."""
    return lambda: torch.Generator(params[0].device).manual_seed(key(seed, purpose, step))


@dataclass(frozen=True)
class Hooks:
    """The regularizers of a recipe that do something in a step, by what they do; the others are not asked at every step."""

    seed: int
    shakes: tuple[Any, ...]
    penalties: tuple[Any, ...]
    limits: tuple[Any, ...]
    noises: tuple[Any, ...]
    settles: tuple[Any, ...]

    @staticmethod
    def of(plan: Any) -> Hooks:
        """plan: the resolved recipe."""
        every = plan.regularizers
        return Hooks(
            seed=plan.seed,
            shakes=tuple(one for one in every if one.shakes),
            penalties=tuple(one for one in every if type(one).penalize_ is not Regularizer.penalize_),
            limits=tuple(one for one in every if type(one).limit_ is not Regularizer.limit_),
            noises=tuple(one for one in every if type(one).disturb_ is not Regularizer.disturb_),
            settles=tuple(one for one in every if type(one).settle_ is not Regularizer.settle_),
        )

    def around(self, params: Sequence[nn.Parameter], step: int) -> contextlib.AbstractContextManager[Any]:
        """Around forward and backward: the weights as the regularizers want them there."""
        around = contextlib.ExitStack()
        for one in self.shakes:
            around.enter_context(one.during(params, thrown(self.seed, one.kind, step, params)))
        return around

    def restrain_(self, params: Sequence[nn.Parameter], memories: Mapping[str, dict[str, Tensor]], step: int) -> None:
        """Penalties, then limits, then noise, on the gradients of a step."""
        for one in self.penalties:
            one.penalize_(params)
        for one in self.limits:
            one.limit_(params, memories[one.kind])
        for one in self.noises:
            one.disturb_(params, step + 1, thrown(self.seed, one.kind, step, params))

    def settle_(self, optimizer: torch.optim.Optimizer) -> None:
        """What regularizers do to the weights after the optimizer's step."""
        for one in self.settles:
            for group in optimizer.param_groups:
                one.settle_(group["params"], group["lr"])


class Passes:
    """Forward and backward through a body; what is the same in every step is worked out once.

    plan: the resolved recipe; targets: all of train, as the batches give them; prepared: what the loss learned from them; joined:
    the body as one of several ranks calls it.
    """

    def __init__(
        self, body: nn.Module, plan: Any, targets: Tensor, prepared: Tensor | None, joined: Joined | None = None
    ) -> None:
        self.body, self.loss, self.prepared, self.seed = body, plan.loss, prepared, plan.seed
        self.each: float | None = plan.loss.each(targets, prepared)
        self.draws = draws(body)
        self.joined = joined
        self.apart = joined is not None and fused(body)  # does each rank draw from a key of its own?
        self.scaler: torch.amp.GradScaler | None = None  # of fp16, whose small gradients would be nothing
        self._weight: Any = None
        self._share: Tensor | None = None  # the gradient of the mean with regard to the sum, for that weight
        self.use(Execution(), body)

    def use(self, how: Execution, body: Callable[[Tensor], Tensor]) -> None:
        """Carry out passes so from now on; body: the one that is called, compiled or captured where that is part of it."""
        self.called = body
        self.laid = how.layout == "channels_last"
        self.type = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[how.precision]

    @contextlib.contextmanager
    def uncarried(self, plainly: bool = True) -> Generator[None]:
        """Inside, the body itself is called, neither compiled nor captured, so that its hooks see the pass."""
        before = self.called
        self.called = (self.joined or self.body) if plainly else before
        try:
            yield
        finally:
            self.called = before

    def gradients_(self, x: Tensor, target: Tensor, step: int, parts: int, plain: bool, of: int = 0) -> Tensor | None:
        """Add the gradients of the mean loss over the batch to `p.grad`, part after part, and return that loss.

        plain: are these targets rows of train as they are? of: rows of the whole batch, where this is a rank's part of it. None when
        memory ran out on the way; `p.grad` then holds some of the parts. Dropout is keyed by the step. Raises ModelError when
        the network fails for another reason, RankError when another rank has ended.
        """
        if self.joined is not None:
            return self._jointly(self.joined, x, target, step, parts, plain, of)
        if self.draws:
            torch.default_generator.manual_seed(key(self.seed, "dropout", step))
            if x.device.type == "cuda":
                torch.cuda.manual_seed(key(self.seed, "dropout", step))
        weight: Any = self.each * len(target) if plain and self.each is not None else self.loss.weight(target, self.prepared)
        try:
            if parts == 1:
                return self._back(x, target, weight)
            total = torch.zeros((), device=x.device)
            for part, wanted in zip(x.chunk(parts), target.chunk(parts), strict=True):
                total = total + self._back(part, wanted, weight)
        except Exception as error:  # the user's code may raise anything
            if not out_of_memory(error):
                raise ModelError.raised(f"in step {step}", error) from error
            return None
        return total

    def _jointly(
        self, joined: Joined, x: Tensor, target: Tensor, step: int, parts: int, plain: bool, of: int
    ) -> Tensor | None:
        ranks, part = joined.ranks, joined.ranks.part(of)
        torch.default_generator.manual_seed(key(self.seed, "dropout", step, *([ranks.rank] if self.apart else [])))
        if x.device.type == "cuda":
            torch.cuda.manual_seed(key(self.seed, "dropout", step, *([ranks.rank] if self.apart else [])))
        if plain and self.each is not None:
            weight: Any = self.each * of
        else:
            weight = self.loss.weight(target, self.prepared).double()
            ranks.sum_(weight)
            weight = weight.to(torch.get_default_dtype())
        total = torch.zeros((), device=x.device)
        parts = min(parts, of // ranks.world)  # as many on every rank
        pieces = list(zip(x.tensor_split(parts), target.tensor_split(parts), strict=True))
        try:
            for place, (some, wanted) in enumerate(pieces, 1):
                by_rows = self.draws and parts == 1 and not self.apart
                with joined.quiet(place < len(pieces)), Rows(part, of) if by_rows else contextlib.nullcontext():
                    total = total + self._back(some, wanted, weight)
        except Exception as error:  # the user's code may raise anything
            if lost(error):
                raise gone(ranks) from error
            if not out_of_memory(error):
                raise ModelError.raised(f"in step {step}", error) from error
            return None
        ranks.sum_(total)
        return total

    def _back(self, x: Tensor, target: Tensor, weight: Any) -> Tensor:
        x = channels_last(x) if self.laid else x
        if self.type is None:
            z = self.called(x)
        else:
            with torch.autocast(x.device.type, self.type):
                z = self.called(x)
        # The members of an ensemble answer one by one, [B * K, L]: each is judged, and all together weigh as one.
        times = len(z) // max(1, len(target))
        if times > 1:
            target, weight = target.repeat_interleave(times, dim=0), weight * times
        total = self.loss.total(full(z), target, self.prepared)
        if isinstance(weight, Tensor) or weight != self._weight:
            self._weight, self._share = weight, torch.ones_like(total) * (self.joined.times if self.joined else 1) / weight
        up = total if self.scaler is None else self.scaler.scale(total)
        up.backward(self._share)  # of the mean: what dividing by the weight would hand back, with one operation less
        return total.detach() / weight


def full(z: Tensor) -> Tensor:
    """Outputs in the precision in which a loss is taken: float32 at least."""
    return z if z.dtype in (torch.float32, torch.float64) else z.float()


SILENT = (
    nn.Sequential, nn.Flatten, nn.Unflatten, nn.Identity, nn.Linear, nn.Embedding, nn.EmbeddingBag,
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardswish, nn.Hardsigmoid, nn.ReLU6,
)  # fmt: skip
"""Modules of torch that never draw a number."""


def draws(body: nn.Module) -> bool:
    """May the forward pass draw numbers? False only where every part is known not to."""
    return not all(
        type(one) in SILENT or (type(one) in (nn.Dropout, nn.Dropout1d, nn.Dropout2d) and one.p == 0)
        for one in body.modules()
    )


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


def stepped_(optimizer: torch.optim.Optimizer, body: nn.Module, ready: Callable[[], Tensor]) -> Tensor:
    """One step of an optimizer that asks for gradients itself, as often as it needs them, and the loss before it.

    ready() makes gradients and gives the loss; batch norms take note of the first alone.
    """
    losses: list[Tensor] = []

    def closure() -> Any:
        with frozen_statistics(body, frozen=bool(losses)):
            losses.append(ready())
        return losses[-1]

    optimizer.step(closure)
    return losses[0]
