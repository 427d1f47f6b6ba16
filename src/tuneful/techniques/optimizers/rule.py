"""A thin `torch.optim.Optimizer` around a rule: it keeps the books, the rule does the sums.

All that a run must save is in `state` (the rule's tensors and the count of steps of each parameter) and in `param_groups`,
so `state_dict` and `load_state_dict` resume to the last bit. Any `Optimizer` of tuneful, or of an outsider, works in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, overload

import torch
from torch import Tensor

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers.groups import OURS_TO_TORCH, as_groups


def at(value: Any, p: Tensor) -> Any:
    """A coefficient ready to meet p: a float as it is, a stack's tensor [K, 1, ...] cast to p's type.

    It is called on finished coefficients (1 - beta2, not beta2), so a stack may hold its settings in float64.
    """
    return value.to(p.dtype) if isinstance(value, Tensor) else value


def decayed(p: Tensor, g: Tensor, decay: Any) -> Tensor:
    """g + decay p, the gradient of a loss with decay/2 |p|^2 added; g itself where there is no decay."""
    return g if isinstance(decay, float | int) and decay == 0 else g + at(decay, p) * p


class RuleOptimizer(torch.optim.Optimizer):
    """Steps parameters by the rule of `settings`.

        RuleOptimizer(net.parameters(), AdaBound(lr=3e-3))

    Args:
        params: parameters, (name, parameter) pairs, or groups that override settings by our names; weight_decay is
            understood as decay. A group may hold maximize=True to climb.
        settings: whose `step_` and `state` are used.

    A parameter whose gradient is None is skipped and its count of steps stands still. When a schedule changes `lr`, the
    other settings in `settings.rates` follow in proportion to the `initial_lr` of the group.
    Raises: ModelError at a sparse gradient.
    Cost: one small kernel per term of the formula and parameter; the rule's tensors per parameter.
    """

    def __init__(self, params: Iterable[Any], settings: Optimizer) -> None:
        self.settings = settings
        fields = (name for name in type(settings).model_fields if name != "kind")
        super().__init__(as_groups(params), {"maximize": False} | {name: getattr(settings, name) for name in fields})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, now or in the middle of a run; what the group leaves out, the settings give."""
        to_ours = {theirs: ours for ours, theirs in OURS_TO_TORCH.items()}
        group = {to_ours.get(name, name): value for name, value in param_group.items()}
        group.setdefault("initial_lr", group.get("lr", self.defaults.get("lr")))
        super().add_param_group(group)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of every parameter that has a gradient; gives what the closure gave."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            h = self._hyper(group)
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse:
                    raise ModelError(
                        f"{type(self.settings).__name__} met a sparse gradient; it needs a dense one",
                        "build the embedding with sparse=False",
                    )
                s = self._state_of(p)
                s["step"] += 1
                self.settings.step_(p, -p.grad if group["maximize"] else p.grad, s, int(s["step"]), h)
        return loss

    def _state_of(self, p: Tensor) -> dict[str, Tensor]:
        s = self.state[p]
        if not s:
            s["step"] = torch.zeros((), dtype=torch.int64)  # on the CPU: reading it never waits for a device
            for name in self.settings.state:
                s[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return s

    def _hyper(self, group: dict[str, Any]) -> SimpleNamespace:
        h = SimpleNamespace(**{name: group[name] for name in type(self.settings).model_fields if name != "kind"})
        others = [name for name in self.settings.rates if name != "lr"]
        if others and group["lr"] != group["initial_lr"]:
            for name in others:
                setattr(h, name, group[name] * (group["lr"] / group["initial_lr"]))
        return h
