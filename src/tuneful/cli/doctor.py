"""doctor: the first few hundred steps of a recipe under watch, and what is wrong with it in sentences."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneful.cli.work import AsJson, By, Device, Words, check_device
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.core.recipe import Recipe
    from tuneful.core.task import Task


def doctor(
    words: Words,
    recipe: By = None,
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="how long to watch")] = 300,
    warmup: Annotated[bool, typer.Option("--warmup", help="and how long a warm-up this rate needs")] = False,
    rates: Annotated[bool, typer.Option("--rates", help="and between which learning rates it learns at all")] = False,
    noise: Annotated[bool, typer.Option("--noise", help="and how large a batch its gradient's noise is worth")] = False,
    batches: Annotated[
        bool, typer.Option("--batches", help="and how many examples a second each batch size gets through")
    ] = False,
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
    job = job_of("doctor", words, recipe)
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline.asked import asked, checked
    from tuneful.pipeline.defaults import resolve
    from tuneful.pipeline.doctor import examine
    from tuneful.pipeline.prepare import prepare

    checked(job, looking=True)
    check_device(device)
    task = prepare(job.source, **job.reading)
    made = resolve(asked(job, task, Recipe()).recipe, task)
    found = examine(task, made, steps=steps, device=device)
    told: dict[str, Any] = {
        "complaints": [one.as_data() for one in found.complaints], "steps": found.steps, "looks": found.looks,
        "seconds": round(found.seconds, 2), "ended": found.ended, "sharpness": found.seen.sharpness,
    }  # fmt: skip
    lines = [str(found)]
    for wanted, name, probe in (
        (warmup, "warmup", _warmup), (rates, "rates", _rates), (noise, "noise", _noise), (batches, "batches", _batches),
    ):  # fmt: skip
        if wanted:
            told[name], line = probe(task, made, device)
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


def _rates(task: Task, recipe: Recipe, device: str | None) -> tuple[dict[str, Any], str]:
    from tuneful.pipeline.rate_range import rate_range

    found = rate_range(task, recipe, device=device)
    tried = [(rate, loss if math.isfinite(loss) else None) for rate, loss in found.tried]
    told = {"low": found.low, "high": found.high, "best": found.best, "tried": tried, "curve": found.curve}
    return told, str(found)


def _noise(task: Task, recipe: Recipe, device: str | None) -> tuple[dict[str, Any], str]:
    from tuneful.pipeline.noise_scale import recipe_noise_scale

    found = recipe_noise_scale(task, recipe, device=device)
    value, low, high = (one if math.isfinite(one) else None for one in (found.value, found.low, found.high))
    told = {"value": value, "low": low, "high": high, "n": found.n, "unit": found.unit, "how": found.how}
    if value is None or high is None:
        return told, f"the noise of the gradient hides it ({found.how}): larger batches pay"
    return (
        told,
        f"batches of up to about {value:.3g} examples [{low:.3g}, {high:.3g}] pay for themselves at this moment; larger ones buy little",
    )


def _batches(task: Task, recipe: Recipe, device: str | None) -> tuple[dict[str, Any], str]:
    from tuneful.pipeline.batch_curve import batch_curve

    found = batch_curve(task, recipe, device=device)
    loads = [{"size": one.size, "speed": one.speed.value, "low": one.speed.low, "high": one.speed.high, "kept_bytes": one.kept}
             for one in found.loads]  # fmt: skip
    return {"knee": found.knee, "loads": loads, "ended": found.ended}, str(found)
