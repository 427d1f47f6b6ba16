"""What a job can say beside the settings of a recipe: how the data is read, and how it is searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tuneful.core.config import Auto, Count, Fraction, Settings, Whole
from tuneful.pipeline import clean_words
from tuneful.techniques.cleaners import Cleaner

Words = Annotated[tuple[str, ...], Field(strict=False)]
Kinds = Literal[
    "binary", "multiclass", "openset", "multilabel", "ordinal", "regression", "multiregression", "segmentation", "forecasting",
    "sequence_to_sequence", "translation", "seq2seq", "language",
]  # fmt: skip
Steps = Annotated[tuple[Cleaner, ...], Field(strict=False), BeforeValidator(clean_words.steps)]


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
        "grid",
        "random",
        "sobol",
        "halton",
        "coarse_to_fine",
        "tpe",
        "curves",
        "gp",
        "cma_es",
        "nsga_ii",
        "evolution",
        "morph",
        "sampled",  # a Python object: see `tune`
    ] = "curves"  # what says which recipe comes next
    scheduler: Literal["asha", "median", "percentile", "successive_halving", "hyperband", "freeze_thaw", "pbt", "full"] = (
        "asha"  # what says which trial gets the next epochs
    )
    eta: Count = 3  # one of this many trials goes on from a rung
    workers: Count | Auto = "auto"  # processes that search; auto: one a core, where the budget pays for their start
    on: Literal["here", "ray"] = "here"  # where workers are started: as processes here, or on a Ray cluster
    storage: str | None = (
        None  # the address of a PostgreSQL database for the study, so that workers on several machines meet there
    )
    deterministic: bool = (
        False  # is the study to be the same whatever works on it, and however many? asks for a budget in trials
    )
    confirm: Whole | Auto = "auto"  # fresh seeds of each of the best trials before one is taken; 0: none
    ensemble: Whole | Auto = "auto"  # networks that are joined at most, where that is better; 0: none
    final: Literal["train", "train+valid"] = "train"  # what the network that is shipped has learned from; both: trained anew
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
    proxy: str | None = None  # width=64: a narrow network is tuned, whose settings then train
    full: str | None = None  # the wide one, width=1024 (muP transfer)


__all__ = ["Data", "How"]
