"""The commands that look before anything is trained: init, check."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneful.cli import runs
from tuneful.cli.options import with_steps
from tuneful.cli.work import AsJson, By, Clean, Device, Words
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.core.recipe import Recipe
    from tuneful.core.space import Space
    from tuneful.core.task import Finding, Task
    from tuneful.pipeline.job import Job
LOOKING, LONGER = 10.0, 300.0  # seconds in which label errors are looked for; where a list of them is asked for
Labels = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="write suspected label errors there, as CSV (takes longer)")
]


def init(
    words: Words,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="the recipe to write")] = Path(
        "recipe.toml"
    ),
    schema: Annotated[
        Path | None, typer.Option("--schema", metavar="FILE", help="write the JSON Schema for editors too")
    ] = None,
    clean: Clean = None,
) -> int:
    """Look at the data and write a commented recipe for it.

    Everything that tuneful would choose is written out with its reason; the ranges that `optimize` would search stand in a table
    of their own, [ranges]. An existing file is never overwritten.
    """
    if output.suffix.lower() != ".toml":
        raise TunefulError(f"{output} is no name for a recipe; it must end in .toml", "such as -o recipe.toml")
    if output.exists():
        raise TunefulError(f"{output} exists and is not overwritten", "give another name with -o, or move it away")
    job = job_of("init", with_steps(words, clean))
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline import defaults, files
    from tuneful.pipeline.asked import asked, checked
    from tuneful.pipeline.prepare import prepare

    checked(job, looking=True)
    task = prepare(job.source, **job.reading)
    told = asked(job, task, Recipe())
    recipe, space = defaults.resolve(told.recipe, task), told.space
    heading = _heading(task, output)
    if schema is not None:
        runs.write(schema, json.dumps(files.schema(), indent=1) + "\n")
        heading = f":schema {os.path.relpath(schema, output.parent)}\n{heading}"
    text = files.write(recipe, space, _told(job), heading, travels=True).replace("# :schema", "#:schema", 1)
    runs.write(output, text + ("" if len(space) else _ranges(defaults.dials(task, recipe), recipe.reasons)), new=True)
    _print_findings(task.findings, sys.stderr)
    print(output)
    if schema is None:
        print("editors complete and check recipes with a schema: `tuneful schema -o tuneful.schema.json`, and as the first "
              "line of the recipe `#:schema tuneful.schema.json`", file=sys.stderr)  # fmt: skip
    print(f"next: tuneful check {output}; then tuneful train {output}, or tuneful optimize {output}, which varies its [ranges]",
          file=sys.stderr)  # fmt: skip
    return 0


def check(
    words: Words,
    recipe: By = None,
    clean: Clean = None,
    labels: Labels = None,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with the data, what would be trained, and whether a batch goes through; train nothing.

    The exit code is 2 when a finding is an error.
    """
    job = job_of("check", with_steps(words, clean), recipe)
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline import defaults, doubts
    from tuneful.pipeline.asked import asked, checked
    from tuneful.pipeline.prepare import prepare

    checked(job, looking=True)
    task = prepare(job.source, **job.reading)
    told = asked(job, task, Recipe())
    made, space = defaults.resolve(told.recipe, task), told.space
    found = _one_batch(task, made, device)
    suspects = doubts.doubts(task, LOOKING if labels is None else LONGER)
    lines = doubts.listed(task, suspects)
    if labels is not None:
        runs.write(labels, doubts.as_csv(lines))
        print(f"{labels} lists {len(lines)} suspected labels of train", file=sys.stderr)
    findings = (*task.findings, *((told_,) if (told_ := doubts.finding(task, suspects)) else ()))
    bad = any(finding.severity == "error" for finding in findings)
    if as_json:
        data: dict[str, Any] = {
            "task": task.summary(),
            "recipe": made.as_data(),
            "space": space.as_data(),
            "id": made.id,
            "batch": found,
            "suspected_labels": {
                "examples": lines,
                "looked_at": suspects.of,
                "model": suspects.model,
                "not_looked_because": suspects.why_not,
            },
        }
        print(json.dumps(data, indent=1))
    else:
        _print_task(task)
        for step in task.cleaning:
            print(f"cleaning:  {step}")
        _print_findings(findings, sys.stdout)
        if suspects.why_not:
            print(f"note: label errors were not looked for: {suspects.why_not}")
        _print_recipe(made, space)
        _print_batch(found)
    return 2 if bad else 0


def job_of(command: str, words: list[str], recipe: str | None = None) -> Job:
    """What the words of a command that looks ask for, beginning at a recipe where one is named."""
    from tuneful.cli.words import sort

    source, settings = sort(command, words)
    from tuneful.pipeline.words import from_words

    return from_words("tune", source, settings, recipe=recipe)


def _told(job: Job) -> dict[str, Any]:
    """The [data] table: what was said, and nothing else."""
    from tuneful.pipeline.terms import Data

    usual = Data().as_data()
    return {"source": str(job.source), **{k: v for k, v in job.data.as_data().items() if v != usual[k]}}


def _heading(task: Task, output: Path) -> str:
    from tuneful.pipeline.goals import goal

    what = goal(task).said(task)
    return (
        f"A recipe for {task.name}: {what}, {len(task.train)} training examples, objective {task.objective.metric}.\n"
        f"`tuneful train {output.name}` takes these values; `tuneful optimize {output.name}` begins at them and\n"
        f'varies what the table [ranges] names: "1e-4..1e-1" is a range, "16,32,64" a choice.\n'
        f'Put "auto" where tuneful shall choose; leave a line out for the same.'
    )


def _ranges(dials: Mapping[str, str], reasons: Mapping[str, str]) -> str:
    """The table [ranges], as `optimize` would choose it."""
    said = "what tune and optimize vary, from the values above; train takes those"
    lines = ["", f"{'[ranges]':<34} # {said}", *(f"{path} = {json.dumps(given)}" for path, given in dials.items())]
    if "epochs" in reasons:
        free = 'epochs = "auto"'
        lines.append(f"{free:<34} # as many as the time for searching allows")
    return "\n".join(lines) + "\n"


def _one_batch(task: Task, recipe: Recipe, device: str | None) -> dict[str, Any]:
    """What one training step takes: size of the network, seconds, loss, memory."""
    import resource

    import torch

    from tuneful.cli.work import check_device
    from tuneful.pipeline.train import Run
    from tuneful.techniques.models.check import size

    check_device(device)
    run = Run(task, recipe, device=device)
    network = size(run.body, run.form)
    began = time.monotonic()
    next(run.walk(beat=0.0), None)
    seconds = time.monotonic() - began
    cuda = run.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated(run.device) if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "device": str(run.device), "parameters": network.parameters, "multiply_adds": network.multiply_adds,
        "batch_size": int(recipe.batch_size), "steps": run.steps, "steps_per_epoch": run.batches.per_epoch,
        "first_step_seconds": round(seconds, 4), "data_bytes": int(task.train.x.nbytes), "peak_bytes": int(peak),
        "ended": run.ended,
    }  # fmt: skip


def _print_task(task: Task) -> None:
    from tuneful.pipeline.goals import goal

    what = goal(task).said(task)
    print(f"data:      {task.name}: {what}; examples of shape {'x'.join(map(str, task.shape))}")
    print(f"splits:    {len(task.train)} train, {len(task.valid)} valid, {len(task.test)} test (sealed)")
    print(f"objective: {task.objective.metric}, {'larger' if task.objective.direction == 'max' else 'smaller'} is better")


def _print_findings(findings: tuple[Finding, ...], file: Any) -> None:
    for finding in findings:
        whole = finding.severity == "note" and finding.count == finding.of
        print(f"{finding.severity}: {finding.what}" if whole else str(finding), file=file)
        if finding.hint:
            print(f"  hint: {finding.hint}", file=file)


def _print_recipe(recipe: Recipe, space: Space) -> None:
    from tuneful.cli.progress import ascii_signs
    from tuneful.core.config import Settings
    from tuneful.core.recipe import LISTS
    from tuneful.report.words import setting

    dials = {dial.path: str(dial.range) for dial in space}
    lines: list[tuple[str, str, str]] = []
    for name in (n for n in type(recipe).model_fields if n != "reasons"):
        value: Any = getattr(recipe, name)
        several: list[Any] = list(value) if name in LISTS else [value]
        for one in several:
            fields: Mapping[str, Any] = one.as_data() if isinstance(one, Settings) else {}
            path = f"{name}.{getattr(one, 'kind', '')}" if name in LISTS else name
            told = " ".join(
                f"{key}={dials.get(f'{path}.{key}', setting(getattr(one, key)))}" for key in fields if key != "kind"
            )
            shown = f"{getattr(one, 'kind', '')} {told}".strip() if fields else dials.get(name, setting(one))
            lines.append((name, dials.get(name, shown), recipe.reasons.get(name, "")))
        if name in LISTS and not value:
            lines.append((name, "none", recipe.reasons.get(name, "")))
    print(f"recipe {recipe.id}:")
    for name, shown, reason in lines:
        print(f"  {name + ':':<15} {ascii_signs(shown)}" + (f"  (auto: {reason})" if reason else ""))


def _print_batch(found: Mapping[str, Any]) -> None:
    from tuneful.cli.progress import ascii_signs
    from tuneful.report.words import size

    print(f"network:   {found['parameters']:,} parameters, {found['multiply_adds']:,} multiply-adds an example")
    print(f"one batch: {found['batch_size']} examples went forward and back on {found['device']} in {found['first_step_seconds']:.3g} s "
          f"(the first, so slower than the rest); {found['steps']} steps in all, {found['steps_per_epoch']} an epoch")  # fmt: skip
    free = _free()
    print(f"memory:    {ascii_signs(size(found['peak_bytes']))} at most so far, {ascii_signs(size(found['data_bytes']))} of it "
          f"training data{f'; {ascii_signs(size(free))} are free' if free else ''}")  # fmt: skip
    if found["ended"]:
        print(f"the run ended in its first step: {found['ended']}")


def _free() -> float:
    from tuneful.techniques.sources.raw import free

    return 0.0 if free() == float("inf") else free()


__all__ = ["check", "init"]
