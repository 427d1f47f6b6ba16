"""The whole story on one page: data in, a proven and sealed model and its report out.

    work = Work(job)
    for beat in work: ...           # a stage of the story, or a beat of the search
    work.result

`train`, `tune` and `optimize` are the same story: a training is a search over a space with one point. Whatever is done is on
the disk; the same job begun again goes on where the story stopped, also after `kill -9`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneful.core import storage
from tuneful.core.budget import Clock
from tuneful.core.config import Settings
from tuneful.core.errors import ModelError
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.pipeline import doubts, earlier, files, plans, refit
from tuneful.pipeline.ahead import load_ahead
from tuneful.pipeline.asked import checked
from tuneful.pipeline.challenge import beside_champion
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.costing import aimed
from tuneful.pipeline.deciding import reasoned
from tuneful.pipeline.distribute import dismissed
from tuneful.pipeline.ending import KEY, ending
from tuneful.pipeline.goals import goal
from tuneful.pipeline.job import AT_ONCE, Job
from tuneful.pipeline.joining import Joining
from tuneful.pipeline.kept import keep, kept, write_json, write_text
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.on_ray import crewed
from tuneful.pipeline.planned import planned
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.prove import prove
from tuneful.pipeline.ranks import ALONE, Ranks
from tuneful.pipeline.refit import Refit
from tuneful.pipeline.reserve import SHIPPING, done_with, proven, proving, reserve, worth_going_on
from tuneful.pipeline.result import Result, Stage, home
from tuneful.pipeline.ship import ship
from tuneful.pipeline.shipped import shipped
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.transfer import Transfer
from tuneful.pipeline.tune import Beat, Search
from tuneful.pipeline.workers import Crew
from tuneful.report import Story, write

SPARE = 0.05  # of the budget: so much that was kept for confirming, and is not needed, is searched in
STARTING = 10.0  # seconds that another crew takes to be ready
AHEAD = 20.0  # seconds of the search after which imports are made beside it, where workers begin with theirs
LOOKING = 30.0  # seconds in which label errors are looked for, at most, after proving


class Work:
    """One job being done. Iterating does it; `result` is there when it is finished, `ended` says why it stopped otherwise.

    folder: of the run; one below `root` (or $TUNEFUL_HOME, or runs/), named by the job, when None. fresh: a run of that name
    is set aside first, under another name. began: the `time.monotonic()` moment from which the budget counts; model: the
    user's own network (a settings object). `task` and `clock` are there when the search begins.
    """

    def __init__(self, job: Job, *, folder: Path | None = None, root: Path | None = None, fresh: bool = False,
                 halt: Halt | None = None, device: str | None = None, began: float | None = None,
                 model: Settings | None = None, ranks: Ranks = ALONE) -> None:  # fmt: skip
        self.job, self.halt, self.device, self.model = (
            replace(job, own=model is not None),
            halt if halt is not None else Halt(),
            device,
            model,
        )
        self.folder, self.root, self.fresh, self.ranks = folder, root, fresh, ranks
        self.clock: Clock | None = None
        self.task: Task | None = None
        self.plans: Plans | None = None
        self.crew: Crew | None = None  # processes that search, where there are several
        self.began = time.monotonic() if began is None else began
        self.seconds: dict[str, float] = {}
        self.result: Result | None = None
        self.ended = ""

    def __iter__(self) -> Iterator[Stage | Beat]:
        try:
            yield from self._story()
        finally:
            if self.crew is not None:
                self.crew.dismiss()

    def _story(self) -> Iterator[Stage | Beat]:
        job = self.job
        self.seconds["start"] = time.monotonic() - self.began
        refit.checked(job, self.ranks.world)
        checked(job, self._base())  # what needs no data, before the data is read, which may take long
        self.crew = crewed(job, self.model is not None, self.halt, self.device)
        yield Stage("prepare", f"reading {job.source if isinstance(job.source, str) else 'the data'}")
        with self._timed("prepare"):
            task = aimed(prepare(job.source, **job.reading), *job.aims)
        folder = self.folder or self._place(task)
        if self.fresh and (folder / storage.FILE).exists():
            yield Stage("aside", f"the run that lay in {folder} is now {storage.set_aside(folder)}")
        with storage.told(folder), storage.held(folder):
            self.task = task = task.logged_in(folder)
            self.folder = folder
            yield Stage("prepared", _described(task))
            yield from self._search(task, folder)

    def _place(self, task: Task) -> Path:
        """The folder of the run. Data in memory have no name of their own: where a run of other data lies, it bears theirs too."""
        job = self.job
        folder = (self.root or home()) / job.name_for(task.name)
        if job.name or isinstance(job.source, str | os.PathLike) or self.fresh or not Study.begun(folder):
            return folder
        theirs = Study.open(folder, looking=True).about["fingerprint"]
        return folder if theirs == task.fingerprint else folder.with_name(f"{folder.name}-{task.fingerprint[:6]}")

    # ------------------------------------------------------------------------------------------------ search

    def _search(self, task: Task, folder: Path) -> Iterator[Stage | Beat]:
        job = self.job
        with self._timed("study"):
            old = Study.open(folder) if Study.begun(folder) else None
        clock = Clock(job.budget, float(old.about.get("spent", 0.0)) if old else 0.0, self.began)
        before = proven(old, folder) if old else None  # it was finished once
        clock.reserve = reserve(clock.budget, before)
        self.clock = clock
        with self._timed("plan"):
            recipe, space, said = planned(job, task, clock, old, self._base(), 1 if self.crew is None else self.crew.count,
                                          self.device, self._plans, self.model is not None)  # fmt: skip
        if old is not None and before is not None and not done_with(old, clock.budget):
            worth_going_on(str(folder), clock, old.trials())
        with self._timed("study"):
            study = Study.create(folder, old.name if old else folder.name, task, space, job.how.storage)
        job.write(folder)
        if "recipe" not in study.about:
            (folder / "task.json").write_text(json.dumps(task.summary(), indent=1) + "\n", encoding="utf-8")
            (folder / "recipe.toml").write_text(
                files.write(recipe, space, {"source": str(job.source), **job.data.as_data()}, job.command), encoding="utf-8"
            )
            study.remember("job", (folder / "job.json").read_text(encoding="utf-8"))
            earlier.remember(study, job.how.like, space, self.root or home())
            study.remember("recipe", json.dumps(recipe.as_data()))
        if before is not None and done_with(study, clock.budget):
            dismissed(self.ranks)
            self.ended = "it was finished before"
            self.result = self._reopened(study, task, folder, before)
            return
        if (transfer := self._transfer(study, task, recipe, space, clock)) is not None:
            yield Stage("check", transfer.doing)
            with self._timed("check"):
                transfer.check()
            clock.reserve += transfer.need()
        what = "training one recipe" if not len(space) else f"searching {', '.join(space.as_data())}"
        yield Stage("search", f"{what}, {said}")
        if study.about.get(KEY):  # a killed one was in its last part
            study.remember(KEY, False)
        search = Search(study, task, recipe, space, clock, proposer=job.proposer, scheduler=job.scheduler, halt=self.halt,
                        device=self.device, model=self.model, plans=self._plans(), ranks=self.ranks,
                        at_once=AT_ONCE if job.how.deterministic else 0, control=job.control, least=job.least)  # fmt: skip
        again, final = self._again(study, task, recipe, clock, space), job.how.final == refit.BOTH
        proving_alone = clock.reserve
        clock.reserve += refit.kept(clock, job.mode == "train") if final else 0.0
        clock.reserve += again.kept()
        threading.Thread(target=load_ahead, args=(0.0 if self.crew is None else AHEAD,), daemon=True).start()
        with self._timed("search"):
            yield from self._searched(search, folder)
            proving_alone += (
                refit.need(task, max((one.seconds for one in again.entrants()[:1]), default=0.0)) if final else 0.0
            )
            clock.reserve = proving_alone + again.need(clock.left - proving_alone)
            spare = SPARE * (clock.budget.seconds or math.inf) + (0.0 if self.crew is None else STARTING)
            if clock.left_for_search > spare and search.ended.startswith("the time"):
                # Trainings are shorter than what was kept for running them again, or so long that none can be.
                study.remember(KEY, clock.reserve == proving_alone and self._joins(space) != 0)
                search.deciding.scheduler = ending(study, job.scheduler)
                if self.crew is not None:
                    self.crew = self.crew.again()
                yield from self._searched(search, folder)
                study.remember(KEY, False)
        dismissed(self.ranks)
        clock.reserve = proving_alone
        with self._timed("confirm"):
            yield from () if self.halt.requested else again
        if self._stopped(study, task, folder):
            return
        if said := again.verdict.get("sentence") or again.why:
            yield Stage("confirm", str(said))
        yield from self._finish(search, again, study, task, folder, clock, transfer)

    def _stopped(self, study: Study, task: Task, folder: Path) -> bool:
        """Was a stop asked for? Then a report of what there is."""
        if self.halt.requested:
            self.ended = f"stopped on request; nothing is lost: `tuneful resume {folder}` goes on"
            self._report(study, task, folder, {}, "interrupted")
        return self.halt.requested

    def _searched(self, search: Search, folder: Path) -> Iterator[Stage | Beat]:
        """Search until the time for it is over, by this process or by the crew."""
        if self.crew is None:
            search.ended = ""
            yield from search
            return
        yield Stage("workers", self.crew.said)
        yield from self.crew.search(search.study, folder, search.clock, search.epochs)
        search.ended = self.crew.ended

    def _again(self, study: Study, task: Task, recipe: Recipe, clock: Clock, space: Space) -> Confirmation:
        """What looks at the best trials again; one recipe needs no such thing, and a group of ranks has gone by then."""
        seeds = self.job.how.confirm if len(space) and self.ranks.world == 1 else 0
        return Confirmation(study, task, recipe, clock, candidates=self.job.how.candidates, seeds=seeds, halt=self.halt,
                            device=self.device, model=self.model, stacked=not self.job.how.deterministic)  # fmt: skip

    def _joins(self, space: Space) -> int | str:
        """How many networks may be joined at most: by itself in `optimize`, elsewhere where it is asked for."""
        asked = self.job.how.ensemble
        return 0 if not len(space) or self.job.transfer or (asked == "auto" and self.job.mode != "optimize") else asked

    def _transfer(self, study: Study, task: Task, recipe: Recipe, space: Space, clock: Clock) -> Transfer | None:
        return self.job.transfer and Transfer(self.job.transfer, study, task, recipe, space, clock, halt=self.halt, device=self.device,
                                              model=self.model, plans=self._plans())  # fmt: skip

    def _plans(self) -> Plans:
        """Plans of execution, kept beside the runs."""
        if self.plans is None:
            beside = self.root or (self.folder.parent if self.folder is not None else home())
            self.plans = Plans(beside / ".plans")
        return self.plans

    def _base(self) -> Recipe:
        return Recipe(model=self.model) if self.model is not None else Recipe()

    # ------------------------------------------------------------------------------------------------ finish

    def _finish(
        self, search: Search, again: Confirmation, study: Study, task: Task, folder: Path, clock: Clock, transfer: Transfer | None
    ) -> Iterator[Stage | Beat]:  # fmt: skip
        joining = Joining(
            again, search, most=self._joins(search.space), left=clock.left - clock.reserve + proving(clock.budget) / 2
        )
        with self._timed("join"):
            joining.settle()
            trial, candidate = joining.candidate()
        if len(search.space):
            yield Stage("join", str(joining.verdict["sentence"]))
        if transfer is not None:
            yield Stage("transfer", transfer.said(trial))
            clock.reserve -= transfer.need()
            with self._timed("transfer"):
                yield from transfer.train(trial)
            if self._stopped(study, task, folder):
                return
            candidate = transfer.candidate(trial)
        before, final = (
            candidate,
            Refit(joining, left=clock.left - reserve(clock.budget), halt=self.halt, device=self.device),
        )
        if self.job.how.final == refit.BOTH:
            yield Stage("final", "training what was chosen once more, on train and valid together")
            with self._timed("final"):
                yield from final
            if self._stopped(study, task, folder):
                return
            trial, candidate = final.candidate() if final.done else (trial, candidate)
        left = max(1.0, min(max(60.0, proving(clock.budget)), clock.left - SHIPPING))
        study.remember("spent", clock.spent)
        if (evidence := kept(folder, candidate, left)) is not None:
            yield Stage("prove", f"trial {trial.number} was proven before, to the last weight; the test split stays shut")
        else:
            yield Stage("prove", f"opening the test split for trial {trial.number}")
            with self._timed("prove"), arithmetic(int(candidate.recipe.threads)):
                evidence = prove(
                    final.seen, candidate, seconds=left, reason=f"to prove trial {trial.number} of {study.name}"
                )
            keep(folder, evidence, left)
            study.remember("spent", clock.spent)
        took = {"prove": float(evidence["seconds"]["prove"])}
        evidence["command"] = self.job.command
        place = study.trial_folder(trial.number) if transfer is None else transfer.path(trial).parent
        if (carried := plans.read(place)) is not None:
            evidence["plan"] = carried.as_data()
        evidence["search"] = search.told(trial, self.job.command)
        evidence |= {} if transfer is None else {"transfer": transfer.told(trial, candidate)}
        evidence["confirmation"] = again.verdict or {"why": again.why}
        evidence["joined"] = joining.verdict
        evidence |= final.told(before) if self.job.how.final == refit.BOTH else {}
        evidence["label_errors"] = self._doubted(task, folder, min(LOOKING, clock.left - SHIPPING))
        evidence |= beside_champion(task, candidate, self.job.data.champion, evidence)
        yield Stage("ship", "exporting to ONNX and checking it against torch")
        artifact = None
        with self._timed("ship"):
            evidence["seconds"] = self._parts(study)
            try:
                artifact = ship(task, candidate, evidence, folder / "artifact")
                evidence = dict(artifact.read("evidence.json"))
            except ModelError as error:
                evidence["notes"] = [*evidence.get("notes", []), f"not shipped: {error.message}"]
        evidence["seconds"] = self._parts(study)
        evidence["took"] = took | {"ship": self.seconds["ship"]}
        write_json(folder / "evidence.json", evidence)
        report = self._report(study, task, folder, evidence, "done")
        study.remember("spent", clock.spent)
        study.remember("finished", str(clock.budget))
        self.ended = search.ended
        self.result = Result(folder, task, trial, candidate, evidence, artifact, report, evidence["seconds"])

    def _doubted(self, task: Task, folder: Path, seconds: float) -> dict[str, Any]:
        """What is said of suspected labels; all of them are listed in a file beside the report, where there are any."""
        with self._timed("label errors"):
            found = doubts.doubts(task, seconds)
            lines = doubts.listed(task, found)
            if lines:
                write_text(folder / doubts.FILE, doubts.as_csv(lines))
            return doubts.evidence(found, lines)

    def _report(self, study: Study, task: Task, folder: Path, evidence: Mapping[str, Any], condition: Any) -> Path:
        story = Story(
            title=study.name,
            evidence=evidence,
            trials=reasoned(study, self.job.scheduler),
            task=task.summary(),
            seconds=self._parts(study),
            command=self.job.command,
            condition=condition,
            made_at=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        )
        return write(folder / "report.html", story)

    def _reopened(self, study: Study, task: Task, folder: Path, evidence: Mapping[str, Any]) -> Result:
        from tuneful.core.artifact import unseal

        trial, candidate = shipped(self.job, study, task, evidence, model=self.model, device=self.device)
        sealed = folder / "artifact"
        return Result(folder, task, trial, candidate, evidence, unseal(sealed) if sealed.exists() else None, folder / "report.html",
                      evidence.get("seconds", {}))  # fmt: skip

    def _parts(self, study: Study) -> dict[str, float]:
        """Where the time went: the stages, with the search split into what its trials did."""
        parts = dict(self.seconds)
        trained = sum(trial.cost for trial in study.trials())
        searched = parts.pop("search", 0.0)
        inside = (
            {"trials": min(trained, searched), "proposing and storing": max(0.0, searched - trained)} if searched else {}
        )
        return {name: round(value, 3) for name, value in {**parts, **inside}.items()}

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - began


def _described(task: Task) -> str:
    what = goal(task).said(task)
    split = f"{len(task.train)} train, {len(task.valid)} valid, {len(task.test)} test (sealed)"
    return (
        f"{task.name}: {what}; {split}; examples of shape {'x'.join(map(str, task.shape))}; metric {task.objective.metric}"
    )
