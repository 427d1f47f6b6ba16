"""Movement: what the training moves towards zero becomes zero, however large it was.

    S += - w dL/dw  after each step;   the share with the least S is zero, growing as in `sparse`

A weight that is zero keeps its gradient, so that its score can rise again: it moves away from zero where -w dL/dw would be positive
for the value that it had. That value is remembered. It is meant for networks that were learned for another task and are tuned to
this one, where magnitudes tell of the other task.

Source: Sanh et al., NeurIPS 2020, arXiv:2005.07683; the score here is summed without the learning rate, which only scales it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.techniques.compressors.sparse import PART, Sparse, largest, maskable


class Movement(Sparse):
    """Sparse weights for networks that are fine-tuned."""

    source: ClassVar[str] = "Sanh et al., NeurIPS 2020, arXiv:2005.07683"
    cost: ClassVar[str] = "the epochs of training on; two tensors a weight"

    kind: Literal["movement"] = "movement"  # pyright: ignore[reportIncompatibleVariableOverride]

    def follow_(self, body: nn.Module, memory: dict[str, Tensor], t: int, steps: int) -> None:
        """Scores grow, masks anew where it is time, and zeros where they say so."""
        ramp = max(1, int(PART * steps))
        due = t == 1 or (self.gradual and t <= ramp and (t % self.every == 0 or t == ramp))
        for name, weight in maskable(body).items():
            mask, value, score = (memory.get(f"{name} {what}") for what in ("mask", "value", "score"))
            now = weight.detach().clone()
            if mask is None or value is None or score is None:
                memory[f"{name} mask"], memory[f"{name} value"] = now.new_ones(now.shape), now
                memory[f"{name} score"] = now.new_zeros(now.shape)
                mask, value, score = (memory[f"{name} {what}"] for what in ("mask", "value", "score"))
            value.copy_(now.where(mask > 0, value + now))  # a silent weight's steps move what is remembered
            if weight.grad is not None:
                score.sub_(value * weight.grad)
            if due:
                mask.copy_(
                    self._mask(score, self.now(t, ramp)) if self.pattern != "any" else largest(score, self.now(t, ramp))
                )
            weight.data.copy_(value * mask)


__all__ = ["Movement"]
