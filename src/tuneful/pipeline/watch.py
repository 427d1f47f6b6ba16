"""A watch over the first steps of any training, in two lines of the loop; what it sees is judged by `techniques.symptoms`.

    watch = tuneful.doctor(network, optimizer)
    for x, y in batches:
        ... forward, backward, optimizer.step() ...
        watch.step(loss)                        # or watch.step(loss, y), so that the targets are looked at too
    print(watch)

Losses are noted at every step; every `every` steps is a look, at which weights, gradients and layers are measured by hooks. They change
nothing and are taken off when `steps` steps are over. A copy of the network has copies of the hooks, which see nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import torch
from torch import Tensor, nn

from tuneful.pipeline import vitals
from tuneful.pipeline.sharpness import edge
from tuneful.techniques.symptoms import TABLE, Complaint, Seen, Symptom

STEPS, EVERY = 300, 15
MEASURED = (0.3, 0.6, 0.9)  # shares of the watch at which the sharpness is taken, where it can be


class Watch:
    """network, optimizer: of the loop. steps: how long; every: steps between two looks. loss: draws a batch and gives its loss, so
    that the sharpness can be measured; called three times. symptoms: what is looked for; wants: what the loss takes, where it is
    known (see `Seen`); clocked: is the time between two steps that of the data path?"""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        steps: int = STEPS,
        every: int = EVERY,
        loss: Callable[[], Tensor] | None = None,
        symptoms: Iterable[Symptom] | None = None,
        wants: str = "",
        clocked: bool = True,
    ) -> None:
        self.network, self.optimizer, self.loss = network, optimizer, loss
        self.steps, self.every, self.clocked = steps, every, clocked
        self.symptoms = tuple(make() for make in TABLE.values()) if symptoms is None else tuple(symptoms)
        self.seen = Seen(wants=wants)
        self._told = wants  # by the caller, so nothing is guessed from the graph
        self._output: Tensor | None = None
        self._before: dict[str, Tensor] = {}
        self._seconds = [time.perf_counter(), 0.0]  # the end of the last step, the beginning of this one's forward pass
        self._hooks: list[Any] = []
        self.attach()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    # ------------------------------------------------------------------------------------------------ the loop's line

    def step(self, loss: Tensor | float, targets: Tensor | None = None, *, looked: bool = False) -> None:
        """One step of the optimizer is done. loss: of its batch, before the step; targets: of its batch; looked: has somebody
        measured already what there is to see (a stack does, of all its members at once)?"""
        if self.over:
            return
        here = loss if isinstance(loss, Tensor) else None
        value = float(here.detach()) if here is not None else float(loss)  # waits for the device
        now = time.perf_counter()
        if self.clocked and self.seen.losses and not self.looking:
            self.seen.waited.append(self._seconds[1] - self._seconds[0])
            self.seen.worked.append(now - self._seconds[1])
        if self.looking and not looked:
            self._look(here, targets)
        self.seen.losses.append(value)
        if self.over:
            self.close()
        self._output = None
        self._seconds = [time.perf_counter()] * 2

    @property
    def over(self) -> bool:
        """Has everything been seen that is to be seen?"""
        return len(self.seen.losses) >= self.steps

    @property
    def looking(self) -> bool:
        """Is the step that comes next one of those that are looked at?"""
        return not self.over and len(self.seen.losses) % self.every == self.every // 2

    @property
    def wait(self) -> int:
        """How many steps come before one that is looked at, or before the last; 0: the next is one of them."""
        done = len(self.seen.losses)
        return max(0, min((self.every // 2 - done) % self.every, self.steps - 1 - done))

    def passed(self, losses: Sequence[float]) -> None:
        """Steps are done that are not looked at, and none of them was the last. losses: of their batches."""
        self.seen.losses += losses

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        """What is wrong, as far as it is seen now."""
        return tuple(one for symptom in self.symptoms for one in symptom.judge(self.seen))

    def __str__(self) -> str:
        told = [str(one) for one in self.complaints]
        return "\n".join(told) if told else f"nothing is wrong in the first {len(self.seen.losses)} steps"

    def close(self) -> None:
        """Take off the hooks; whatever comes is not looked at."""
        self.detach()
        self._before.clear()

    def take(self, seen: Mapping[str, Any] | None) -> None:
        """Go on from what another watch had seen, as `Seen.as_data` gave it; None: nothing is known, and nothing more is looked at."""
        if seen is None:
            self.steps = 0
        else:
            self.seen = Seen.from_data(seen)
        if self.over:
            self.close()

    def begins(self) -> None:
        """The batch of the next step is there: what comes is computing. Called by the forward pass, where nobody else does."""
        if self._seconds[1] <= self._seconds[0]:
            self._seconds[1] = time.perf_counter()

    # ------------------------------------------------------------------------------------------------ hooks

    def detach(self) -> None:
        """Take off the hooks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def attach(self) -> None:
        """Put on the hooks."""
        self._hooks += [
            self.network.register_forward_pre_hook(self._enter),
            self.network.register_forward_hook(self._leave),
            self.optimizer.register_step_pre_hook(self._before_step),
            self.optimizer.register_step_post_hook(self._after_step),
        ]
        for name, module in self.network.named_modules():
            if module is self.network or not (kind := vitals.watched(module)):
                continue
            hook = self._norm if kind == "norm" else self._bounded
            self._hooks.append(module.register_forward_hook(hook(name, module)))

    def _enter(self, module: nn.Module, _: Any) -> None:
        if module is self.network and module.training and torch.is_grad_enabled():
            self.begins()

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        if module is self.network and module.training and self.looking and torch.is_grad_enabled():
            self._output = vitals.answer(output)

    def _norm(self, name: str, owner: nn.Module) -> Callable[..., None]:
        def see(module: nn.Module, inputs: Any, _: Any) -> None:
            if module is owner and module.training and self.looking and torch.is_grad_enabled():
                vitals.see_norm(self.seen, name, module, inputs[0].detach())

        return see

    def _bounded(self, name: str, owner: nn.Module) -> Callable[..., None]:
        def see(module: nn.Module, _: Any, output: Any) -> None:
            if module is owner and module.training and self.looking and torch.is_grad_enabled():
                vitals.see_bounded(self.seen, name, module, output)

        return see

    def _before_step(self, *_: Any) -> None:
        if self.looking:
            self._before = {name: p.detach().clone() for name, p in vitals.weights(self.network)}

    def _after_step(self, *_: Any) -> None:
        if self.looking and self._before:
            vitals.see_weights(self.seen, self.network, self._before)
            self._before.clear()

    # ------------------------------------------------------------------------------------------------ a look

    def _look(self, loss: Tensor | None, targets: Tensor | None) -> None:
        self.seen.looks += 1
        vitals.see_groups(self.seen, self.optimizer)
        weights = [one for p in self.network.parameters() for one in (p, p.grad)]
        vitals.see_denormals(self.seen, weights, self.optimizer)
        if self._output is not None:
            vitals.see_head(self.seen, self._output, loss, self._told)
            # What is the network's output is no hidden activation.
            for name, module in self.network.named_modules():
                if name in self.seen.bounded and vitals.last(self.network, module):
                    del self.seen.bounded[name]
        if targets is not None:
            vitals.see_targets(self.seen, self._output, targets)
        due = sum(share * self.steps <= len(self.seen.losses) + self.every / 2 for share in MEASURED)
        if self.loss is not None and len(self.seen.sharpness) < due:
            with suppress(RuntimeError):  # layers that have no second derivative
                found = edge(self.loss, self.optimizer)
                self.seen.sharpness += [found] if found is not None else []
