"""Which optimizer for this problem? Each is tuned with as many runs of one length, then all run on common seeds.

    work = Comparison(job, ("sgd", "adam", "adamw"), seeds=5, tune=20)
    for sign in work: ...           # a run done
    work.result

1. Tune: a random search over each optimizer's own ranges, its defaults first; the best run on valid gives its settings. The
   k-th run of each draws the same numbers from its ranges, so that none is luckier in them.
2. Run: the tuned settings with fresh seeds. A seed fixes the initial weights, the order of the batches and all noise, the same
   for every optimizer; the splits are the same throughout. Seeds of small networks train side by side (`seeds`); else optimizers take
   turns, so that a slow hour slows all of them.
3. Judge: the test split, which no tuning saw, tells who is behind and who ties (`standing`).

Everything is on the disk as soon as it is known: the same command goes on where it was stopped, and takes what is there when
an optimizer, a seed or tuning runs are added. With `tune=0` the defaults are compared.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuneful.core import storage
from tuneful.core.budget import Budget, Clock, span
from tuneful.core.config import Settings
from tuneful.core.errors import RecipeError, TunefulError
from tuneful.core.recipe import Recipe
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.pipeline import asked
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.contenders import Contender, checked, contenders, named
from tuneful.pipeline.job import Job
from tuneful.pipeline.kept import write_json
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.optimize import home
from tuneful.pipeline.outcome import Final, Tuned, outcome
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.seeds import Seeds, pays
from tuneful.pipeline.tune import Search
from tuneful.pipeline.words import from_settings
from tuneful.report.contest import write
from tuneful.techniques.models import with_callable
from tuneful.techniques.search import Full, Random

FILE = "comparison.json"


@dataclass(frozen=True)
class Sign:
    """A sign of life. done, of: runs; said: a sentence where something has ended, else ""."""

    done: float
    of: int
    said: str = ""


@dataclass(frozen=True)
class Compared:
    """What came of it. data: everything, as it stands in comparison.json."""

    folder: Path
    report: Path
    data: Mapping[str, Any]

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        return str(self.data["headline"])

    @property
    def leader(self) -> str:
        """The optimizer with the best mean; "" when none has one."""
        return str(self.data["leader"])

    @property
    def tied(self) -> tuple[str, ...]:
        """Those that may be the best, the leader first."""
        return tuple(self.data["tied"])


class Comparison:
    """One comparison being made. Iterating makes it; `result` is there when it is finished, `ended` says why it stopped otherwise.

    job: the data and what all have in common; kinds: of the optimizers; seeds: final runs of each; tune: tuning runs of each;
    folder, root, fresh, halt, device, began, model: as for `optimize.Work`. Errors: RecipeError, DataError, StudyError.
    """

    def __init__(self, job: Job, kinds: Sequence[str], *, seeds: int = 5, tune: int = 20, root: Path | None = None,
                 fresh: bool = False, halt: Halt | None = None, device: str | None = None, began: float | None = None,
                 model: Settings | None = None) -> None:  # fmt: skip
        self.job, self.kinds, self.seeds, self.tune = job, named(kinds), seeds, tune
        for name, value, least in (("seeds", seeds, 1), ("tune", tune, 0)):
            if value < least:
                raise RecipeError(f"{name} is {value}; it must be a whole number >= {least}", "such as --seeds 5 --tune 20")
        self.root, self.fresh, self.device, self.model = root, fresh, device, model
        self.halt = halt if halt is not None else Halt()
        self.began = time.monotonic() if began is None else began
        self.task: Task | None = None
        self.folder: Path | None = None
        self.result: Compared | None = None
        self.ended = ""
        self._done = 0
        self._running = self.began  # when the first run began
        self._all = len(self.kinds) * (tune + seeds)

    def __iter__(self) -> Iterator[Sign]:
        checked(self.kinds, asked.settings(self.job))
        yield Sign(0, self._all, f"reading {self.job.source if isinstance(self.job.source, str) else 'the data'}")
        task = prepare(self.job.source, **self.job.reading)
        base = Recipe(model=self.model) if self.model is not None else Recipe()
        all_of = contenders(task, self.kinds, asked.settings(self.job), base)
        self.folder = folder = (self.root or home()) / self._name(task)
        if self.fresh and folder.exists():
            yield Sign(0, self._all, f"the comparison that lay in {folder} is now {storage.set_aside(folder)}")
        with storage.told(folder), storage.held(folder):
            self.task = task = task.logged_in(folder)
            yield Sign(0, self._all, self._plan(task, all_of))
            self._running = time.monotonic()
            tuned = [Tuned(one) for one in all_of]
            for k, one in enumerate(all_of if self.tune else ()):
                yield from self._tuned(task, one, folder, tuned, k)
                if self.halt.requested:
                    self._stopped()
                    return
            yield from self._judged(task, folder, tuned)

    # ------------------------------------------------------------------------------------------------ tuning

    def _tuned(self, task: Task, one: Contender, folder: Path, tuned: list[Tuned], k: int) -> Iterator[Sign]:
        """Tune one optimizer and put what came of it into tuned[k]. More runs than asked for, of an earlier call, do not count."""
        study = Study.create(folder / "tune" / one.kind, one.kind, task, one.space)
        clock = Clock(Budget(trials=self.tune))
        recipe = one.recipe
        search = Search(study, task, recipe, one.space, clock, proposer=Random(), scheduler=Full(), halt=self.halt,
                        device=self.device, model=self.model)  # fmt: skip
        if sum(trial.state in ("done", "failed") for trial in study.trials()) < self.tune:
            for beat in search:
                yield Sign(self._done + beat.trial + beat.epoch / max(beat.epochs, 1e-9), self._all)
        if self.halt.requested:
            return
        trials = study.trials()[: self.tune]
        tuned[k] = found = Tuned(one, trials)
        self._done += self.tune
        best = found.best(task.objective)
        name = task.objective.metric
        said = f"{name} {best.last.value.value:.4g} on valid" if best and best.last else "no run gave a value"
        left = f"; {self._left()} left" if self._done < self._all else ""
        yield Sign(
            self._done, self._all, f"{one.kind} tuned by {len(trials)} runs in {span(round(found.seconds, 1))}: {said}{left}"
        )

    # ------------------------------------------------------------------------------------------------ final runs

    def _judged(self, task: Task, folder: Path, tuned: list[Tuned]) -> Iterator[Sign]:
        chosen = [_chosen(one, task, self.model) for one in tuned]
        of = hashlib.blake2b("/".join(recipe.id for recipe in chosen).encode(), digest_size=8).hexdigest()
        split = task.test.open(f"to compare {', '.join(self.kinds)} after their tuning", f"{of} {self.seeds}")
        places = {
            one.kind: [
                folder / "runs" / one.kind / f"{n + 1:02d}-{seeded.id}" for n, seeded in enumerate(self._seeded(recipe))
            ]
            for one, recipe in zip(tuned, chosen, strict=True)
        }
        told = {one.kind: recipe for one, recipe in zip(tuned, chosen, strict=True)}
        beside = [kind for kind, recipe in told.items() if self.seeds > 1 and pays(task, recipe)]
        turns = [(kind, range(self.seeds)) for kind in beside]
        turns += [(kind, range(n, n + 1)) for n in range(self.seeds) for kind in told if kind not in beside]
        for at, (kind, numbers) in enumerate(turns):
            missing = [n for n in numbers if not (places[kind][n] / "final.json").exists()]
            seeds = Seeds(task, [self._seeded(told[kind])[n] for n in missing], [places[kind][n] for n in missing], split,
                          self.halt, self.device, self.model)  # fmt: skip
            for done in seeds.walk() if missing else ():
                yield Sign(self._done + done, self._all)
            if self.halt.requested and not all((place / "final.json").exists() for place in seeds.places):
                self._stopped()
                return
            self._done += len(numbers)
            if kind in beside:
                yield Sign(self._done, self._all, f"{self.seeds} seeds of {kind} done side by side")
            elif at + 1 == len(turns) or turns[at + 1][1] != numbers:
                alone = len(told) - len(beside)
                yield Sign(
                    self._done,
                    self._all,
                    f"seed {numbers[0] + 1} of {self.seeds} done for all {alone} that train one by one",
                )
            else:
                yield Sign(self._done, self._all)
        finals = {kind: [Final.read(place) for place in row] for kind, row in places.items()}
        data = outcome(task, tuned, chosen, finals, split.y) | {
            "command": self.job.command, "tune": self.tune, "seeds": self.seeds, "seconds": round(time.monotonic() - self.began, 1),
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "openings": task.test.openings,
        }  # fmt: skip
        write_json(folder / FILE, data)
        report = write(folder / "report.html", data)
        self.ended = "all runs are done"
        self.result = Compared(folder, report, data)

    def _seeded(self, recipe: Recipe) -> list[Recipe]:
        """The recipe with each of the common seeds."""
        return [recipe.replace("seed", recipe.seed + 1 + n) for n in range(self.seeds)]

    # ------------------------------------------------------------------------------------------------ words

    def _name(self, task: Task) -> str:
        """The same settings of the same data get the same folder, whichever optimizers and however many runs."""
        return self.job.name or replace(self.job, mode="tune").name_for(task.name).replace("-tune", "-compare", 1)

    def _plan(self, task: Task, all_of: Sequence[Contender]) -> str:
        epochs = {f"{float(one.recipe.epochs):g}" for one in all_of}
        tuning = f"{self.tune} tuning runs and " if self.tune else "their defaults and "
        return (
            f"{task.name}: {len(all_of)} optimizers, each with {tuning}{self.seeds} seed{'' if self.seeds == 1 else 's'} of {' or '.join(sorted(epochs))} epochs; "
            f"{len(task.train)} train, {len(task.valid)} valid, {len(task.test)} test (sealed)"
        )

    def _left(self) -> str:
        gone = time.monotonic() - self._running
        return f"about {span(max(1, round(gone * (self._all - self._done) / max(1, self._done))))}"

    def _stopped(self) -> None:
        self.ended = "stopped on request; nothing is lost: the same command goes on"


def _chosen(one: Tuned, task: Task, model: Settings | None) -> Recipe:
    """The recipe of the best tuning run; the defaults where there was none."""
    best = one.best(task.objective)
    if best is None:
        return one.contender.recipe
    recipe = from_data(best.recipe).replace(reasons=one.contender.recipe.reasons)
    return recipe if model is None else recipe.replace(model=with_callable(recipe.model, model))


def compare(
    optimizers: Sequence[str] | str, on: Any, *, seeds: int = 5, tune: int = 20, name: str | None = None, model: Any = None,
    **settings: Any,
) -> Compared:  # fmt: skip
    """Which optimizer for this problem: `compare(["sgd", "adam", "adamw"], on="digits", seeds=5, tune=20)`.

    Args:
        optimizers: their names, two or more.
        on:     the data, as `prepare` takes it.
        seeds:  final runs of each, on common seeds; intervals need two at least.
        tune:   tuning runs of each; 0 compares the defaults.
        name:   of the folder below runs/ (or $TUNEFUL_HOME).
        model:  your own network: a function (inputs=shape, outputs=n) -> nn.Module, or a model's settings.
        settings: of all runs, keys as on the command line: `epochs=10`, `lr="1e-3..1e-1"`; of one optimizer `adam={"beta2": 0.95}`.

    Raises: RecipeError, DataError, StudyError; TunefulError when it was stopped.
    """
    from tuneful.techniques.models import Own

    own = model if model is None or isinstance(model, Settings) else None if isinstance(model, str) else Own.of(model)
    told = {**settings, "model": model} if isinstance(model, str) else settings
    words = [optimizers] if isinstance(optimizers, str) else list(optimizers)
    work = Comparison(from_settings("tune", on, told, name=name), words, seeds=seeds, tune=tune, model=own)
    for _ in work:
        pass
    if work.result is None:
        raise TunefulError(f"the comparison ended without a result: {work.ended}")
    return work.result


__all__ = ["Compared", "Comparison", "Sign", "compare"]
