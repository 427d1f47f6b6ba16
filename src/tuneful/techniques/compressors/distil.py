"""Distillation: a small network learns what a large one says of each example, not only which class is right.

    L = (1 - w) L_task + w T^2 KL(softmax(teacher / T) || softmax(student / T)) + f |P h_student - h_teacher|^2 / dim

Answers that are labels of their own use the sigmoid in place of the softmax, and values the squared difference. h is what enters
the last linear layer, P a linear map that is learned beside and thrown away. Several teachers: the mean of what they say (of their
probabilities at T). The teacher sees each batch as the student does, augmented.

The student is the network as it is, after pruning say (width=1), or a new one: of the recipe
with that part of its width, of another trial of the run, or another model altogether.

Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531 (T^2: section 2); features: Romero et al., ICLR 2015, arXiv:1412.6550; values:
Ba & Caruana, NIPS 2014, arXiv:1312.6184.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count, NonNegative, Positive, Share, Whole
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Compressor, Loss, Sight

Link = Literal["classes", "labels", "values"]


class Distil(Compressor):
    """The strongest of the steps where time to train is there: any smaller network, taught by the larger one."""

    source: ClassVar[str] = "Hinton, Vinyals & Dean 2015, arXiv:1503.02531; Romero et al., ICLR 2015, arXiv:1412.6550"
    cost: ClassVar[str] = "the epochs of a training, each with a forward pass of the teacher beside"
    networks: ClassVar[bool] = True

    kind: Literal["distil"] = "distil"
    width: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the student, in widths of the recipe; 1: the network as it is
    epochs: Positive = 20.0  # of training
    temperature: Positive = 4.0  # T
    weight: Share = 0.7  # w, of what the teacher says; the rest is the task's own loss
    features: NonNegative = 0.0  # f, of what enters the last layer
    teachers: Count = 1  # the original, and the next best trials of the run
    trial: Whole | None = None  # the student is made by this trial's recipe instead
    model: str = ""  # the student is another model, by its name, such as convnet; all else is chosen for it
    units: Whole = 0  # the width of that model; 0: its own default

    @property
    def learns(self) -> float:
        """See `Compressor`."""
        return self.epochs

    @property
    def anew(self) -> bool:
        """Is the student a new network?"""
        return self.width < 1 or self.trial is not None or self.model != ""

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """body: the student. It comes back with its teachers around it, which `settled` takes off."""
        if not sight.teachers:
            raise ModelError("distil was given no teacher")
        return Taught(copy.deepcopy(body), sight.teachers, self.features > 0, sight.x[:2])

    def taught(self, loss: Loss) -> Loss:
        """The task's loss and the teacher's."""
        return Distilled(inner=loss, kind=str(getattr(loss, "kind", "")), temperature=self.temperature, share=self.weight,
                         features=self.features, teachers=self.teachers)  # fmt: skip

    def settled(self, body: nn.Module) -> nn.Module:
        """The student alone."""
        return body.student if isinstance(body, Taught) else body


class Taught(nn.Module):
    """A student with its teachers. In training it gives what the student says, what the teachers say, and, where features count,
    how far these are apart, side by side along the last axis; else what the student says."""

    def __init__(self, student: nn.Module, teachers: Sequence[nn.Module], features: bool, x: Tensor) -> None:
        super().__init__()
        self.student = student
        # A tuple, so that teachers are neither trained, nor saved, nor put into training mode.
        self.held = tuple(copy.deepcopy(one).eval().requires_grad_(False) for one in teachers)
        self.project: nn.Linear | None = None
        if features:
            with torch.no_grad():
                sizes = [self._entering(net.eval(), x)[1].shape[-1] for net in (student, self.held[0])]
            self.project = nn.Linear(sizes[0], sizes[1])

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.student(x)
        if self.project is None:
            z, apart = self.student(x), None
            with torch.no_grad():
                told = [teacher(x) for teacher in self.held]
        else:
            z, ours = self._entering(self.student, x)
            with torch.no_grad():
                first, theirs = self._entering(self.held[0], x)
                told = [first, *(teacher(x) for teacher in self.held[1:])]
            apart = ((self.project(ours) - theirs) ** 2).mean(-1, keepdim=True)
        times = len(z) // len(told[0])  # a student of several members answers for each
        told = [one.repeat_interleave(times, dim=0) if times > 1 else one for one in told]
        return torch.cat([z, *told, *([apart] if apart is not None else [])], dim=-1)

    def _entering(self, net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """(what a network says, what enters its last linear layer)."""
        layers = [one for one in net.modules() if isinstance(one, nn.Linear)]
        if not layers:
            raise ModelError("distil.features needs networks that end in a linear layer", "leave features out")
        seen: list[Tensor] = []

        def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen.append(given[0])

        hook = layers[-1].register_forward_pre_hook(note)
        try:
            z = net(x)
        finally:
            hook.remove()
        return z, seen[-1]


class Distilled(Loss):
    """A loss that learns from teachers beside the targets; z is what `Taught` gives."""

    source: ClassVar[str] = Distil.source

    kind: str = ""  # of the inner loss, whose place it takes  # pyright: ignore[reportIncompatibleVariableOverride]
    inner: Any  # the task's own loss
    temperature: Positive = 4.0
    share: Share = 0.7
    features: NonNegative = 0.0
    teachers: Count = 1  # how many speak

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        """See `Loss`; of the inner loss."""
        return self.inner.prepare(target, outputs)

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        """See `Loss`; of the inner loss."""
        return self.inner.weight(target, prepared)

    def each(self, target: Tensor, prepared: Tensor | None) -> float | None:
        """See `Loss`; of the inner loss."""
        return self.inner.each(target, prepared)

    @property
    def link(self) -> Link:
        """What the outputs are."""
        if getattr(self.inner, "kind", "") == "binary_cross_entropy":
            return "labels"
        return "classes" if self.inner.classes and getattr(self.inner, "kind", "") != "cumulative" else "values"

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        """See `Loss`."""
        extra = 1 if self.features > 0 else 0
        said, apart = (z[..., :-1], z[..., -1:]) if extra else (z, None)
        width = said.shape[-1] // (1 + self.teachers)
        student, told = said[..., :width], said[..., width:].unflatten(-1, (-1, width))
        rows = float(student[..., 0].numel())
        mean = softened(student, told, self.temperature, self.link).sum() / rows
        own = self.inner.total(student, target, prepared)
        mass = self.weight(target, prepared)
        taught = self.share * mean * mass + (self.features * apart.mean() * mass if apart is not None else 0.0)
        return (1 - self.share) * own + taught


def softened(student: Tensor, told: Tensor, temperature: float, link: Link) -> Tensor:
    """How far a student is from what its teachers say, an example each. student [..., L]; told [..., teachers, L]."""
    if link == "values":
        return ((student - told.mean(-2)) ** 2).mean(-1)
    if link == "labels":
        p = torch.sigmoid(told / temperature).mean(-2)
        entropy = F.binary_cross_entropy(p, p, reduction="none")
        crossed = F.binary_cross_entropy_with_logits(student / temperature, p, reduction="none")
        return temperature**2 * (crossed - entropy).mean(-1)
    p = torch.softmax(told / temperature, -1).mean(-2)
    q = torch.log_softmax(student / temperature, -1)
    return temperature**2 * (torch.xlogy(p, p) - p * q).sum(-1)


__all__ = ["Distil", "Distilled", "Taught", "softened"]
