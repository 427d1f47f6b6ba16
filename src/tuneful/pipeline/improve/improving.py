"""The work of `improve`: steps taken one after the other, each kept or refused; a point proven and shipped.

work = Improving(folder, steps=..., keep="accuracy-0.5%")
for said in work: print(said)
work.result
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneful.core import storage
from tuneful.core.artifact import Artifact
from tuneful.core.config import Settings
from tuneful.core.errors import ModelError
from tuneful.pipeline.improve import points
from tuneful.pipeline.improve.keep import Keeper, keeper, told
from tuneful.pipeline.improve.opened import Origin, opened
from tuneful.pipeline.improve.sealing import sealed
from tuneful.pipeline.improve.taking import step_name, taken
from tuneful.pipeline.improve.variant import Variant, original
from tuneful.pipeline.step import arithmetic
from tuneful.report.words import size
from tuneful.techniques.interfaces import Compressor

PROVING = 60.0  # seconds for the proof of a point, baselines included


@dataclass(frozen=True)
class Improved:
    """What came of it. points: all that was tried, the original first; refused: what could not be tried, and why; artifact,
    evidence: of the point that was taken (name), or None and {}."""

    folder: Path
    points: tuple[Mapping[str, Any], ...]
    refused: tuple[str, ...]
    name: str = ""
    artifact: Artifact | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        return str(self.evidence.get("headline", "")) or f"{len(self.points) - 1} points beside the original; none was taken"


class Improving:
    """Iterating works, and yields sentences on how it goes; `result` is there afterwards.

    folder: of a finished run; steps: to take, in this order; take: the name of a point that was found before; keep: what may be
    lost (see `keep.keeper`); prove: is the result proven and shipped?; model: the user's own network.
    """

    def __init__(
        self, folder: Path, *, steps: Sequence[Compressor] = (), take: str = "", keep: str | None = None, prove: bool = True,
        model: Settings | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.steps, self.take, self.keep, self.model = folder, tuple(steps), take, keep, model
        self.prove = prove
        self.points: list[Variant] = []
        self.refused: list[str] = []
        self.result: Improved | None = None

    def __iter__(self) -> Iterator[str]:
        if self.take:
            points.point(self.folder, self.take)  # before anything is read that takes long
        origin = opened(self.folder, self.model)
        with storage.held(self.folder), arithmetic(int(origin.candidate.recipe.threads)):
            name = self.take
            if not name:
                yield f"opened {self.folder.name}: trial {origin.trial.number}, {origin.task.objective.metric} {origin.candidate.value} on valid"
                yield from self._found(origin)
                name = self.points[-1].name if len(self.points) > 1 else ""
            if not name or not self.prove:
                yield (
                    f"the test split stays shut; `tuneful improve {self.folder} --take {name}` proves and ships it"
                    if name
                    else "no step was kept, so the original stays what it is"
                )
                self.result = Improved(self.folder, self._told(), tuple(self.refused))
                return
            yield f"opening the test split for the point {name}"
            artifact, evidence = sealed(origin, name, PROVING)
            self.result = Improved(
                self.folder, tuple(points.read(self.folder)["points"]), tuple(self.refused), name, artifact, evidence
            )

    def _found(self, origin: Origin) -> Iterator[str]:
        begun = original(origin.task, origin.candidate)
        self.points.append(begun)
        limits, why = keeper(origin.task, begun.answers, self.keep)
        if why:
            yield why
        yield line(begun)
        yield from self._chain(origin, begun, limits)
        points.write(self.folder, {"points": self._told(), "refused": self.refused, "limits": [vars(one) for one in limits.limits],
                                   "metric": origin.task.objective.metric, "made": time.time()})  # fmt: skip

    def _chain(self, origin: Origin, begun: Variant, limits: Keeper) -> Iterator[str]:
        points.keep(self.folder, begun)
        last = begun
        for step in self.steps:
            try:
                found = taken(origin, step, last, begun, limits)
            except ModelError as error:
                self.refused.append(f"{step_name(step)}: {error.message}")
                yield f"refused {step_name(step)}: {error.message}"
                continue
            if not found.kept:
                self.refused.append(f"{found.name}: {told(found.losses)}")
                yield f"refused {line(found)}"
                continue
            points.keep(self.folder, found)
            self.points.append(found)
            yield f"kept {line(found)}"
            last = found

    def _told(self) -> tuple[dict[str, Any], ...]:
        return tuple(one.as_data() for one in self.points)


def line(variant: Variant) -> str:
    """A point in a line."""
    times = ", ".join(f"{one.value:.3g} ms for {n}" for n, one in variant.milliseconds.items())
    cost = f"; {told(variant.losses)}" if variant.losses else f"; {variant.value} on valid"
    faster = ", ".join(f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in variant.ratio.values())
    ratio = f" ({faster} of the original's)" if faster else ""
    return f"{variant.name}: {size(float(variant.bytes))}, {times}{ratio}{cost}"


__all__ = ["Improved", "Improving", "line"]
