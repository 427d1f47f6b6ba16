"""The commands for what was found: show, report, predict, evaluate. None but `evaluate RUN` needs torch."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tuneful.cli import runs
from tuneful.cli.work import AsJson, Home
from tuneful.core.errors import ArtifactError, TunefulError

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="write there instead of to standard output")
]


def show(
    words: Annotated[list[str] | None, typer.Argument(
        metavar="[RUN|ARTIFACT|DATA [KEY=VALUE]...]", show_default=False,
        help="a run or an artifact; all runs when left out; with --augment data and settings",
    )] = None,
    augment: Annotated[bool, typer.Option("--augment", help="draw what the network sees of the data into a PNG file")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="the PNG file of --augment")] = Path("augment.png"),
    home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Say what is known of a run or an artifact, each number with its interval; without one, list the runs.

    With --augment, images are read instead and drawn into a PNG file as the network would see them: a row for each of six
    examples, the original first, then in eight steps of training with the augments of the recipe. Where each pixel has a class, a
    second row shows the same images under the colours of their classes.
    """
    if augment:
        return _augmented(words or [], output)
    if words and len(words) > 1:
        raise TunefulError(
            f"show takes one run or artifact, and {len(words)} words were given: {', '.join(words)}",
            "such as `tuneful show digits`; settings serve `tuneful show digits rotate=20 --augment` alone",
        )
    root, what = runs.home(home), words[0] if words else None
    if what is None:
        return _all(root, as_json)
    from tuneful.cli import summary

    if runs.is_artifact(what):
        from tuneful.core.artifact import unseal

        opened = unseal(Path(what))
        told = opened.read("evidence.json")
        lines = summary.artifact(told, opened.manifest, Path(what))
    else:
        folder = runs.run(what, root)
        told = runs.evidence(folder)
        if told is None:
            told, lines = _unfinished(folder)
        else:
            lines = summary.result(told, folder, str(runs.read(folder / "job.json").get("mode", "")))
    print(json.dumps(told, indent=1) if as_json else "\n".join(lines))
    return 0


def _augmented(words: list[str], output: Path) -> int:
    """Write the picture of `show --augment`, and say what is in it."""
    if output.suffix.lower() != ".png":
        raise TunefulError(f"{output} is no name for a picture; it must end in .png", "such as -o augment.png")
    from tuneful.cli.look import job_of

    job = job_of("show", words)
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline import picture
    from tuneful.pipeline.asked import asked, checked
    from tuneful.pipeline.defaults import resolve
    from tuneful.pipeline.prepare import prepare

    checked(job, looking=True)
    task = prepare(job.source, **job.reading)
    recipe = resolve(asked(job, task, Recipe()).recipe, task)
    picture.write(output, picture.picture(task, recipe))
    said = ", ".join(_with_settings(one) for one in recipe.augments if not isinstance(one, str)) or "none"
    print(f"augments, in their order: {said}", file=sys.stderr)
    print(output)
    return 0


def _with_settings(augment: Any) -> str:
    fields = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
              for name, value in augment.as_data().items() if name != "kind"]  # fmt: skip
    return f"{augment.kind} ({' '.join(fields)})" if fields else str(augment.kind)


def _all(root: Path, as_json: bool) -> int:
    """The runs below a folder, newest first, without opening their studies."""
    from tuneful.cli.summary import grid

    found: list[dict[str, Any]] = []
    for name in runs.names(root):
        folder = root / name
        job, told = runs.read(folder / "job.json"), runs.evidence(folder) or {}
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime((folder / "job.json").stat().st_mtime))
        found.append({"run": str(folder), "begun": when, "mode": job["mode"], "source": job["source"], "finished": bool(told),
                      "headline": str(told.get("headline", "not finished"))})  # fmt: skip
    if as_json:
        print(json.dumps(found, indent=1))
    elif found:
        print("\n".join(grid([("run", "begun", "by", "what it reached"),
                              *((one["run"], one["begun"], one["mode"], one["headline"]) for one in found)])))  # fmt: skip
    else:
        print(f"{root} holds no runs; `tuneful optimize digits --budget 60s` makes one", file=sys.stderr)
    return 0


def _unfinished(folder: Path) -> tuple[dict[str, Any], list[str]]:
    from tuneful.cli import summary
    from tuneful.core.study import Study

    study = Study.open(folder, looking=True)
    trials = study.trials()
    last = [{"number": t.number, "state": t.state, "last": t.last.as_data() if t.last else None} for t in trials]
    return {"finished": False, "about": study.about, "trials": last}, summary.progress(study.about, trials, folder)


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the folder or the name of a run", show_default=False)],
    home: Home = None,
) -> int:
    """Write the report of a run again, also while it is not finished, and print its path."""
    print(rewritten(runs.run(run, runs.home(home))))
    return 0


def rewritten(folder: Path) -> Path:
    """The report of a run, written again from what lies in its folder."""
    from tuneful.core.study import Study
    from tuneful.core.task import openings_in
    from tuneful.report import Story, write

    study = Study.open(folder, looking=True)
    told = runs.evidence(folder)
    if told is not None and (folder / "ablation.json").is_file():
        told["ablation"] = runs.read(folder / "ablation.json")
    task = dict(runs.read(folder / "task.json"))
    openings = folder / "openings.jsonl"
    if openings.is_file():
        task["openings"] = openings_in(openings)
    story = Story(
        title=study.name, evidence=told or {}, trials=study.trials(), task=task, seconds=(told or {}).get("seconds", {}),
        command=str(runs.read(folder / "job.json").get("command", "")), condition="done" if told else "interrupted",
        made_at=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )  # fmt: skip
    return write(folder / "report.html", story)


def predict(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="an artifact, or a run that has one", show_default=False)],
    data: Annotated[str, typer.Argument(metavar="DATA", help="a table, an image, a folder of images, .npy, .npz or idx files",
                                        show_default=False)],
    explain: Annotated[Path | None, typer.Option("--explain", metavar="FOLDER", help="write there which places spoke for each prediction: "
                       "a picture of an image, else numbers")] = None,
    output: Output = None, home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Predict with an artifact: one line an example, as CSV. The labels of the data, if it has any, are not looked at.

    Needs no torch. Probabilities of the classes stand in columns of their own. A model of an open set says "abstain" where its
    margin is below 0. Of a segmentation the masks are written into the folder that -o names (masks, when it names none), as PNG
    files of each image's own size, and the CSV tells what is in them. --explain needs a network that ends in a mean over places and
    one linear layer (convnet, resnet, mobilenet_v2 ...), and writes its class-activation maps; a column names the files.
    """
    folder = runs.artifact(artifact, runs.home(home))
    if output is not None and Path(data).exists() and output.exists() and output.samefile(data):
        raise TunefulError(f"{output} is the data itself, which is not overwritten", "give another name with -o")
    from tuneful.cli.inputs import pieces, read
    from tuneful.runtime import answers
    from tuneful.runtime.load import load

    model = load(folder)
    if explain is not None:
        model.explained()
    if model.kind in answers.PIXELS:
        from tuneful.cli.masks import write

        head, rows = write(model, *read(data, model), output or Path("masks"))
        return _written(head, [rows], None, as_json)
    if model.kind == "forecasting":
        told = model.forecast(read(data, model)[0])
        return _written(list(told), [[list(row) for row in zip(*told.values(), strict=True)]], output, as_json)
    if model.kind in answers.TEXTS:
        written: list[list[Any]] = [
            [str(at), text] for at, text in enumerate(model.translate(read(data, model)[0]), start=1)
        ]
        return _written(["row", "prediction"], [written], output, as_json)
    found = pieces(data, model)
    x, names = next(found)  # so that what is wrong from the beginning is told before a file is made
    first = "file" if names and not names[0].isdigit() else "row"
    if model.kind in answers.PLACES:
        head = [first, "prediction"]
    else:
        head = (
            [first, *model.targets]
            if model.targets
            else [first, "prediction", *(["margin"] if model.rule else []), *(f"p({label})" for label in model.labels)]
        )
    head = [*head, *(["explanation"] if explain is not None else [])]
    return _written(head, _predicted(model, itertools.chain([(x, names)], found), explain), output, as_json)


def _predicted(model: Any, found: Iterable[tuple[Any, list[str]]], explain: Path | None = None) -> Iterator[list[list[Any]]]:
    """The lines of the answer, those of each piece of the data together."""
    from tuneful.cli import explaining
    from tuneful.cli.inputs import example_names
    from tuneful.core.errors import DataError
    from tuneful.runtime import answers, openset

    before = 0
    for x, given in found:
        try:
            if model.kind in answers.PLACES:
                told = [" ".join(one) if isinstance(one, list) else str(one) for one in model.predict(x)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                yield [[name, one] for name, one in zip(given or example_names(len(told), before), told, strict=True)]
                before += len(told)
                continue
            p = model.raw(x)
        except DataError as error:
            raise (
                error if not before else DataError(f"in the rows from {before + 1} on: {error.message}", error.hint)
            ) from None
        names = given or example_names(len(p), before)
        before += len(p)
        said = answers.decided(model.kind, model.labels, p, model.rule)
        if model.rule:  # how far above the threshold, instead of the energy behind the probabilities
            margins = openset.margins(model.rule, p)
            p = [[margin, *line[:-1]] for margin, line in zip(margins, p, strict=True)]
        if model.targets:
            lines: list[list[Any]] = [
                [name, *(float(value) for value in line)] for name, line in zip(names, said, strict=True)
            ]
        else:
            lines = [[name, _said(value, model.labels), *(float(f"{q:.6g}") for q in (p[at] if model.labels else ()))]
                     for at, (name, value) in enumerate(zip(names, said, strict=True))]  # fmt: skip
        if explain is not None:
            lines = [[*line, path] for line, path in zip(lines, explaining.write(model, x, names, explain), strict=True)]
        yield lines


def _written(head: list[str], pieces: Iterable[list[list[Any]]], output: Path | None, as_json: bool) -> int:
    """Write lines as they come, to a file (which is there whole, or not at all) or to standard output."""
    from contextlib import nullcontext

    count, waiting = 0, iter(pieces)
    begun = list(itertools.islice(waiting, 1))  # what is wrong with the first is told before anything is written
    with nullcontext(sys.stdout) if output is None else runs.writing(output) as out:
        out.write("" if as_json else _csv([head]))
        for rows in itertools.chain(begun, waiting):
            if as_json:
                text = json.dumps([dict(zip(head, row)) for row in rows], indent=1)[1:-2]
                out.write(("," if count else "[") + text if rows else "")
            else:
                out.write(_csv(rows))
            count += len(rows)
        out.write(("\n]\n" if count else "[]\n") if as_json else "")
    if output is not None:
        print(f"{count} predictions are in {output}", file=sys.stderr)
    return 0


def _said(decision: Any, labels: tuple[str, ...]) -> Any:
    """A decision as one cell: a class, a number, or the labels that are borne with | between them."""
    if getattr(decision, "ndim", 0) == 1:
        return "|".join(label for label, there in zip(labels, decision, strict=True) if there)
    return str(decision) if labels else float(decision)


def _csv(rows: list[list[Any]]) -> str:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def evaluate(
    what: Annotated[str, typer.Argument(metavar="RUN|ARTIFACT", help="a run or an artifact", show_default=False)],
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="labelled data that the model has not seen",
                                               show_default=False)] = None,
    home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Measure a model again: a run on its own test split, or an artifact on new labelled data.

    Opening the test split is counted and written down each time: whoever picks a model by it has no unseen data left.
    """
    root = runs.home(home)
    if data is None and runs.is_artifact(what):
        raise ArtifactError(f"{what} is an artifact, which holds no data", f"such as `tuneful evaluate {what} DATA`")
    if data is None:
        from tuneful.cli.measuring import on_test_split

        folder = runs.run(what, root)
        found, told = on_test_split(folder)
    else:
        from tuneful.cli.measuring import on_new_data

        found, told = on_new_data(runs.artifact(what, root), data)
    from tuneful.cli.progress import shown
    from tuneful.cli.summary import by_type, grid

    if as_json:
        print(json.dumps({**told, "measures": {name: measure.as_data() for name, measure in found.items()}}, indent=1))
        return 0
    print(told["what"])
    print("\n".join(grid([(name, shown(measure)) for name, measure in found.items()])))
    if each := told.get("per_type"):
        print("\n".join(["", *by_type(each)]))
    for note in told.get("notes", ()):
        print(note, file=sys.stderr)
    return 0
