"""improve: a model that was found is made smaller and faster, as far as nothing is lost that matters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

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

Unproven = Annotated[bool, typer.Option("--no-prove", help="keep the points, and leave the test split shut")]


def improve(
    run: Annotated[str, typer.Argument(metavar="RUN|ARTIFACT", help="a finished run, or the artifact in it", show_default=False)],
    steps: Steps = None, keep: Keep = None, take: Take = None, no_prove: Unproven = False, home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Make the model of a run smaller or faster: quantize, prune, distil. Each step is kept only if a paired test on valid shows that
    no more is lost than --keep allows; else it is refused, with the figures.

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
    from tuneful.pipeline.improve import Improving

    work = Improving(folder, steps=found, keep=keep, take=take or "", prove=not no_prove)
    for said in work:
        if not as_json:
            print(said, file=sys.stderr, flush=True)
    result = work.result
    if result is None:
        return 1
    place = str(result.artifact.folder) if result.artifact is not None else None
    if as_json:
        print(json.dumps({"folder": str(folder), "name": result.name or None, "artifact": place, "points": list(result.points),
                          "refused": list(result.refused), "headline": result.headline}, indent=1))  # fmt: skip
        return 0
    print(result.headline)
    if place:
        print(f"\nartifact:  {place}\n\nto predict:  tuneful predict {place} DATA")
    return 0


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


__all__ = ["improve", "owner"]
