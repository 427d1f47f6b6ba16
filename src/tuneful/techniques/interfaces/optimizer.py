"""The shape of an optimizer: one rule for one model and for a stack of them, and factors of its rates by parameter."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from tuneful.techniques.interfaces.technique import Hyper, Overrides, Role, Technique

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Rate:
    """Factors of an optimizer's rates for one parameter: of rates whose step grows with the gradient (SGD's), and of rates
    whose step does not (`Optimizer.scale_free`, Adam's)."""

    following: float = 1.0
    free: float = 1.0
    held: bool = True  # does rate * decay stay as it was? Else the decay's pull follows the rate


class Optimizer(Technique):
    """A rule that turns gradients into steps.

    `state` names the tensors that it keeps per parameter and `numbers` plain numbers beside them, with their first values;
    `rates` names the settings that a schedule's factor multiplies, in a stack as for one model; `fixed` names settings that
    give the computation its shape, which all trials of a stack share.
    """

    family: ClassVar[str] = "optimizer"
    state: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[Mapping[str, float]] = {}
    rates: ClassVar[tuple[str, ...]] = ("lr",)
    scale_free: ClassVar[tuple[str, ...]] = ()  # those of `rates` whose step stays as long when all gradients are doubled
    unrated: ClassVar[str] = ""  # why factors of `Rate` do not hold for it (Muon: its steps are orthogonal); "": they do
    fixed: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[bool] = False  # is it meant for the whole training split as one batch?
    averages: ClassVar[bool] = False  # does it keep an average of its own? then `judged` gives it
    unsaved: ClassVar[str] = ""  # why a run cannot save its state exactly; "": it can
    closure: ClassVar[bool] = False  # does it ask for gradients itself? then `step` needs a function that makes them
    stackable: ClassVar[str] = ""  # why K trials of it cannot be stepped as one tensor program; "": they can

    stacks: ClassVar[bool] = False  # not separable: may the shell step small tensors of one shape as a stack of trials?

    groups: Overrides = Field(default_factory=dict)  # what some parameters do otherwise: "NAME PATTERN.setting" = value
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # rate of a layer as a share of the rate of the one after it

    @field_validator("groups")
    @classmethod
    def _known_settings(cls, groups: Mapping[str, float | bool]) -> Mapping[str, float | bool]:
        fields = [name for name in cls.hypers() if name not in cls.fixed]
        for key in groups:
            pattern, _, name = key.rpartition(".")
            if not pattern or name not in fields:
                raise ValueError(
                    f"each key must be a pattern of names, a dot and one of {', '.join(fields)}; {key!r} is not"
                )
        return groups

    @classmethod
    def hypers(cls) -> tuple[str, ...]:
        """The settings that `step_` reads from h, and that a group may override."""
        return tuple(name for name in cls.model_fields if name not in ("kind", "groups", "layer_decay"))

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """The tensors in the state of a parameter before its first step: zeros, unless the rule says otherwise."""
        return {name: p.detach().clone().zero_() for name in self.state}

    def separable(self, h: Hyper) -> bool:
        """Does every number of a parameter move by itself, whatever its neighbours? Then the shell may step many small
        tensors as one, large ones in pieces, and complex ones as pairs of real numbers."""
        return False

    def special(self, role: Role) -> Mapping[str, float | bool]:
        """What a parameter of this role does otherwise, by our names of settings."""
        return {"decay": 0.0} if role in ("bias", "norm") else {}

    def judged(self, p: Tensor, s: Mapping[str, Any], h: Hyper) -> Tensor | None:
        """Where a parameter shall be when the network is judged and kept: a new tensor, or None for where it is."""
        return None

    @abstractmethod
    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place, of p and of the tensors in s; g is only read.

        p, g and the state share one shape, [*] for one model or [K, *] for a stack of K trials. h has one attribute a
        field of the settings. A number of h is a float, or for a stack a tensor of shape [K, 1, ...] with as many axes as
        p, of p's type or float64 (coefficients such as 1 - beta2 ** t are then worked out in float64 and cast to p's type).
        Flags and `fixed` settings are plain. t counts from 1: an int, or for a stack whose members differ a tensor of shape
        [K, 1, ...]. The rule replaces its `numbers` in s (floats, or tensors [K, 1, ...] of float64).
        """

    @abstractmethod
    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """A `torch.optim.Optimizer` over parameters, groups or a whole network: torch's own fused class where it has one,
        else the rule.

        A network is parted into groups by what its parameters are (`optimizers.groups`). A group may override any setting by
        its own name ({"params": [...], "decay": 0.0}), whichever class is built; `group["lr"]` is the rate in both, so the loop
        writes `group["lr"] = group["initial_lr"] * factor` before each step, and other `rates` follow.
        """
