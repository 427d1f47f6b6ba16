"""The shape of a goal: one kind of task, in one place. Whoever adds a kind writes one of these and its metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.core.form import Form, FormKind
from tuneful.core.task import Split, Task


class Goal(ABC):
    """What a kind of task asks for. Goals hold nothing: all that differs between two tasks stands in the task."""

    answer: ClassVar[str]  # the name of the exported output: "probabilities", "value", "probabilities_and_energy"
    metric: ClassVar[str]  # what is optimized when the user names nothing
    watch: ClassVar[str]  # the metric that stands as the loss on valid
    loss: ClassVar[str]  # the loss when the user names nothing
    losses: ClassVar[tuple[str, ...]]  # the losses that serve
    blends: ClassVar[bool]  # are targets probabilities over classes, which augments may blend and smoothing may soften?

    writes: ClassVar[bool] = False  # is the answer a text, written token by token? (see `pairs`)
    joins: ClassVar[bool] = True  # may the answers of several networks be averaged?

    @abstractmethod
    def form(self, task: Task) -> Form:
        """The two ends of a network."""

    @abstractmethod
    def width(self, task: Task) -> tuple[int, ...]:
        """The shape of one example's answer, as `judge.predict` gives it and the artifact promises it."""

    @abstractmethod
    def encode(self, task: Task, y: Tensor) -> Tensor:
        """Targets as the loss takes them, from those of the split ([N, ...], on any device)."""

    def targets(self, task: Task, split: Split) -> Tensor:
        """The targets of a split as the loss takes them."""
        return self.encode(task, torch.from_numpy(split.y))

    def lengths(self, task: Task) -> NDArray[np.int64] | None:
        """How long each example of train is, where batches of like lengths cost less; None where all are alike."""
        return None

    def say(self, network: nn.Module, x: Tensor) -> NDArray[np.float64]:
        """What a network in evaluation mode writes for a batch, where the goal writes."""
        raise ModelError(f"a goal of {type(self).__name__} writes no texts")

    @abstractmethod
    def back(self, task: Task) -> nn.Module:
        """From what the body gives to the unit of the target."""

    @abstractmethod
    def link(self) -> nn.Module:
        """From what the network gives to answers: probabilities, or values. It is part of the exported graph."""

    def mean(self, z_MB: Tensor, w_M: Tensor) -> Tensor:
        """From what M networks give to what one would give whose answers are the weighted mean of theirs; w sums to 1."""
        return (z_MB * _along(w_M, z_MB)).sum(0)

    def told(self) -> nn.Module:
        """From what the network gives to what is exported: the answers, and what else the runtime needs to know."""
        return self.link()

    def around(self, task: Task, body: nn.Module) -> nn.Module:
        """The body as it is trained and exported: itself, or with a part around it that the kind of task asks for. Layers are
        filled before; nothing that is learned may be added."""
        return body

    def block(self, task: Task) -> int:
        """How many neighbouring examples tell of the same thing, so that intervals must take them together; 1: none do."""
        return 1

    @abstractmethod
    def said(self, task: Task) -> str:
        """The kind of task in words: "multiclass with 10 classes"."""


def _along(w_M: Tensor, z_MB: Tensor) -> Tensor:
    """A weight of each network beside its outputs."""
    return w_M.reshape(-1, *[1] * (z_MB.ndim - 1))


def mean_class(z_MB: Tensor, w_M: Tensor) -> Tensor:
    """Logits whose softmax is the weighted mean of the softmaxes: log sum_m w_m softmax(z_m)."""
    return (z_MB.log_softmax(-1) + _along(w_M, z_MB).log()).logsumexp(0)


def mean_label(z_MB: Tensor, w_M: Tensor) -> Tensor:
    """Logits whose sigmoid is the weighted mean of the sigmoids."""
    log_w = _along(w_M, z_MB).log()
    return (F.logsigmoid(z_MB) + log_w).logsumexp(0) - (F.logsigmoid(-z_MB) + log_w).logsumexp(0)


def formed(task: Task, outputs: int, each: Literal["example", "place"] = "example") -> Form:
    """The two ends for this many outputs; the input is what the schema says that the front makes ("seen"), or the data as it is."""
    told = task.schema.get("seen", {})
    shape = tuple(int(side) for side in told.get("shape", task.shape))
    kind: Any = told.get("kind", task.schema.get("kind", ""))
    if kind not in get_args(FormKind):  # a table is a vector
        kind = Form.of(shape, outputs).kind
    vocabulary, source = int(task.schema.get("vocabulary", 0)), int(task.schema.get("source", 0))
    return Form(kind, shape, outputs, each, vocabulary, source, tuple(int(n) for n in task.schema.get("groups", ())))
