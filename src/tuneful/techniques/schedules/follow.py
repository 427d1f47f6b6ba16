"""Any schedule as a `torch.optim.lr_scheduler` object, for a loop of your own, Lightning's, or anybody's.

    scheduler = OneCycle().build(optimizer, steps)
    for batch in batches:
        ...
        optimizer.step()
        scheduler.step()

It moves the rate of every group from the value that the group had when it was made; `setting` takes the momentum (torch's
`momentum`, or the first of `betas`) or the decay instead, between the group's own value (factor 1) and `to` (factor 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Schedule

Setting = Literal["lr", "momentum", "decay"]
NAMES: dict[str, tuple[str, ...]] = {
    "lr": ("lr",),
    "momentum": ("momentum", "beta1", "betas"),
    "decay": ("decay", "weight_decay"),
}  # what a setting is called in a group, ours first, then torch's


def get(group: Mapping[str, Any], setting: Setting) -> Any:
    """The value of a setting in a parameter group, by whichever name. Raises RecipeError where the optimizer has none."""
    name = _name(group, setting)
    return group[name][0] if name == "betas" else group[name]


def put_(group: dict[str, Any], setting: Setting, value: Any) -> None:
    """Write a setting into a parameter group, by whichever name; a tensor is filled, as a captured graph needs."""
    name = _name(group, setting)
    if name == "betas":
        value = (value, *group[name][1:])
    if isinstance(group[name], Tensor):
        group[name].fill_(value)
    else:
        group[name] = value


def _name(group: Mapping[str, Any], setting: Setting) -> str:
    for name in NAMES[setting]:
        if name in group:
            return name
    raise RecipeError(
        f"a schedule of {setting} has nothing to move: the optimizer has no {' or '.join(NAMES[setting])}",
        f"leave {setting}_schedule out, or take an optimizer that has it",
    )


def between(own: Any, to: float, factor: float) -> Any:
    """Where a setting stands: its own value at factor 1, `to` at factor 0."""
    return to + (own - to) * factor if to else own * factor


class Follow(LRScheduler):
    """A torch scheduler that follows `schedule` over `steps` calls of `step()`.

    direction: of the values given to `see`, for schedules that react to them (plateau); call it after each validation.

    `state_dict` is plain data. `steps` and the settings of the schedule are not in it: a state that is loaded into a scheduler
    for more steps goes on along the longer schedule. Load the optimizer's state after making the scheduler, as with torch's own.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule,
        steps: int,
        *,
        setting: Setting = "lr",
        to: float = 0.0,
        direction: Literal["max", "min"] = "min",
        last_epoch: int = -1,
    ) -> None:
        self.schedule, self.steps, self.to = schedule, steps, to
        self.setting: Setting = setting
        self.direction: Literal["max", "min"] = direction
        self.values: list[float] = []
        self.reaction = 1.0
        if setting != "lr":
            for group in optimizer.param_groups:
                group.setdefault(f"initial_{setting}", get(group, setting))
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step at hand, one a group; another setting is written here and the rates stay."""
        factor = self.schedule.factor(self.last_epoch, self.steps) * self.reaction
        if self.setting == "lr":
            return [between(base, self.to, factor) for base in self.base_lrs]
        for group in self.optimizer.param_groups:
            put_(group, self.setting, between(group[f"initial_{self.setting}"], self.to, factor))
        return [group["lr"] for group in self.optimizer.param_groups]

    _get_closed_form_lr = get_lr  # what torch asks for when somebody names the step, as SequentialLR does

    def see(self, value: float) -> None:
        """Take note of a value of the objective; from the next `step()` on the rate may be another."""
        self.values.append(float(value))
        self.reaction = self.schedule.reaction(self.values, self.direction)

    def state_dict(self) -> dict[str, Any]:
        """Plain data from which `load_state_dict` goes on: where it stands, and the values seen."""
        own = ("base_lrs", "last_epoch", "_step_count", "_last_lr", "values", "reaction")
        return {name: _plain(getattr(self, name)) for name in own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.__dict__.update(state_dict)
        self.values = list(self.values)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) else value


__all__ = ["Follow", "Setting", "between", "get", "put_"]
