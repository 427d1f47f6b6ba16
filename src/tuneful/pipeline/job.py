"""What one command asks for, as a value: the data and how to read it, the settings, what may be spent, how to search.

A job is written into the run's folder, so that `tuneful resume` needs nothing but the folder. `words` makes one of what the user said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tuneful.core.budget import Budget
from tuneful.core.config import plain
from tuneful.core.errors import RecipeError, StudyError
from tuneful.core.outlook import Least
from tuneful.pipeline.codec import Entry
from tuneful.pipeline.keys import Keys
from tuneful.pipeline.proxy import Proxy
from tuneful.pipeline.terms import Data, How
from tuneful.pipeline.tokenizer_file import beside
from tuneful.techniques.interfaces import Proposer
from tuneful.techniques.search import PROPOSERS, SCHEDULERS

Mode = Literal["train", "tune", "optimize"]
FORMAT = 1
AT_ONCE = 8  # legs of a deterministic study that may be under way when one is decided, so many workers at most are of use
SAMPLED = "sampled"  # the name of a proposer that is a Python object
SETS_FOR = "evidence"  # the model that reads sets of n-grams alone


@dataclass(frozen=True)
class Job:
    """One command. source: text as the user gave it, or any Python object that `prepare` takes; entries: settings of the
    recipe, in the user's order; command: the line that makes it again."""

    mode: Mode
    source: Any
    data: Data = field(default_factory=Data)
    how: How = field(default_factory=How)
    entries: tuple[Entry, ...] = ()
    name: str | None = None
    command: str = ""
    places: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)  # {"data.metric": "file:line"}
    own: bool = False  # does the user bring a network, as a Python object?
    given: Proposer | None = field(default=None, compare=False)  # a proposer that is a Python object

    @property
    def reading(self) -> dict[str, Any]:
        """The keyword arguments of `prepare`. Texts for a trained network are cut by its own tokenizer, where that lies beside it;
        where no model is named, or one that reads sets of n-grams, they may be such sets."""
        options = self.data.options()
        said = {Keys().resolve(entry.key)[0].removesuffix(".kind"): entry.value for entry in self.entries}
        if (
            options["tokens"] == "auto"
            and said.get("model") == "pretrained"
            and isinstance(name := said.get("model.name"), str)
        ):
            options["tokens"] = beside(name) or "auto"
        elif options["tokens"] == "auto" and not self.own and said.get("model", SETS_FOR) == SETS_FOR:
            options["tokens"] = "best"
        return options

    @property
    def budget(self) -> Budget:
        """What may be spent: 10 minutes when nothing is said, and one trial for `train`."""
        if self.how.budget:
            given = Budget.parse(self.how.budget)
            return replace(given, trials=1) if self.mode == "train" else given
        return Budget(trials=1) if self.mode == "train" else Budget(seconds=600.0)

    @property
    def proposer(self) -> Any:
        """The proposer asked for. Raises StudyError where it is an object of the Python that began the run, and this is another one."""
        if self.how.proposer != SAMPLED:
            return PROPOSERS[self.how.proposer]()
        if self.given is None:
            raise StudyError(
                "proposer is a sampler that was given from Python, and here is none",
                'make the same call again in Python: tuneful.tune(..., proposer=lambda seed: ..., name="...")',
            )
        return self.given

    @property
    def control(self) -> float:
        """The share of trials that are drawn at random beside those of the proposer; none where it draws so itself, or tries all."""
        return 0.0 if self.how.proposer in ("random", "grid") else self.how.control

    @property
    def aims(self) -> tuple[str | None, tuple[str, ...]]:
        """What counts beside the metric, and the limits. Raises RecipeError where a time would decide what is to come about again."""
        told = " ".join((self.how.objectives or "", *self.how.where))
        if self.how.deterministic and ("latency" in told or "energy" in told):
            raise RecipeError(
                f"deterministic is asked for beside {told.strip()}, which differs from run to run",
                "of what a network costs, only its size does not",
            )
        return self.how.objectives, self.how.where

    @property
    def least(self) -> Least | None:
        """The gain a minute that is worth going on; None where nobody asked."""
        return None if self.how.stop_when is None else Least.parse(self.how.stop_when)

    @property
    def scheduler(self) -> Any:
        """The scheduler asked for; a training runs to its end."""
        made = SCHEDULERS["full" if self.mode == "train" else self.how.scheduler]
        return made(eta=self.how.eta) if "eta" in made.model_fields else made()

    @property
    def transfer(self) -> Proxy | None:
        """The widths between which settings are to be carried over; None where nobody asked. Raises RecipeError."""
        return Proxy.of(self.how.proxy, self.how.full)

    def name_for(self, task_name: str) -> str:
        """The name of the run: the user's, or the task's, with a digest when anything but the data was said.

        The same command gets the same name, so that it goes on where it was interrupted.
        """
        if self.name:
            return self.name
        told = [[entry.key, plain(entry.value)] for entry in self.entries]
        extra = {"data": self.data.as_data(), "settings": told, "mode": self.mode}
        by = [self.how.proposer, self.how.scheduler]
        if self.how.final != How().final:
            extra["final"] = self.how.final
        by += [self.how.proxy, self.how.full] if self.how.proxy else []
        by += [self.given.because(1)] if self.given is not None else []  # which sampler of Optuna's
        if by != [How().proposer, How().scheduler]:
            extra["search"] = by
        elif self.how.objectives or self.how.where:
            extra["objectives"] = [self.how.objectives, list(self.how.where)]
        elif not told and self.data == Data() and "final" not in extra:
            return task_name if self.mode == "optimize" else f"{task_name}-{self.mode}"
        digest = hashlib.blake2b(json.dumps(extra, sort_keys=True, default=str).encode(), digest_size=3).hexdigest()
        return f"{task_name}-{self.mode}-{digest}"

    def write(self, folder: Path) -> None:
        """Keep the job in a run's folder."""
        source = self.source if isinstance(self.source, str) else None
        data = {
            "format": FORMAT,
            "mode": self.mode,
            "source": str(Path(source).resolve()) if source and Path(source).exists() else source,
            "data": self.data.as_data(),
            "search": self.how.as_data(),
            "settings": [[entry.key, plain(entry.value), entry.where] for entry in self.entries],
            "name": self.name,
            "command": self.command,
        }
        aside = folder / "job.part"
        aside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        aside.replace(folder / "job.json")

    @staticmethod
    def read(folder: Path, source: Any = None) -> Job:
        """The job of a run's folder. source: the data itself, when the job was begun with Python objects."""
        path = folder / "job.json"
        if not path.is_file():
            raise StudyError(f"{folder} is not the folder of a run: it holds no job.json", "`tuneful show` lists runs")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            entries = tuple(Entry(key, value, where) for key, value, where in data["settings"])
            how, told = How.parse(data["search"]), Data.parse(data["data"])
            mode, begun, name, command = data["mode"], data["source"], data["name"], data["command"]
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"{path} is damaged ({error})", "run the first command again; it goes on from the same folder"
            ) from None
        if source is None and begun is None:
            raise StudyError(f"{folder} was begun from Python objects", "give the data again: Job.read(folder, source=...)")
        return Job(mode, source if source is not None else begun, told, how, entries, name or folder.name, command)


__all__ = ["AT_ONCE", "SAMPLED", "Job", "Mode"]
