"""The memory of all trials, kept in Optuna's storage: ask, report, pause, claim, tell.

A study belongs to one task and one space; both are written down when it is made and checked when it is opened. Every change
is on disk before the call returns, so that a process may end at any moment. Open the file in optuna-dashboard if you like:
running and paused trials are Optuna's RUNNING, done are COMPLETE, stopped PRUNED, failed FAIL.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.core import storage
from tuneful.core.errors import StudyError
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.task import Objective, Task
from tuneful.core.trial import Point, State, Trial

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

FORMAT = 1
TRIES = 20  # how often a proposal that repeats an earlier recipe is asked for anew


class Study:
    """One search. Make it with `Study.create`, open it with `Study.open`."""

    def __init__(self, folder: Path, name: str, url: str, looking: bool = False) -> None:
        import optuna

        self.folder, self.name, self.url = folder, name, url
        self._path = folder / storage.FILE
        self._storage = storage.connect(url)
        self._id = self._storage.get_study_id_from_name(name)
        about = self._storage.get_study_user_attrs(self._id)
        if about.get("format") != FORMAT:
            raise StudyError(
                f"the study {name} at {folder} has format {about.get('format')}; this tuneful reads format {FORMAT}",
                "use the tuneful that wrote it, or another --name",
            )
        self.about: dict[str, Any] = about
        self.objective = Objective(**about["objective"])
        # This process alone holds the study, so nothing changes behind its back: what it knows is kept twice in memory,
        # as trials, and as a study of Optuna's for samplers, which read all of it at every proposal.
        stored = self._storage.get_all_trials(self._id, deepcopy=False)
        self._trials = {one.number: _trial(one) for one in stored if "begun" in one.user_attrs}
        self._memory = optuna.storages.InMemoryStorage()
        self._memory_id = self._memory.create_new_study(self._storage.get_study_directions(self._id), name)
        for one in stored:
            self._memory.create_new_trial(self._memory_id, one)
        self._proposing = optuna.study.Study(name, storage.paused_as_pruned(self._memory))
        for one in () if looking else stored:
            self._finish_ending(one)

    @staticmethod
    def create(folder: Path, name: str, task: Task, space: Space, url: str | None = None) -> Study:
        """Make a study, or open the one of that name when it has the same data, objective and space.

        folder: where runs lie; url: any SQLAlchemy URL, an SQLite file in `folder` when None. Raises StudyError when the
        study exists and differs (the difference is told), or its file is damaged.
        """
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        folder.mkdir(parents=True, exist_ok=True)
        url = url or f"sqlite:///{folder / storage.FILE}"
        storage.check(folder / storage.FILE)
        objective = {"metric": task.objective.metric, "direction": task.objective.direction, "margin": task.objective.margin}
        about = {
            "format": FORMAT,
            "task": task.name,
            "fingerprint": task.fingerprint,
            "objective": objective,
            "space": space.as_data(),
        }
        with storage.told(folder):
            store = storage.connect(url)
            direction = StudyDirection.MAXIMIZE if task.objective.direction == "max" else StudyDirection.MINIMIZE
            try:
                number = store.create_new_study([direction], name)
            except DuplicatedStudyError:
                number = store.get_study_id_from_name(name)
            if "format" not in store.get_study_user_attrs(number):
                for key, value in reversed(about.items()):  # format last: it says that the rest is there
                    store.set_study_user_attr(number, key, value)
            study = Study(folder, name, url)
        _same(study, about)
        return study

    @staticmethod
    def begun(folder: Path) -> bool:
        """Is there a study in this folder? No, also when a process died while it made one. Raises StudyError for a damaged file."""
        path = folder / storage.FILE
        if not path.exists():
            return False
        storage.check(path)
        with contextlib.closing(sqlite3.connect(path)) as db, contextlib.suppress(sqlite3.OperationalError):  # no such table
            return db.execute("SELECT 1 FROM study_user_attributes WHERE key = 'format'").fetchone() is not None
        return False

    @staticmethod
    def open(folder: Path, name: str | None = None, url: str | None = None, *, looking: bool = False) -> Study:
        """Open an existing study. looking: only to read, while another process may be at work on it.

        Raises StudyError when there is none, or it is damaged.
        """
        path = folder / storage.FILE
        if url is None and not path.exists():
            raise StudyError(
                f"there is no study at {folder}", "name a folder that `tuneful tune` or `tuneful optimize` made"
            )
        storage.check(path)
        url = url or f"sqlite:///{path}"
        with storage.told(folder):
            if name is None:
                names = [found.study_name for found in storage.connect(url).get_all_studies()]
                if not names:
                    raise StudyError(f"the study at {folder} was never begun", "run the command that began it again")
                if len(names) != 1:
                    raise StudyError(f"{folder} holds {len(names)} studies ({', '.join(names)})", "say which with --name")
                name = names[0]
            return Study(folder, name, url, looking)

    def ask(
        self,
        space: Space,
        sampler: BaseSampler,
        recipe: Recipe,
        because: str,
        until: float,
        given: Mapping[str, Any] | None = None,
    ) -> Trial | None:
        """A new trial, marked as running until it has `until` epochs: values from `sampler`, or `given` ones, put into `recipe`.

        Returns None when the sampler offers nothing but recipes that the study has already.
        """
        with storage.told(self.folder), storage.quiet():
            self._proposing.sampler = sampler
            known = {trial.tags.get("id"): trial.number for trial in self.trials()}
            for _ in range(1 if given is not None else TRIES):
                if given is not None:
                    self._proposing.enqueue_trial(dict(given))
                asked = self._proposing.ask()
                dials = space.suggest(asked)
                made = space.apply(recipe, dials)
                if made.id in known:
                    asked.set_user_attr("hidden", f"the same recipe as trial {known[made.id]}")
                    self._proposing.tell(asked.number, state=_state("failed"))
                    continue
                text = json.dumps(made.as_data())
                asked.set_user_attr("begun", {"id": made.id, "recipe": text, "dials": dials, "because": because})
                asked.set_user_attr("now", {"state": "running", "until": until})
                # Hidden ones take numbers too; they are written only now, so that asking in vain leaves no trace.
                for number in range(self._storage.get_n_trials(self._id), asked.number + 1):
                    self._store(number)
                tags = {"id": made.id, "until": until}
                self._trials[asked.number] = Trial(asked.number, json.loads(text), dials, because, tags=tags)
                return self._trials[asked.number]
        return None

    def report(self, number: int, point: Point) -> None:
        """Keep one point of a trial's curve; the same step again replaces it."""
        with storage.told(self.folder):
            self._write(number, "set_trial_user_attr", f"point:{point.step:012d}", json.dumps(point.as_data()))
            self._write(number, "set_trial_intermediate_value", point.step, point.value.value)
        trial = self.trial(number)
        earlier = tuple(old for old in trial.curve if old.step < point.step)
        self._trials[number] = replace(trial, curve=(*earlier, point))

    def pause(self, number: int, cost: float) -> None:
        """The trial waits; its state lies in its folder. cost: seconds spent on it so far.

        Its tag "until" stays: one that waits before it has so many epochs was interrupted.
        """
        kept = {key: value for key, value in self.trial(number).tags.items() if key != "id"}
        with storage.told(self.folder):
            self._write(number, "set_trial_user_attr", "now", {"state": "paused", "cost": cost, **kept})
        self._trials[number] = replace(self.trial(number), state="paused", cost=cost)

    def claim(self, number: int, because: str, until: float) -> Trial:
        """Take up a paused or orphaned trial: it is running again, until it has so many epochs."""
        with storage.told(self.folder):
            trial = self.trial(number)
            now = {"state": "running", "cost": trial.cost, "resumed": because, "until": until}
            self._write(number, "set_trial_user_attr", "now", now)
        tags = {"id": trial.tags["id"], "resumed": because, "until": until}
        self._trials[number] = replace(trial, state="running", tags=tags)
        return self._trials[number]

    def tell(self, number: int, state: State, because: str, cost: float) -> None:
        """The trial has ended: done, stopped or failed, and why. A done one without a finite value has failed."""
        last = self.trial(number).last
        finite = last is not None and math.isfinite(last.value.value)
        if state == "done" and not finite:
            state, because = "failed", f"{because}; its last value is not a finite number"
        with storage.told(self.folder):
            self._write(number, "set_trial_user_attr", "now", {"state": state, "cost": cost, "ended_because": because})
            self._write(number, "set_trial_state_values", _state(state), _values(last, state))
        self._trials[number] = replace(self.trial(number), state=state, cost=cost, ended_because=because)

    def trial(self, number: int) -> Trial:
        """One trial as it stands."""
        return self._trials[number]

    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order in which they began."""
        return tuple(self._trials[number] for number in sorted(self._trials))

    def best(self) -> Trial | None:
        """The trial with the best last value among those that have one and have not failed."""
        rated = [t for t in self.trials() if t.last and t.state != "failed" and math.isfinite(t.last.value.value)]
        sign = 1.0 if self.objective.direction == "max" else -1.0
        return max(rated, key=lambda t: (sign * (t.last.value.value if t.last else 0.0), -t.number), default=None)

    def remember(self, key: str, value: Any) -> None:
        """Keep a fact about the study (plain data): seconds spent, the command, whether it is finished."""
        with storage.told(self.folder):
            self._storage.set_study_user_attr(self._id, key, value)
        self.about[key] = value

    def trial_folder(self, number: int) -> Path:
        """Where a trial's recipe and state lie."""
        return self.folder / "trials" / f"{number:04d}"

    def _finish_ending(self, found: FrozenTrial) -> None:
        """A process may have died between writing why a trial ended and ending it."""
        state = found.user_attrs.get("now", {}).get("state")
        if not found.state.is_finished() and state in ("done", "stopped", "failed"):
            last = self._trials[found.number].last
            self._write(found.number, "set_trial_state_values", _state(state), _values(last, state))

    def _store(self, number: int) -> None:
        """A trial that is in memory only, into the storage. One transaction: it is there whole, or not at all."""
        found = self._memory.get_trial_id_from_study_id_trial_number(self._memory_id, number)
        self._storage.create_new_trial(self._id, self._memory.get_trial(found))

    def _write(self, number: int, method: str, *values: Any) -> None:
        """The same change in the storage, and then in memory."""
        for store, study in ((self._storage, self._id), (self._memory, self._memory_id)):
            getattr(store, method)(store.get_trial_id_from_study_id_trial_number(study, number), *values)


def _values(last: Point | None, state: State) -> list[float] | None:
    return [last.value.value] if last is not None and state == "done" else None


def _state(state: State) -> Any:
    from optuna.trial import TrialState

    return {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}[state]


def _trial(found: FrozenTrial) -> Trial:
    marks = found.user_attrs
    begun, now = marks["begun"], marks.get("now", {})
    points = sorted(key for key in marks if key.startswith("point:"))
    return Trial(
        number=found.number,
        recipe=json.loads(begun["recipe"]),
        dials=begun["dials"],
        because=begun["because"],
        curve=tuple(Point.from_data(json.loads(marks[key])) for key in points),
        state=now.get("state", "running"),
        ended_because=now.get("ended_because", ""),
        cost=float(now.get("cost", 0.0)),
        tags={"id": begun["id"], **{key: now[key] for key in ("resumed", "until") if key in now}},
    )


def _same(study: Study, about: Mapping[str, Any]) -> None:
    """Raises StudyError when a study of this name was made for something else."""
    old = study.about
    if old["fingerprint"] != about["fingerprint"]:
        raise StudyError(
            f"the study {study.name} at {study.folder} was made for other data: "
            f"{old['task']} ({old['fingerprint'][:12]}), now {about['task']} ({about['fingerprint'][:12]})",
            "give this one another name with --name, or bring back its data",
        )
    if old["objective"] != about["objective"]:
        raise StudyError(
            f"the study {study.name} optimizes {old['objective']['metric']}, now {about['objective']['metric']} is asked",
            "give this one another name with --name",
        )
    if old["space"] != about["space"]:
        keys = sorted({*old["space"], *about["space"]})
        changed = [f"{key}: {old['space'].get(key, 'fixed')} -> {about['space'].get(key, 'fixed')}" for key in keys
                   if old["space"].get(key) != about["space"].get(key)]  # fmt: skip
        raise StudyError(
            f"the study {study.name} searches another space: {'; '.join(changed)}",
            "give this one another name with --name, or ask for the same ranges",
        )
