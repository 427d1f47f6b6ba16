"""L-BFGS: the curvature from the last steps, and a search along each direction; for small problems without noise.

    d = -H g,   H from the last `history` pairs (p' - p, g' - g) by the two-loop recursion
    p += a d,   a by a line search that fulfils the strong Wolfe conditions

Converges in tens of steps where descent needs thousands, if loss and gradient are exact: the whole training split as one batch (what
`batch_size=auto` then chooses), no dropout, no augments that draw anew. Each step asks for several gradients, so `step` wants a
closure that clears the gradients, computes the loss, calls backward and returns it.

Nothing is decayed here, since a pull that is not in the loss would mislead the line search.

Source: Liu & Nocedal, Mathematical Programming 45 (1989), 503-528; Nocedal & Wright, Numerical Optimization, 2006, algorithms 3.5,
3.6 and 7.4. torch's own class.  Memory: 2 history + 4 tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Hyper, Optimizer, Role
from tuneful.techniques.optimizers.groups import as_groups


class LBFGS(Optimizer):
    """The quickest on small smooth problems; wrong with mini-batches."""

    source: ClassVar[str] = "Liu & Nocedal, Mathematical Programming 45, 1989"
    cost: ClassVar[str] = "2 history + 4 tensors per parameter; about 5 gradients a step"
    whole: ClassVar[bool] = True
    unrated: ClassVar[str] = "it moves all parameters as one vector"
    closure: ClassVar[bool] = True
    stackable: ClassVar[str] = "its line search takes as many gradients as each trial needs"

    kind: Literal["lbfgs"] = "lbfgs"
    lr: Positive = 1.0  # length of the first try along a direction
    iterations: Count = 4  # directions a step
    history: Count = 10  # pairs that the curvature is made of
    search: Literal["strong_wolfe", "none"] = "strong_wolfe"  # along each direction; none goes lr and hopes

    def special(self, role: Role) -> Mapping[str, float | bool]:
        """Nothing: all parameters are one vector."""
        return {}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """Raises ModelError: there is no step of one parameter alone."""
        raise ModelError("L-BFGS moves all parameters together", "use LBFGS().build(params) and its step(closure)")

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's LBFGS over all parameters as one vector. Raises ModelError for groups that differ, and complex parameters."""
        groups = as_groups(params, self)
        for name in ("lr", "maximize"):
            if len({group.get(name, getattr(self, name, False)) for group in groups}) > 1 or any(
                g.get("maximize") for g in groups
            ):
                raise ModelError(f"L-BFGS moves all parameters as one vector, and its groups differ in {name} or climb")
        tensors = [item[1] if isinstance(item, tuple) else item for group in groups for item in group["params"]]
        if len(groups) > 1 and len({id(p) for p in tensors}) < len(tensors):
            raise ModelError("some parameters appear in more than one group; L-BFGS would move them twice")
        if any(p.is_complex() for p in tensors):
            raise ModelError("L-BFGS met a complex parameter; its line search is for real ones")
        optimizer = torch.optim.LBFGS(
            tensors,
            lr=groups[0].get("lr", self.lr),
            max_iter=self.iterations,
            history_size=self.history,
            line_search_fn=None if self.search == "none" else self.search,
        )
        optimizer.param_groups[0]["initial_lr"] = optimizer.param_groups[0]["lr"]
        return optimizer
