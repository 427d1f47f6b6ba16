"""Which commands there are, in the order of their help."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tuneful.cli import (
    ablate,
    about,
    compare,
    deploying,
    doctor,
    exporting,
    improve,
    look,
    plan,
    sealing,
    serving,
    use,
    verify,
    watching,
    work,
)
from tuneful.cli.examples import epilog
from tuneful.cli.help import Plain

app = typer.Typer(
    name="tuneful",
    help="Finds the best deep-learning model that a budget can buy, and proves it.",
    epilog="\b\nExamples:\n"
    "  tuneful optimize data/flowers --budget 30min    data in, deployable model and report out\n"
    "  tuneful train digits optimizer=adabound lr=3e-3 one recipe, one run\n"
    "  tuneful tune digits lr=1e-4..1e-1 width=16,32   a range where a number stood\n"
    "  tuneful train --help                            what a command does, with examples",
    rich_markup_mode=None,  # plain help: a quarter of the time, and it reads well in a pipe
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True)
def tuneful(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version and end")] = False
) -> None:
    if version:
        from tuneful import __version__

        print(f"tuneful {__version__}")
        raise typer.Exit(0)
    if ctx.invoked_subcommand is None:
        print(ctx.get_help(), file=sys.stdout)
        raise typer.Exit(0)


def _add(name: str, function: Callable[..., int], said: str) -> None:
    app.command(name, cls=Plain, short_help=said, epilog=epilog(name))(function)


_add("optimize", work.optimize, "find, prove and ship the best model for a budget")
_add("train", work.train, "train one recipe, prove it and ship it")
_add("tune", work.tune, "search the ranges that you give, and no others")
_add("compare", compare.compare, "say which optimizer suits this problem, equally tuned")
_add("ablate", ablate.ablate, "say what each setting of a found recipe is worth")
_add("resume", work.resume, "go on with a run, or give it a larger budget")
_add("worker", work.worker, "work on a search beside others, here or on another machine")
_add("init", look.init, "look at the data and write a commented recipe")
_add("check", look.check, "say what is wrong with data and recipe; train nothing")
_add("doctor", doctor.doctor, "watch the first steps of a recipe and say what is wrong with it")
_add("plan", plan.plan, "time the ways of carrying out the steps here, and show the fastest that agrees")
_add("improve", improve.improve, "make a model smaller and faster, as far as nothing is lost")
_add("show", use.show, "what is known of a run or an artifact; all runs; a picture of augments")
_add("report", use.report, "write the report of a run again")
_add("predict", use.predict, "predict with an artifact, as CSV")
_add("serve", serving.serve, "serve models over HTTP, without torch")
_add("watch", watching.watch, "say whether what a model meets has changed")
_add("export", exporting.export, "write a run's network for torch (.pt2) or LiteRT")
_add("deploy", deploying.deploy, "files for Docker, systemd, Kubernetes or KServe")
_add("verify", sealing.verify, "check all of an artifact: hashes, signature, network, papers")
_add("seal", sealing.seal, "add an owner's words to an artifact, and sign it")
_add("evaluate", use.evaluate, "measure again: the test split, or new labelled data")
_add("verify-resume", verify.verify_resume, "kill and resume a copy of a run, and compare")
_add("list", about.techniques, "techniques, with their sources and costs")
_add("schema", about.schema, "print the JSON Schema of recipes, for editors")
_add("env", about.env, "versions, broken packages, devices")
