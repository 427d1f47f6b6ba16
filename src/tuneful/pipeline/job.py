"""What one command asks for, as a value: the data and how to read it, the settings, what may be spent, how to search.

A job is written into the run's folder, so that `tuneful resume` needs nothing but the folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tuneful.core.budget import Budget
from tuneful.core.config import Auto, Count, Fraction, Settings, Whole, plain
from tuneful.core.errors import Problem, RecipeError, StudyError
from tuneful.core.outlook import Least
from tuneful.pipeline import clean_words, shelf
from tuneful.pipeline.alike import from_champion
from tuneful.pipeline.codec import Entry
from tuneful.pipeline.keys import Keys, flatten
from tuneful.pipeline.tokenizer_file import beside
from tuneful.techniques.cleaners import Cleaner
from tuneful.techniques.search import PROPOSERS, SCHEDULERS

Words = Annotated[tuple[str, ...], Field(strict=False)]
Kinds = Literal[
    "binary", "multiclass", "openset", "multilabel", "ordinal", "regression", "multiregression", "segmentation", "forecasting",
    "sequence_to_sequence", "translation", "seq2seq", "language",
]  # fmt: skip
Steps = Annotated[tuple[Cleaner, ...], Field(strict=False), BeforeValidator(clean_words.steps)]
Mode = Literal["train", "tune", "optimize"]
FORMAT = 1
AT_ONCE = 8  # legs of a deterministic study that may be under way when one is decided, so many workers at most are of use
SETS_FOR = "evidence"  # the model that reads sets of n-grams alone
NUMBERS = (
    "size",
    "limit",
    "length",
    "vocabulary",
    "valid",
    "test",
    "coverage",
    "split_seed",
    "horizon",
    "window",
    "beam",
    "standardize",
)  # options of the data


class Data(Settings):
    """How the data is read: the options of `prepare`."""

    family = "data"

    target: str | Words | None = None  # the column to predict, or several with commas between them
    kind: Kinds | None = None  # what kind of task it is; translation and seq2seq are other words for sequence_to_sequence
    outside: Words = ()  # labels that are of no class, a file of such examples, or none; found by names such as oos
    coverage: Fraction | Auto = "auto"  # of an open set: the share of known examples that is answered
    metric: str | None = None  # what is optimized
    missing: Words = ()  # words that mean "no value"
    keep: Words = ()  # columns that stay, whatever the checks say
    leave_out: Words = ()  # columns that go
    size: Count | None = None  # pixels a side, after resizing
    form: Literal["series", "image"] | None = None  # what arrays of three axes are
    valid: Fraction | Auto = "auto"  # share of the data to validate on
    test: Fraction | Auto = "auto"  # share of the data to prove on
    limit: Count | None = None  # at most so many examples a split
    tokens: str = "auto"  # what a text is cut into: byte, char, word, bpe, or as a folder's tokenizer.json has it
    length: Count | None = None  # tokens that are looked at of a text
    vocabulary: Count | None = None  # at most so many different tokens
    scale: Literal["deviation", "ranks"] | Auto = (
        "auto"  # of a table's numbers: mean 0 and deviation 1, or normal by ranks (auto: for classes)
    )
    levels: Words = ()  # the names of an ordinal target's levels, the lowest first
    masks: Literal["classes", "instances"] | Auto = "auto"  # what values of masks are: classes, or numbers of single things
    standardize: bool | Auto = (
        "auto"  # is each time series brought to mean 0 and deviation 1 by itself, each sound to one loudness?
    )
    order: str | None = None  # a column of dates or numbers, or "rows": valid and test are the end of time
    horizon: Count | None = None  # of a forecast: how many steps ahead
    window: Count | Auto = "auto"  # of a forecast: how many rows of the past are seen
    time: str | None = None  # of a forecast: the column of times, or "order" for the order of the rows
    valid_from: str | None = None  # of a forecast: the first moment to validate on
    test_from: str | None = None  # of a forecast: the first moment to prove on
    beam: Count = 1  # of sequence to sequence: how many beginnings are followed while the target is written
    split_seed: Whole = 0  # of the splits
    champion: str | None = None  # an artifact whose preprocessing is kept, and whose weights begin (see `alike`)
    clean: Steps = ()  # what is taken out, filled in or changed before anything learns from the data, in this order

    def as_data(self) -> dict[str, Any]:
        """See `Settings.as_data`; of the steps of cleaning, what differs from their defaults."""
        return super().as_data() | {"clean": clean_words.plain(self.clean)}

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `prepare`."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name != "split_seed"}
        return values | {"seed": self.split_seed}


class How(Settings):
    """How it is searched, and what may be spent."""

    family = "search"

    budget: str | None = None  # 90s, 30min, 2h, 40 trials, or both with a comma
    proposer: Literal[
        "grid", "random", "sobol", "halton", "coarse_to_fine", "tpe", "curves", "gp", "cma_es", "nsga_ii", "evolution"
    ] = "curves"  # what says which recipe comes next
    scheduler: Literal["asha", "median", "percentile", "successive_halving", "hyperband", "freeze_thaw", "pbt", "full"] = (
        "asha"  # what says which trial gets the next epochs
    )
    eta: Count = 3  # one of this many trials goes on from a rung
    workers: Count | Auto = "auto"  # processes that search; auto: one a core, where the budget pays for their start
    storage: str | None = (
        None  # the address of a PostgreSQL database for the study, so that workers on several machines meet there
    )
    deterministic: bool = (
        False  # is the study to be the same whatever works on it, and however many? asks for a budget in trials
    )
    confirm: Whole | Auto = "auto"  # fresh seeds of each of the best trials before one is taken; 0: none
    stop_when: str | None = (
        None  # gain<0.1%/min: no further trial begins when less is expected of one; all of the budget is used else
    )
    objectives: str | None = None  # accuracy,latency,size: the metric, and what a network costs that counts beside it
    like: str | None = None  # an earlier run, on other data, whose best trials come behind the defaults
    where: Words = ()  # limits of what a network costs: latency<5ms
    control: Annotated[float, Field(ge=0, le=0.5)] = (
        0.1  # share of the trials that are drawn at random, to judge the search by
    )
    candidates: Annotated[int, Field(ge=2, le=5)] = 5  # how many of the best trials run again


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
        """The proposer asked for."""
        return PROPOSERS[self.how.proposer]()

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

    def name_for(self, task_name: str) -> str:
        """The name of the run: the user's, or the task's, with a digest when anything but the data was said.

        The same command gets the same name, so that it goes on where it was interrupted.
        """
        if self.name:
            return self.name
        told = [[entry.key, plain(entry.value)] for entry in self.entries]
        extra = {"data": self.data.as_data(), "settings": told, "mode": self.mode}
        by = [self.how.proposer, self.how.scheduler]
        if by != [How().proposer, How().scheduler]:
            extra["search"] = by
        elif self.how.objectives or self.how.where:
            extra["objectives"] = [self.how.objectives, list(self.how.where)]
        elif not told and self.data == Data():
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


def from_words(mode: Mode, source: str, words: Iterable[str], recipe: str | None = None, **known: Any) -> Job:
    """A job from a command line: a source (or a recipe file with a source in its [data]) and words `key=value`.

    recipe: a name of the shelf or a file, over which the words win; recipe=NAME is the same. known: name, command, budget. Raises
    RecipeError with every problem of all words.
    """
    named = [source] if Path(source).suffix.lower() in shelf.FILES else []
    source = "" if named else source
    named += [recipe] if recipe is not None else []
    entries: list[Entry] = []
    problems: list[Problem] = []
    for word in map(tilde, words):
        key, sign, value = word.partition("=")
        if not sign:
            problems.append(Problem(word, f'"{word}" is not a setting; settings look like key=value, such as lr=1e-3'))
        elif not value.strip():
            problems.append(Problem(key, f"{key} has no value; settings look like key=value, such as {key}=1"))
        elif key.strip() == "recipe":
            named.append(value.strip())
        else:
            entries.append(Entry(key.strip(), value.strip()))
    if problems:
        raise RecipeError(problems)
    if len(named) > 1:
        raise RecipeError(f"{' and '.join(named)} are {len(named)} recipes; a run begins at one", "name data and one recipe")
    return _job(mode, source, [*(shelf.entries(named[0]) if named else []), *entries], **known)


def tilde(word: str) -> str:
    """`lr~1e-3`, which says what is believed, as `lr=~1e-3`; any other word as it is."""
    key, sign, value = word.partition("~")
    return f"{key}=~{value}" if sign and value and re.fullmatch(r"[A-Za-z][\w.]*", key) else word


def from_settings(mode: Mode, source: Any, settings: Mapping[str, Any], **known: Any) -> Job:
    """A job from Python: `from_settings("tune", (x, y), {"lr": "1e-4..1e-1", "budget": "2min"})`. "recipe": a name, a file or a
    `Recipe` to begin at."""
    told = dict(settings)
    recipe = told.pop("recipe", None)
    begun = shelf.entries(recipe) if recipe is not None else []
    return _job(mode, source, [*begun, *(Entry(key, value) for key, value in flatten(told))], **known)


def _job(
    mode: Mode, source: Any, entries: Iterable[Entry], name: str | None = None, command: str = "", budget: str | None = None
) -> Job:
    apart: dict[str, dict[str, Any]] = {"data": {}, "search": {}}
    places: dict[str, str] = {}
    rest: list[Entry] = []
    steps: list[tuple[Any, str]] = []
    for entry in from_champion(list(entries)):
        head, _, name_of = entry.key.rpartition(".")
        section = next(
            (s for s, cls in (("data", Data), ("search", How)) if head in ("", s) and name_of in cls.model_fields), head
        )
        if entry.key in ("data.source", "source"):
            source = entry.value if isinstance(source, str) and not source else source
        elif section == "data" and name_of == "clean":
            steps += [(entry.value, entry.where)]
        elif section in apart:
            many = name_of in ("missing", "keep", "leave_out", "levels", "outside", "where")
            value = entry.value.split(",") if many and isinstance(entry.value, str) else entry.value
            apart[section][name_of] = _number(value) if section == "data" and name_of in NUMBERS else value
            places[f"{section}.{name_of}"] = entry.where
        else:
            rest.append(entry)
    if budget is not None:
        apart["search"]["budget"] = budget
    for key in ("eta", "workers", "deterministic", "confirm", "candidates", "control"):
        if key in apart["search"]:
            apart["search"][key] = _number(apart["search"][key])
    problems: list[Problem] = []
    made: list[Any] = []
    try:
        apart["data"]["clean"] = _cleaned(steps)
    except RecipeError as error:
        problems += error.problems
    for section, cls in (("data", Data), ("search", How)):
        try:
            made.append(cls.parse(apart[section], f"{section}."))
        except RecipeError as error:
            problems += [replace(problem, where=places.get(problem.key, "")) for problem in error.problems]
    if problems:
        raise RecipeError(problems)
    if source is None or (isinstance(source, str) and not source):
        raise RecipeError(
            "no data is named", "name a source before the settings, such as `tuneful train digits`, or in the file's [data]"
        )
    if made[1].budget is not None:
        Budget.parse(made[1].budget)
    if made[1].storage is not None:
        _check_storage(made[1].storage)
    job = Job(mode, source, made[0], made[1], tuple(rest), name, command, places)
    if job.least is not None and made[1].deterministic:
        raise RecipeError(
            "stop_when is given beside deterministic: a gain in a time differs from run to run", "leave one of them out"
        )
    if made[1].deterministic and job.budget.seconds is not None:
        raise RecipeError(
            f"deterministic is asked for with a budget of {job.budget}: how much is done in a time differs from run to run",
            'give trials alone, such as --budget "40 trials"',
        )
    return job


def _cleaned(given: Sequence[tuple[Any, str]]) -> tuple[Cleaner, ...]:
    """The steps of cleaning: those of the words, in their order, or where there are none those of the file."""
    words = [value for value, where in given if not where]
    if not words:
        return clean_words.steps(given[-1][0], given[-1][1]) if given else ()
    parts = [part for value in words for part in (list(value) if isinstance(value, list | tuple) else [value])]
    return clean_words.steps([part for part in parts if part != "none"])


def _check_storage(url: str) -> None:
    """Raises RecipeError for an address that is not of a database, or that holds a password, which would lie in the run's folder."""
    head, sign, rest = url.partition("://")
    if not sign or head not in ("postgresql", "postgresql+psycopg"):
        raise RecipeError(
            f"storage is {url.partition('@')[2] or url}; it must be the address of a PostgreSQL database",
            "such as postgresql://user@host/database; without it the study is a file in the run's folder",
        )
    if "@" in rest and ":" in rest.partition("@")[0]:
        raise RecipeError(
            "the address of the storage holds a password, which would be written down with the run",
            "leave it out, and put it into ~/.pgpass or $PGPASSWORD",
        )


def _number(value: Any) -> Any:
    from tuneful.core.space import scalar

    return scalar(value) if isinstance(value, str) else value
