"""The execution plan: the fastest way to carry out the steps of a run here, measured and not guessed.

    found = planned(run, seconds=2.0)          # the run then goes that way; its state is as it was
    print(found.chosen, found.tried)

From the way that the recipe has by itself one change after another is tried: a few steps on the batches with which the run will begin.
A way whose losses, or whose first gradient, are not those of fp32 is rejected, whatever its speed; of the others the fastest is
taken. What costs more to find out than it could bring is not tried. Everything is told with its figures and reasons.

    losses agree      mean |loss - loss of fp32| / mean loss of fp32 <= 2 %
    gradients agree   cosine of the first steps' gradients >= 0.95
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tuneful.core.errors import TunefulError
from tuneful.core.execution import Execution
from tuneful.pipeline.keeping import kept_bytes
from tuneful.pipeline.train import Run
from tuneful.pipeline.ways import Facts, moves

SHARE = 0.03  # of the time that the steps would take, which may go into planning
LEAST = 0.25  # seconds of planning below which nothing is tried
STEPS = 2, 8  # timed of each way, at least and at most
GAIN = 0.97  # of the best time so far: what is not below is no gain
LOSSES = 0.02  # how far losses may lie from those of fp32, as a share
GRADIENTS = 0.95  # the least cosine with the gradient of fp32


@dataclass(frozen=True)
class Tried:
    """One way. ms: of a step; loss: how far its losses lie from those of fp32, as a share; cosine: of its first gradient and that of
    fp32; verdict: chosen, slower, rejected, not tried."""

    way: str
    verdict: str
    why: str = ""
    ms: float | None = None
    loss: float | None = None
    cosine: float | None = None


@dataclass(frozen=True)
class Plan:
    """chosen: how the run is carried out; tried: what was compared, in its order; seconds: what that took; saved: bytes that a step
    keeps for its backward pass; cached: was it measured in another run? allowed: seconds that it might have taken; step: seconds of a
    step in the plain way, 0 where nobody has measured it"""

    chosen: Execution
    tried: tuple[Tried, ...] = ()
    seconds: float = 0.0
    saved: int = 0
    why: str = ""
    cached: bool = False
    allowed: float = 0.0
    step: float = 0.0

    @property
    def gain(self) -> float:
        """How many times as fast a step is as the plain way; 1 where nothing was measured."""
        times = [one.ms for one in self.tried if one.ms and one.verdict == "chosen"]
        return (self.tried[0].ms or 0.0) / times[0] if times else 1.0

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {
            **asdict(self),
            "chosen": self.chosen.as_data(),
            "said": str(self.chosen),
            "tried": [asdict(one) for one in self.tried],
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Plan:
        """The inverse of `as_data`."""
        tried = tuple(Tried(**one) for one in data["tried"])
        rest = {name: data[name] for name in ("seconds", "saved", "why", "cached", "allowed")}
        return Plan(Execution.from_data(data["chosen"]), tried, **rest, step=data.get("step", 0.0))


def wanted(recipe: Any) -> str:
    """Why nothing is to be planned for a resolved recipe; "" where something is."""
    if recipe.plan == "off":
        return "plan=off"
    if recipe.plan == "auto" and recipe.precision == "fp32" and "precision" not in recipe.reasons:
        return "precision=fp32 asks for the plain loop; plan=on measures the ways in fp32"
    return ""


def planned(run: Run, *, steps: float = math.inf, most: float = math.inf, least: float = 0.0) -> Plan:
    """Measure, and let the run go on in the best way; it is where it was otherwise.

    steps: how many the run is to do at least, which is what planning has to pay for; most: seconds that planning may take; least: those that
    it may take whatever the run could pay for.
    Raises ModelError when the network fails as the recipe has it.
    """
    if why := wanted(run.recipe):
        return Plan(run.execution, why=why)
    began = time.perf_counter()
    bench = Bench(run)
    try:
        first = bench.warm()
        seconds = max(least, min(most, SHARE * min(steps, run.steps - run.step) * first))
        if seconds < LEAST:
            why = f"{min(steps, run.steps - run.step):.0f} steps of {1e3 * first:.3g} ms are too few to pay for a plan"
            return Plan(bench.start, why=why, step=first)
        chosen, tried = _search(bench, began + seconds, seconds)
    finally:
        bench.leave()
    run.use(chosen)
    return Plan(chosen, tuple(tried), round(time.perf_counter() - began, 3), bench.saved, allowed=seconds, step=first)


def _search(bench: Bench, until: float, seconds: float) -> tuple[Execution, list[Tried]]:
    """The best way, and all that were tried."""
    run = bench.run
    facts = Facts(
        run.body, run.plan.loss.classes, any(group.get("fused") for group in run.optimizer.param_groups),
        "" if "precision" in run.recipe.reasons else run.recipe.precision, "threads" in run.recipe.reasons,
    )  # fmt: skip
    exact = bench.start.replace(precision="fp32")
    base = bench.measured(exact)
    best, ms = exact, base.ms
    tried = {exact: Tried(str(exact), "slower", ms=base.ms, loss=0.0, cosine=1.0)}
    skipped: list[Tried] = []
    if exact != bench.start and facts.asked:  # what the user sets is not overruled, and measured like the others
        found = tried[bench.start] = bench.judged(bench.start, base)
        best, ms = bench.start, base.ms if found.ms is None else found.ms
    for move in moves(facts, run.form, run.device, bench.start, bench.saved, int(run.recipe.batch_size), seconds):
        way = None if move.why_not else move.make(best)
        if run.halt.requested:
            break  # what was asked to stop saves its state at once
        if move.why_not:
            skipped.append(Tried(move.about, "not tried", move.why_not))
        elif way is not None and way not in tried:
            if time.perf_counter() + 1e-3 * base.ms * (STEPS[0] + 1) > until:
                skipped.append(Tried(str(way), "not tried", f"the {seconds:.2g} s for planning are over"))
                continue
            found = tried[way] = bench.judged(way, base)
            if found.verdict == "slower" and found.ms is not None and found.ms < GAIN * ms:
                best, ms = way, found.ms
    for way, one in tried.items():
        if way == best:
            told = _gain(ms, base.ms) if one.verdict == "slower" else f"{facts.asked} is asked for, though {one.why}"
            tried[way] = replace(one, verdict="chosen", why=told)
        elif one.verdict == "slower" and one.ms is not None and not one.why:
            tried[way] = replace(one, why=f"{one.ms / ms:.2f} times the time of the chosen way")
    return best, [*tried.values(), *skipped]


def _gain(ms: float, before: float) -> str:
    return (
        f"a step takes {ms:.3g} ms; {before / ms:.2f} times as fast as the plain way" if ms < before else "nothing is faster"
    )


@dataclass(frozen=True)
class Seen:
    """What a few steps of a way showed."""

    ms: float
    losses: tuple[float, ...]
    gradient: Tensor


class Bench:
    """Steps of a run that are taken back. run: at the place where the steps begin."""

    def __init__(self, run: Run) -> None:
        self.run, self.start = run, run.execution
        tensors, plain = run.state()
        self._tensors, self._plain = {name: tensor.clone() for name, tensor in tensors.items()}, copy.deepcopy(plain)
        self._curve, self._notes, self._watched = list(run.curve), list(run.notes), run.early.steps
        self.saved, self._wall = 0, run.device.type == "cuda" or run.execution.threads > 1
        run.early.steps = 0  # looks would be measured too
        run.network.train()

    def back(self, how: Execution) -> None:
        """Stand at the beginning again, and go on so."""
        self.run.put(self._tensors, {**self._plain, "execution": how.as_data(), "micro": how.parts, "scaler": None})

    def leave(self) -> None:
        """Everything as it was."""
        self.back(self.start)
        self.run.kept.chosen, self.run.notes[:] = self._plain["chosen"], self._notes
        self.run.early.steps = self._watched

    def warm(self) -> float:
        """Seconds of a step as the recipe has it; and how many bytes it keeps is known afterwards."""
        with kept_bytes(self.run.network) as kept:
            self._step()
        self.saved = kept()
        return min(self._step()[0], self._step()[0])

    def _step(self) -> tuple[float, float]:
        """Seconds of one step, and its loss."""
        clock = time.perf_counter if self._wall else time.thread_time  # of one thread its own: other work does not move it
        began = clock()
        loss = self.run.advance(1)  # reads the loss, so a GPU has finished
        return clock() - began, loss

    def measured(self, way: Execution) -> Seen:
        """A few steps of a way, of which the first is not timed. Raises TunefulError where it fails."""
        self.back(way)
        losses: list[float] = []
        times: list[float] = []
        gradient = torch.zeros(0)
        least, most = STEPS
        began = time.perf_counter()
        while len(times) <= least or (len(times) <= most and time.perf_counter() - began < 0.2):
            seconds, loss = self._step()
            if self.run.ended:
                break
            times.append(seconds)
            losses.append(loss)
            if len(times) == 1:
                gradient = torch.cat([p.grad.detach().float().flatten() for p in self.run.params if p.grad is not None])
        return Seen(1e3 * statistics.median(times[1:] or times or [math.inf]), tuple(losses), gradient)

    def judged(self, way: Execution, base: Seen) -> Tried:
        """One way, timed and held against fp32."""
        try:
            seen = self.measured(way)
        except (TunefulError, RuntimeError, TypeError, NotImplementedError) as error:
            return Tried(str(way), "rejected", f"it fails: {str(error).splitlines()[0][:200]}")
        if self.run.ended or self.run.micro > way.parts:
            return Tried(str(way), "rejected", self.run.ended or "memory runs out")
        pairs = list(zip(seen.losses, base.losses, strict=False))
        gap = statistics.fmean(abs(a - b) for a, b in pairs) / max(1e-12, statistics.fmean(abs(b) for _, b in pairs))
        cosine = float(torch.nn.functional.cosine_similarity(seen.gradient, base.gradient, dim=0))
        told = Tried(str(way), "slower", ms=round(seen.ms, 4), loss=gap, cosine=cosine)
        if not gap <= LOSSES:
            return replace(
                told, verdict="rejected", why=f"its losses lie {gap:.1%} from those of fp32; {LOSSES:.0%} are allowed"
            )
        if not cosine >= GRADIENTS:
            return replace(told, verdict="rejected", why=f"its gradient has a cosine of {cosine:.3f} with that of fp32")
        return told


__all__ = ["Plan", "Tried", "planned", "wanted"]
