"""How the steps of a run are carried out: what changes their speed, and their result only by rounding.

    plain = Execution()                        # rows, fp32, one thread: the reference
    plain.replace(precision="bf16")

A recipe says what is learned, an execution how it is computed; it is measured, not guessed (`pipeline.plan`), and part of a
run's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

Layout = Literal["rows", "channels_last"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Execution:
    """layout: of images in memory; precision: of the forward and backward pass (weights, sums and the optimizer stay fp32);
    fused: does the optimizer step all parameters in one call, where it can? threads: of the CPU; compiled: by torch.compile;
    graphed: captured as a CUDA graph; parts: micro-batches a step, whose gradients are added up; recompute: are activations computed
    again in the backward pass rather than kept? offload: do those that are kept wait in the CPU's memory? ranks: processes that compute a step together, each with rows of its own; sharded: does
    each of them keep a share of the weights and of the optimizer's state, rather than all?"""

    layout: Layout = "rows"
    precision: Precision = "fp32"
    fused: bool = True
    threads: int = 1
    compiled: bool = False
    graphed: bool = False
    parts: int = 1
    recompute: bool = False
    offload: bool = False
    ranks: int = 1
    sharded: bool = False

    def replace(self, **changes: Any) -> Execution:
        """A changed copy."""
        return replace(self, **changes)

    def as_data(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Execution:
        """The inverse of `as_data`; what it does not name is as by default."""
        return Execution(**{one.name: data[one.name] for one in fields(Execution) if one.name in data})

    def __str__(self) -> str:
        """
        >>> str(Execution(layout="channels_last", precision="bf16", threads=2))
        'channels last, bf16, 2 threads'
        """
        told = ["channels last"] if self.layout == "channels_last" else []
        told += [self.precision, f"{self.threads} thread{'s' if self.threads != 1 else ''}"]
        told += ["unfused optimizer"] if not self.fused else []
        told += ["compiled"] if self.compiled else []
        told += ["CUDA graph"] if self.graphed else []
        told += [f"batches in {self.parts} parts"] if self.parts > 1 else []
        told += ["activations recomputed"] if self.recompute else []
        told += ["activations offloaded to the CPU"] if self.offload else []
        told += [f"{self.ranks} processes{', weights sharded' if self.sharded else ''}"] if self.ranks > 1 else []
        return ", ".join(told)

    def differs(self, other: Execution) -> str:
        """What is otherwise in this one, in words; "" where nothing is.

        >>> Execution(precision="bf16").differs(Execution(threads=2))
        'precision bf16 (fp32 before), threads 1 (2 before)'
        """
        pairs = [(one.name, getattr(self, one.name), getattr(other, one.name)) for one in fields(self)]
        return ", ".join(f"{name} {_word(new)} ({_word(old)} before)" for name, new, old in pairs if new != old)


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).replace("_", " ")
