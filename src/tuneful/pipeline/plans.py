"""Plans that were measured before: a file for each (model signature, batch, hardware, versions).

    plans = Plans(home / ".plans")
    found = plans.of(run)                      # known, or measured now; the run goes that way afterwards

A plan counts as known when planning was allowed at least a quarter of the time that it may take now.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tuneful.pipeline.carrying import plain
from tuneful.pipeline.plan import LEAST, SHARE, Plan, planned, wanted
from tuneful.pipeline.train import Run

# Rates of dropout as torch writes them: what they are costs nothing, whether there is any may.
RATES = re.compile(r"\bp=(?!0\.0\b)[\d.e+-]+")
FILE = "plan.json"  # in the folder of a trial: what it was carried out by


class Plans:
    """folder: where they lie; None keeps them in this object alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.known: dict[str, Plan] = {}
        self.spent = 0.0  # seconds that went into measuring, through this object

    def of(self, run: Run, *, steps: float = math.inf, most: float = math.inf) -> Plan:
        """The plan of a run, which goes that way afterwards; see `plan.planned`."""
        if wanted(run.recipe):
            return planned(run)
        if (known := self.known_of(run, steps=steps, most=most)) is not None:
            return known
        found = planned(run, steps=steps, most=most)
        self.spent += found.seconds
        self.keep(run, found)
        return found

    def known_of(self, run: Run, *, steps: float = math.inf, most: float = math.inf) -> Plan | None:
        """The plan that is known, and the run goes that way; None where none is, or measuring it was allowed much less than now."""
        if wanted(run.recipe) or (found := self._recalled(signature(run))) is None:
            return None
        first = 1e-3 * (found.tried[0].ms or 0.0) if found.tried else found.step
        now = min(most, SHARE * min(steps, run.steps - run.step) * first)
        if now >= (4 * found.allowed if found.tried else LEAST):
            return None
        run.use(found.chosen)
        return replace(found, cached=True, seconds=0.0)

    def keep(self, run: Run, found: Plan) -> None:
        """Keep a plan that was measured with this run; on the disk where it is more than the time of a step."""
        name = signature(run)
        self.known[name] = found
        if self.folder is not None and found.tried:
            with contextlib.suppress(OSError):  # it is measured again next time
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(self.folder / f"{name}.json", {"plan": found.as_data(), "of": facts()})

    def step_of(self, run: Run) -> float:
        """Seconds of a step of the way that a run goes, as far as it is known; 0 where nobody has measured it."""
        if (found := self._recalled(signature(run))) is None:
            return 0.0
        return found.step / max(found.gain, 1e-9)

    def _recalled(self, name: str) -> Plan | None:
        if name in self.known or self.folder is None:
            return self.known.get(name)
        try:
            return Plan.from_data(json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))["plan"])
        except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole: measured again
            return None


def signature(run: Run) -> str:
    """Of everything that a plan depends on: the network, the batch, what acts in a step, the device and the versions."""
    plan: Any = run.plan
    told = {
        "network": RATES.sub("rate", str(run.body)), "shapes": [list(p.shape) for p in run.params], "input": str(run.form), "type": str(run.batches.y.dtype),
        "batch": int(run.recipe.batch_size), "loss": plan.loss.kind, "optimizer": plan.optimizer.kind,
        "acts": [one.kind for one in (*plan.regularizers, *plan.augments)], "start": plain(run.recipe, run.form).as_data(),
        "asked": [run.recipe.plan, *(name for name in ("precision", "threads") if name in run.recipe.reasons)],
        "device": _device(run.device), **facts(),
    }  # fmt: skip
    return hashlib.blake2b(json.dumps(told, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


@functools.cache
def facts() -> dict[str, Any]:
    """The processor, its cores that may be used, and the versions."""
    cpu = platform.processor()
    if (told := Path("/proc/cpuinfo")).exists():
        lines = told.read_text(encoding="utf-8", errors="replace").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "torch": torch.__version__, "tuneful": importlib.metadata.version("tuneful")}


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write(path: Path, data: Mapping[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(aside, path)


def written(folder: Path, plan: Plan) -> None:
    """Keep the plan of a trial in its folder."""
    _write(folder / FILE, plan.as_data())


def read(folder: Path) -> Plan | None:
    """The plan that a trial was begun with; None where none was made."""
    try:
        return Plan.from_data(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


__all__ = ["Plans", "read", "signature", "written"]
