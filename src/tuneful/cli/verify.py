"""The command that proves that a kill costs nothing: verify-resume."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from tuneful.cli import runs
from tuneful.cli.work import AsJson, Home
from tuneful.core.errors import TunefulError


def verify_resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the folder or the name of a run", show_default=False)],
    kills: Annotated[int, typer.Option("--kills", metavar="N", help="how often to kill")] = 3,
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="train at most so many steps")] = 200,
    trial: Annotated[int | None, typer.Option("--trial", metavar="NUMBER", help="which one [the best]")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="of the moments at which it is killed")] = 0,
    home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Kill and resume a copy of a run, and compare it with one left alone: prints EXACT, or where the two part.

    A trial is trained again from its start, once undisturbed and once killed with kill -9 at random moments; weights, optimizer,
    averages and curve must be equal to the last bit. The run itself is only read. The exit code is 1 when they part.
    """
    for name, value, least in (("--kills", kills, 1), ("--steps", steps, 2)):
        if value < least:
            raise TunefulError(f"{name} is {value}; it must be at least {least}", f"such as {name} {least}")
    folder = runs.run(run, runs.home(home))
    from tuneful.pipeline.verify import Verification

    check = Verification(folder, kills=kills, steps=steps, trial=trial, seed=seed)
    for said in check:
        if not as_json:
            print(said, file=sys.stderr, flush=True)
    verdict = check.verdict
    if verdict is None:
        raise TunefulError("the comparison ended without a verdict")
    print(json.dumps(verdict.as_data(), indent=1) if as_json else verdict)
    return 0 if verdict.exact else 1
