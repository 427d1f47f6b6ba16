"""The commands that train: optimize, train, tune, resume."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tuneful.cli import complete, runs
from tuneful.cli.call import Call
from tuneful.cli.group import Group, again, began, joined
from tuneful.cli.options import from_champion, searching, with_steps
from tuneful.core.errors import ParityError, TunefulError

if TYPE_CHECKING:
    from tuneful.pipeline.job import Job
    from tuneful.pipeline.optimize import Work

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA [KEY=VALUE]...",
        help="a folder, a table, an .npz archive, idx files, digits, or a recipe file; and settings, in any order",
        autocompletion=complete.words,
        show_default=False,
    ),
]
Spend = Annotated[
    str | None, typer.Option("--budget", metavar="TIME", help='90s, 30min, 2h, "40 trials", or both with a comma')
]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="of the run's folder")]
Home = Annotated[
    Path | None, typer.Option("--home", "--runs", metavar="FOLDER", help="where runs lie [$TUNEFUL_HOME, or runs/]")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="begin anew; an old run of that name is set aside, not deleted")]
Clean = Annotated[
    list[str] | None,
    typer.Option(
        "--clean",
        metavar="STEP",
        help="change the data first: deduplicate, impute=mean, drop_labels=FILE ...; again for more",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="begin at a recipe: of `tuneful list recipes`, or a file; settings win over it",
        autocompletion=complete.recipes,
    ),
]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="cpu or cuda [a GPU where there is one]")]
Devices = Annotated[
    str | None,
    typer.Option(
        "--devices", metavar="N|auto",
        help="train in N processes, each on its rows of every batch: one a GPU, or one a core; auto takes all",
    ),
]  # fmt: skip
Restarts = Annotated[
    int,
    typer.Option(
        "--restarts", metavar="N", help="with --devices: go on so often from the last state when a process has died"
    ),
]
Shard = Annotated[
    bool,
    typer.Option(
        "--shard", help="with --devices: each process keeps a share of the weights and the optimizer's state (FSDP2)"
    ),
]
Workers = Annotated[
    str | None,
    typer.Option("--workers", metavar="N|auto", help="processes that search [auto: one a core, from a budget of 3min on]"),
]
Storage = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="a PostgreSQL database for the study, for workers on several machines"),
]
Same = Annotated[
    bool,
    typer.Option("--deterministic", help="the same study on any number of workers; asks for a budget in trials"),
]
Proposing = Annotated[
    str | None,
    typer.Option("--search", metavar="NAME", help="what says which recipe comes next [curves]; `tuneful list proposer`"),
]
Scheduling = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="NAME", help="which trial gets the next epochs [asha]; `tuneful list scheduler`"),
]
Again = Annotated[
    int | None,
    typer.Option(
        "--confirm", metavar="N", min=0, show_default=False,
        help="run the best trials again on N fresh seeds before one is taken [3, up to 5 with time to spare]",
    ),
]  # fmt: skip
Joins = Annotated[
    int | None,
    typer.Option(
        "--ensemble", metavar="N", min=0, show_default=False,
        help="join at most N of the networks, where that is shown to be better [5 in optimize, else none]",
    ),
]  # fmt: skip
Single = Annotated[bool, typer.Option("--no-ensemble", help="ship one network, whatever several together would reach")]
Final = Annotated[
    str | None,
    typer.Option(
        "--final", metavar="SPLITS", show_default=False,
        help="train+valid: train what was chosen once more, on both, before it is proven [train]",
    ),
]  # fmt: skip
Enough = Annotated[
    str | None,
    typer.Option(
        "--stop-when", metavar="GAIN",
        help='begin no further trial when less is expected: "gain<0.1%/min" of the best value [the whole budget is used]',
    ),
]  # fmt: skip
Aims = Annotated[
    str | None,
    typer.Option(
        "--objectives",
        metavar="NAMES",
        help="what counts: the metric, and latency, size, energy beside it (accuracy,latency)",
    ),
]
Like = Annotated[
    str | None,
    typer.Option("--like", metavar="RUN", help="an earlier run, on other data, whose best trials are tried first"),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="LIMIT", help='a limit that each network has to keep, such as "latency<5ms"; may be given again'
    ),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="ray", help="start the workers on a Ray cluster: of $RAY_ADDRESS, or one of this machine"),
]
Small = Annotated[
    str | None,
    typer.Option("--proxy", metavar="WIDTH", help="tune a narrow network, such as width=64; with --target"),
]
Large = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="WIDTH",
        help="train the wide one, such as width=1024, with what was found (muP); refused where widths do not behave alike",
    ),
]  # fmt: skip
Believed = Annotated[bool, typer.Option("--no-confirm", help="take the best single run as it is")]
Champion = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="RUN|ARTIFACT", show_default=False,
        help="begin at the weights of an artifact, see the data as it does, and compare both in the end",
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, and no progress")]


def optimize(
    ctx: typer.Context, words: Words, recipe: By = None, budget: Spend = None, clean: Clean = None, name: Name = None,
    home: Home = None, fresh: Fresh = False, device: Device = None, workers: Workers = None, deterministic: Same = False,
    storage: Storage = None, search: Proposing = None, scheduler: Scheduling = None, confirm: Again = None,
    no_confirm: Believed = False, ensemble: Joins = None, no_ensemble: Single = False, final: Final = None, stop_when: Enough = None, objectives: Aims = None, where: Where = None,
    like: Like = None, proxy: Small = None, target: Large = None, on: On = None, champion: Champion = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Find, prove and ship the best model that the budget can buy.

    Needs nothing but data; 10min is the budget when none is given. Fix what you like (model=mlp), give a range where you like
    (lr=1e-4..1e-1). The same command goes on where it was interrupted. With --from, what comes of it is compared with the model that
    it began at, on the same new test examples.
    """
    words = from_champion(words, champion, home)
    words = searching(words, workers, deterministic, storage, 0 if no_confirm else confirm, search, scheduler, stop_when, objectives,
                      where, like, 0 if no_ensemble else ensemble, final, proxy, target, on)  # fmt: skip
    return _begin(ctx.obj, "optimize", with_steps(words, clean), recipe, budget, name, home, fresh, device, as_json)


def train(
    ctx: typer.Context, words: Words, recipe: By = None, budget: Spend = None, clean: Clean = None, name: Name = None,
    home: Home = None, fresh: Fresh = False, device: Device = None, devices: Devices = None, restarts: Restarts = 0,
    shard: Shard = False, final: Final = None, champion: Champion = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Train one recipe, prove it and ship it.

    What you do not set is chosen for the data, and the choice is told with its reason. The same command goes on where it was
    interrupted, on as many devices or on others.
    """
    words = [*from_champion(words, champion, home), *([f"final={final}"] if final is not None else [])]
    group = Group(devices, restarts, shard)
    return _begin(ctx.obj, "train", with_steps(words, clean), recipe, budget, name, home, fresh, device, as_json, group)


def tune(
    ctx: typer.Context, words: Words, recipe: By = None, budget: Spend = None, clean: Clean = None, name: Name = None,
    home: Home = None, fresh: Fresh = False, device: Device = None, workers: Workers = None, deterministic: Same = False,
    storage: Storage = None, search: Proposing = None, scheduler: Scheduling = None, confirm: Again = None,
    no_confirm: Believed = False, ensemble: Joins = None, no_ensemble: Single = False, final: Final = None, stop_when: Enough = None, objectives: Aims = None, where: Where = None,
    like: Like = None, proxy: Small = None, target: Large = None, on: On = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Search the ranges that you give, and no others.

    lr=1e-4..1e-1 is a range, width=16,32,64 a choice, epochs=20 is fixed; log(1..5) and lin(1e-4..1e-1) say the scale.
    """
    words = searching(words, workers, deterministic, storage, 0 if no_confirm else confirm, search, scheduler, stop_when, objectives,
                      where, like, 0 if no_ensemble else ensemble, final, proxy, target, on)  # fmt: skip
    return _begin(ctx.obj, "tune", with_steps(words, clean), recipe, budget, name, home, fresh, device, as_json)


def resume(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="the folder or the name of a run", show_default=False)],
    budget: Spend = None, home: Home = None, device: Device = None, devices: Devices = None, restarts: Restarts = 0,
    shard: Shard = False, workers: Workers = None, on: On = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Go on with a run that was interrupted, or give a finished one a larger budget.

    Nothing is trained twice: each trial goes on from its saved state, bit for bit on the CPU. Time that was spent before counts.
    """
    folder = runs.run(run, runs.home(home))
    from dataclasses import replace

    from tuneful.pipeline.job import Job

    job = Job.read(folder)
    if budget is not None:
        from tuneful.core.budget import Budget

        Budget.parse(budget)
        job = replace(job, how=job.how.replace(budget=budget))
    if workers is not None:
        from tuneful.core.space import scalar

        job = replace(job, how=job.how.replace(workers=scalar(workers)))
    if on is not None:
        job = replace(job, how=job.how.replace(on=on))
    return _do(ctx.obj, job, device, as_json, folder=folder, group=Group(devices, restarts, shard))


def _begin(
    call: Call, mode: Literal["train", "tune", "optimize"], words: list[str], recipe: str | None, budget: str | None, name: str | None,
    home: Path | None, fresh: bool, device: str | None, as_json: bool, group: Group | None = None,
) -> int:  # fmt: skip
    from tuneful.cli.words import sort

    source, settings = sort(mode, words)
    if name is not None and (not name or Path(name).name != name or name.startswith(".")):
        raise TunefulError(f'the name is "{name}"; it must be the name of one folder', "such as --name first")
    from tuneful.techniques import sources

    if source or recipe is None:
        sources.located(source)  # a path that is wrong is told at once, before torch is loaded
    from tuneful.pipeline.words import from_words

    job = from_words(mode, source, settings, recipe=recipe, name=name, budget=budget, command=call.line)
    return _do(call, job, device, as_json, root=home, fresh=fresh, group=group)


def _do(
    call: Call, job: Job, device: str | None, as_json: bool, folder: Path | None = None, root: Path | None = None,
    fresh: bool = False, group: Group | None = None,
) -> int:  # fmt: skip
    """Do a job, show it, print what came of it. The exit code: 0, 130 after Ctrl-C, 3 where nothing was shipped."""
    check_device(device)
    if group is not None and (code := group.supervised(call, job, device)) is not None:
        return code
    ranks, followed = joined(job, device, group is not None and group.shard)
    if followed:
        return 0
    fresh = fresh and not again()
    from tuneful.cli.progress import Progress
    from tuneful.pipeline.limits import Halt, stopping_on_signals
    from tuneful.pipeline.optimize import Work

    halt = Halt()
    work = Work(job, folder=folder, root=root, fresh=fresh, halt=halt, device=device, began=began(call), ranks=ranks)
    with stopping_on_signals(halt), Progress(work, halt, quiet=as_json) as progress:
        for beat in work:
            progress.show(beat)
    if as_json:
        print(json.dumps(_data(work), indent=1))
    elif work.result is not None:
        _print(work)
    if work.result is None:
        print(work.ended, file=sys.stderr)
        return 130 if halt.by == signal.SIGINT else 0
    return 0 if work.result.artifact is not None else ParityError.exit_code  # proven, and no file answers as it does


def _print(work: Work) -> None:
    from tuneful.cli import summary

    if work.result is not None:
        print("\n".join(summary.result(work.result.evidence, work.result.folder, work.job.mode)))
        if work.job.mode != "train":
            print(f"ended: {work.ended}", file=sys.stderr)


def _data(work: Work) -> dict[str, Any]:
    """What came of it, for machines."""
    out: dict[str, Any] = {"folder": str(work.folder), "ended": work.ended, "finished": work.result is not None}
    if work.result is None:
        return out
    told = work.result.evidence
    kept = (
        "headline",
        "test",
        "valid",
        "baselines",
        "against_baseline",
        "recipe",
        "steps",
        "search",
        "joined",
        "seconds",
        "notes",
    )
    return {
        **out,
        "trial": work.result.trial.number,
        "report": str(work.result.report),
        "artifact": str(work.result.artifact.folder) if work.result.artifact is not None else None,
        **{key: told[key] for key in kept if key in told},
    }


def check_device(device: str | None) -> None:
    """Raises TunefulError for a device that is not there."""
    if device is None:
        return
    import torch

    known = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if device not in known and not (device == "cuda" and len(known) > 1):
        raise TunefulError(f"the device is {device}; this machine has {', '.join(known)}", "such as --device cpu")


def worker(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN|URL", help="the folder or the name of a run, or the database of its study", show_default=False)
    ],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="of the study, where a database holds several")] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="PATH", help="where the data lie on this machine, if elsewhere")] = None,
    home: Home = None, device: Device = None,
) -> int:  # fmt: skip
    """Work on a search that was begun, beside others: on this machine, or on another that sees the folder.

    It takes what is to be done, and ends when nothing is left or the time is up. End it as you like: what it was at goes on elsewhere.
    """
    from tuneful.pipeline import workers
    from tuneful.pipeline.limits import Halt, stopping_on_signals

    halt, sign = Halt(), None
    with stopping_on_signals(halt), workers.living(halt, run == workers.HERE):
        if run == workers.HERE:
            if (work := workers.told()) is None or halt.requested:
                return 0
            folder, sign = work
        else:
            root = runs.home(home)
            folder = workers.called(run, name, root) if "://" in run else runs.run(run, root)
        check_device(device)
        search = workers.joined(folder, halt, device=device, source=data)
        print(f"at work on {search.study.name} as {search.study.meeting.join()}", file=sys.stderr, flush=True)
        for beat in search:
            workers.touch(sign)
            if beat.point is not None and sign is None:
                print(
                    f"trial {beat.trial}, epoch {beat.epoch:.3g} of {beat.epochs:.3g}: {beat.point.value}", file=sys.stderr
                )
        if not halt.requested:
            workers.over(search.study, search.ended)
    print(f"ended: {search.ended}", file=sys.stderr)
    return 0
