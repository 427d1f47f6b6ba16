"""The command `deploy`: files to run a served model elsewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneful.cli import runs
from tuneful.cli.work import Home


def deploy(
    artifact: Annotated[str, typer.Argument(metavar="RUN|ARTIFACT", help="a run or an artifact", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="docker|systemd|kubernetes|kserve", help="what it is to run on")] = "docker",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="a new folder; deploy-NAME when left out")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="of the model; that of its run when left out")] = None,
    image: Annotated[str, typer.Option("--image", metavar="NAME", help="of the Docker image; NAME:1 when left out")] = "",
    home: Home = None,
) -> int:  # fmt: skip
    """Write what it takes to serve an artifact elsewhere: a Docker context without torch, a systemd unit, or manifests."""
    from tuneful.runtime import deploy as files
    from tuneful.runtime.serve.placed import places

    path = runs.artifact(artifact, runs.home(home)).resolve()
    called = name or re.sub(r"[^a-z0-9]+", "-", places([str(path)])[0].name.lower()).strip("-")[:50]
    folder = output or Path(f"deploy-{called}")
    for file in files.write(to, path, folder, called, image):
        print(file)
    if to == "docker":
        model = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        print(
            f"packages of {files.weight() / 1e6:.0f} MB and a model of {model / 1e6:.1f} MB come upon the base image",
            file=sys.stderr,
        )
        print(f"docker build -t {image or f'{called}:1'} {folder}", file=sys.stderr)
    return 0
