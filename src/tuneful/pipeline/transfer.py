"""muP transfer: what was tuned on a narrow network trains a wide one, where the coordinate check says that it may.

    transfer = Transfer(proxy, study, task, recipe, space, clock)
    transfer.check()                       # before the search; raises RecipeError with figures where widths do not behave alike
    for beat in transfer.train(trial): ... # after it: the large network, with the settings of the small one that was chosen
    transfer.candidate(trial)

The large network is no trial of the study, whose trials are all of the small width: it lies in a folder beside them, is saved as it trains and
goes on after a kill. The time that it will take is measured with the check and kept back from the search.

Source: Yang et al. 2022, arXiv:2203.03466, algorithm 1 (muTransfer). By their table 2 rates, schedules, momenta and the scale of the init
carry over in width; what regularizes (dropout, decay) need not, since it hangs on the size of model and data.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneful.core.budget import Clock, span
from tuneful.core.errors import RecipeError, StateError
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Trial
from tuneful.pipeline import plans
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.carrying import able
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.coordinates import between, coordinate_check
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.pace import measure_pace
from tuneful.pipeline.plan import SHARE
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.proxy import Proxy
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import STATE, Beat
from tuneful.techniques.models import with_callable

FOLDER = "transfer"
KNOWN = "transfer"  # what the study remembers of the check
SLACK = 1.15  # a training may take so much longer than was measured
MEASURING = 2.0  # seconds, at most, for the pace of the large network
MOST = 0.8  # of the time: where the large network needs more, nothing is left to tune in
UNSURE = ("regularizers.", "augments.", "optimizer.decay")  # settings that need not carry over


class Transfer:
    """recipe: of the small network, resolved. halt, device, model: as for `Run`. `found` is the check as plain data."""

    def __init__(self, proxy: Proxy, study: Study, task: Task, recipe: Recipe, space: Space, clock: Clock, *, halt: Halt | None = None,
                 device: str | None = None, model: Any = None, plans: Plans | None = None) -> None:  # fmt: skip
        self.proxy, self.study, self.task, self.recipe, self.space, self.clock = proxy, study, task, recipe, space, clock
        self.halt = halt if halt is not None else Halt()
        self.device, self.model, self.plans = device, model, plans
        self.found: Mapping[str, Any] = study.about.get(KNOWN, {})

    # ------------------------------------------------------------------------------------------------ before the search

    @property
    def doing(self) -> str:
        """What the check is, in a sentence."""
        widths = ", ".join(map(str, between(self.proxy.small, self.proxy.full)))
        return f"do the layers change alike in the first steps at the widths {widths}? (coordinate check)"

    def check(self) -> None:
        """Raises RecipeError where settings do not carry over from one width to the other, or the time is too short for the large network."""
        if not self.found:
            told = [self._checked(recipe) for recipe in self._recipes()]
            self.found = next((one for one in told if not one["level"]), told[0])
            if self.found["level"]:
                large = self.proxy.grown(self.recipe)
                self.found = {
                    **self.found,
                    "epoch": measure_pace(self.task, large, MEASURING, self.device, self.plans).epoch,
                }
                self.study.remember(KNOWN, self.found)
        if not self.found["level"]:
            init = str(getattr(self.recipe.init, "kind", ""))
            raise RecipeError(
                f"what is tuned at {self.proxy.key}={self.proxy.small} would not hold at {self.proxy.key}={self.proxy.full}: "
                f"{self.found['said']}",
                (f"leave out init={init}, so that init=mup is taken" if init != "mup" else
                 "attention of your own must derive from tuneful's Attention, and no layer may scale with its width by itself")
                + f"; or tune the large network: width={self.proxy.full}, and no --proxy",
            )  # fmt: skip
        if self.need() > MOST * self.clock.left:
            epochs = float(self.recipe.epochs)
            raise RecipeError(
                f"training the network of {self.proxy.key}={self.proxy.full} for {epochs:g} epochs takes about {span(self.need())}, "
                f"and {span(max(0.0, self.clock.left))} are left",
                f"give a budget of {span(math.ceil(2 * self.need() + self.clock.spent))}, or fewer epochs",
            )

    def _recipes(self) -> list[Recipe]:
        """The recipe with each of the optimizers that are a choice. Raises RecipeError for several models or inits."""
        for head in ("model", "init"):
            if several := self.space.variants.get(head):
                raise RecipeError(
                    f"{head} is a choice of {', '.join(several)} beside a proxy, which serves one {head} at a time",
                    f"name one, such as {head}={next(iter(several))}",
                )
        others = self.space.variants.get("optimizer", {})
        return [self.recipe.replace("optimizer", one) for one in others.values()] or [self.recipe]

    def _checked(self, recipe: Recipe) -> dict[str, Any]:
        widths = between(self.proxy.small, self.proxy.full)
        found = coordinate_check(self.task, recipe, self.proxy.dial(recipe), widths, device=self.device).as_data()
        return {**found, "optimizer": str(getattr(recipe.optimizer, "kind", ""))}

    def need(self) -> float:
        """Seconds that the large network takes, as far as it is not trained yet."""
        return SLACK * float(self.found.get("epoch", 0.0)) * float(self.recipe.epochs)

    # ------------------------------------------------------------------------------------------------ after it

    def said(self, trial: Trial) -> str:
        """What is to be trained, in a sentence."""
        return f"training the network of {self.proxy.key}={self.proxy.full} with the settings of trial {trial.number}"

    def large(self, trial: Trial) -> Recipe:
        """The recipe of the large network with the settings of a trial."""
        recipe = from_data(trial.recipe)
        if self.model is not None:
            recipe = recipe.replace(model=with_callable(recipe.model, self.model))
        return self.proxy.grown(recipe)

    def path(self, trial: Trial) -> Path:
        """Where the state of the large network lies."""
        return self.study.folder / FOLDER / f"{trial.number:04d}-{self.large(trial).id}" / STATE

    def train(self, trial: Trial) -> Iterator[Beat]:
        """Train the large network, from where it was left, to its end or to that of the time."""
        run = self._run(trial)
        self.halt.deadline = time.monotonic() + max(0.0, self.clock.left_for_search)
        for point in run.walk():
            value = run.curve[-1].value if run.curve else None
            yield Beat(trial.number, run.epoch, float(run.recipe.epochs), point, value, len(self.study))
        run.save(self.path(trial))

    def candidate(self, trial: Trial) -> Candidate:
        """The large network as far as it was trained; trained anew where its state is damaged or gone."""
        run = self._run(trial)
        if not run.curve:
            self.halt.deadline = math.inf
            for _ in run:
                pass
            run.save(self.path(trial))
        return run.candidate()

    def _run(self, trial: Trial) -> Run:
        path = self.path(trial)
        with contextlib.suppress(StateError):
            if path.exists():
                return Run.resume(self.task, path, model=self.model, device=self.device, halt=self.halt, save_to=path)
        path.parent.mkdir(parents=True, exist_ok=True)
        run = Run(self.task, self.large(trial), device=self.device, halt=self.halt, save_to=path)
        if (known := plans.read(path.parent)) is not None:
            run.use(able(known.chosen, run.device))
        elif self.plans is not None:
            most = SHARE * (self.clock.budget.seconds or math.inf) - self.plans.spent
            plans.written(path.parent, self.plans.of(run, steps=run.steps, most=max(0.0, most)))
        return run

    def told(self, trial: Trial, candidate: Candidate) -> dict[str, Any]:
        """What was tuned where, and what came of it, as plain data."""
        key, small, full = self.proxy.key, self.proxy.small, self.proxy.full
        run, last = self._run(trial), trial.last
        epochs = float(run.recipe.epochs)
        dials = ", ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in trial.dials.items()
        )
        sentence = (
            f"Tuned at {key}={small}: trial {trial.number} of {len(self.study)} ({dials}). Its settings trained the network of "
            f"{key}={full}, which is the one that is proven here; no other setting was tried there."
        )
        if run.epoch < epochs * (1 - 1e-6) and not run.ended:
            sentence += f" It had {run.epoch:.3g} of its {epochs:g} epochs when the time was over."
        unsure = [name for name in trial.dials if name.startswith(UNSURE)]
        if unsure:
            sentence += f" Of {', '.join(unsure)} muP does not promise that the best value stays the same."
        return {
            "sentence": sentence, "key": key, "proxy": small, "target": full, "trial": trial.number, "trials": len(self.study),
            "dials": dict(trial.dials), "check": dict(self.found),
            "small": last.value.as_data() if last else None, "large": candidate.value.as_data() if candidate.value else None,
            "curve": [point.as_data() for point in run.curve], "seconds": round(sum(run.seconds.values()), 2),
        }  # fmt: skip


__all__ = ["Transfer"]
