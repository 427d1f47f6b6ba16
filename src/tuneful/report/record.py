"""The part of the report that tells how it came about: data, time, recipe, export, environment, command."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

from tuneful.report.charts import Cell, figure, grid
from tuneful.report.markup import Child, Html, short, tag
from tuneful.report.proof import seconds_of
from tuneful.report.story import Story
from tuneful.report.words import duration, many, measured, number, rows, setting, share, size, table, whole

ORDER = {"error": 0, "warning": 1, "note": 2}
WHAT = {"binary": "two classes", "multiclass": "{} classes", "multilabel": "{} labels, any number at once",
        "openset": "{} classes, or none of them", "ordinal": "{} ordered levels", "regression": "a number",
        "multiregression": "several numbers", "forecasting": "what comes next",
        "sequence_to_sequence": "the text that a text becomes",
        "segmentation": "one of {} classes at each pixel"}  # fmt: skip


def data(story: Story) -> list[Html]:
    """What the data is, and what the checks found in it."""
    task = story.facts
    if not task:
        return []
    shape = " × ".join(str(n) for n in rows(task.get("shape")))
    labels = [str(label) for label in rows(task.get("labels"))]
    objective = table(task.get("objective"))
    target = table(task.get("target")).get("name")
    facts: list[tuple[str, Child]] = [
        ("data", str(task.get("name", ""))),
        ("source", str(task.get("source", ""))),
        (
            "predicts",
            WHAT.get(str(task.get("kind")), str(task.get("kind", ""))).format(len(labels))
            + (f": {target}" if target else ""),
        ),
        ("classes", short(", ".join(labels), 400)),
        ("an example", shape),
        ("train, valid, test", " + ".join(number(task.get(key)) for key in ("n_train", "n_valid", "n_test"))),
        (
            "objective",
            f"{objective.get('metric', '')}, {'smaller' if story.smaller else 'larger'} is better" if objective else "",
        ),
        ("fingerprint", tag("code", str(task.get("fingerprint", "")))),
    ]
    found = [table(entry) for entry in rows(task.get("findings"))]
    return [pairs("The data", facts), _findings(found)]


def time(story: Story) -> Html | None:
    """Where the time went: a stacked bar and its figures."""
    seconds = seconds_of(story)
    total = sum(seconds.values())
    if not total:
        return None
    ordered = sorted(seconds.items(), key=lambda one: -one[1])
    sentence = f"{duration(total)} in all; {share(ordered[0][1], total)} of it went into {ordered[0][0]}."
    parts = [
        tag("i", class_=f"s{k % 8}", style=f"width:{100 * spent / total:.3f}%", title=f"{name}: {duration(spent)}")
        for k, (name, spent) in enumerate(ordered)
    ]
    lines: list[Sequence[Child | Cell]] = [
        ([tag("i", class_=f"key s{k % 8}"), name], Cell(duration(spent), spent), Cell(share(spent, total), spent))
        for k, (name, spent) in enumerate(ordered)
    ]
    stack = tag("div", *parts, class_="stack", role="img", aria_label=sentence)
    return figure("Where the time went", sentence, stack, grid(("what", "time", "share"), lines, sentence, "", (1, 2)))


def recipe(story: Story) -> Html | None:
    """The recipe of the result, with what auto chose and why."""
    best = story.best
    found = table(story.evidence.get("recipe")) or (best.recipe if best is not None else {})
    if not found:
        return None
    reasons = {str(key): str(why) for key, why in table(found.get("reasons")).items()}
    settings = dict(_flat({key: value for key, value in found.items() if key != "reasons"}))
    dials = frozenset(best.dials) if best is not None else frozenset[str]()
    lines: list[Sequence[Child | Cell]] = []
    for path, value in settings.items():
        head = path.rsplit(".", 1)[0] if path.endswith(".kind") else path
        why = reasons.pop(path, "") or reasons.pop(head, "")
        by = "searched" if path in dials or head in dials else "auto" if why else ""
        lines.append(
            (
                tag("code", path),
                tag("code", short(_exact(value), 120)),
                Cell(tag("span", by, class_=f"by {by}") if by else None),
                Cell(why, class_="why"),
            )
        )
    lines += [
        (tag("code", path), "", Cell(tag("span", "auto", class_="by auto")), Cell(why, class_="why"))
        for path, why in reasons.items()
    ]
    of = "the run" if len(story.trials) == 1 else "the result"
    if best is not None and not story.evidence.get("recipe"):
        of = f"trial {best.number}, the best"
    automatic = sum("by auto" in str(cast("Cell", line[2]).content) for line in lines)
    sentence = f"The recipe of {of}: {many(len(settings), 'setting')}, {automatic} of them chosen by auto for the reason beside them."
    return figure("Recipe", sentence, grid(("setting", "value", "by", "why"), lines, sentence, "recipe"), class_="long")


def plan(story: Story) -> Html | None:
    """How the steps were carried out, and every way that was timed or left out, with its reason."""
    found = table(story.evidence.get("plan"))
    tried = [table(one) for one in rows(found.get("tried"))]
    if not found:
        return None
    if not tried:
        return tag(
            "p", f"Steps were carried out as: {found.get('said', '')}. No other way was timed: {found.get('why', '')}."
        )
    tried.sort(key=lambda one: (one.get("ms") is None, float(one.get("ms") or 0.0)))
    lines: list[Sequence[Child | Cell]] = [
        (
            str(one.get("way", "")),
            Cell(number(one.get("ms"), 3), float(one.get("ms") or 0.0)),
            Cell(f"{100 * float(one['loss']):.2f} %" if one.get("loss") is not None else ""),
            Cell(number(one.get("cosine"), 4) if one.get("cosine") is not None else ""),
            str(one.get("verdict", "")),
            Cell(str(one.get("why", "")), class_="why"),
        )
        for one in tried
    ]
    timed = sum(one.get("ms") is not None for one in tried)
    when = "in an earlier run" if found.get("cached") else f"in {duration(float(found.get('seconds', 0.0)))}"
    sentence = (
        f"Steps were carried out as: {found.get('said', '')}. {many(timed, 'way')} timed {when} on the batches of the run; "
        "losses and the first gradient are held against those of fp32."
    )
    heads = ("way", "ms a step", "losses off", "gradient's cosine", "verdict", "why")
    return figure("The execution plan", sentence, grid(heads, lines, sentence, "plan", (1,)), class_="long")


def export(story: Story) -> Html | None:
    """What was shipped: size, parity with torch, latency."""
    found = table(story.evidence.get("export"))
    if not found:
        return None
    parity, latency = table(found.get("parity")), table(found.get("latency"))
    agreement = measured(parity.get("agreement"))
    facts: list[tuple[str, Child]] = [
        ("format", f"ONNX, opset {found['opset']}" if found.get("opset") else "ONNX"),
        ("size", size(float(found["bytes"])) if isinstance(found.get("bytes"), int | float) else ""),
        ("rows compared with torch", number(parity.get("rows")) if parity else ""),
        (
            "largest difference",
            f"{number(parity.get('largest_difference'), 3)} (allowed {number(parity.get('tolerance'), 3)})"
            if parity
            else "",
        ),
        ("same decision", whole(agreement) if agreement else ""),
    ]
    for batch, entry in latency.items():
        one = measured(entry)
        facts.append((f"latency, batch of {batch}", f"{whole(one)} (n = {one.n:,})" if one else ""))
    return pairs("What was shipped", facts)


def reproduce(story: Story) -> list[Html]:
    """The command, the openings of the test split, the environment."""
    command = story.command or str(story.evidence.get("command", ""))
    openings = [table(entry) for entry in rows(story.facts.get("openings"))]
    evidence_says = [table(entry) for entry in rows(table(story.evidence.get("task")).get("openings"))]
    openings = max(openings, evidence_says, key=len)
    again = ", taken up again: the same trial, recipe and weights"
    pieces: list[Html] = []
    if command:
        pieces.append(
            figure(
                "To do it again",
                "With the same data and versions; a budget of time buys more or fewer trials on another machine.",
                tag("pre", tag("code", command), class_="command", tabindex="0"),
            )
        )
    if openings:
        lines: list[Sequence[Child | Cell]] = [
            (at, f"{entry.get('reason', '')}{'' if place == 0 else again}")
            for entry in openings
            for place, at in enumerate((str(entry.get("at", "")), *map(str, rows(entry.get("again")))))
        ]
        sentence = f"The test split was opened {'once' if len(openings) == 1 else many(len(openings), 'time')}."
        pieces.append(figure("Openings of the test split", sentence, grid(("when", "why"), lines, sentence)))
    elif story.facts:
        pieces.append(figure("Openings of the test split", "The test split is sealed; it has not been opened."))
    environment = table(story.evidence.get("environment"))
    if environment:
        pieces.append(pairs("Environment", [(path, setting(value)) for path, value in _flat(environment)]))
    return pieces


def pairs(title: str, facts: Iterable[tuple[str, Child]]) -> Html:
    """Names and their values; those without a value are left out."""
    listed = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts if value]
    return tag("div", tag("h3", title), tag("dl", *listed), class_="pairs")


def _findings(found: Sequence[Any]) -> Html:
    if not found:
        return figure("What the checks found", "Nothing worth a remark.")
    ordered = sorted((table(entry) for entry in found), key=lambda entry: ORDER.get(str(entry.get("severity")), 3))
    lines: list[Sequence[Child | Cell]] = []
    for entry in ordered:
        severity = str(entry.get("severity", "note"))
        examples = ", ".join(short(example, 60) for example in rows(entry.get("examples"))[:5])
        told = [
            tag("p", str(entry.get("what", ""))),
            tag("p", f"such as {examples}", class_="examples") if examples else None,
        ]
        hint = tag("p", str(entry["hint"]), class_="hint") if entry.get("hint") else None
        badge = tag("span", severity, class_=f"severity {severity if severity in ORDER else 'note'}")
        lines.append(
            (
                Cell(badge, ORDER.get(severity, 3)),
                Cell([*told, hint], class_="told"),
                _affected(entry.get("count"), entry.get("of")),
            )
        )
    counts = [(sum(str(entry.get("severity")) == name for entry in ordered), name) for name in ORDER]
    sentence = f"The checks of the data gave {', '.join(many(n, name) for n, name in counts if n)}."
    return figure(
        "What the checks found",
        sentence,
        grid(("severity", "finding", "affected"), lines, sentence, "findings", (2,)),
    )


def _affected(count: Any, of: Any) -> Cell:
    if not isinstance(count, int | float):
        return Cell("–")
    part = f" of {number(of)} ({share(float(count), float(of))})" if isinstance(of, int | float) and of else ""
    return Cell(number(count) + part, float(count))


def _exact(value: Any) -> str:
    """A setting with all its digits, as a recipe needs it."""
    return repr(value) if isinstance(value, float) else setting(value)


def _flat(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Nested plain data as dotted paths; a list of techniques is named by their kinds, as recipes name them."""
    if isinstance(value, dict) and value:
        for key, item in cast("dict[str, Any]", value).items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value and all(isinstance(item, dict) for item in cast("list[Any]", value)):
        for k, item in enumerate(cast("list[dict[str, Any]]", value)):
            rest = {key: inner for key, inner in item.items() if key != "kind"}
            yield from _flat(rest, f"{path}.{item.get('kind', k)}") if rest else [(f"{path}.{item.get('kind', k)}", "yes")]
    elif not (isinstance(value, float) and math.isnan(value)):
        yield path, value
