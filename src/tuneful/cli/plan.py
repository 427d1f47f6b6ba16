"""plan: which ways of carrying out the steps are fast here, which are refused, and why."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneful.cli.work import AsJson, By, Device, Home, Words, check_device
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.pipeline.plan import Plan


def plan(
    words: Words,
    recipe: By = None,
    seconds: Annotated[float, typer.Option("--seconds", metavar="N", help="what measuring may take")] = 10.0,
    again: Annotated[bool, typer.Option("--again", help="measure even where a plan is known")] = False,
    home: Home = None,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Time the ways in which a recipe's steps can be carried out here, and show the plan: memory layout, precision, optimizer in one
    call, threads, torch.compile, CUDA graphs, parts of a batch.

    A way whose losses or gradients are not those of fp32 is refused with the figure. train, tune and optimize measure the same
    within 3 % of the time, and know the plan that is kept here; plan=off, or precision=fp32, gives the plain loop.
    """
    from tuneful.cli.look import job_of

    if not seconds > 0:
        raise TunefulError(f"--seconds is {seconds:g}; it must be above 0", "such as --seconds 10")
    job = job_of("plan", words, recipe)
    from tuneful.cli import runs
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline.asked import asked, checked
    from tuneful.pipeline.defaults import resolve
    from tuneful.pipeline.plan import planned
    from tuneful.pipeline.plans import Plans
    from tuneful.pipeline.prepare import prepare
    from tuneful.pipeline.train import Run

    checked(job, looking=True)
    check_device(device)
    task = prepare(job.source, **job.reading)
    run = Run(task, resolve(asked(job, task, Recipe()).recipe, task), device=device)
    plans = Plans(runs.home(home) / ".plans")
    known = plans.known_of(run) if not again else None
    found = known or planned(run, least=seconds, most=seconds)
    if known is None:
        plans.keep(run, found)
    if as_json:
        print(json.dumps({**found.as_data(), "steps": run.steps, "batch": int(run.recipe.batch_size)}, indent=1))
        return 0
    print("\n".join(table(found)))
    kept = f"; a step keeps {found.saved / 2**20:.3g} MB for its backward pass" if found.saved else ""
    took = "measured before" if known is not None else f"measured in {found.seconds:.1f} s"
    print(f"{took} on {run.device}{kept}" if found.tried else found.why, file=sys.stderr)
    return 0


def table(found: Plan) -> list[str]:
    """A line for each way: time of a step, distance of its losses, cosine of its gradient, verdict and reason."""
    lines = [f"steps are carried out as: {found.chosen}"]
    if not found.tried:
        return lines
    ordered = sorted(found.tried, key=lambda one: (one.ms is None, one.ms or math.inf))
    rows = [("way", "ms a step", "losses off", "gradient", "verdict", "why")] + [
        (
            one.way,
            _number(one.ms, "{:.3g}"),
            _number(one.loss, "{:.2%}"),
            _number(one.cosine, "{:.4f}"),
            one.verdict,
            one.why,
        )
        for one in ordered
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    return lines + [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row[:5], widths, strict=True)), row[5]]).rstrip() for row in rows
    ]


def _number(value: Any, how: str) -> str:
    return "" if value is None else how.format(value)
