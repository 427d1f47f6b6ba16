"""The memory of all trials, kept in Optuna's storage: ask, report, pause, claim, tell.

A study belongs to one task and one space; both are written down when it is made and checked when it is opened. Every change is on disk
before the call returns, points of curves within half a second (the state of a trial holds them as well), so that a process may end at
any moment. Several processes may work on one study: each decides in its `turn`, and a trial bears the name of the process that runs it.
Open the file in optuna-dashboard if you like: running and paused trials are Optuna's RUNNING, done are COMPLETE, stopped PRUNED, failed FAIL.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.core import depot, meeting, records, storage
from tuneful.core.board import Board, changed
from tuneful.core.errors import StudyError
from tuneful.core.recipe import Recipe, identity
from tuneful.core.rowwriter import RowWriter
from tuneful.core.space import Space
from tuneful.core.task import Objective, Task
from tuneful.core.tradeoff import mixed
from tuneful.core.trial import Point, State, Trial

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

FORMAT = 2
READS = (1, 2)  # formats that are understood; 1 kept each point by itself
TRIES = 20  # how often a proposal that repeats an earlier recipe is asked for anew
FLUSH = 0.5  # seconds that a point of a curve may wait to be written


class Study:
    """One search. Make it with `Study.create`, open it with `Study.open`."""

    def __init__(self, folder: Path, name: str, url: str, looking: bool = False) -> None:
        import optuna

        self.folder, self.name, self.url = folder, name, url
        self._path = folder / storage.FILE
        self._storage = storage.connect(url)
        self._writer = RowWriter(self._storage)
        self._id = self._storage.get_study_id_from_name(name)
        self.about: dict[str, Any] = self._storage.get_study_user_attrs(self._id)
        if self.about.get("format") not in READS:
            raise StudyError(
                f"the study {name} at {folder} has format {self.about.get('format')}; this tuneful reads formats {READS[0]} to {FORMAT}",
                "use the tuneful that wrote it, or another --name",
            )
        self.objective = Objective.from_data(self.about["objective"])
        self.meeting = meeting.beside(folder, url, self._id)
        self.depot = depot.beside(url, self._id)
        self._turning = False
        # What is known is kept as trials, and as rows of Optuna's, of which samplers read all at every proposal. What a sampler asks
        # for is born in a memory of its own, whose numbers are those of the storage.
        self._board = Board(self.objective)
        self._rows: dict[int, FrozenTrial] = {}
        self._shown: dict[int, tuple[Trial, FrozenTrial]] = {}
        self._view_of: tuple[tuple[Trial, ...], list[FrozenTrial]] = (), []  # what samplers were shown last
        self._waiting: dict[int, int] = {}  # {trial: the first of its points that are not written yet}
        self._chunks: dict[int, int] = {}  # {trial: how many chunks of its curve are written}
        self._flushed = time.monotonic()
        self._memory = optuna.storages.InMemoryStorage()
        self._memory_id = self._memory.create_new_study(self._storage.get_study_directions(self._id), name)
        self._born = 0  # trials of the memory that the storage has as well
        self._view = storage.View(self._memory)
        self._proposing = optuna.study.Study(name, self._view.storage)
        self.refresh()
        for one in () if looking else list(self._rows.values()):
            self._finish_ending(one)

    # ------------------------------------------------------------------------------------------------ several processes

    @contextlib.contextmanager
    def turn(self) -> Generator[None]:
        """Inside, this process decides alone, and knows what the others have done. Raises StudyError when no turn is to be had."""
        if self._turning:
            yield
            return
        with storage.told(self.folder), self.meeting.turn():
            self._turning = True
            try:
                if self.meeting.others():
                    self.refresh()
                yield
            finally:
                self._turning = False

    def refresh(self) -> None:
        """Learn what other processes have written."""
        self.flush()
        self.about = self._storage.get_study_user_attrs(self._id)
        stored = self._storage.get_all_trials(self._id, deepcopy=False)
        for one in stored:
            known = self._rows.get(one.number)
            if known is None or not known.state.is_finished():
                self._rows[one.number] = one
                if "begun" in one.user_attrs:
                    if (trial := records.read(one)) != self._board.get(one.number):
                        self._know(trial)
                    self._chunks[one.number] = sum(key.startswith("curve:") for key in one.user_attrs)
        self._level(len(stored))

    def _know(self, trial: Trial) -> None:
        self._board.put(trial)

    def _level(self, count: int) -> None:
        """Let the memory have as many trials as the storage, so that the next one bears the same number in both."""
        while self._born < count:
            self._memory.create_new_trial(self._memory_id, records.stub())
            self._born += 1

    def mine(self, trial: Trial) -> bool:
        """Is it still this process that runs this trial? No, when its connection was lost and another took it up."""
        with self.turn():
            return self.trial(trial.number).tags.get("by") == trial.tags.get("by")

    def orphans(self) -> tuple[Trial, ...]:
        """Running trials whose process lives no more."""
        running = self.running()
        names = {str(trial.tags.get("by", "")) for trial in running}
        dead = {name for name in names if not name or not self.meeting.alive(name)}
        return tuple(trial for trial in running if str(trial.tags.get("by", "")) in dead)

    def running(self) -> tuple[Trial, ...]:
        """Those at work, in the order in which they began."""
        return tuple(trial for _, trial in sorted(self._board.running.items()))

    def rated(self) -> int:
        """How many have told anything."""
        return self._board.rated

    def decisions(self) -> int:
        """How many decisions have been made: of trials to begin, and of trials to go on."""
        return self._board.decided

    def seen(self, decision: int) -> tuple[Trial, ...]:
        """All trials that were begun, as they stood when what was decided up to this decision had been done, and nothing else."""
        return tuple(records.as_of(trial, decision) for trial in self.trials())

    @staticmethod
    def create(folder: Path, name: str, task: Task, space: Space, url: str | None = None) -> Study:
        """Make a study, or open the one of that name when it has the same data, objective and space.

        folder: where runs lie; url: any SQLAlchemy URL, an SQLite file in `folder` when None. Raises StudyError when the
        study exists and differs (the difference is told), or its file is damaged.
        """
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        folder.mkdir(parents=True, exist_ok=True)
        if url is not None:
            storage.placed(folder, url, name)
        url = storage.place(folder)[0]
        storage.check(folder / storage.FILE)
        about = {
            "format": FORMAT,
            "task": task.name,
            "fingerprint": task.fingerprint,
            "objective": task.objective.as_data(),
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
        records.same(folder, name, study.about, about)
        return study

    @staticmethod
    def begun(folder: Path) -> bool:
        """Is there a study in this folder? No, also when a process died while it made one. Raises StudyError for a damaged file."""
        url, name = storage.place(folder)
        if name is not None:
            with storage.told(folder):
                store = storage.connect(url)
                there = {found.study_name: found for found in store.get_all_studies()}
                return name in there and "format" in there[name].user_attrs
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
        path, found = folder / storage.FILE, storage.place(folder)
        url, name = (url, name) if url is not None else (found[0], name or found[1])
        if url == f"sqlite:///{path}" and not path.exists():
            raise StudyError(
                f"there is no study at {folder}", "name a folder that `tuneful tune` or `tuneful optimize` made"
            )
        storage.check(path)
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
        seen: Sequence[Trial] | None = None,
        parent: Mapping[str, Any] | None = None,
    ) -> Trial | None:
        """A new trial, marked as running until it has `until` epochs: values from `sampler`, or `given` ones, put into `recipe`.

        seen: the trials as the sampler is to know them; as they stand when None. parent: of which trial it is a copy, since when, and
        whose place it takes; two copies may have one recipe. None when the sampler offers nothing but recipes that there are already.
        """
        with self.turn(), storage.quiet():
            self._view.trials = self._as_shown(self.trials() if seen is None else seen)
            if self.objective.also:
                known = {trial.number: trial for trial in (self.trials() if seen is None else seen)}
                self._view.trials = mixed(self._view.trials, known, self.objective, recipe.seed * 10_007 + self._born)
            self._proposing.sampler = sampler
            for _ in range(1 if given is not None else TRIES):
                if given is not None:
                    self._proposing.enqueue_trial(dict(given))
                asked = self._proposing.ask()
                dials = space.suggest(asked)
                data = space.apply(recipe, dials).as_data()
                if (named := identity(data)) in self._board.ids and parent is None:
                    asked.set_user_attr("hidden", f"the same recipe as trial {self._board.ids[named]}")
                    self._proposing.tell(asked.number, state=records.optuna_state("failed"))
                    continue
                text = json.dumps(data)
                asked.set_user_attr("begun", {"id": named, "recipe": text, "dials": dials, "because": because})
                now = {"until": until, "by": self.meeting.join(), "legs": [[self.decisions() + 1, until]]}
                now |= {"parent" if "replaces" in parent else "grown": parent} if parent is not None else {}
                asked.set_user_attr("now", {"state": "running", **now})
                # Hidden ones take numbers too; they are written only now, so that asking in vain leaves no trace.
                for number in range(self._born, asked.number + 1):
                    self._store(number)
                self._know(Trial(asked.number, json.loads(text), dials, because, tags={"id": named, **now}))
                return self.trial(asked.number)
        return None

    def report(self, number: int, point: Point) -> None:
        """Keep one point of a trial's curve; the same step again replaces it, and what came after it."""
        trial = self.trial(number)
        earlier = trial.curve
        if earlier and earlier[-1].step >= point.step:
            earlier = tuple(old for old in earlier if old.step < point.step)
        self._know(replace(trial, curve=(*earlier, point)))
        self._waiting[number] = min(self._waiting.get(number, len(earlier)), len(earlier))
        if time.monotonic() - self._flushed > FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write the points that wait to be written."""
        for number in list(self._waiting):
            self._put(number)
        self._flushed = time.monotonic()

    def _put(self, number: int, now: Mapping[str, Any] | None = None, state: State | None = None) -> None:
        """Write where a trial stands, with the points that wait to be written. state: in which it has ended."""
        told: dict[str, Any] = {} if now is None else {"now": dict(now)}
        trial, point = self.trial(number), None
        if (since := self._waiting.pop(number, None)) is not None:
            count = -(-len(trial.curve) // records.CHUNK)
            told |= records.chunks(trial.curve, since)
            told |= {records.chunk(k): "[]" for k in range(count, self._chunks.get(number, 0))}
            self._chunks[number] = count
            point = trial.curve[-1].step, trial.curve[-1].value.value
        row: Any = self._rows[number]
        ended = None if state is None else records.optuna_state(state)
        values = records.values(trial.last, state) if state is not None else None
        with storage.told(self.folder):
            self._writer.put(row._trial_id, told, point, ended, values[0] if values else None)

    def pause(self, number: int, cost: float) -> None:
        """The trial waits; its state lies in its folder. cost: seconds spent on it so far.

        Its tag "until" stays: one that waits before it has so many epochs was interrupted.
        """
        trial = self.trial(number)
        kept = records.lasting(trial)
        self._put(number, {"state": "paused", "cost": cost, **kept})
        self._know(replace(trial, state="paused", cost=cost, tags={"id": trial.tags["id"], **kept}))

    def claim(self, number: int, because: str, until: float, *, again: bool = False, deaths: int = 0) -> Trial:
        """Take up a paused or orphaned trial: it is running again, until it has so many epochs.

        again: it goes on with what was decided before. deaths: how often it was begun in vain, one after the other.
        """
        with self.turn():
            trial = self.trial(number)
            legs = list(trial.tags.get("legs", ()))
            legs = legs if again and legs else [*legs, [self.decisions() + 1, until]]
            tags = {"resumed": because, "until": until, "by": self.meeting.join(), "legs": legs}
            tags |= {"deaths": deaths, "had": len(trial.curve)} if deaths else {}
            tags |= {name: trial.tags[name] for name in ("arm", "parent", "grown", "costs") if name in trial.tags}
            self._put(number, {"state": "running", "cost": trial.cost, **tags})
            self._know(replace(trial, state="running", tags={"id": trial.tags["id"], **tags}))
        return self.trial(number)

    def tell(self, number: int, state: State, because: str, cost: float) -> None:
        """The trial has ended: done, stopped or failed, and why. A done one without a finite value has failed."""
        trial = self.trial(number)
        last = trial.last
        finite = last is not None and math.isfinite(last.value.value)
        if state == "done" and not finite:
            state, because = "failed", f"{because}; its last value is not a finite number"
        kept = records.lasting(trial)
        self._put(number, {"state": state, "cost": cost, "ended_because": because, **kept}, state)
        tags = {"id": trial.tags["id"], **kept}
        self._know(replace(trial, state=state, cost=cost, ended_because=because, tags=tags))

    def note(self, number: int, name: str, told: Any) -> None:
        """Keep something about a trial (plain data) among its tags; name: one of `records.KEPT`."""
        trial = replace(self.trial(number), tags={**self.trial(number).tags, name: told})
        self._put(
            number, {"state": trial.state, "cost": trial.cost, **{key: trial.tags[key] for key in trial.tags if key != "id"}}
        )
        self._know(trial)

    def __len__(self) -> int:
        """How many trials have begun."""
        return len(self._board)

    def trial(self, number: int) -> Trial:
        """One trial as it stands."""
        return self._board[number]

    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order in which they began."""
        return self._board.trials()

    def best(self) -> Trial | None:
        """The trial with the best last value among those that have one and have not failed."""
        return self._board.best()

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
            self._put(found.number, None, state)

    def _as_shown(self, trials: Sequence[Trial]) -> list[FrozenTrial]:
        """These trials as a sampler sees them, and in their places those that were hidden. Only what has changed since is made anew."""
        before, out = self._view_of
        if len(trials) < len(before):
            before, out = (), []
        out += (self._rows[number] for number in range(len(out), self._born))
        for trial in changed(before, trials):
            kept = self._shown.get(trial.number)
            if kept is None or kept[0] is not trial:
                kept = self._shown[trial.number] = trial, records.shown(self._rows[trial.number], trial)
            out[trial.number] = kept[1]
        self._view_of = tuple(trials), out
        return list(out)

    def _store(self, number: int) -> None:
        """A trial that is in memory only, into the storage. One transaction: it is there whole, or not at all."""
        found: Any = self._memory.get_trial(self._memory.get_trial_id_from_study_id_trial_number(self._memory_id, number))
        found._trial_id = self._writer.create(self._id, found)
        self._rows[number] = found
        self._born = number + 1
