"""Schedule-free learning: gradients at one point, the model at an average, and no schedule to choose.

    y = (1 - beta) z + beta x                    gradients are taken at y, where the parameters stand
    z -= lr (u(y) + decay y)                     u: the gradient, or Adam's direction without its mean
    x += c (z - x),   c = w / sum of all w,   w = (largest lr so far)^2

x, an average of all z, is where the model is judged and kept; y keeps gradients near it. Only z is stored: x follows from y and z.
The average does what a falling rate does, for any length of run, so the schedule is a constant one (with a warm-up).

In a loop of your own call `optimizer.eval()` before validating or saving a model, and `optimizer.train()` before going on; between
the two the parameters are x. Batch norm's statistics belong to y: in evaluation they must be taken anew at x (tuneful's own loop
does, on a copy).

Source: Defazio et al., NeurIPS 2024, eq. 3-5 and algorithm 1, arXiv:2405.15682.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Hyper
from tuneful.techniques.optimizers.broadcast import add_, at, larger, pick
from tuneful.techniques.optimizers.rule import RuleOptimizer

Open = Annotated[float, Field(gt=0, lt=1)]  # x cannot be told from y and z when beta is 0


def averaged_(p: Tensor, u: Tensor, s: MutableMapping[str, Any], lr: Any, beta: Any) -> None:
    """y (p) and z one step further along -u, in place; the sum of weights and the largest rate with them."""
    s["peak"] = larger(lr, s["peak"])
    weight = s["peak"] ** 2
    s["weights"] = s["weights"] + weight
    share = pick(s["weights"] > 0, weight / larger(s["weights"], 1e-300), 0.0)
    z = s["z"]
    add_(p.lerp_(z, at(share, p)), -lr * (1 - beta * (1 - share)), u)
    add_(z, -lr, u)


def average(p: Tensor, s: Mapping[str, Any], beta: Any) -> Tensor:
    """x, as it follows from y (p) and z."""
    return torch.lerp(p, s["z"], at(1 - 1 / beta, p))


class ScheduleFreeOptimizer(RuleOptimizer):
    """The shell with a switch between the point of training and the point of judging.

    Both ways are exact: `eval` sets the training point aside in the state and `train` brings it back. A state dict taken in
    either mode loads into a fresh optimizer, in the mode in which it was taken.
    """

    @torch.no_grad()
    def eval(self) -> None:
        """The parameters become x; does nothing when they are it."""
        for group in self.param_groups:
            h = self.hyper(group)
            for p in group["params"]:
                s = self.state.get(p, {})
                if "z" in s and "y" not in s:
                    x = self.settings.judged(p, s, h)
                    s["y"] = p.detach().clone()
                    p.copy_(x)

    @torch.no_grad()
    def train(self) -> None:
        """The parameters become y again; does nothing when they are it."""
        for group in self.param_groups:
            for p in group["params"]:
                if "y" in self.state.get(p, {}):
                    p.copy_(self.state[p].pop("y"))

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step at y. Raises ModelError between `eval()` and `train()`."""
        if any("y" in s for s in self.state.values()):
            raise ModelError(
                "a schedule-free optimizer was stepped in its eval mode", "call optimizer.train() before training"
            )
        return super().step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]


def judged_point(optimizer: torch.optim.Optimizer) -> dict[Tensor, Tensor]:
    """Where each parameter is to be judged, for those that have such a point; the parameters stay as they are."""
    if not isinstance(optimizer, RuleOptimizer):
        return {}
    found: dict[Tensor, Tensor] = {}
    for group in optimizer.param_groups:
        h: Hyper = optimizer.hyper(group)
        for p in group["params"]:
            if p in optimizer.state:
                x = optimizer.settings.judged(p.detach(), optimizer.state[p], h)
                if x is not None:
                    found[p] = x
    return found
