"""The story as a call from Python: optimize, train and tune, also in the processes of torchrun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tuneful.core.artifact import unseal
from tuneful.core.config import Settings
from tuneful.core.errors import RankError, RecipeError, StudyError
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.distribute import follow
from tuneful.pipeline.job import SAMPLED, Job
from tuneful.pipeline.optimize import Result, Work
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ranks import Ranks, in_group, join
from tuneful.pipeline.words import from_settings
from tuneful.techniques.interfaces import Proposer
from tuneful.techniques.models import Own
from tuneful.techniques.search import Sampled


def optimize(source: Any, *, budget: str = "10min", name: str | None = None, model: Any = None, **settings: Any) -> Result:
    """Find, prove and seal the best model that the budget can buy.

    Args:
        source: a name, a path, or data in memory, as `prepare` takes it.
        budget: "90s", "30min", "2h", "40 trials", or both.
        name:   of the run's folder below runs/ (or $TUNEFUL_HOME).
        model:  your own network: a function (inputs=shape, outputs=n) -> nn.Module, or a model's settings.
        settings: as on the command line; a range makes a dial: `lr="1e-4..1e-1"`; `recipe=` a name, a file or a `Recipe` to begin at.

    Raises: DataError, RecipeError, StudyError; BudgetError when no trial had a value in time.
    """
    return _done("optimize", source, settings, name, budget, model)


def train(
    source: Any, *, budget: str | None = None, name: str | None = None, model: Any = None, shard: bool = False, **settings: Any
) -> Result:  # fmt: skip
    """Train one recipe, prove it and seal it: `train("digits", optimizer="adabound", lr=3e-3)`.

    Arguments and errors as of `optimize`, but every setting has one value, and there is no time limit unless one is given.
    In processes that torchrun started, all train this one model, each on rows of its own (decision 0008); rank 0 writes the run, and
    every rank gets its result. shard: each of them keeps a share of the weights, gradients and the optimizer's state (FSDP2).
    """
    return _done("train", source, settings, name, budget, model, shard)


def tune(source: Any, *, budget: str = "10min", name: str | None = None, model: Any = None, **settings: Any) -> Result:
    """Search the ranges that are given, and no others: `tune("digits", lr="1e-4..1e-1", width="16,32,64")`.

    Arguments and errors as of `optimize`; RecipeError when no setting has a range. proposer: a name, or any sampler of Optuna's, as
    its class or a function from a seed to one: `proposer=lambda seed: optuna.samplers.GPSampler(seed=seed)`. Functions cannot be told
    apart, so give runs of several of them a name each.
    """
    return _done("tune", source, settings, name, budget, model)


def _done(
    mode: Any, source: Any, settings: Mapping[str, Any], name: str | None, budget: str | None, model: Any, shard: bool = False
) -> Result:  # fmt: skip
    if in_group() and mode != "train":
        raise RankError(
            f"{mode} works in one process; torchrun has started several", "train one recipe, or start it without torchrun"
        )
    own = model if model is None or isinstance(model, Settings) else None if isinstance(model, str) else Own.of(model)
    told = {**settings, "model": model} if isinstance(model, str) else settings
    told, given = _proposing(told)
    job, ranks = replace(from_settings(mode, source, told, name=name, budget=budget), given=given), join(shard=shard)
    if not ranks.leads:
        return _followed(job, ranks, own)
    work = Work(job, model=own, ranks=ranks)
    for _ in work:
        pass
    if work.result is None:
        raise StudyError(f"the work ended without a result: {work.ended}")
    if ranks.world > 1:
        told = {"folder": str(work.result.folder), "report": str(work.result.report), "evidence": work.result.evidence}
        if ranks.shard:
            ranks.handed(work.result.candidate.network.state_dict())
        ranks.told(json.loads(json.dumps({**told, "trial": asdict(work.result.trial)}, default=str)))
    return replace(work.result)


def _proposing(settings: Mapping[str, Any]) -> tuple[Mapping[str, Any], Proposer | None]:
    """The settings with a name for a proposer that is a Python object, and that proposer. Raises RecipeError."""
    told = settings.get("proposer")
    if told is None or isinstance(told, str):
        return settings, None
    from optuna.samplers import BaseSampler

    if isinstance(told, Proposer):
        return {**settings, "proposer": SAMPLED}, told
    if isinstance(told, BaseSampler) or not callable(told):
        name = type(told).__name__
        raise RecipeError(
            f"proposer is an object {name}; a new sampler is made for every proposal, with a seed of its own",
            f"give what makes it: proposer=lambda seed: optuna.samplers.{name if isinstance(told, BaseSampler) else 'TPESampler'}(seed=seed)",
        )
    make: Any = told
    by_class = isinstance(told, type) and issubclass(told, BaseSampler)
    name = f"{told.__name__} of Optuna" if by_class else "the sampler that you gave"
    return {**settings, "proposer": SAMPLED}, Sampled(
        make=(lambda seed: make(seed=seed)) if by_class else make, said=f"proposed by {name}"
    )


def _followed(job: Job, ranks: Ranks, own: Settings | None) -> Result:
    """What a rank that follows has at the end: the network that it trained itself, and what rank 0 tells of the run."""
    task = prepare(job.source, **job.reading)
    run = follow(task, ranks, model=own)
    if ranks.shard and run is not None:
        run.readout.load_state_dict(ranks.handed())
    told = ranks.told()
    folder = Path(told["folder"])
    sealed = folder / "artifact"
    trial = Trial(**{**told["trial"], "curve": tuple(Point.from_data(point) for point in told["trial"]["curve"])})
    if run is None:  # it was finished before
        raise StudyError(
            f"{folder} was finished before, so that rank {ranks.rank} has trained nothing", "give it another name"
        )
    return Result(
        folder,
        task,
        trial,
        run.candidate(),
        told["evidence"],
        unseal(sealed) if sealed.exists() else None,
        Path(told["report"]),
    )


__all__ = ["optimize", "train", "tune"]
