"""What of a run is judged and kept: its network, or the averages of its weights, the best on valid among several.

    readout = Readout(network, plan, batches, optimizer)
    readout.update_(t, steps)                     # after each of the optimizer's steps
    p = readout.judged(task, t, steps)            # at each validation; `readout.network` then is what p was said by

The averages and the name of the one that was read out last are a run's state; `network` follows from them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.candidate import Network
from tuneful.pipeline.ranks import ALONE, Ranks
from tuneful.techniques.optimizers.schedule_free import judged_point
from tuneful.techniques.shards import whole

STATISTICS = 50  # batches from which the statistics of batch norms are taken anew
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Readout:
    """network: the run's own, which steps change; plan: the resolved recipe; batches: the run's, for statistics; optimizer: the
    run's, which may keep an average of its own. copied: where the weights of the run are parted among ranks, a network in which
    rank 0 puts them together; then what is judged or loaded is so on all ranks at once."""

    def __init__(
        self, network: Network, plan: Any, batches: Batches, optimizer: torch.optim.Optimizer, copied: Network | None = None,
        ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.live, self.batches, self.ranks, self.parted = network, batches, ranks, copied is not None
        self.keepers: list[Any] = [one for one in plan.regularizers if one.start_average(network.body) is not None]
        if plan.optimizer.averages:
            self.keepers.append(OfOptimizer(plan.optimizer.kind, optimizer))
        if copied is not None:
            self.keepers = self.keepers or [Weights()]
            self.network = copied.requires_grad_(False)
        else:
            self.network = copy.deepcopy(network).requires_grad_(False) if self.keepers else network
        self.averages: dict[str, dict[str, Tensor]] = {one.kind: one.start_average(network.body) for one in self.keepers}
        # A single plain average needs no second copy: its tensors are the network's own.
        self.single = (
            not self.parted
            and len(self.keepers) == 1
            and (self.averages[self.keepers[0].kind].keys() == network.body.state_dict().keys())
        )
        self.bind()
        self.chosen = ""  # which reading the network is

    def bind(self) -> None:
        """Take the network's own tensors as the average where that is how it is kept; again when they lie elsewhere."""
        if self.single:
            self.averages = {self.keepers[0].kind: self.network.body.state_dict()}

    def update_(self, t: int, steps: int) -> None:
        """Move all averages, after optimizer step t."""
        for one in self.keepers:
            one.update_average_(self.averages[one.kind], self.live.body, t, steps)

    def judged(self, task: Task, t: int, steps: int) -> Any:
        """What the best reading says of valid, as `judge.predict` gives it; the network is that reading afterwards."""
        if not self.keepers:
            return judge.predict(self.network, task.valid.x, kind=task.kind)
        found: dict[str, Any] = {}
        for name in self._readings(t, steps):
            self.load_(t, steps, name)
            if self.ranks.leads:
                found[name] = judge.predict(self.network, task.valid.x, kind=task.kind)
        best = self.chosen
        if len(found) > 1:
            sign = 1.0 if task.objective.direction == "max" else -1.0
            values = {
                name: sign * judge.score(task.objective.metric, p, task.valid.y) for name, p in found.items() if _finite(p)
            }
            best = max(values, key=lambda name: values[name], default=best)
        if self.parted:
            best = self.ranks.told(best)
        if best != self.chosen:
            self.load_(t, steps, best)
        return found.get(best)

    def load_(self, t: int, steps: int, name: str = "") -> None:
        """Make the network the reading of this name, or the one that was chosen last (or the first) as it is now."""
        if not self.keepers:
            return
        readings = self._readings(t, steps)
        self.chosen = next(one for one in (name, self.chosen, *readings) if one in readings)
        state, stale = readings[self.chosen]
        if self.parted:
            self._put_together(state)
        else:
            self.network.body.load_state_dict(state)
        if stale and t and self.ranks.leads:
            count = min(STATISTICS, self.batches.per_epoch)
            recalibrate_(self.network.body, (self.network.front(self.batches.at(step)[0]) for step in range(count)))

    def _put_together(self, state: Mapping[str, Tensor]) -> None:
        """Gather tensor by tensor; rank 0 keeps them."""
        own = self.network.body.state_dict()
        for name, value in state.items():
            value = whole(value)
            if self.ranks.leads:
                own[name].copy_(value)

    def _readings(self, t: int, steps: int) -> dict[str, tuple[Mapping[str, Tensor], bool]]:
        found: dict[str, tuple[Mapping[str, Tensor], bool]] = {}
        for one in self.keepers:
            for name, state in one.readings(self.averages[one.kind], self.live.body, t, steps).items():
                found[f"{one.kind}: {name}"] = (state, one.stale)
        return found


class Weights:
    """The weights themselves as the only reading, where they must be put together first."""

    kind, stale = "net", False  # stale: the statistics of batch norms are those of other weights

    def start_average(self, body: nn.Module) -> dict[str, Tensor]:
        """Nothing of its own."""
        return {}

    def update_average_(self, average: dict[str, Tensor], body: nn.Module, t: int, steps: int) -> None:
        """The optimizer's step has done it."""

    def readings(
        self, average: Mapping[str, Tensor], body: nn.Module, t: int, steps: int
    ) -> dict[str, Mapping[str, Tensor]]:
        """The network's state."""
        return {"the weights": body.state_dict()}


class OfOptimizer(Weights):
    """The average that a schedule-free optimizer keeps, as one more reading. Its state is the optimizer's."""

    stale = True  # they are those of the point of training

    def __init__(self, kind: str, optimizer: torch.optim.Optimizer) -> None:
        self.kind, self.optimizer = kind, optimizer

    def readings(
        self, average: Mapping[str, Tensor], body: nn.Module, t: int, steps: int
    ) -> dict[str, Mapping[str, Tensor]]:
        """The network's state with the parameters where they are to be judged."""
        points = judged_point(self.optimizer)
        moved = {name: points[p] for name, p in body.named_parameters() if p in points}
        return {"average": {**body.state_dict(), **moved}}


def recalibrate_(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the running statistics of all batch norms anew: the mean over these batches, [B, ...] as the network takes them.

    Everything else is in evaluation mode meanwhile (dropout does nothing), and is as before afterwards. Without a batch norm
    nothing is computed. Source: Izmailov et al., UAI 2018, section 3.2.
    """
    norms: list[Any] = [module for module in network.modules() if isinstance(module, NORMS) and module.track_running_stats]
    if not norms:
        return
    modes, momenta = {module: module.training for module in network.modules()}, [norm.momentum for norm in norms]
    network.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True  # None: every batch counts alike
        with torch.no_grad():
            for x in batches:
                network(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode


def _finite(p: Any) -> bool:
    return bool(torch.isfinite(torch.from_numpy(p)).all())


__all__ = ["Readout", "recalibrate_"]
