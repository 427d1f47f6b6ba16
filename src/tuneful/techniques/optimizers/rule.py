"""A thin `torch.optim.Optimizer` around a rule: it keeps the books, the rule does the sums.

All that a run must save is in `state` (the rule's tensors and numbers, and the count of steps of each parameter) and in
`param_groups`, so `state_dict` and `load_state_dict` resume to the last bit. Any `Optimizer` of tuneful, or of an outsider, works
in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, overload

import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers.groups import OURS_TO_TORCH, as_groups
from tuneful.techniques.optimizers.pieces import advance_
from tuneful.techniques.optimizers.rows import Moving, Rows
from tuneful.techniques.shards import local, sharded


class RuleOptimizer(torch.optim.Optimizer):
    """Steps parameters by the rule of `settings`.

        RuleOptimizer(net.parameters(), AdaBound(lr=3e-3))

    Args:
        params: parameters, (name, parameter) pairs, groups that override settings by our names (weight_decay is understood as
            decay), or a network. A group may hold maximize=True to climb.
        settings: whose `step_`, `begin`, `state` and `numbers` are used.

    A parameter whose gradient is None is skipped and its count of steps stands still. When a schedule changes `lr`, the
    other settings in `settings.rates` follow in proportion to the `initial_lr` of the group.
    Raises: ModelError at a sparse gradient, and at a complex one where the rule looks at whole tensors.
    Cost: the rule's tensors per parameter; see `pieces` for the time.
    """

    def __init__(self, params: Iterable[Any] | nn.Module, settings: Optimizer) -> None:
        self.settings = settings
        self._rows = Rows()
        defaults = {"maximize": False} | {name: getattr(settings, name) for name in settings.hypers()}
        super().__init__(as_groups(params, settings), defaults)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "settings": self.settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy, and of a loaded state, whose tensors get memory of their own; rows are laid out anew."""
        super().__setstate__(state)
        self._rows = Rows()
        for s in self.state.values():
            s.update({name: value.clone() for name, value in s.items() if isinstance(value, Tensor)})

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
        self.advance_()
        return loss

    def advance_(self) -> None:
        """The step itself, with the gradients that are there."""
        for group in self.param_groups:
            h = self.hyper(group)
            moving = self.moving(group, h)
            for one in moving:
                one.state["step"] += 1
            if moving and sharded(moving[0].p):
                self._shares(moving, h)
            else:
                advance_(self.settings, moving, h, self._rows)
        self._rows.close()

    def moving(self, group: dict[str, Any], h: Any) -> list[Moving]:
        """The parameters of a group that have a gradient, each with it (turned round where the group climbs) and its state."""
        whole = not self.settings.separable(h)
        found: list[Moving] = []
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            if g.layout is not torch.strided:
                raise ModelError(
                    f"{type(self.settings).__name__} met a sparse gradient; it needs a dense one",
                    "build the embedding with sparse=False",
                )
            if whole and p.is_complex():
                raise ModelError(
                    f"{type(self.settings).__name__} met a complex parameter, and its rule is for real ones",
                    "give it to another optimizer, such as adamw, or keep its real and imaginary part apart",
                )
            found.append(Moving(p, -g if group["maximize"] else g, self._state_of(p, h)))
        return found

    def _shares(self, moving: list[Moving], h: Any) -> None:
        """A step of parameters of which each process holds a share: on the shares, since every number moves by itself."""
        mine = [Moving(local(p), local(g), {n: local(x) for n, x in s.items()}) for p, g, s in moving]
        advance_(self.settings, mine, h, self._rows)
        for (_, _, before), (_, _, after) in zip(moving, mine, strict=True):
            for name, x in after.items():
                if not sharded(before.get(name)):
                    before[name] = x
                elif local(before[name]) is not x:
                    local(before[name]).copy_(x)

    def _state_of(self, p: Tensor, h: Any) -> dict[str, Any]:
        s = self.state[p]
        if "step" not in s:
            s["step"] = 0
            s.update(self.settings.begin(p.detach(), h))
            s.update(self.settings.numbers)
        return s

    def hyper(self, group: dict[str, Any]) -> Any:
        """The settings of a group as the rule reads them, with the other rates in step with lr."""
        h = SimpleNamespace(**{name: group[name] for name in self.settings.hypers()})
        others = [name for name in self.settings.rates if name != "lr"]
        if others and group["lr"] != group["initial_lr"]:
            for name in others:
                setattr(h, name, group[name] * (group["lr"] / group["initial_lr"]))
        return h
