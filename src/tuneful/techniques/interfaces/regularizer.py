"""The shape of a regularizer: hooks in the order in which a run calls them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.techniques.interfaces.technique import Dice, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuneful.core.measure import Measure


class Regularizer(Technique):
    """Something that keeps a network from learning the noise. The loop asks each for what it knows how to do: a subclass
    overrides the hooks it needs; the others do nothing, so the loop may call every hook of all of them.

    One run calls them in this order:

        for r in regularizers: r.prepare(net)                        # once, before the optimizer is built
        memories = [r.start_memory(params) for r in regularizers]    # once; what limits and penalties remember
        averages = [r.start_average(net) for r in regularizers]      # once; None where none is kept
        every step, t = 1, 2, ...:
            p = r.targets(p)                                         # after the augments (Exposure: before), before the loss
            with r.during(params, dice):                             # of those that shake
                loss.backward()
            r.penalize_(params)                                      # all penalties first
            r.limit_(params, memory)                                 # then all limits
            r.disturb_(params, t, dice)                              # then all noise; then optimizer.step()
            r.settle_(group, lr)                                     # for each group of parameters and its rate
            r.update_average_(average, net, t, steps)                # where start_average gave one
        every validation:
            states = r.readings(average, net, t, steps)              # what may be judged and shipped, by name
            reason = r.ends(values, direction)                       # "" goes on; a reason stops the run

    Memories and averages are part of a run's state. dice() is a generator keyed by the run's seed, the technique and the
    step, on the device of the parameters: the only source of chance.
    """

    family: ClassVar[str] = "regularizers"
    shakes: ClassVar[bool] = False  # are weights others while the gradient is taken? Then `during` is asked
    stale: ClassVar[bool] = False  # do its readings need the statistics of their batch norms taken anew?

    def prepare(self, net: nn.Module) -> None:
        """Change the network once, before the first step (dropout rates). Raises ModelError when it does not apply."""

    def targets(self, p_BL: Tensor) -> Tensor:
        """The target probabilities [B, L] that the loss shall use, rows summing to 1 (label smoothing); classification and
        training only. p_BL is not modified."""
        return p_BL

    def during(self, params: Sequence[nn.Parameter], dice: Dice) -> AbstractContextManager[None]:
        """Around forward and backward: weights that are others inside (weight noise) and to the bit what they were outside."""
        return nullcontext()

    def penalize_(self, params: Sequence[nn.Parameter]) -> None:
        """Add the gradient of a penalty to each `p.grad`, in place (L1, L2); a parameter without one is left alone."""

    def start_memory(self, params: Sequence[nn.Parameter]) -> dict[str, Tensor]:
        """What `limit_` remembers from step to step, by names of its own; it changes them in place."""
        return {}

    def limit_(self, params: Sequence[nn.Parameter], memory: dict[str, Tensor]) -> None:
        """Limit the gradients `p.grad` in place (clipping), just before the optimizer's step; never waits for the device."""

    def disturb_(self, params: Sequence[nn.Parameter], t: int, dice: Dice) -> None:
        """Add noise to the gradients `p.grad` in place, after all limits."""

    def settle_(self, params: Sequence[nn.Parameter], lr: float) -> None:
        """Change the weights in place after the optimizer's step (a proximal step); lr: the rate that the step was taken with."""

    def start_average(self, net: nn.Module) -> dict[str, Tensor] | None:
        """What the average of the network's state begins with, detached copies; None when this technique keeps none. Keys
        are those of `net.state_dict()`, or names of its own where `readings` makes states of them."""
        return None

    def update_average_(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> None:
        """Move the average towards the network in place, after optimizer step t = 1, 2, ... of a run of `steps`."""

    def readings(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> dict[str, dict[str, Tensor]]:
        """States that `net.load_state_dict` takes, by names for people. Where there are several, the loop judges each, and
        the best on valid is what is read out."""
        return {"the average": average}

    def ends(self, values: Sequence[Measure], direction: Literal["max", "min"]) -> str:
        """Why the run should end after these values of the objective (one a validation, oldest first), or "" to go on. A
        pure function, so that a resumed run decides as it would have."""
        return ""
