"""doctor: the first few hundred steps of a recipe under watch, and what is wrong with it in sentences."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneful.cli.work import AsJson, Device, Words, check_device
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.core.recipe import Recipe
    from tuneful.core.task import Task


def doctor(
    words: Words,
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="how long to watch")] = 300,
    warmup: Annotated[bool, typer.Option("--warmup", help="find out how long a warm-up this rate needs, too")] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Train a recipe for a few hundred steps, and say what is wrong with it: the figure that was measured, and the remedy.

    Looks for divergence, a rate at the edge of it, steps too long or too short, gradients that vanish or explode, dead and saturated
    units, batch norms not to be trusted, labels and heads that do not fit the loss, decay lost to rounding, denormals, and data
    slower than the steps. Nothing is kept. The exit code is 0 whatever is found; `tuneful list symptoms` tells the limits.
    """
    from tuneful.cli.look import job_of

    if steps < 20:
        raise TunefulError(
            f"--steps is {steps}; it must be 20 or more, so that there is something to see", "such as --steps 300"
        )
    job = job_of("doctor", words)
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline.asked import asked, checked
    from tuneful.pipeline.defaults import resolve
    from tuneful.pipeline.doctor import examine
    from tuneful.pipeline.prepare import prepare

    checked(job, looking=True)
    check_device(device)
    task = prepare(job.source, **job.reading)
    recipe = resolve(asked(job, task, Recipe()).recipe, task)
    found = examine(task, recipe, steps=steps, device=device)
    told: dict[str, Any] = {
        "complaints": [one.as_data() for one in found.complaints], "steps": found.steps, "looks": found.looks,
        "seconds": round(found.seconds, 2), "ended": found.ended, "sharpness": found.seen.sharpness,
    }  # fmt: skip
    lines = [str(found)]
    if warmup:
        more, line = _warmup(task, recipe, device)
        told["warmup"] = more
        lines.append(line)
    if as_json:
        print(json.dumps(told, indent=1))
        return 0
    print("\n".join(lines))
    edges = f"; rate times sharpness is {max(found.seen.sharpness):.2g} of the limit" if found.seen.sharpness else ""
    print(f"watched {found.steps} steps with {found.looks} looks in {found.seconds:.1f} s{edges}", file=sys.stderr)
    return 0


def _warmup(task: Task, recipe: Recipe, device: str | None) -> tuple[dict[str, Any], str]:
    from tuneful.pipeline.warmup_probe import warmup_probe

    found = warmup_probe(task, recipe, device=device)
    return found.as_data(), str(found)
