"""Workers: processes that search together on one study.

    crew = Crew(2, halt)                                    # started at once, since a worker takes seconds to be ready
    for beat in crew.search(study, folder, clock, epochs): ...      # the command that was given watches over workers on this machine

    search = joined(folder)                                 # a worker, started by a crew or by `tuneful worker` anywhere
    for beat in search: ...

A worker knows nothing that is not in the run's folder and in the study: it reads the job and the data, takes what is to be done in its turn,
and ends when nothing is left or the time is up. What a dead one was at goes on elsewhere, from its last state. A crash in native code (an
exit by SIGSEGV and the like) is laid to the trial that was running alone, or makes those that ran together run alone once; a worker that
shows no sign of life for `patience` seconds is killed, and what it ran is treated alike. With the crew its workers end.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tuneful.core import storage
from tuneful.core.budget import Clock
from tuneful.core.errors import StudyError
from tuneful.core.recipe import Recipe
from tuneful.core.study import Study
from tuneful.pipeline.asked import asked, beside
from tuneful.pipeline.carrying import cores
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.costing import aimed
from tuneful.pipeline.deciding import epoch
from tuneful.pipeline.ending import ending
from tuneful.pipeline.job import AT_ONCE, Job
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.pace import narrowed
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.tending import last
from tuneful.pipeline.tune import Beat, Search

GRACE = 30.0  # seconds in which workers may save and end before they are killed
LOOK = 0.25  # seconds between two looks at the workers
LEARN = 1.0  # seconds between two looks at the study
LIVES = 20  # workers that may die one after the other, without a new point, before the crew gives up
OVER = "over"  # what the study remembers when the search has ended: why
HERE = "-"  # the run of a worker that is told on its standard input where to work
SIGNS = "signs"  # the folder of the files that workers touch as a sign of life


def count(asked_for: int | str, job: Job, own: bool) -> int:
    """How many workers: what was asked for, or for "auto" one a core where a search is long enough to pay for their start.

    own: is the network a Python object of this process? Raises StudyError where there can be no others.
    """
    here = "the network is" if own else "" if isinstance(job.source, str) else "the data are"
    here = "the sampler is" if job.given is not None else here
    if asked_for == "auto":
        seconds = job.budget.seconds
        lasting = seconds is not None and seconds >= LASTING
        return cores() if lasting and not here and job.mode != "train" else 1
    if int(asked_for) > 1 and here:
        raise StudyError(
            f"{asked_for} workers are asked for, and {here} an object of this process, which others cannot see",
            "save the data to a file, name the network by a file (model=net.py:Net), or leave workers at 1",
        )
    return int(asked_for) if job.mode != "train" else 1


LASTING = 180.0  # seconds of budget from which several workers are taken unasked


@dataclass
class Worker:
    """A process on this machine. sign: the file that it touches while it lives; ooms: see `_oom_kills`, when it began."""

    process: subprocess.Popen[str]
    number: int
    ooms: int
    sign: Path | None = None
    log: Path | None = None

    @property
    def silent(self) -> float:
        """Seconds since its last sign of life."""
        if self.sign is not None:
            with contextlib.suppress(OSError):
                return time.time() - self.sign.stat().st_mtime
        return 0.0

    def away(self) -> None:
        """Take away what is left of it."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if self.sign is not None:
            self.sign.unlink(missing_ok=True)


class Crew:
    """count workers on this machine, watched over. They begin to load what they need at once, and wait for what is to be done.
    `ended` says why it is over."""

    def __init__(self, count: int, halt: Halt, *, device: str | None = None, patience: float = 900.0) -> None:
        self.count, self.halt, self.device, self.patience = count, halt, device, patience
        self.notes: list[str] = []
        self.ended = ""
        self.said = f"{count} processes work on the study; what they say lies in its folder {SIGNS}"
        self._begun, self._deaths = 0, 0
        self.workers = [self._started() for _ in range(count)]

    def again(self) -> Crew:
        """Another crew like this one, for a search that goes on."""
        return Crew(self.count, self.halt, device=self.device, patience=self.patience)

    def search(self, study: Study, folder: Path, clock: Clock, epochs: float) -> Iterator[Beat]:
        """Let them work until nothing is left to be done, the time is up, or a stop is asked for."""
        self.study, self.folder = study, folder
        with study.turn():
            study.remember(OVER, "")
            left = clock.left_for_search
            study.remember("deadline", None if math.isinf(left) else time.time() + left)
        learnt, known = 0.0, {trial.number: len(trial.curve) for trial in study.trials()}
        try:
            for worker in self.workers:
                self._sent(worker)
            while self.workers and not self.halt.requested:
                time.sleep(LOOK)
                self._watch()
                if time.monotonic() - learnt < LEARN:
                    continue
                learnt = time.monotonic()
                study.refresh()
                study.remember("spent", clock.spent)
                best = study.best()
                value = best.last.value if best and best.last else None
                for trial in study.trials():
                    if len(trial.curve) > known.get(trial.number, 0):
                        known[trial.number] = len(trial.curve)
                        self._deaths = 0
                        yield Beat(trial.number, epoch(trial), epochs, trial.last, value, len(study))
        finally:
            self.dismiss()
            study.refresh()
        if self.halt.requested:
            self.ended = "it was asked to stop"
        self.ended = self.ended or str(study.about.get(OVER) or "") or "its workers have ended"

    def _started(self) -> Worker:
        self._begun += 1
        words = [sys.executable, "-m", "tuneful.cli", "worker", HERE]
        words += ["--device", self.device] if self.device else []
        quiet = subprocess.DEVNULL  # until it knows where to speak
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, text=True)
        return Worker(process, self._begun, _oom_kills())

    def _sent(self, worker: Worker) -> None:
        """Tell a worker where to work."""
        place = self.folder / SIGNS
        place.mkdir(exist_ok=True)
        worker.sign, worker.log = place / f"{os.getpid()}-{worker.number}", place / f"{worker.number}.log"
        worker.sign.touch()
        worker.log.write_bytes(b"")
        told = {"folder": str(self.folder.resolve()), "sign": str(worker.sign.resolve()), "log": str(worker.log.resolve())}
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError):  # it has died, which is seen soon
            worker.process.stdin.write(json.dumps(told) + "\n")
            worker.process.stdin.flush()

    def _watch(self) -> None:
        """Start others for those that have died, kill those that hang, let those go that have done what there was to do."""
        for worker in list(self.workers):
            code = worker.process.poll()
            if code is None and worker.silent > self.patience:
                worker.process.kill()
                worker.process.wait()
                self._blame(f"-{worker.process.pid}-", f"showed no sign of life for {self.patience:g} s")
                code = -signal.SIGKILL
            elif code is None:
                continue
            elif code == -signal.SIGKILL and _oom_kills() > worker.ooms:
                self._blame(f"-{worker.process.pid}-", "was killed because memory ran out")
            elif code < 0 and code != -signal.SIGKILL:  # who is killed is not to blame
                self._blame(f"-{worker.process.pid}-", f"crashed ({signal.Signals(-code).name})")
            self.workers.remove(worker)
            worker.away()
            if code == 0:
                continue
            if code > 0:  # a mistake that every worker would meet
                raise StudyError(f"a worker ended: {last(worker.log)}", f"see {worker.log}; the same command goes on")
            self._deaths += 1
            if self._deaths >= LIVES:
                raise StudyError(
                    f"{LIVES} workers have died one after the other; the last ended with code {code}: {last(worker.log)}",
                    f"see {worker.log}; the same command goes on",
                )
            another = self._started()
            self.workers.append(another)
            self._sent(another)

    def _blame(self, who: str, how: str) -> None:
        """What a worker ran when it crashed or hung: one trial by itself has failed; of several it is not known, and each runs alone.
        who: a part of the names under which it was seen."""
        with self.study.turn():
            ran = [t for t in self.study.orphans() if who in str(t.tags.get("by"))]
            self.notes.append(f"a worker {how} with {len(ran)} trials at work")
            if len(ran) == 1:
                cost = ran[0].last.seconds if ran[0].last else 0.0
                self.study.tell(ran[0].number, "failed", f"failed: its process {how}", cost)

    def dismiss(self) -> None:
        """Ask the workers to save and end; what is left after a while is killed."""
        for worker in self.workers:
            with contextlib.suppress(OSError):
                worker.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + GRACE
        for worker in self.workers:
            try:
                worker.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.away()
        self.workers.clear()


def called(url: str, name: str | None, home: Path) -> Path:
    """The folder of a run on this machine whose study lies in a database, made where it is missing. name: of the study there.

    Raises StudyError where there is none, or several and none was named.
    """
    with storage.told(home):
        names = {one.study_name: one.user_attrs for one in storage.connect(url).get_all_studies() if "job" in one.user_attrs}
    if name is None and len(names) == 1:
        name = next(iter(names))
    if name is None or name not in names:
        what = f"no study {name}" if name else f"{len(names)} studies"
        raise StudyError(f"{url} holds {what}; there are: {', '.join(sorted(names)) or 'none'}", "name one with --name")
    folder = home / Path(name).name
    if not (folder / "job.json").exists():
        storage.placed(folder, url, name)
        (folder / "job.json").write_text(str(names[name]["job"]), encoding="utf-8")
    return folder


def joined(folder: Path, halt: Halt, *, device: str | None = None, source: str | None = None) -> Search:
    """A worker's part of the search that lies in a folder. source: where the data lie on this machine, if elsewhere.

    Raises StudyError where there is nothing to join, DataError where the data are not those of the study.
    """
    job = Job.read(folder, source)
    study = Study.open(folder)
    if "recipe" not in study.about:
        raise StudyError(f"the search in {folder} has not begun", "the command that begins it must come first")
    task = aimed(prepare(job.source, **job.reading), *job.aims)
    if task.fingerprint != study.about["fingerprint"]:
        raise StudyError(
            f"the data of {job.source} are not those of the study ({task.fingerprint[:12]}, not {study.about['fingerprint'][:12]})",
            "bring the same data to this machine",
        )
    recipe = from_data(json.loads(study.about["recipe"]))
    told = asked(job, task, Recipe())
    space = beside(job, task, recipe, narrowed(told.space, recipe))
    if space.as_data() != study.about["space"]:
        raise StudyError(
            f"the space of the job in {folder} is not that of its study", "begin the search anew under another --name"
        )
    clock = Clock(job.budget, float(study.about.get("spent", 0.0)))
    if (deadline := study.about.get("deadline")) is not None:
        clock.reserve = clock.left - (float(deadline) - time.time())
    return Search(
        study, task, recipe, space, clock, proposer=job.proposer, scheduler=ending(study, job.scheduler), halt=halt, device=device,
        plans=Plans(folder.parent / ".plans"), at_once=AT_ONCE if job.how.deterministic else 0, leads=False,
        control=job.control, least=job.least,
    )  # fmt: skip


def over(study: Study, why: str) -> None:
    """Remember that nothing is left to be done, and why."""
    with study.turn():
        if not study.about.get(OVER):
            study.remember(OVER, why)


def told() -> tuple[Path, Path] | None:
    """Load what a worker needs, and wait to be told where to work: the folder, and the file to touch as a sign of life. What is said
    goes into a log from then on. None when whoever started this process has nothing to do for it."""
    import torch

    from tuneful.techniques.search import PROPOSERS

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)  # the first optimizer loads a compiler
    PROPOSERS["curves"]().sampler(0)
    line = sys.stdin.readline()
    if not line.strip():
        return None
    words = json.loads(line)
    folder = called(words["url"], words["name"], Path(words["home"])) if "url" in words else Path(words["folder"])
    log = os.open(words["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    return folder, Path(words["sign"])


@contextlib.contextmanager
def living(halt: Halt, bound: bool) -> Iterator[None]:
    """Inside, a stop is asked for when the process that started this one has ended, where it is bound to it."""
    if not bound:
        yield
        return
    parent, done = os.getppid(), threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            if os.getppid() != parent:
                halt.requested = True
                if not halt.by:
                    os.kill(os.getpid(), signal.SIGTERM)  # it may be waiting to be told what to do
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def touch(sign: Path | None) -> None:
    """A sign of life."""
    if sign is not None:
        with contextlib.suppress(OSError):
            os.utime(sign)


def _oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since the machine began; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0


__all__ = ["HERE", "Crew", "called", "count", "joined", "living", "over", "told", "touch"]
