"""The command `watch`: has what a model meets changed since it was made? Needs no torch."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tuneful.cli import runs
from tuneful.cli.work import AsJson, Home
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.runtime.watch.judgement import Judged
    from tuneful.runtime.watch.sides import Before, Now

DRIFTED = 4  # exit code: there was an alarm


def watch(
    what: Annotated[str, typer.Argument(metavar="RUN|ARTIFACT|RECORD", show_default=False,
                    help="a run or an artifact, or the file that `serve --record` writes")],
    data: Annotated[str | None, typer.Option("--data", metavar="DATA", help="new examples, compared as a whole with what the artifact was made from")] = None,
    record: Annotated[Path | None, typer.Option("--record", metavar="FILE", help="of an artifact: the file that `serve --record` writes")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="CSV of request ids and what was true: id[,row],label")] = None,
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="the column of labels, where it is not called label")] = "",
    reference: Annotated[str | None, typer.Option("--reference", metavar="DATA|NUMBER", help="what to compare with instead: other data, or the first so many examples")] = None,
    alarm: Annotated[str, typer.Option("--alarm", metavar="RATE", help="false alarms that are accepted: 0.01/month, 0.05/week, 0.01/10000 (examples)")] = "0.01/month",
    by: Annotated[str, typer.Option("--by", metavar="WAY,...", help="what raises alarms in a record: betting, windows, adwin, page_hinkley")] = "betting",
    test: Annotated[str, typer.Option("--test", metavar="NAME", help="auto, ks, chi_squared, psi or wasserstein")] = "auto",
    correction: Annotated[str, typer.Option("--correction", metavar="holm|bh", help="for the number of columns")] = "holm",
    window: Annotated[str, typer.Option("--window", metavar="SIZE", help="of a window: 500 examples, or 6h, 1d")] = "auto",
    windows: Annotated[str, typer.Option("--windows", metavar="K/N", help="with --by windows: so many of so many must differ")] = "2/5",
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="alarms that are older, such as 1d, raise none")] = None,
    of: Annotated[str | None, typer.Option("--of", metavar="NAME[:VERSION]", help="which model of a record")] = None,
    webhook: Annotated[str | None, typer.Option("--webhook", metavar="URL", help="where alarms are sent, as JSON")] = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="FILE", help="where what was found is added, a line of JSON each time")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="the report")] = Path("watch.html"),
    home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Say whether what a model meets, or what it answers, has changed; exit 4 when it has.

    A record is watched in sequence: alarms come at the stated rate of false ones, however often one looks. Data without times are
    compared once, as a whole. Labels that came late give the true accuracy; without them it is estimated from the confidence.
    """
    from tuneful.runtime.watch import sent
    from tuneful.runtime.watch.look import How, look
    from tuneful.runtime.watch.rate import Rate

    if webhook is not None:
        sent.checked(webhook)
    k, _, n = windows.partition("/")
    if not (k.isdigit() and n.isdigit()):
        raise TunefulError(f"--windows is {windows!r}; it must be two numbers", "such as 2/5: two of five windows")
    ways = tuple(filter(None, (one.strip() for one in by.split(","))))
    how = How(Rate.of(alarm), ways, test, correction, window, int(k), int(n), _since(since))
    before, now, judged = _sides(what, data, record, labels, target, reference, of, runs.home(home))
    found = look(before, now, how, judged)
    from tuneful.report.drifted import drifted
    from tuneful.report.page import put

    page = put(output, drifted(found, time.strftime("%Y-%m-%dT%H:%M:%S%z")))
    found["report"] = str(page)
    if log is not None:
        sent.append(log, {"time": time.time(), **_short(found)})
    if webhook is not None and found["drifted"] and (trouble := sent.post(webhook, {"time": time.time(), **_short(found)})):
        print(f"warning: {webhook} was not told: {trouble}", file=sys.stderr)
    print(json.dumps(found, indent=1, default=str) if as_json else "\n".join(_lines(found)))
    return DRIFTED if found["drifted"] else 0


def _sides(
    what: str, data: str | None, record: Path | None, labels: Path | None, target: str, reference: str | None, of: str | None, root: Path
) -> tuple[Before, Now, Judged | None]:  # fmt: skip
    """What is compared with what."""
    from tuneful.core.artifact import unseal
    from tuneful.runtime.load import load
    from tuneful.runtime.watch import face
    from tuneful.runtime.watch.sides import Before, Now

    path: Path | None = None
    if Path(what).is_file():
        if record is not None or data is not None:
            raise TunefulError(
                f"{what} is a record already", f"`tuneful watch {what}`, or `tuneful watch ARTIFACT --data DATA`"
            )
        record = Path(what)
    else:
        path = runs.artifact(what, root)
    if (record is None) == (data is None):
        raise TunefulError("give what is to be watched, and one of the two: a record, or new data",
                           f"such as `tuneful watch {what} --data new.csv`, or --record FILE of `tuneful serve`")  # fmt: skip
    judged: Judged | None = None
    if data is not None:
        assert path is not None
        if labels is not None:
            raise TunefulError(
                "--labels belongs to a record; data brings its labels in its own column", "leave --labels out"
            )
        model = load(path)
        now, judged = _of_data(model, data)
    else:
        assert record is not None
        sha256 = str(unseal(path).manifest["files"]["model.onnx"]["sha256"]) if path is not None else ""
        one = face.recorded(record, of or "", sha256)
        now = Now.of_recorded(one)
        judged = face.late(now, one, labels, target) if labels is not None else None
        if judged is not None and not len(judged.at):
            print(f"warning: {labels} has no id of a recorded example", file=sys.stderr)
        made = path or Path(str(one.about.get("artifact", "")))
        if not (made / "manifest.json").is_file():
            raise TunefulError(
                f"the artifact {made} of this record is not here", f"`tuneful watch ARTIFACT --record {record}`"
            )
        model = load(made)
        if face.digest(model) != one.sha256:
            raise TunefulError(f"{made} is not the model that was recorded as {one.name} {one.version}",
                               f"`tuneful watch ARTIFACT --record {record}` with the one that was served")  # fmt: skip
    if reference is None:
        return Before.of_artifact(model), now, judged
    bare = Before.of_artifact(model) if "reference.json" in model.artifact.names else Before({}, None, None, "")
    if not reference.isdigit():
        return bare.but(_of_data(model, reference)[0], reference), now, judged
    if judged is not None:
        raise TunefulError("labels and --reference NUMBER do not go together", "give --reference DATA, or leave it out")
    first, now = now.first(int(reference))
    return bare.but(first, f"the first {reference} of its examples"), now, None


def _of_data(model: Any, data: str) -> tuple[Now, Judged | None]:
    """New examples, and their labels where the table has a column of them."""
    import numpy as np

    from tuneful.cli.inputs import pieces
    from tuneful.runtime.watch import face
    from tuneful.runtime.watch.judgement import judgeable, judged
    from tuneful.runtime.watch.sides import Now

    name = str(model.target.get("name", ""))
    parts: list[tuple[Any, Any]] = []
    said: list[str] = []
    whole = True
    for x, _ in pieces(data, model):
        parts.append(face.encoded(model, x))
        whole = whole and isinstance(x, dict) and name in x
        if whole:
            said += ["" if value is None else str(value) for value in cast("dict[str, list[Any]]", x)[name]]
    now = Now.of_data(model, parts, data)
    known = [at for at, one in enumerate(said) if one.strip()] if whole else []
    if not known or not judgeable(now):
        return now, None
    return now, judged(
        now, np.array(known), [said[at] for at in known], data, (f"{len(known)} labels are of the column {name}",)
    )


def _since(told: str | None) -> float:
    """A time before now as a moment; 0 where none is given."""
    if told is None:
        return 0.0
    from tuneful.runtime.watch.windows import seconds

    return time.time() - seconds(told)


def _short(found: dict[str, Any]) -> dict[str, Any]:
    """What goes into a log and to a webhook: no curves."""
    kept = (
        "headline",
        "what",
        "n",
        "from",
        "to",
        "reference",
        "rate",
        "drifted",
        "alarms",
        "estimated",
        "labels",
        "notes",
        "report",
    )
    told = {key: found[key] for key in kept if key in found}
    told["columns"] = [
        {key: one[key] for key in ("part", "name", "p", "size", "unit")} for one in found["columns"] if one["drifted"]
    ]
    return told


def _lines(found: dict[str, Any]) -> list[str]:
    """What the command prints."""
    from tuneful.cli.summary import grid
    from tuneful.core.measure import Measure

    lines = [found["headline"], f"compared with {found['reference']}"]
    if found["columns"]:
        rows = [(one["name"], one["part"], "differs" if one["drifted"] else "as before", f"{one['p']:.2g}", one["test"].replace("_", " "),
                 f"{one['size']:.3g} {one['unit']}") for one in found["columns"][:12]]  # fmt: skip
        lines += ["", *grid([("column", "of", "state", "p", "test", "size"), *rows])]
        if len(found["columns"]) > 12:
            lines.append(f"and {len(found['columns']) - 12} more")
    if found["alarms"] and found["windows"]:
        from tuneful.report.drifted import gathered, moment

        told = [
            (moment(one["time"]), str(one["times"]), one["by"].replace("_", " "), one["sentence"])
            for one in gathered(found["alarms"])
        ]
        lines += ["", *grid([("first alarm", "times", "by", "what"), *told[:20]])]
    known: list[tuple[str, str]] = []
    if "accuracy_before" in found:
        known.append(("accuracy when it was made", str(Measure.from_data(found["accuracy_before"]))))
    for name, one in found.get("labels", {}).get("measures", {}).items():
        known.append((f"true {name}", str(Measure.from_data(one))))
    for name, one in found.get("estimated", {}).items():
        known.append((f"estimated, {name.replace('_', ' ')}", str(Measure.from_data(one))))
    lines += ["", *grid(known)] if known else []
    lines += ["", *(f"note: {note}" for note in [*found["notes"], *found.get("labels", {}).get("about", [])])]
    return [*lines, f"report:  {found['report']}"]
