"""What a watch has measured of a run's first steps, as plain numbers: symptoms are judged from these alone, and a run can save them.

A look is one step of many at which weights, gradients and layers are measured; losses are noted at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class LayerSeen:
    """A weight of two or more axes. Lists have one number a look."""

    role: str  # of `optimizers.groups.roles`
    units: int  # rows of the weight, each of which makes one feature
    gradient: list[float] = field(default_factory=list[float])  # root mean square
    ratio: list[float] = field(default_factory=list[float])  # length of the step over the length of the weight
    asleep: list[int] = field(default_factory=list[int])  # units that have had no gradient at any look so far


@dataclass
class BoundedSeen:
    """An activation whose values lie between two ends. Lists have one number a look."""

    kind: str  # "sigmoid" or "tanh"
    saturated: list[float] = field(default_factory=list[float])  # share of its values within 1 % of an end


@dataclass
class NormSeen:
    """A batch norm. Lists have one number a look."""

    values: int  # how many numbers a channel's statistics are taken over
    memory: float  # share of the running statistics that a step renews
    still: list[float] = field(default_factory=list[float])  # share of channels that do not vary over the batch
    gap: list[float] = field(default_factory=list[float])  # distance of running and batch statistics; median over channels


@dataclass
class GroupSeen:
    """A parameter group with decoupled decay."""

    share: float  # the largest lr * decay of all looks: what a step takes off a weight
    ulp: float  # the distance from 1 to the next number of the parameters' type
    dtype: str
    lr: float
    decay: float


@dataclass
class Seen:
    """Everything. losses: of all steps so far, mini-batch losses before the step; looks: how many there were."""

    losses: list[float] = field(default_factory=list[float])
    looks: int = 0
    layers: dict[str, LayerSeen] = field(default_factory=dict[str, LayerSeen])
    bounded: dict[str, BoundedSeen] = field(default_factory=dict[str, BoundedSeen])
    sleepers: dict[str, list[int]] = field(
        default_factory=dict[str, list[int]]
    )  # rows of each weight without a gradient so far
    norms: dict[str, NormSeen] = field(default_factory=dict[str, NormSeen])
    groups: list[GroupSeen] = field(default_factory=list[GroupSeen])
    denormal: list[float] = field(default_factory=list[float])  # share of all numbers, a look
    sharpness: list[float] = field(default_factory=list[float])  # times the rate, over its limit; empty: not measured
    waited: list[float] = field(default_factory=list[float])  # seconds before a step in which nothing was computed
    worked: list[float] = field(default_factory=list[float])  # seconds of the step itself
    wants: str = ""  # what the loss takes: "logits", "log_probabilities", "probabilities", "values"; "": unknown
    head: str = ""  # what the outputs were in every look: "softmax", "sigmoid"; "": neither
    outputs: int = 0  # numbers told of an example; 0: unknown
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # of outputs and targets, where targets were given
    labels: int = 0  # how many class numbers were seen
    counts: dict[str, int] = field(default_factory=dict[str, int])  # of each class number
    lowest: float = 0.0  # of the targets
    highest: float = 0.0
    rows: float = 0.0  # the largest distance from 1 of a sum of target probabilities

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Seen:
        """The inverse of `as_data`."""
        whole = dict(data)
        whole["layers"] = {name: LayerSeen(**one) for name, one in whole["layers"].items()}
        whole["bounded"] = {name: BoundedSeen(**one) for name, one in whole["bounded"].items()}
        whole["norms"] = {name: NormSeen(**one) for name, one in whole["norms"].items()}
        whole["groups"] = [GroupSeen(**one) for one in whole["groups"]]
        whole["shapes"] = tuple(tuple(shape) for shape in whole["shapes"])
        return Seen(**whole)


def late(values: list[float]) -> float:
    """The median of the later half: what a layer has settled to. NaN where there is nothing."""
    half = sorted(values[len(values) // 2 :])
    return half[len(half) // 2] if half else float("nan")
