"""The end of a search: its best candidates again, on fresh seeds that they share, before one of them is believed.

    again = Confirmation(study, task, recipe, clock)
    for beat in again: ...
    again.verdict                  # plain data; {} where nothing was retested, and again.why says why
    trial, candidate = again.candidate()

The best of many single runs is partly luck. So the first few of a study train once more to their full length, cooldown included,
each with the same fresh seeds, and `odds` tells who may be best. What the best single run had shown beyond the mean of its fresh
runs is the winner's optimism. A candidate that fails under a fresh seed is not taken.

How many run is settled by what is left of the clock (or by the number of trials, where no time was given) and written into the
study first, so that a killed confirmation goes on as it was begun. Where recipes can stand in a stack their seeds train side by side.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.core.budget import Clock, span
from tuneful.core.errors import ModelError, RecipeError, StateError
from tuneful.core.recipe import Recipe
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Point, Trial
from tuneful.pipeline import judge, plans, state
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.carrying import able
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.goals import goal
from tuneful.pipeline.judge import METRICS, Floats
from tuneful.pipeline.kept import write_json
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.odds import odds
from tuneful.pipeline.outcome import Final
from tuneful.pipeline.stack import Stack, signature, unfit
from tuneful.pipeline.standing import Scores, scored
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import KEPT, STATE, Beat
from tuneful.pipeline.verdict import Entrant, told
from tuneful.techniques.models import with_callable

FOLDER = "confirm"
SHARE = 0.2  # of the time for searching that is kept for this
PART = 3  # one retraining for so many trials, where a budget states trials alone
SEEDS, MOST = 3, 5  # fresh seeds of each: what is usual, and with time to spare
CANDIDATES = 5
FINER = "brier"  # what tells more of the same answers than shares of right ones
SLACK = 1.15  # a training may take so much longer than it did
EVERY = 20.0  # seconds between two writings of a state


class Confirmation:
    """candidates: how many trials are looked at again; seeds: of each, "auto", or 0 for none. halt, device, model: as for `Run`;
    stacked: may they train side by side? `why`: where there is no verdict."""

    def __init__(self, study: Study, task: Task, recipe: Recipe, clock: Clock, *, candidates: int = CANDIDATES,
                 seeds: int | str = "auto", halt: Halt | None = None, device: str | None = None, model: Any = None,
                 stacked: bool = True) -> None:  # fmt: skip
        self.study, self.task, self.recipe, self.clock = study, task, recipe, clock
        self.candidates, self.seeds = candidates, seeds
        self.halt = halt if halt is not None else Halt()
        self.device, self.model, self.stacked = device, model, stacked
        self.why = ""
        self.verdict: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Beat]:
        entrants = self.entrants()
        of = self._of(entrants)
        known: Mapping[str, Any] = self.study.about.get("confirmed", {})
        if known.get("of") == of:
            self.verdict = dict(known)
            return
        count, seeds = self._planned(entrants, of)
        if not seeds:
            return
        began = time.monotonic()
        self.halt.deadline = began + self.clock.left_for_search
        entrants = entrants[:count]
        weights: dict[int, int] = {}
        members = [(one, seed) for seed in range(seeds) for one in entrants]
        for group in self.groups(members, weights):
            yield from self.trained(group)
            if self.halt.requested:
                return
        finals = {one.trial.number: self.finals(one, seeds) for one in entrants}
        self.verdict = self._judged(entrants, finals, weights, time.monotonic() - began)
        if self.verdict:
            self.verdict["of"] = of
            write_json(self.study.folder / "confirm.json", self.verdict)
            self.study.remember("confirmed", self.verdict)

    # ------------------------------------------------------------------------------------------------ who, and how often

    def entrants(self) -> list[Entrant]:
        """The trials with the best last values, the best first; what was paused has its full length before it."""
        sign = 1.0 if self.task.objective.direction == "max" else -1.0
        rated = [
            t for t in self.study.trials() if t.state in ("done", "paused") and t.last and math.isfinite(t.last.value.value)
        ]
        rated.sort(key=lambda t: (-sign * (t.last.value.value if t.last else 0.0), t.number))
        return [self._entrant(trial) for trial in rated[: min(self.candidates, KEPT)]]

    def _entrant(self, trial: Trial) -> Entrant:
        recipe = from_data(trial.recipe)
        if self.model is not None:
            recipe = recipe.replace(model=with_callable(recipe.model, self.model))
        last = trial.last
        pace = last.seconds / max(last.epoch, 1e-9) if last else 0.0
        return Entrant(trial, recipe, pace * float(recipe.epochs), trial.state == "done")

    @property
    def folder(self) -> Path:
        """Where its runs lie."""
        return self.study.folder / FOLDER

    def kept(self) -> float:
        """Seconds to keep back for it while nothing is known of how long a training takes."""
        if self.seeds == 0 or self.clock.budget.seconds is None:
            return 0.0
        more = 1.0 if self.seeds == "auto" else max(1.0, int(self.seeds) / SEEDS)
        return min(0.5, SHARE * more) * max(0.0, self.clock.left_for_search)

    def need(self, left: float) -> float:
        """Seconds that it takes as far as the trials tell, in full; 0 where not even two seeds of two fit into what is left."""
        seeds, entrants = (SEEDS if self.seeds == "auto" else int(self.seeds)), self.entrants()
        least = SLACK * min(seeds, 2 if self.seeds == "auto" else seeds) * sum(one.seconds for one in entrants[:2])
        return 0.0 if least > left else SLACK * seeds * sum(one.seconds for one in entrants)

    def _planned(self, entrants: Sequence[Entrant], of: str) -> tuple[int, int]:
        """(candidates, seeds), as they were settled for these entrants, or are now; (0, 0) where nothing can be done."""
        if self.seeds == 0 or len(self.study.about.get("space", ())) == 0:
            self.why = "no confirmation was asked for" if self.seeds == 0 else "there is one recipe"
            return 0, 0
        if any(one.trial.heir for one in entrants):
            self.why = "what a population, or a growing network, came to is a course of settings, which no single recipe trains again"
            return 0, 0
        if len(entrants) < 2:
            self.why = f"{len(entrants)} trial{'' if len(entrants) == 1 else 's'} came so far that there is a value"
            return 0, 0
        known = self.study.about.get("confirming", {})
        if known.get("of") == of:
            return int(known["candidates"]), int(known["seeds"])
        found = self._affordable(entrants)
        if found[1]:
            self.study.remember("confirming", {"of": of, "candidates": found[0], "seeds": found[1]})
        return found

    def _affordable(self, entrants: Sequence[Entrant]) -> tuple[int, int]:
        """As many seeds, and then candidates, as can be had: two of two at least."""
        timed, most = self.clock.budget.seconds is not None, len(entrants)
        wanted = [int(self.seeds)] if self.seeds != "auto" else [*range(MOST if timed else SEEDS, 1, -1)]
        ways = [(k, s) for s in wanted for k in range(most, 1, -1)]
        if self.seeds == "auto":
            ways.sort(key=lambda way: (-min(way[1], SEEDS), -way[0], -way[1]))
            runs = math.inf if timed else len(self.study.trials()) // PART
            ways = [(k, s) for k, s in ways if k * s <= runs]
        left = self.clock.left_for_search
        for k, s in ways:
            if SLACK * s * sum(one.seconds for one in entrants[:k]) <= left:
                return k, s
        if not ways:
            self.why = f"{len(self.study.trials())} trials are too few to spend more trainings on their best"
            return 0, 0
        seeds = min(wanted)
        least = SLACK * seeds * sum(one.seconds for one in entrants[:2])
        self.why = f"{seeds} seeds of two candidates take about {span(round(least, 1))}, and {span(round(max(0.0, left), 1))} were left"
        return 0, 0

    def _of(self, entrants: Sequence[Entrant]) -> str:
        """A digest of whom a confirmation is of, and of how it was asked for."""
        who = [[one.trial.number, one.trial.last.step if one.trial.last else 0] for one in entrants]
        text = json.dumps([who, self.candidates, self.seeds])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    # ------------------------------------------------------------------------------------------------ training again

    def _seeded(self, one: Entrant, seed: int) -> Recipe:
        return one.recipe.replace("seed", int(self.recipe.seed) + 1 + seed)

    def place(self, one: Entrant, seed: int) -> Path:
        """Where a run lies."""
        recipe = self._seeded(one, seed)
        return self.folder / f"{one.trial.number:04d}-{seed + 1:02d}-{recipe.id}"

    def groups(self, members: Sequence[tuple[Entrant, int]], weights: dict[int, int]) -> list[list[tuple[Entrant, int]]]:
        """What trains together: recipes that can stand in one stack, unless a faster way was found for them alone."""
        groups: dict[str, list[tuple[Entrant, int]]] = {}
        alone: dict[str, str] = {}
        for one, seed in members:
            number, of = one.trial.number, one.recipe.id
            if of not in alone:
                with contextlib.suppress(ModelError, RecipeError):
                    weights[number] = sum(p.numel() for p in Run(self.task, one.recipe, device="cpu").params)
                plan = plans.read(self.study.trial_folder(number))
                fast = plan is not None and plan.gain > 1
                alone[of] = (
                    "" if fast or not self.stacked or unfit(self.task, one.recipe) else signature(self.task, one.recipe)
                )
            groups.setdefault(alone[of] or f"{seed} {number} {of}", []).append((one, seed))
        return list(groups.values())

    def trained(self, group: Sequence[tuple[Entrant, int]]) -> Iterator[Beat]:
        open_ones = [(one, seed) for one, seed in group if not (self.place(one, seed) / "final.json").exists()]
        for one, seed in open_ones:
            self.place(one, seed).mkdir(parents=True, exist_ok=True)
        if len(open_ones) > 1:
            with contextlib.suppress(ModelError, RecipeError):  # each by itself then, so that it is told which fails
                yield from self._stacked(open_ones)
                return
        for one, seed in open_ones:
            place = self.place(one, seed)
            try:
                run = self._begun(one, seed)
                for point in run.walk():
                    yield self._beat(one, run, point)
            except ModelError as error:
                self._failed(place, str(error).splitlines()[0])
                continue
            self._closed(place, run)

    def _begun(self, one: Entrant, seed: int) -> Run:
        path = self.place(one, seed) / STATE
        with contextlib.suppress(StateError):
            if path.exists():
                return Run.resume(self.task, path, model=self.model, device=self.device, halt=self.halt, save_to=path)
        run = Run(self.task, self._seeded(one, seed), device=self.device, halt=self.halt, save_to=path)
        if (plan := plans.read(self.study.trial_folder(one.trial.number))) is not None:
            run.use(able(plan.chosen, run.device))
        return run

    def _stacked(self, members: Sequence[tuple[Entrant, int]]) -> Iterator[Beat]:
        stack = Stack(self.task, device=self.device, halt=self.halt, model=self.model)
        seats: dict[int, tuple[Entrant, int]] = {}
        for one, seed in members:
            path, number = self.place(one, seed) / STATE, None
            with contextlib.suppress(StateError):
                number = stack.enter(*state.load(path)) if path.exists() else None
            seats[stack.add(self._seeded(one, seed)) if number is None else number] = one, seed
        saved = time.monotonic()
        for found in stack.walk():
            if found is None:
                at = min(stack.runs, key=lambda number: stack.runs[number].step)
                yield self._beat(seats[at][0], stack.runs[at], None)
            else:
                yield self._beat(seats[found[0]][0], stack.runs[found[0]], found[1])
            if time.monotonic() - saved > EVERY:
                for number in seats:
                    state.save(self.place(*seats[number]) / STATE, *stack.state(number))
                saved = time.monotonic()
        for number, seat in seats.items():
            stack.evict(number)
            self._closed(self.place(*seat), stack.runs[number])

    def _closed(self, place: Path, run: Run) -> None:
        """Keep what a run came to; of one that was stopped on its way, its state."""
        if not run.ended:
            run.save(place / STATE)
            return
        answers = None
        if not run.ended.startswith(("diverged", "failed")):
            answers = judge.predict(run.candidate().network, self.task.valid.x, kind=self.task.kind)
            answers = answers if np.isfinite(answers).all() else None
            run.save(place / STATE)
        Final(tuple(run.curve), dict(run.seconds), run.step, run.ended, answers).write(place)

    def _failed(self, place: Path, reason: str) -> None:
        Final((), {}, 0, f"failed: {reason}", None).write(place)

    def _beat(self, one: Entrant, run: Run, point: Point | None) -> Beat:
        best = self.study.best()
        return Beat(one.trial.number, run.epoch, float(one.recipe.epochs), point, best.last.value if best and best.last else None,
                    len(self.study.trials()))  # fmt: skip

    def finals(self, one: Entrant, seeds: int) -> list[Final]:
        """What its runs came to; [] where one was not finished."""
        places = [self.place(one, seed) for seed in range(seeds)]
        return [Final.read(place) for place in places] if all((place / "final.json").exists() for place in places) else []

    # ------------------------------------------------------------------------------------------------ what came of it

    def _judged(
        self, entrants: Sequence[Entrant], finals: Mapping[int, Sequence[Final]], weights: Mapping[int, int], seconds: float
    ) -> dict[str, Any]:
        metric, y = self.task.objective.metric, self.task.valid.y
        block = goal(self.task).block(self.task)
        sound: dict[int, Scores] = {}
        finer: dict[int, float] = {}
        lost: list[str] = []
        for number, runs in finals.items():
            answers = [run.answers for run in runs if run.answers is not None]
            if runs and len(answers) < len(runs):
                why = next(run.ended for run in runs if run.answers is None)
                lost.append(f"trial {number} failed in {len(runs) - len(answers)} of {len(runs)} fresh runs ({why})")
            elif runs:
                one = scored(metric, answers, y, block)
                if np.isfinite(one.seeds).all():
                    sound[number] = one
                    if METRICS[metric].needs == "classes" and self.task.kind in METRICS[FINER].kinds:
                        finer[number] = float(np.mean([judge.score(FINER, p, y) for p in answers]))
        if len(sound) < 2:
            self.why = "; ".join(lost) or "time ended before two candidates had been trained again"
            return {}
        numbers = list(sound)
        found = odds(
            metric, [sound[n] for n in numbers], [weights.get(n, 1) for n in numbers], len(y), self._unit,
            finer=[finer[n] for n in numbers if n in finer], margin=self.task.objective.margin,
        )  # fmt: skip
        return told(numbers, found, sound, {one.trial.number: one for one in entrants}, weights, self.task) | {
            "lost": lost, "seconds": round(seconds, 2), "run": self._run(numbers[found.chosen], sound, entrants),
        }  # fmt: skip

    @property
    def _unit(self) -> str:
        return str(self.task.target.get("unit", "")) if self.task.kind == "regression" else ""

    def _run(self, number: int, sound: Mapping[int, Scores], entrants: Sequence[Entrant]) -> int:
        """Whose network is taken of the chosen trial's: 0, its own in the study, or that of the fresh seed 1, 2, ...: the best on
        valid, the study's own where they are equal."""
        one = next(one for one in entrants if one.trial.number == number)
        values = dict(enumerate((float(value) for value in sound[number].seeds), 1))
        last = one.trial.last
        if one.whole and last is not None and (self.study.trial_folder(number) / STATE).exists():
            values[0] = last.value.value
        sign = 1.0 if self.task.objective.direction == "max" else -1.0
        return max(values, key=lambda run: (sign * values[run], -run))

    def path(self, number: int, run: int) -> Path:
        """Where the state of a trial's run lies: 0, its own in the study, or that of the fresh seed 1, 2, ..."""
        if run == 0:
            return self.study.trial_folder(number) / STATE
        return self.place(self._entrant(self.study.trial(number)), run - 1) / STATE

    def answers(self) -> dict[tuple[int, int], Floats]:
        """What the fresh runs say of valid, by (trial, run)."""
        found: dict[tuple[int, int], Floats] = {}
        for line in self.verdict.get("candidates", ()):
            number = int(line["trial"])
            runs = self.finals(self._entrant(self.study.trial(number)), len(line["seeds"]))
            found |= {(number, run): one.answers for run, one in enumerate(runs, 1) if one.answers is not None}
        return found

    def tidy(self, kept: Iterable[tuple[int, int]] = ()) -> None:
        """Throw away the weights of all fresh runs but the chosen one and those of (trial, run) in `kept`."""
        if not self.verdict:
            return
        paths = {self.path(*one) for one in (*kept, (int(self.verdict["chosen"]), int(self.verdict["run"])))}
        for path in self.folder.glob(f"*/{STATE}"):
            if path not in paths:
                path.unlink()

    def candidate(self) -> tuple[Trial, Candidate]:
        """The chosen trial and the network that is taken of it."""
        trial, run = self.run_of(int(self.verdict["chosen"]), int(self.verdict["run"]))
        return trial, run.candidate()

    def run_of(self, number: int, run: int) -> tuple[Trial, Run]:
        """A trial and one of its runs at its end; trained anew where its state is damaged or gone."""
        trial, path = self.study.trial(number), self.path(number, run)
        try:
            return trial, Run.resume(self.task, path, model=self.model, device=self.device)
        except StateError:
            one = self._entrant(trial)
            again = Run(self.task, self._seeded(one, run - 1) if run else one.recipe, device=self.device)
            for _ in again:
                pass
            path.parent.mkdir(parents=True, exist_ok=True)
            again.save(path)
            return trial, again


__all__ = ["Confirmation", "Entrant"]
