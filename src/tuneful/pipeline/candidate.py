"""A network with its two ends, how it came to be, and what is known of it.

    raw x --front (normalize)--> body (the model) --back (unit of the target)--> logits, or values

Where the recipe names views, body and back answer to each of them, and the answers are averaged (`techniques.augments.views`).
Front and back are fitted on train and travel inside the network, so an export takes raw input by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.fronts import front
from tuneful.pipeline.goals import goal
from tuneful.techniques.augments import averaged, views


class Network(nn.Module):
    """front, body, back. Input [B, *shape] as stored in the splits, float32 or int64; output: logits, or values in their unit.

    views: how images are looked at again outside of training; classes: are the outputs logits, so that probabilities are
    averaged over the views?
    """

    def __init__(
        self, front: nn.Module, body: nn.Module, back: nn.Module, views: Sequence[str] = (), classes: bool = True
    ) -> None:
        super().__init__()
        self.front, self.body, self.back = front, body, back
        self.views, self.classes = tuple(views), classes
        self.laid = False  # are images laid out channel by channel here? A matter of speed, which no export takes along

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(self.front(x)) if self.laid else self.front(x)
        if self.training or not self.views:
            return self.back(self.body(x))
        return averaged([self.back(self.body(one)) for one in views(x, self.views)], self.classes)


def as_input(x: Tensor) -> Tensor:
    """Stored examples as a network takes them: tokens (int32) as int64, everything else (uint8 images too) in torch's default
    type, float32 unless somebody set another."""
    return x.long() if x.dtype in (torch.int32, torch.int64) else x.to(torch.get_default_dtype())


def channels_last(x: Tensor) -> Tensor:
    """Images [B, C, H, W] with the channels of a pixel side by side in memory; numbers and shape stay. All else as it is."""
    if x.ndim != 4:
        return x
    b, c, h, w = x.shape
    # With one channel both orders are the same to torch, and strides alone tell convolutions which is meant.
    return (
        x.contiguous().as_strided((b, c, h, w), (c * h * w, 1, w * c, c))
        if c == 1
        else x.contiguous(memory_format=torch.channels_last)
    )


def ends(task: Task) -> tuple[nn.Module, nn.Module]:
    """The front and the back that a task asks for."""
    return front(task), goal(task).back(task)


@dataclass(frozen=True)
class Candidate:
    """What training yields. seconds: {"train": ..., "validate": ...}; value: the objective on valid.

    graph: the ONNX file that is to be shipped, where `improve` has changed it so that it is no longer what the network says."""

    network: Network
    recipe: Recipe
    steps: int
    value: Measure | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    graph: bytes | None = None
