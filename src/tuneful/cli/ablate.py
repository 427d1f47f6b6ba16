"""ablate: what each setting of a found recipe is worth."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from tuneful.cli import runs
from tuneful.cli.use import rewritten
from tuneful.cli.work import AsJson, Device, Home

Seeds = Annotated[int, typer.Option("--seeds", metavar="N", help="fresh seeds of each recipe, 2 at least")]
Along = Annotated[
    bool, typer.Option("--path", help="the way from the defaults to the chosen recipe as well, one setting a round")
]
Spend = Annotated[
    str | None, typer.Option("--budget", metavar="TIME", help="time that the trainings may take: fewer seeds, then fewer settings")
]  # fmt: skip


def ablate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a finished search: its folder or its name", show_default=False)],
    seeds: Seeds = 3, path: Along = False, budget: Spend = None, home: Home = None, device: Device = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Say what each setting of the chosen recipe is worth: train it again with that one setting as it is by default.

    Every recipe trains on the same fresh seeds, and differences are paired with intervals; they stand in the report of the run
    afterwards. The test split stays shut. A stopped ablation goes on where it was.
    """
    folder = runs.run(run, runs.home(home))
    from tuneful.pipeline.ablate import Ablation
    from tuneful.pipeline.limits import Halt, stopping_on_signals

    halt = Halt()
    ablation = Ablation(folder, seeds=seeds, path=path, budget=budget, halt=halt, device=device)
    if not as_json:
        print(f"{len(ablation.changes())} settings differ from the defaults", file=sys.stderr, flush=True)
    with stopping_on_signals(halt):
        for beat in ablation:
            if beat.point is not None and beat.epoch >= beat.epochs * (1 - 1e-6) and not as_json:
                print(f"trained: {beat.point.value.value:.4g} on valid", file=sys.stderr, flush=True)
    if not ablation.told:
        print(f"stopped; the same command goes on: tuneful ablate {folder}", file=sys.stderr)
        return 130
    report = rewritten(folder)
    if as_json:
        print(json.dumps(ablation.told, indent=1))
        return 0
    print("\n".join([*lines(ablation.told), "", f"report:    {report}"]))
    return 0


def lines(told: dict[str, object]) -> list[str]:
    """What was found, for people."""
    from tuneful.cli.progress import shown
    from tuneful.cli.summary import grid
    from tuneful.report.words import measured, rows, table

    found = [("setting", "default", "chosen", "worth", "")]
    for one in map(table, rows(told["dials"])):
        worth = measured(one["worth"]) if one["worth"] else None
        found.append(
            (str(one["dial"]), str(one["default"]), str(one["chosen"]), shown(worth) if worth else "", str(one["verdict"]))
        )
    out = [str(told["sentence"]), "", *grid(found)]
    path = [table(one) for one in rows(told["path"])]
    if path:
        steps = [("round", "setting", "gain", "")]
        for k, one in enumerate(path, 1):
            gain = measured(one["gain"]) if one["gain"] else None
            steps.append((str(k), str(one["dial"]), shown(gain) if gain else "", str(one["verdict"])))
        out += ["", *grid(steps)]
    return [*out, *(f"note: {said}" for said in rows(told["left_out"]))]


__all__ = ["ablate", "lines"]
