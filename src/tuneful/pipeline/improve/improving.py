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
from tuneful.core.errors import BudgetError, ModelError
from tuneful.pipeline.improve import points
from tuneful.pipeline.improve.aim import Bound, bounds, chosen, closest
from tuneful.pipeline.improve.keep import Keeper, keeper, told
from tuneful.pipeline.improve.opened import Origin, opened
from tuneful.pipeline.improve.sealing import sealed
from tuneful.pipeline.improve.searching import Searching
from tuneful.pipeline.improve.taking import step_name, taken
from tuneful.pipeline.improve.variant import Variant, original
from tuneful.pipeline.step import arithmetic
from tuneful.report.front import write
from tuneful.report.words import size
from tuneful.techniques.interfaces import Compressor

PROVING = 60.0  # seconds for the proof of a point, baselines included
SEARCHING = 300.0  # seconds for a search, when nobody says
PROVED = 20.0  # seconds of a search's budget that are kept for proving and shipping


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
    report: Path | None = None

    @property
    def front(self) -> tuple[str, ...]:
        """The names of the points that no other beats in everything."""
        return tuple(str(name) for name in points.read(self.folder).get("front", ()))

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        kept = sum(bool(one["kept"]) for one in self.points) - 1
        return (
            str(self.evidence.get("headline", ""))
            or f"{kept} of {len(self.points) - 1} points beside the original were kept; none was taken"
        )


class Improving:
    """Iterating works, and yields sentences on how it goes; `result` is there afterwards.

    folder: of a finished run; steps: to take, in this order, or none to search; goal: limits on time and size (`aim.bounds`), by
    which a point is chosen; take: the name of a point that was found before; keep: what may be lost (`keep.keeper`); seconds: for
    a search; prove: is the result proven and shipped?; model: the user's own network.
    """

    def __init__(
        self, folder: Path, *, steps: Sequence[Compressor] = (), goal: str | None = None, take: str = "", keep: str | None = None,
        seconds: float = SEARCHING, prove: bool = True, model: Settings | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.steps, self.goal, self.take, self.keep = folder, tuple(steps), goal, take, keep
        self.seconds, self.prove, self.model = seconds, prove, model
        self.began = time.monotonic()
        self.points: list[Variant] = []
        self.refused: list[str] = []
        self.ended = ""
        self.result: Improved | None = None

    def __iter__(self) -> Iterator[str]:
        if self.take:
            points.point(self.folder, self.take)  # before anything is read that takes long
        origin = opened(self.folder, self.model)
        wanted = bounds(self.goal, origin.task.objective.metric, origin.task.objective.direction)
        with storage.held(self.folder), arithmetic(int(origin.candidate.recipe.threads)):
            name = self.take
            if not name:
                yield f"opened {self.folder.name}: trial {origin.trial.number}, {origin.task.objective.metric} {origin.candidate.value} on valid"
                yield from self._found(origin)
                name = self._name(origin, wanted)
            if not name or not self.prove:
                yield self._unproven(name)
                self.result = Improved(self.folder, self._told(), tuple(self.refused), report=self._report_path())
                return
            yield f"opening the test split for the point {name}"
            artifact, evidence = sealed(origin, name, PROVING)
            every = tuple(points.read(self.folder)["points"])
            self.result = Improved(self.folder, every, tuple(self.refused), name, artifact, evidence, self._report_path())

    def _found(self, origin: Origin) -> Iterator[str]:
        begun = original(origin.task, origin.candidate)
        self.points.append(begun)
        limits, why = keeper(origin.task, begun.answers, self.keep)
        if why:
            yield why
        yield line(begun)
        points.keep(self.folder, begun)
        yield from self._chain(origin, begun, limits) if self.steps else self._search(origin, begun, limits)
        goal = origin.task.objective
        told = self._told()
        points.write(self.folder, {
            "points": told, "refused": self.refused, "ended": self.ended,
            "limits": [vars(one) for one in limits.limits], "metric": goal.metric, "direction": goal.direction,
            "title": self.folder.name, "command": f"tuneful improve {self.folder} --take NAME",
        })  # fmt: skip
        write(self._report_path(), points.read(self.folder))

    def _chain(self, origin: Origin, begun: Variant, limits: Keeper) -> Iterator[str]:
        last = begun
        for step in self.steps:
            try:
                found = taken(origin, step, last, begun, limits)
            except ModelError as error:
                self.refused.append(f"{step_name(step)}: {error.message}")
                yield f"refused {step_name(step)}: {error.message}"
                continue
            yield self._judged(found)
            last = found if found.kept else last

    def _search(self, origin: Origin, begun: Variant, limits: Keeper) -> Iterator[str]:
        search = Searching(origin, begun, limits, self.seconds - PROVED - (time.monotonic() - self.began))
        for found, why in search:
            if found is None:
                self.refused.append(why)
                yield f"not tried, {why}"
                continue
            yield self._judged(found)
        self.ended = search.ended
        yield f"the search ended: {search.ended}"

    def _judged(self, found: Variant) -> str:
        self.points.append(found)
        if found.kept:
            points.keep(self.folder, found)
            return f"kept {line(found)}"
        self.refused.append(f"{found.name}: {told(found.losses)}")
        return f"refused {line(found)}"

    def _name(self, origin: Origin, wanted: Sequence[Bound]) -> str:
        """The point that is to be proven: the last of a chain that was kept, or what the goal chooses of a search."""
        goal, every = origin.task.objective, self._told()
        kept = [one for one in self.points[1:] if one.kept]
        if not wanted:
            return kept[-1].name if self.steps and kept else ""
        found = chosen(every, wanted, goal.metric, goal.direction)
        if found is not None and found["name"] != "original":
            return str(found["name"])
        if found is not None:
            self.refused.append("the original keeps every limit of --goal already, better than any point")
            return ""
        best, bound, factor = closest(every, wanted, goal.metric)
        raise BudgetError(
            f"no point that was kept reaches --goal {bound.said}: {best['name']} comes nearest, at {factor:.2f} times the limit",
            f"give a longer --budget, a wider --keep, or take it: tuneful improve {self.folder} --take {best['name']}",
        )

    def _unproven(self, name: str) -> str:
        if name or (len(self.points) > 1 and not self.steps):
            which = name or "NAME"
            return f"the test split stays shut; `tuneful improve {self.folder} --take {which}` proves and ships a point"
        return "no step was kept, so the original stays what it is"

    def _report_path(self) -> Path:
        return self.folder / points.FOLDER / "report.html"

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
