"""improve: a model that was found is made smaller and faster, as far as nothing is lost that matters."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tuneful.cli import runs
from tuneful.cli.work import AsJson, Home

Steps = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STEP [KEY=VALUE]...]...", help="steps to take, in this order; `tuneful list compressor`", show_default=False),
]  # fmt: skip
Keep = Annotated[
    str | None,
    typer.Option("--keep", metavar="LIMITS", help='what may be lost: "accuracy-0.5%", several with commas [0.5 points of the objective]'),
]  # fmt: skip
Take = Annotated[
    str | None, typer.Option("--take", metavar="NAME", help="prove and ship a point that was found before; take no steps")
]

Goal = Annotated[
    str | None,
    typer.Option("--goal", metavar="LIMITS", help='what is wanted: "latency<1ms,size<200kB"; the best point within is proven and shipped'),
]  # fmt: skip
Spend = Annotated[str | None, typer.Option("--budget", metavar="TIME", help="for a search, where no steps are named [5min]")]
Unproven = Annotated[bool, typer.Option("--no-prove", help="keep the points, and leave the test split shut")]


def improve(
    run: Annotated[str, typer.Argument(metavar="RUN|ARTIFACT", help="a finished run, or the artifact in it", show_default=False)],
    steps: Steps = None, goal: Goal = None, keep: Keep = None, budget: Spend = None, take: Take = None, no_prove: Unproven = False, home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Make the model of a run smaller or faster: quantize, prune, distil. Each step is kept only if a paired test on valid shows that
    no more is lost than --keep allows; else it is refused, with the figures. Where no steps are named, they are searched, and the
    front of quality, time and size is drawn.

    What is kept is measured as it will run (onnxruntime, one thread), proven on the test split once, and sealed as an artifact of its
    own under RUN/improve; the artifact of the run stays as it is.
    """
    folder = owner(run, runs.home(home))
    from tuneful.core.errors import RecipeError
    from tuneful.pipeline.improve.words import steps as read

    if take and steps:
        raise RecipeError(
            f"--take {take} and the step {steps[0]} were both given; a point is taken as it was found", "leave one out"
        )
    found = read(steps or ())
    from tuneful.pipeline.improve import Improving, spend

    if budget and (found or take):
        raise RecipeError(
            f"--budget {budget} is for a search, and {'steps' if found else 'a point'} were named", "leave it out"
        )
    work = Improving(
        folder, steps=found, goal=goal, seconds=spend(budget or "5min"), keep=keep, take=take or "", prove=not no_prove
    )
    for said in work:
        if not as_json:
            print(said, file=sys.stderr, flush=True)
    result = work.result
    if result is None:
        return 1
    place = str(result.artifact.folder) if result.artifact is not None else None
    if as_json:
        print(json.dumps({"folder": str(folder), "name": result.name or None, "artifact": place, "points": list(result.points), "front": list(result.front),
                          "refused": list(result.refused), "headline": result.headline}, indent=1))  # fmt: skip
        return 0
    if not result.name and len(result.points) > 2:
        print("\n".join(front(result.front, result.points)))
    print(result.headline)
    if result.report is not None and result.report.exists():
        print(f"\nreport:    {result.report}")
    if place:
        print(f"artifact:  {place}\n\nto predict:  tuneful predict {place} DATA")
    return 0


def front(names: Sequence[str], points: Sequence[Mapping[str, Any]]) -> list[str]:
    """The points on the front as lines, the smallest first."""
    from tuneful.cli.progress import ascii_signs, shown
    from tuneful.cli.summary import grid
    from tuneful.report.words import measured, number, size

    on = sorted((one for one in points if one["name"] in names), key=lambda one: one["bytes"])
    batches = list(on[0]["milliseconds"]) if on else []
    head = ("on the front", "size", *(f"ms for {n}" for n in batches), "on valid")
    lines = [
        (str(one["name"]), ascii_signs(size(float(one["bytes"]))), *(number(one["milliseconds"][n]["value"], 3) for n in batches),
         shown(found) if (found := measured(one["value"])) else "")
        for one in on
    ]  # fmt: skip
    return [*grid([head, *lines]), ""]


def owner(given: str, root: Path) -> Path:
    """The run that a path, a name or an artifact inside of a run means. Raises StudyError."""
    path = Path(given)
    inside = (path / "manifest.json").is_file()
    for place in (path.parent, path.parent.parent) if inside else ():
        if (place / "job.json").is_file():
            return place
    if inside:
        from tuneful.core.errors import StudyError

        raise StudyError(
            f"{given} is an artifact outside of its run; it holds no data to calibrate and to compare on",
            "give the run that made it",
        )
    return runs.run(given, root)


__all__ = ["front", "improve", "owner"]
