"""What each setting of a found recipe is worth: trained again with it as it was by default, on the same fresh seeds.

    ablation = Ablation(folder, seeds=3)
    for beat in ablation: ...
    ablation.told                   # plain data, also in RUN/ablation.json

    each    the chosen recipe, with one dial set back to its default:  what is lost is what that dial is worth beside all the others
    path    from the defaults to the chosen recipe, one dial a round, each time the one that gains most:  what the gain is made of

A surrogate (PED-ANOVA, in every report) speaks of the trials that a search happened to make; here each answer is a training. Differences
are paired by seed and by example of valid, with the noise of a seed taken from all recipes together (`odds`). Runs that a confirmation has
made are not made again, and a stopped ablation goes on where it was.

Source: Fawcett & Hoos, Journal of Heuristics 22 (2016), 431-458 (ablation paths); leaving one out is its first and last step.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.core import storage
from tuneful.core.budget import Budget, span
from tuneful.core.config import plain
from tuneful.core.errors import RecipeError, StudyError, TunefulError
from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.trial import Trial
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.confirm import SEEDS, SLACK, Confirmation
from tuneful.pipeline.goals import goal
from tuneful.pipeline.kept import write_json
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.odds import against
from tuneful.pipeline.standing import Scores, scored
from tuneful.pipeline.tune import STATE, Beat
from tuneful.pipeline.verdict import Entrant
from tuneful.pipeline.workers import joined

FILE = "ablation.json"


@dataclass(frozen=True)
class Change:
    """A dial and its two values."""

    dial: str
    default: Any
    chosen: Any


class Ablation:
    """Of a finished search. seeds: fresh seeds of each recipe, two at least; path: the way from the defaults as well; budget: a time that the
    trainings may take, None for any. told: what came of it, {} while nothing did; said: what had to be left out, in words.

    Raises StudyError where the run is not a finished search, RecipeError for a budget in which two seeds of nothing fit.
    """

    def __init__(self, folder: Path, *, seeds: int = SEEDS, path: bool = False, budget: str | None = None, halt: Halt | None = None,
                 device: str | None = None) -> None:  # fmt: skip
        self.folder, self.path, self.halt = folder, path, halt if halt is not None else Halt()
        if seeds < 2:
            raise RecipeError(f"seeds is {seeds}; it must be at least 2, as one says nothing of the chance of training")
        self.seeds, self.seconds = seeds, Budget.parse(budget).seconds if budget else None
        evidence = folder / "evidence.json"
        if not evidence.is_file():
            raise StudyError(f"{folder} has no proven model yet", f"`tuneful resume {folder}` goes on until it has one")
        self.search = joined(folder, self.halt, device=device)
        self.study, self.task, self.space = self.search.study, self.search.task, self.search.space
        if not len(self.space):
            raise StudyError(f"{folder} is a training of one recipe, in which nothing was varied", "ablate a search")
        self.base = self.search.deciding.recipe
        self.trial = self._chosen(json.loads(evidence.read_text(encoding="utf-8")))
        self.again = Confirmation(
            self.study, self.task, self.base, self.search.clock, seeds=seeds, halt=self.halt, device=device,
            stacked=not self.search.deciding.at_once,
        )  # fmt: skip
        self.told: dict[str, Any] = {}
        self.said: list[str] = []
        self._known: dict[str, Scores] = {}
        self._taken = set(self.again.folder.glob(f"*/{STATE}"))  # weights that the run was made of

    def __iter__(self) -> Iterator[Beat]:
        with storage.held(self.folder):
            yield from self._going()

    def _going(self) -> Iterator[Beat]:
        began = time.monotonic()
        changes = self.changes()
        if not changes:
            raise StudyError(f"trial {self.trial.number} has every dial at its default", "there is nothing to set back")
        changes = self._affordable(changes)
        chosen = from_data(self.trial.recipe)
        back = {one.dial: self._recipe({**self.trial.dials, one.dial: one.default}) for one in changes}
        yield from self._trained([chosen, *back.values()])
        if self.halt.requested:
            return
        lines = self._each(chosen, changes, back)
        rounds: list[dict[str, Any]] = []
        if self.path:
            for beat in self._rounds(changes, rounds):
                yield beat
                if self.halt.requested:
                    return
        found = {
            "trial": self.trial.number, "seeds": self.seeds, "examples": len(self.task.valid), "metric": self.task.objective.metric,
            "dials": lines, "path": rounds, "left_out": self.said, "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        self.told = found | {"sentence": _sentence(found)}
        write_json(self.folder / FILE, self.told)

    # ------------------------------------------------------------------------------------------------ what is changed

    def _chosen(self, evidence: Mapping[str, Any]) -> Trial:
        """The trial that was taken, or of an ensemble its heaviest member's."""
        members = evidence.get("joined", {}).get("members", ())
        confirmed = evidence.get("confirmation", {}).get("chosen")
        number = members[0]["trial"] if members else confirmed if confirmed is not None else evidence["search"]["best"]
        return self.study.trial(int(number))

    def changes(self) -> list[Change]:
        """The dials in which the chosen recipe and the defaults differ."""
        found: list[Change] = []
        for dial in self.space:
            if dial.path not in self.trial.dials:
                continue
            with contextlib.suppress(TunefulError):  # a technique that the defaults leave out
                value = self.base.get(dial.path)
                value = getattr(value, "kind", value)
                if value != self.trial.dials[dial.path]:
                    found.append(Change(dial.path, value, self.trial.dials[dial.path]))
        return found

    def _recipe(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with these values of the dials, as far as they exist beside one another."""
        held: dict[str, Any] = {}
        for dial in self.space:
            if dial.path in values and dial.exists(held):
                held[dial.path] = values[dial.path]
        return self.space.apply(self.base, held)

    def _affordable(self, changes: list[Change]) -> list[Change]:
        """As many seeds, and then dials, as the budget has time for."""
        if self.seconds is None:
            return changes
        each = SLACK * self._entrant(from_data(self.trial.recipe)).seconds

        def need(dials: int, seeds: int) -> float:
            return each * seeds * (1 + dials + (dials * (dials - 1) // 2 if self.path else 0))

        seeds = next((s for s in range(self.seeds, 1, -1) if need(len(changes), s) <= self.seconds), 2)
        dials = next((k for k in range(len(changes), 0, -1) if need(k, seeds) <= self.seconds), 0)
        if not dials:
            raise RecipeError(
                f"two seeds of two recipes take about {span(round(need(1, 2), 1))}, and the budget is {span(self.seconds)}",
                "give a longer one, or none",
            )
        if seeds < self.seeds or dials < len(changes):
            left = ", ".join(one.dial for one in changes[dials:])
            self.said.append(
                f"In {span(self.seconds)} there is time for {seeds} seeds" + (f", and not for {left}." if left else ".")
            )
        self.seeds = seeds
        return changes[:dials]

    # ------------------------------------------------------------------------------------------------ training

    def _entrant(self, recipe: Recipe) -> Entrant:
        last = self.trial.last
        pace = last.seconds / max(last.epoch, 1e-9) if last else 0.0
        return Entrant(self.trial, recipe, pace * float(recipe.epochs), True)

    def _trained(self, recipes: Sequence[Recipe]) -> Iterator[Beat]:
        """Each of them on every seed, side by side where they can be."""
        fresh = {recipe.id: recipe for recipe in recipes if recipe.id not in self._known}
        entrants = [self._entrant(recipe) for recipe in fresh.values()]
        members = [(one, seed) for seed in range(self.seeds) for one in entrants]
        for group in self.again.groups(members, {}):
            yield from self.again.trained(group)
            if self.halt.requested:
                return
        for one in entrants:
            runs = self.again.finals(one, self.seeds)
            answers = [run.answers for run in runs if run.answers is not None]
            if runs and len(answers) == len(runs):
                block = goal(self.task).block(self.task)
                self._known[one.recipe.id] = scored(self.task.objective.metric, answers, self.task.valid.y, block)
            for path in (self.again.place(one, seed) / STATE for seed in range(self.seeds)):
                if path not in self._taken:
                    path.unlink(missing_ok=True)

    def _difference(self, one: Recipe, other: Recipe) -> Measure | None:
        """How much better the first is, paired, with the noise of seeds from all that are known; None where one has failed."""
        if one.id not in self._known or other.id not in self._known:
            return None
        names = list(self._known)
        unit = str(self.task.target.get("unit", "")) if self.task.kind == "regression" else ""
        scores = [self._known[name] for name in names]
        found = against(self.task.objective.metric, scores, names.index(one.id), len(self.task.valid), unit)
        return found[names.index(other.id)]

    # ------------------------------------------------------------------------------------------------ what came of it

    def _each(self, chosen: Recipe, changes: Sequence[Change], back: Mapping[str, Recipe]) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for one in changes:
            found = self._difference(chosen, back[one.dial])
            lines.append({
                "dial": one.dial, "default": plain(one.default), "chosen": plain(one.chosen),
                "worth": None if found is None else found.as_data(), "verdict": _verdict(found),
            })  # fmt: skip
        return sorted(lines, key=lambda line: -(line["worth"]["value"] if line["worth"] else np.inf))

    def _rounds(self, changes: Sequence[Change], rounds: list[dict[str, Any]]) -> Iterator[Beat]:
        """From the defaults to the chosen recipe, each time by the dial whose change gains most."""
        values = {**self.trial.dials, **{one.dial: one.default for one in changes}}
        left, now = {one.dial: one for one in changes}, self._recipe(values)
        yield from self._trained([now])
        sign = 1.0 if self.task.objective.direction == "max" else -1.0
        while left and not self.halt.requested:
            ways = {dial: self._recipe({**values, dial: one.chosen}) for dial, one in left.items()}
            yield from self._trained(list(ways.values()))
            sound = {dial: sign * float(self._known[r.id].seeds.mean()) for dial, r in ways.items() if r.id in self._known}
            if not sound:
                self.said.append(f"The path ends before {', '.join(left)}: every training of that round failed.")
                return
            dial = max(sound, key=lambda name: sound[name])
            one, found = left.pop(dial), self._difference(ways[dial], now)
            rounds.append({
                "dial": dial, "from": plain(one.default), "to": plain(one.chosen), "gain": None if found is None else found.as_data(),
                "value": sign * sound[dial], "verdict": _verdict(found),
            })  # fmt: skip
            values, now = {**values, dial: one.chosen}, ways[dial]


def ablate(run: Path | str, *, seeds: int = SEEDS, path: bool = False, budget: str | None = None) -> dict[str, Any]:
    """What each setting of a found recipe is worth, by trainings with it set back (`Ablation`): `ablate("runs/digits")["sentence"]`."""
    ablation = Ablation(Path(run), seeds=seeds, path=path, budget=budget)
    for _ in ablation:
        pass
    return ablation.told


def _verdict(found: Measure | None) -> str:
    if found is None:
        return "failed"
    return "matters" if found.low > 0 else "harms" if found.high < 0 else "not told apart"


def _sentence(told: Mapping[str, Any]) -> str:
    by = {verdict: [line["dial"] for line in told["dials"] if line["verdict"] == verdict] for verdict in
          ("matters", "harms", "not told apart", "failed")}  # fmt: skip
    parts = [f"worth their change from the default: {', '.join(by['matters'])}"] if by["matters"] else []
    parts += [f"better left at the default: {', '.join(by['harms'])}"] if by["harms"] else []
    parts += [f"not told apart from the default: {', '.join(by['not told apart'])}"] if by["not told apart"] else []
    parts += [f"a training fails at the default of {', '.join(by['failed'])}"] if by["failed"] else []
    return f"Settings of trial {told['trial']}, each set back to its default alone and trained on {told['seeds']} fresh seeds: {'; '.join(parts)}."


__all__ = ["FILE", "Ablation", "Change", "ablate"]
