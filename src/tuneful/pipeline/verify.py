"""Proof that a kill costs nothing: a trial trained again undisturbed, and killed at random moments, compared bit by bit.

    check = Verification(folder)
    for said in check: print(said)
    check.verdict

Both trainings run in processes of their own (this file, as `python -m tuneful.pipeline.verify`), because that is what a kill
and a resume are. A child writes a digest of its weights after every step: where two runs part, the first step that differs
is known, and so is the first tensor of the state at the end.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuneful.core.errors import StudyError, TunefulError
from tuneful.core.execution import Execution
from tuneful.core.recipe import Recipe
from tuneful.core.study import Study
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline import plans, state
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.job import Job
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import STATE

SAVE_EVERY = 0.05  # seconds between two states of a child that will be killed: most kills then fall between or into savings
PACE = 0.01  # seconds a step of a child that will be killed takes at least: a faster one would be over before the kill
PATIENCE = 120.0  # seconds without any step after which a child is given up,
BEGINNING = 900.0  # and without a first one, since it may have to prepare the data


@dataclass(frozen=True)
class Verdict:
    """What was found. parted: "" when the killed run equals the undisturbed one, else where they part, in words.

    killed_at: the step that each killed process had reached; same_as_kept: does the undisturbed training equal the weights that
    the run itself kept (None when that cannot be compared: shortened, not ended, or another number of threads)?
    """

    trial: int
    steps: int
    killed_at: tuple[int, ...]
    parted: str = ""
    tensors: int = 0
    same_as_kept: bool | None = None
    seconds: float = 0.0

    @property
    def exact(self) -> bool:
        """Is every bit the same?"""
        return not self.parted

    def __str__(self) -> str:
        kept = {
            None: "",
            True: "; the weights that the run kept are the same too",
            False: "; the run itself kept other weights",
        }
        many = "" if len(self.killed_at) == 1 else "s"
        how = f"{len(self.killed_at)} kill{many} (after step{many} {', '.join(map(str, self.killed_at))})"
        if self.exact:
            return f"EXACT: trial {self.trial}, {self.steps} steps, {how}, {self.tensors} tensors and the curve{kept[self.same_as_kept]}"
        return f"PARTED: trial {self.trial}, {self.steps} steps, {how}: {self.parted}"

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "exact": self.exact}


@dataclass
class Verification:
    """Kills and resumes a copy of one trial of the run in `folder`. Iterating works and yields sentences on how it goes.

    kills: how often; steps: the training is shortened to so many; trial: its number, the best when None; seed: of the moments.
    Raises: StudyError for a folder without trials, data that has changed; TunefulError when a child fails.
    Cost: kills + 2 processes, one after the other but for the undisturbed one, each with the seconds that importing torch takes.
    """

    folder: Path
    kills: int = 3
    steps: int = 200
    trial: int | None = None
    seed: int = 0
    verdict: Verdict | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[str]:
        began = time.monotonic()
        study = Study.open(self.folder, looking=True)
        found = study.best() if self.trial is None else next((t for t in study.trials() if t.number == self.trial), None)
        if found is None:
            many = len(study.trials())
            what = "trial with a value" if self.trial is None else f"trial {self.trial}; it has {many}"
            raise StudyError(f"{self.folder} has no {what}", "`tuneful show` tells what a run has")
        if found.heir:
            raise StudyError(
                f"trial {found.number} began with the weights of another one, and what is killed here begins at its recipe",
                "name one that began by itself with --trial; `tuneful show` tells why each was begun",
            )
        with tempfile.TemporaryDirectory(prefix="tuneful-verify-") as name:
            place = Path(name)
            kept = study.trial_folder(found.number) / STATE
            if kept.exists():
                shutil.copy2(kept, place / "kept.safetensors")
            begun = plans.read(study.trial_folder(found.number))
            execution = begun.chosen.as_data() if begun is not None else None
            _write_order(place, self.folder, study.about["fingerprint"], found.recipe, self.steps, execution)
            yield f"training trial {found.number} undisturbed, and beside it a copy that is killed {self.kills} time{'' if self.kills == 1 else 's'}"
            alone = _Child(place, "undisturbed")
            try:
                killed_at: list[int] = []
                dice = random.Random(self.seed)
                total = 0
                while True:
                    child = _Child(place, "killed")
                    try:
                        total = child.wait_for_begin()
                        reached = child.step
                        if len(killed_at) < self.kills and reached < total - 1:
                            rest = self.kills - len(killed_at)
                            # The rest of the way in as many parts as kills are left, and a moment in the first of them.
                            target = reached + 1 + dice.randrange(max(1, (total - 1 - reached) // (rest + 1)))
                            if child.wait_for_step(target):
                                time.sleep(dice.random() * 0.05)
                                if child.kill():
                                    killed_at.append(child.step)
                                    yield f"killed after step {child.step} of {total}"
                                    continue
                        child.wait_for_end()
                        break
                    finally:
                        child.end()
                alone.wait_for_end()
            finally:
                alone.end()
            if not killed_at:
                raise TunefulError(
                    f"the training of {total} steps ended before it could be killed", "take a longer one, or --steps 1000"
                )
            self.verdict = compared(place, found.number, total, tuple(killed_at), time.monotonic() - began)


class _Child:
    """A process that trains into `place`/name; its trace tells how far it is."""

    def __init__(self, place: Path, name: str) -> None:
        self.trace = place / f"{name}.trace"
        self.before = self.trace.stat().st_size if self.trace.exists() else 0
        self.said = (place / f"{name}.said").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tuneful.pipeline.verify", str(place), name], stdout=self.said, stderr=subprocess.STDOUT
        )
        self.step = 0

    def wait_for_begin(self) -> int:
        """Wait until it has loaded everything; the number of steps of the whole run."""
        lines = self._wait(lambda lines: bool(lines))
        _, step, total = lines[0].split()
        self.step = int(step)
        return int(total)

    def wait_for_step(self, step: int) -> bool:
        """Wait until it has made a step; False when it ended before."""
        self._wait(lambda lines: self._step(lines) >= step)
        return self.process.poll() is None

    def wait_for_end(self) -> None:
        """Wait until it has done all steps. Raises TunefulError with what it wrote when it failed."""
        self._wait(lambda _: False)

    def kill(self) -> bool:
        """kill -9; False when it had ended already."""
        if self.process.poll() is not None:
            return False
        self.process.kill()
        self.process.wait()
        self.step = max(self.step, self._step(self._lines()))
        return True

    def end(self) -> None:
        """See to it that nothing is left running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.said.close()

    def _lines(self) -> list[str]:
        """Whole lines that this process wrote."""
        if not self.trace.exists():
            return []
        with self.trace.open("rb") as file:
            file.seek(self.before)
            return file.read().decode().split("\n")[:-1]

    def _step(self, lines: list[str]) -> int:
        steps = [int(line.split()[0]) for line in lines if not line.startswith("begin")]
        self.step = max([self.step, *steps])
        return self.step

    def _wait(self, done: Any) -> list[str]:
        grown, since = -1, time.monotonic()
        while True:
            over = self.process.poll() is not None
            lines = self._lines()
            if lines and done(lines):
                return lines
            if over:
                if self.process.returncode != 0:
                    self.said.seek(0)
                    last = self.said.read().strip().splitlines()
                    raise TunefulError(
                        f"the training of the copy ended with code {self.process.returncode}: {last[-1] if last else 'silent'}"
                    )
                self._step(lines)
                return lines
            if len(lines) != grown:
                grown, since = len(lines), time.monotonic()
            elif time.monotonic() - since > (PATIENCE if grown > 0 else BEGINNING):
                raise TunefulError(f"the training of the copy made no step for {time.monotonic() - since:.0f} s")
            time.sleep(0.005)


def compared(place: Path, trial: int, steps: int, killed_at: tuple[int, ...], seconds: float) -> Verdict:
    """The two trainings side by side: every step, every tensor, the curve."""
    parted = _first_step(_digests(place / "undisturbed.trace"), _digests(place / "killed.trace"))
    ours, theirs = (state.load(place / f"{name}.safetensors") for name in ("undisturbed", "killed"))
    tensor = _first_tensor(ours[0], theirs[0])
    if tensor:
        parted = f"{parted}; {tensor}" if parted else tensor
    if not parted and _points(ours[1]) != _points(theirs[1]):
        parted = "the weights are equal, but the curves differ"
    same: bool | None = None
    kept = place / "kept.safetensors"
    if kept.exists():
        tensors, plain = state.load(kept)
        recipes = [{k: v for k, v in told["recipe"].items() if k != "reasons"} for told in (plain, ours[1])]
        if plain["step"] == ours[1]["step"] and recipes[0] == recipes[1]:
            same = not _first_tensor(ours[0], tensors)
    return Verdict(trial, steps, killed_at, parted, len(ours[0]), same, round(seconds, 1))


def _digests(trace: Path) -> dict[int, set[str]]:
    """{step: digests of the weights after it}; more than one where a killed run made a step twice, differently."""
    found: dict[int, set[str]] = {}
    for line in trace.read_text(encoding="ascii").split("\n")[:-1]:
        if not line.startswith("begin") and line.count(" ") == 1:
            step, digest = line.split()
            if len(digest) == 32:  # a line that a kill cut short has less
                found.setdefault(int(step), set()).add(digest)
    return found


def _first_step(ours: Mapping[int, set[str]], theirs: Mapping[int, set[str]]) -> str:
    for step in sorted(ours):
        if step in theirs and theirs[step] != ours[step]:
            return f"the weights part in step {step}"
    missing = sorted(ours.keys() - theirs.keys())
    # The step at whose end it was killed may be saved and not told; more than that is a hole.
    return "" if len(missing) < len(ours) else "the killed run told no step"


def _first_tensor(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> str:
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs:
            return f"tensor {name} is in one of the states only"
        a, b = ours[name], theirs[name]
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"tensor {name} is {a.dtype} {list(a.shape)} in one state and {b.dtype} {list(b.shape)} in the other"
        if not torch.equal(_bits(a), _bits(b)):
            count = int((_bits(a) != _bits(b)).sum())
            return f"tensor {name} differs in {count} of {_bits(a).numel()} bytes"
    return ""


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes: so that NaN equals NaN, and 0 is not -0."""
    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor.reshape(-1)


def _points(plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in point.items() if key != "seconds"} for point in plain["curve"]]


def _write_order(
    place: Path, run: Path, fingerprint: str, recipe: Mapping[str, Any], steps: int, execution: Mapping[str, Any] | None
) -> None:
    """What a child needs: the recipe and the prepared data, so that it is prepared once; data that stays on disk is not copied,
    but prepared by each child again."""
    job = Job.read(run)
    task = prepare(job.source, **job.reading)
    if task.fingerprint != fingerprint:
        raise StudyError(f"the data of the run ({job.source}) has changed since", "bring back the data")
    plain = {
        "name": task.name, "kind": task.kind, "shape": task.shape, "labels": task.labels, "fingerprint": fingerprint,
        "normalize": dict(task.normalize), "target": dict(task.target), "schema": dict(task.schema), "metric": task.objective.metric,
        "direction": task.objective.direction,
    }  # fmt: skip
    unread = isinstance(task.train.x, Lazy)
    order = {"recipe": dict(recipe), "steps": steps, "task": plain, "execution": execution,
             "run": str(run.resolve()) if unread else ""}  # fmt: skip
    (place / "order.json").write_text(json.dumps(order), encoding="utf-8")
    if unread:
        return
    np.savez(place / "data.npz", x_train=task.train.x, y_train=task.train.y, x_valid=task.valid.x, y_valid=task.valid.y)


# The child


def _task(place: Path, told: Mapping[str, Any], run: str) -> Task:
    """The task again, without its test split where it was written down. run: the folder of the run, where it was not."""
    if run:
        job = Job.read(Path(run))
        return prepare(job.source, **job.reading)
    with np.load(place / "data.npz", allow_pickle=False) as data:
        train, valid = (Split(data[f"x_{part}"], data[f"y_{part}"]) for part in ("train", "valid"))
    return Task(
        name=told["name"], kind=told["kind"], shape=tuple(told["shape"]), labels=tuple(told["labels"]), train=train, valid=valid,
        test=Sealed(Split(valid.x[:0], valid.y[:0])), objective=Objective(told["metric"], told["direction"]),
        fingerprint=told["fingerprint"], schema=told["schema"], normalize=told["normalize"], target=told["target"],
    )  # fmt: skip


def main(place: Path, name: str) -> None:
    """Train, or go on training, until all steps are done; write the state, and a line after every step."""
    order = json.loads((place / "order.json").read_text(encoding="utf-8"))
    task = _task(place, order["task"], order["run"])
    pace = 0.0 if name == "undisturbed" else PACE
    path = place / f"{name}.safetensors"
    if path.exists():
        run = Run.resume(task, path, device="cpu", save_to=path, save_every=SAVE_EVERY)
    else:
        recipe = _shortened(from_data(order["recipe"]), task, order["steps"])
        how = Execution.from_data(order["execution"]) if order["execution"] else None
        run = Run(task, recipe, device="cpu", save_to=path, save_every=SAVE_EVERY, execution=how)
    with (place / f"{name}.trace").open("a", encoding="ascii") as trace:
        if trace.tell() and not _ends_line(place / f"{name}.trace"):
            trace.write("\n")
        print("begin", run.step, run.steps, file=trace, flush=True)
        told, began = run.step, time.monotonic()
        for _ in run.walk(beat=0.0):
            if run.step > told:
                told = run.step
                print(told, _digest(run.body), file=trace, flush=True)
                time.sleep(max(0.0, began + pace - time.monotonic()))
                began = time.monotonic()
    run.save(path)


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _shortened(recipe: Recipe, task: Task, steps: int) -> Recipe:
    """The recipe with at most so many steps; the schedule is stretched over them."""
    per_epoch = max(1, len(task.train) // int(recipe.batch_size))
    if float(recipe.epochs) * per_epoch <= steps:
        return recipe
    epochs = steps / per_epoch
    every = min(float(recipe.validate_every), math.ceil(epochs) / 4)
    return recipe.replace(epochs=epochs, validate_every=every)


def _digest(body: torch.nn.Module) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for tensor in body.state_dict().values():
        hasher.update(_bits(tensor.detach().cpu()).numpy().tobytes())
    return hasher.hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
