"""The way there and back of a stacked step as one CUDA graph: many small kernels cost a launch altogether instead of one each.

    found = Graphs().passed(passed, (begin, end), runs, batch, program, streams, leaves, others)

The first step of members in a place is captured; later ones copy their batch to where it was and replay. What is captured reads weights
where they lie in the bank, and the bank is laid anew when members come or go, which gives new graphs. What draws chance, is looked at, or
was not on a GPU is computed as it comes; so is everything after torch has refused a capture, and `refused` says why.

Source: Ng et al., "Accelerating PyTorch with CUDA Graphs", pytorch.org, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tuneful.pipeline.stack.batch import Together
from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.train import Run

Found = tuple[Tensor, dict[str, Tensor]]  # losses and gradients
WARM = 3  # calls before a capture, in which libraries choose their algorithms and get their memory


class Graph:
    """Calls that give tensors, recorded once: each replay gives them again, in the same memory, for what stands now in what they read."""

    def __init__(self, call: Callable[[], Found]) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.found = call()

    def replay(self) -> Found:
        """Do it again."""
        self.graph.replay()
        return self.found


class Graphs:
    """make: records calls; another one in tests, which have no GPU."""

    def __init__(self, make: Callable[[Callable[[], Found]], Any] = Graph) -> None:
        self.make, self.refused = make, ""
        self.known: dict[Any, tuple[Together, Any]] = {}  # what is captured, and where it reads its batch

    def serves(self, runs: Sequence[Run], batch: Together, streams: Streams) -> bool:
        """Can a step of these members be captured?"""
        return batch.x.device.type == "cuda" and not (self.refused or streams.active or runs[0].hooks.shakes)

    def passed(
        self, passed: Callable[..., Found], place: tuple[int, int], runs: Sequence[Run], batch: Together, program: Program,
        streams: Streams, leaves: Mapping[str, Tensor], others: Mapping[str, Tensor],
    ) -> Found:  # fmt: skip
        """What `passed` gives for this batch. place: of the members in the stack."""
        kind = (place, batch.shared, batch.plain, batch.x.shape, batch.x.dtype, batch.target.shape, batch.target.dtype)
        if kind not in self.known and not self._captured(kind, passed, runs, batch, program, streams, leaves, others):
            return passed(runs, batch, program, streams, leaves, others)
        held, graph = self.known[kind]
        held.x.copy_(batch.x)
        held.target.copy_(batch.target)
        each, grads = graph.replay()
        return each.clone(), grads  # losses are read later, gradients before the next step

    def _captured(
        self, kind: Any, passed: Callable[..., Found], runs: Sequence[Run], batch: Together, program: Program,
        streams: Streams, leaves: Mapping[str, Tensor], others: Mapping[str, Tensor],
    ) -> bool:  # fmt: skip
        held = replace(batch, x=batch.x.clone(), target=batch.target.clone())
        before = {name: t.clone() for name, t in others.items()}  # statistics, which no warm-up may move
        try:
            graph = self.make(lambda: passed(runs, held, program, streams, leaves, others))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            first = str(error).strip().splitlines()
            self.refused = f"torch cannot capture its step as a CUDA graph: {first[0] if first else type(error).__name__}"
            return False
        finally:
            for name, t in before.items():
                others[name].copy_(t)
        self.known[kind] = held, graph
        return True


__all__ = ["Graph", "Graphs"]
