"""Pairs: a text that becomes another, such as its translation. The network learns each token of the target from the source and the
tokens before it; judged, it writes on its own.

Answers are [N, 3 + L] (see `runtime.writing`): how many bits the wanted text would have taken, and the letters of the written one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.core.task import Split, Task
from tuneful.pipeline.goals.goal import Goal, formed
from tuneful.runtime import writing
from tuneful.runtime.text import Tokenizer
from tuneful.techniques.models.writer import Writer


class Spelling(nn.Module):
    """What a network of pairs carries beside its weights: how to read and to spell the target. It changes no logits."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        super().__init__()
        self.schema = schema
        self.source, self.length = int(schema["source"]), int(schema["shape"][0]) - int(schema["source"])

    def forward(self, z: Tensor) -> Tensor:
        return z


class Sequences(Goal):
    answer: ClassVar[str] = "logits"
    metric: ClassVar[str] = "bleu"
    watch: ClassVar[str] = "bits_per_token"
    loss: ClassVar[str] = "smoothed_cross_entropy"
    losses: ClassVar[tuple[str, ...]] = ("smoothed_cross_entropy", "cross_entropy")
    blends: ClassVar[bool] = False
    writes: ClassVar[bool] = True
    joins: ClassVar[bool] = False

    def form(self, task: Task) -> Form:
        return replace(formed(task, int(task.schema["outputs"]), "place"), causal=True)

    def width(self, task: Task) -> tuple[int, ...]:
        return (writing.FACTS + int(task.schema["letters"]),)

    def encode(self, task: Task, y: Tensor) -> Tensor:
        raise ModelError("what is to be written is learned from pairs; ask `targets`")

    def targets(self, task: Task, split: Split) -> Tensor:
        return torch.from_numpy(writing.wanted(np.asarray(split.x[:, int(task.schema["source"]) :]).astype(np.int64)))

    def lengths(self, task: Task) -> NDArray[np.int64]:
        return (np.asarray(task.train.x) != 0).sum(axis=1)

    def back(self, task: Task) -> nn.Module:
        return Spelling(task.schema)

    def link(self) -> nn.Module:
        return nn.Identity()

    def say(self, network: nn.Module, x: Tensor) -> NDArray[np.float64]:
        """What the network says of pairs [B, S + T], target by target: its own writing, and the bits of the one given."""
        spelling = cast("Spelling", network.back)
        body = cast("Any", network.body)
        if not isinstance(body, Writer):
            raise ModelError(
                f"a network of pairs must say how it reads and how it writes; {type(body).__name__} does not",
                "derive it from tuneful.techniques.models.writer.Writer beside nn.Module",
            )
        found: list[NDArray[np.float64]] = []
        tokenizer, beam = Tokenizer(spelling.schema["writes"]), int(spelling.schema.get("beam", 1))
        for part in x.split(writing.BATCH):
            told = writing.facts(network(part).float().cpu().numpy(), part[:, spelling.source :].cpu().numpy())
            read, step = by_torch(body, part.device)
            tokens = writing.written(read, step, part[:, : spelling.source].cpu().numpy(), spelling.length, beam)
            found.append(writing.answers(told, tokens, spelling.schema, tokenizer))
        return np.concatenate(found) if found else np.zeros((0, writing.FACTS + int(spelling.schema["letters"])))

    def said(self, task: Task) -> str:
        first, second = task.schema["names"]
        return f"sequence to sequence, {first} to {second}"


def by_torch(body: Writer, device: torch.device) -> tuple[writing.Read, writing.Step]:
    """A network's two halves as the search takes them."""

    def read(source: NDArray[Any]) -> tuple[list[Any], list[Any]]:
        return body.read(torch.from_numpy(np.ascontiguousarray(source)).to(device))

    def step(token: NDArray[Any], memory: list[Any], carried: list[Any]) -> tuple[NDArray[Any], list[Any]]:
        logits, carried = body.step(torch.from_numpy(token).to(device), memory, carried)
        return logits.float().cpu().numpy(), carried

    return read, step
