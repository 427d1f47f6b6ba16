"""The command `export`: a run's network for other runtimes than onnxruntime."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneful.cli import runs
from tuneful.cli.work import AsJson, Home
from tuneful.core.errors import TunefulError

FORMS = ("pt2", "litert", "litert_int8")


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a finished run", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="|".join(FORMS), help="the form of the file")] = "pt2",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="where to [RUN/exports]")] = None,
    python: Annotated[str, typer.Option("--python", metavar="PATH", help="that of the environment with litert-torch [$TUNEFUL_LITERT]")] = "",
    home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Write a run's network as torch's .pt2, or for LiteRT in floats or 8-bit whole numbers.

    The file is run in its own runtime on validation rows; where it answers otherwise than torch nothing is written (exit 3). The
    ONNX file stands in the artifact already, and weights.safetensors with recipe.json to go on from.
    """
    if to not in FORMS:
        raise TunefulError(f"there is no form {to}; known are {', '.join(FORMS)}", f"such as --to {FORMS[0]}")
    folder = runs.run(run, runs.home(home))
    from tuneful.pipeline.elsewhere import exported
    from tuneful.pipeline.improve.opened import opened

    origin = opened(folder)
    place = output or folder / "exports"
    told = exported(origin.task, origin.candidate, to, place, python)  # pyright: ignore[reportArgumentType]
    if as_json:
        print(json.dumps(told, indent=1))
        return 0
    from tuneful.cli.progress import shown
    from tuneful.report.words import measured

    same = measured(told["agreement"])
    lost = measured(told["metric"]["difference"]) if "metric" in told else None
    said = f"{told['bytes']} bytes, run by {told['runtime']} on {told['rows']} validation rows: largest difference {told['largest_difference']:.2g}"
    said += f", agreement {shown(same)}" if same is not None else ""
    said += f", {told['metric']['name']} less that of torch {shown(lost)}" if lost is not None else ""
    print(said, file=sys.stderr)
    print(place / told["file"])
    return 0
