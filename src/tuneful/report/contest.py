"""The report of a comparison of optimizers: who leads, who ties, how each got there in steps and in seconds, what tuning cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneful.core.measure import Measure
from tuneful.report.axis import Axis, of_values
from tuneful.report.charts import Cell, dots, figure, grid, legend, line, plot, ruler, whisker
from tuneful.report.markup import Child, Html, tag
from tuneful.report.page import document, put, section, unbroken
from tuneful.report.words import (
    AT_MOST_ONE,
    alike,
    duration,
    many,
    measured,
    metric,
    number,
    p_value,
    rows,
    setting,
    table,
    whole,
)

COLOURS = 8  # after so many, lines are broken ones of the same colours


def write(path: str | Path, data: Mapping[str, Any]) -> Path:
    """Write the report of a comparison (comparison.json as plain data) to a file. Raises StorageError."""
    return put(path, render(data))


def render(data: Mapping[str, Any]) -> str:
    """The report as one HTML document; the same data give the same text."""
    task = table(data.get("task"))
    name, first = str(task.get("name", "")), str(data.get("headline", ""))
    made = str(data.get("made_at", ""))
    header = tag(
        "header",
        tag("p", "tuneful ", tag("b", f"optimizers on {name}"), tag("span", made) if made else None, class_="from"),
        tag("h1", unbroken(first), class_="long" if len(first) > 100 else None),
        tag("p", _about(data, task), class_="about"),
        tag("ul", *(tag("li", str(note)) for note in rows(data.get("notes"))), class_="notes")
        if data.get("notes")
        else None,
    )
    parts = [
        section("proof", "Who leads", [standings(data), settings(data)], "wide"),
        section("search", "How they got there", [curves(data, "step"), curves(data, "seconds"), tuning(data)]),
        section("time", "How to repeat it", [_command(data)]),
    ]
    footer = tag(
        "footer",
        "Made by tuneful. Every figure in brackets is an interval; a tie says that no difference was shown, not that there is none. "
        "This file needs no network.",
    )
    return document(f"optimizers on {name}: {first}", header, tag("main", *(body for _, _, body in parts)), footer)


def _about(data: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    runs, seeds = int(data.get("tune", 0)), int(data.get("seeds", 0))
    tuned = (
        f"{many(runs, 'tuning run')} each by random search over its own ranges, the defaults first"
        if runs
        else "The defaults, not tuned"
    )
    return (
        f"{number(task.get('n_train'))} train, {number(task.get('n_valid'))} valid, {number(task.get('n_test'))} test examples. "
        f"{tuned}; then {many(seeds, 'seed')}, each with the same initial weights and the same order of batches for every "
        f"optimizer. {'Tuned on valid, judged' if runs else 'Judged'} on test."
    )


def _entries(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [table(one) for one in rows(data.get("optimizers"))]


def standings(data: Mapping[str, Any]) -> Html | None:
    """Every optimizer with its quality on test, its difference to the leader, what it cost."""
    entries = _entries(data)
    known = [m for one in entries if (m := measured(one.get("test"))) is not None]
    if not known:
        return None
    gaps = [m for one in entries if (m := measured(one.get("difference"))) is not None]
    axis = Axis.over([e for m in known for e in (m.value, m.low, m.high)], pad=0.04, most=5)
    reach = Axis.over([0.0, *(e for m in gaps for e in (m.value, m.low, m.high))], pad=0.04, most=4)
    name, leader = metric(str(data.get("metric"))), str(data.get("leader", ""))
    shown, far = alike(known), alike(gaps)
    lines: list[Sequence[Child | Cell]] = []
    for k, one in enumerate(entries):
        quality, gap = measured(one.get("test")), measured(one.get("difference"))
        lines.append((
            tag("span", tag("i", class_=f"key line {_mark(k)}"), " ", str(one["kind"])),
            whisker(quality, axis) if quality else "", Cell(whole(quality, decimals=shown) if quality else "–", _sort(quality)),
            whisker(gap, reach, "gap", 0.0) if gap else "", Cell(_gap(gap, far, one), _sort(gap)), _verdict(one),
            Cell(duration(float(table(one.get("tuning")).get("seconds") or 0.0)), float(table(one.get("tuning")).get("seconds") or 0.0)),
            Cell(f"{number(one.get('step_ms'), 3)}\u00a0ms", float(one.get("step_ms") or 0.0)),
        ))  # fmt: skip
    lines.append(("", ruler(axis), "", ruler(reach) if gaps else "", "", "", "", ""))
    sentence = str(data.get("correction", ""))
    head = ("optimizer", "", f"{name} on test", "", f"difference to {leader}", "", "tuning", "a step")
    body = grid(head, lines, f"Optimizers by {name} on the test split", "rows ladder", numbers=(6, 7))
    note = "+ is better. The intervals of the second column stand alone (95 %)."
    return figure(
        f"{name} of each optimizer", f"Differences are {sentence}." if sentence else "", body, note=note, class_="long"
    )


def _verdict(one: Mapping[str, Any]) -> str:
    behind = str(one.get("behind", ""))
    return f"behind {behind}" if behind else str(one.get("verdict", ""))


def _gap(gap: Measure | None, decimals: int | None, one: Mapping[str, Any]) -> str:
    if gap is None:
        return ""
    p = one.get("p")
    return f"{whole(gap, True, decimals)}{f', {p_value(float(p))}' if isinstance(p, float) else ''}"


def _sort(measure: Measure | None) -> float | None:
    return measure.value if measure else None


def settings(data: Mapping[str, Any]) -> Html:
    """What the tuning chose for each."""
    entries = _entries(data)
    lines: list[Sequence[Child | Cell]] = []
    for one in entries:
        ranges = table(one.get("ranges"))
        for k, (path, value) in enumerate(table(one.get("settings")).items()):
            lines.append((str(one["kind"]) if not k else "", path, setting(value), str(ranges.get(path, ""))))
    sentence = "The settings that ran on the seeds, and the ranges that they were chosen from."
    title = "What each was tuned to" if data.get("tune") else "The defaults that ran"
    return figure(
        title, sentence, grid(("optimizer", "setting", "value", "range"), lines, sentence, "recipe"), class_="long"
    )


def curves(data: Mapping[str, Any], against: str) -> Html | None:
    """Quality on valid against steps or seconds: the mean over the seeds, with the worst and the best seed at the end."""
    entries = [(k, one, [table(p) for p in rows(one.get("curve"))]) for k, one in enumerate(_entries(data))]
    drawn = [
        (k, one, [(float(p[against]), float(p["value"])) for p in points if p.get("value") is not None])
        for k, one, points in entries
    ]
    drawn = [(k, one, points) for k, one, points in drawn if points]
    if not drawn:
        return None
    smaller = data.get("direction") == "min"
    settled = [v for _, _, points in drawn for _, v in points[len(points) // 4 :]]
    y = of_values(settled, smaller, str(data.get("metric")) in AT_MOST_ONE, 2.0)
    x = Axis.over([0.0, *(points[-1][0] for _, _, points in drawn)], pad=0.012)
    marks: list[Html] = []
    for k, _, points in reversed(drawn):
        marks += [line(points, x, y, f"curve {_mark(k)}"), dots(points[-1:], x, y, f"small {_mark(k)}")]
    name = metric(str(data.get("metric")))
    seeds = many(int(data.get("seeds", 0)), "seed")
    if against == "step":
        title, sentence = f"{name} against steps", f"The mean over {seeds} at each validation, by optimizer steps."
        note = "Equal steps are not equal time: see the picture beside it."
    else:
        fastest = min(drawn, key=lambda one: one[2][-1][0])
        title, sentence = (
            f"{name} against seconds",
            f"The same by seconds of training and validating; {fastest[1]['kind']} ends first.",
        )
        note = "The median over the seeds; optimizers took turns, so that what slowed the machine slowed all of them."
    keys = legend((f"line {_mark(k)}", str(one["kind"])) for k, one, _ in drawn)
    chart = plot(x, y, marks, sentence, ("step" if against == "step" else "seconds", f"{name} on valid"), tall=18)
    return figure(title, sentence, keys, chart, note=note)


def tuning(data: Mapping[str, Any]) -> Html | None:
    """The best value on valid to be expected after 1, 2, ... tuning runs; None without tuning."""
    drawn: list[tuple[int, str, list[tuple[float, float]]]] = []
    for k, one in enumerate(_entries(data)):
        values = rows(table(one.get("tuning")).get("expected"))
        points = [(float(run), float(v)) for run, v in enumerate(values, 1) if v is not None and math.isfinite(float(v))]
        if points:
            drawn.append((k, str(one["kind"]), points))
    if not drawn:
        return None
    smaller = data.get("direction") == "min"
    y = of_values([v for _, _, points in drawn for _, v in points], smaller, str(data.get("metric")) in AT_MOST_ONE, 3.0)
    x = Axis.over([1.0, *(points[-1][0] for _, _, points in drawn)], pad=0.02, counts=True)
    marks = [line(points, x, y, f"curve {_mark(k)}") for k, _, points in reversed(drawn)]
    marks += [dots(points[:1], x, y, f"small {_mark(k)}") for k, _, points in drawn]
    name = metric(str(data.get("metric")))
    rise = max(drawn, key=lambda one: abs(one[2][-1][1] - one[2][0][1]))
    sentence = f"What tuning is worth: {rise[1]} gains most, from {number(rise[2][0][1])} at its defaults to {number(rise[2][-1][1])}."
    note = (
        "The expected best of so many runs of the random search (Dodge et al. 2019); the dot at 1 is the defaults. One seed, on the "
        "split that chooses: read the slopes, not the heights."
    )
    keys = legend((f"line {_mark(k)}", kind) for k, kind, _ in drawn)
    chart = plot(x, y, marks, sentence, ("tuning runs", f"expected best {name} on valid"), tall=18)
    return figure("What tuning brings", sentence, keys, chart, note=note, class_="curves")


def _command(data: Mapping[str, Any]) -> Html | None:
    told = str(data.get("command", ""))
    if not told:
        return None
    sentence = f"The same command goes on where it was stopped; this one took {duration(float(data.get('seconds') or 0.0))} the last time."
    return figure("The command", sentence, tag("pre", tag("code", told)))


def _mark(k: int) -> str:
    return f"k{k % COLOURS}{' broken' if k >= COLOURS else ''}"
