"""Several networks as one module that answers as a single one does: the weighted mean of their answers.

    x --front--> h;   z_m = network m (h);   z: what gives sum_m w_m answer(z_m) when the link of the goal is put behind it

Of classes the probabilities are averaged, of labels each label's, of levels the chance to pass each, of numbers the values (`Goal.mean`).
All read the task's one front, so it is held once; each member keeps its own views and its own back. Whatever takes a network takes
this: judging, export, parity, serving. It costs what its members cost together.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tuneful.core.task import Task
from tuneful.pipeline.candidate import Network
from tuneful.pipeline.goals import Goal, goal


class Joined(nn.Module):
    """members: networks from what the front gives to outputs; weights [M] sum to 1."""

    weights: Tensor

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float], of: Goal) -> None:
        super().__init__()
        self.members, self.of = nn.ModuleList(members), of
        share = torch.tensor(weights, dtype=torch.float64)
        self.register_buffer("weights", (share / share.sum()).to(torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return self.of.mean(torch.stack([member(x) for member in self.members]), self.weights)


def joined(task: Task, networks: Sequence[Network], weights: Sequence[float]) -> Network:
    """The ensemble of networks of one task; they are copied."""
    members = [
        Network(nn.Identity(), copy.deepcopy(one.body), copy.deepcopy(one.back), one.views, one.classes) for one in networks
    ]
    front = copy.deepcopy(networks[0].front)
    return Network(front, Joined(members, weights, goal(task)), nn.Identity(), (), goal(task).blends).eval()


__all__ = ["Joined", "joined"]
