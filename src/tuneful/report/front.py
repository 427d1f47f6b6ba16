"""The report of improving: every point by quality, time and size, the front among them, what was refused and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneful.core.measure import Measure
from tuneful.report.axis import Axis, of_values
from tuneful.report.charts import Cell, dots, figure, grid, legend, line, plot, uprights
from tuneful.report.markup import Child, Html, tag
from tuneful.report.page import document, put, section, unbroken
from tuneful.report.words import AT_MOST_ONE, many, measured, metric, number, rows, size, table, whole


def write(path: str | Path, data: Mapping[str, Any]) -> Path:
    """Write the report (points.json as plain data, with "title" and "command") to a file. Raises StorageError."""
    return put(path, render(data))


def render(data: Mapping[str, Any]) -> str:
    """The report as one HTML document; the same data give the same text."""
    title, points = str(data.get("title", "")), _points(data)
    first = headline(data)
    header = tag(
        "header",
        tag("p", "tuneful ", tag("b", f"smaller and faster: {title}"), class_="from"),
        tag("h1", unbroken(first), class_="long" if len(first) > 100 else None),
        tag("p", _about(data, points), class_="about"),
    )
    batches = list(table(points[0].get("milliseconds"))) if points else []
    parts = [
        section("front", "The front", [*(picture(data, n) for n in batches), picture(data, "size")]),
        section("points", "All points", [listed(data)], "wide"),
        section("refused", "What was refused", [refused(data)]),
        section("take", "How to take one", [_command(data)]),
    ]
    footer = tag("footer", "Made by tuneful. Every figure in brackets is an interval. This file needs no network.")
    return document(f"{title}: {first}", header, tag("main", *(body for _, _, body in parts if body)), footer)


def headline(data: Mapping[str, Any]) -> str:
    """How far it went, in a sentence."""
    points, on = _points(data), {str(name) for name in rows(data.get("front"))}
    begun = next((one for one in points if one.get("name") == "original"), None)
    good = [one for one in points if one.get("kept") and str(one.get("name")) in on and one is not begun]
    if begun is None or not good:
        return f"Nothing of {many(max(0, len(points) - 1), 'point')} that was tried is better than the original in anything that was kept."
    least = min(good, key=lambda one: float(one["bytes"]))
    parts = [f"{least['name']} has {float(least['bytes']) / float(begun['bytes']):.2f} of its size"]
    for n in table(begun.get("milliseconds")):
        fastest = min(good, key=lambda one, n=n: table(table(one.get("ratio")).get(n)).get("value") or 9.0)
        ratio = measured(table(fastest.get("ratio")).get(n))
        if ratio is not None and ratio.high < 1:
            parts.append(f"{fastest['name']} takes {whole(ratio)} of its time for {many(int(n), 'example')}")
    return f"{many(len(good), 'point')} beside the original on the front: {'; '.join(parts)}."


def _points(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [table(one) for one in rows(data.get("points"))]


def _about(data: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> str:
    limits = "; ".join(
        f"{metric(str(table(one).get('metric')))} by {number(table(one).get('most'), 3)}" for one in rows(data.get("limits"))
    )
    ended = str(data.get("ended", ""))
    return (
        f"{many(len(points), 'point')} measured by onnxruntime on one thread, times in turn with the original's. Kept: shown to lose no more "
        f"than {limits or 'the margin'} on valid (paired, 95 %). Points were chosen on valid, so it is the test split that tells of the one "
        f"that is taken.{f' The search ended: {ended}.' if ended else ''}"
    )


def _quality(data: Mapping[str, Any]) -> tuple[Axis, list[tuple[Mapping[str, Any], Measure]]]:
    found = [(one, m) for one in _points(data) if (m := measured(one.get("value"))) is not None]
    smaller = data.get("direction") == "min"
    good = [m for one, m in found if one.get("kept")] or [m for _, m in found]
    inside = [end for m in good for end in (m.value, m.low, m.high)]
    return of_values([m.value for _, m in found], smaller, str(data.get("metric")) in AT_MOST_ONE, 1.5, keep=inside), found


def picture(data: Mapping[str, Any], what: str) -> Html | None:
    """Quality against the time of a call with so many examples, or against "size"."""
    y, found = _quality(data)
    if len(found) < 2:
        return None

    def at(one: Mapping[str, Any]) -> float:
        if what == "size":
            return float(one["bytes"]) / 1e3
        return float(table(table(one.get("milliseconds")).get(what)).get("value") or 0.0)

    on = {str(name) for name in rows(data.get("front"))}
    x = Axis.over([at(one) for one, _ in found], log=True, pad=0.06)
    kept = [(at(one), m.value) for one, m in found if one.get("kept") and str(one.get("name")) not in on]
    lost = [(at(one), m.value) for one, m in found if not one.get("kept")]
    best = sorted((at(one), m.value) for one, m in found if str(one.get("name")) in on)
    begun = [(at(one), m.value) for one, m in found if one.get("name") == "original"]
    marks = [
        uprights([(at(one), max(m.low, y.low), min(m.high, y.high)) for one, m in found if str(one.get("name")) in on], x, y, "whisk"),
        line(best, x, y, "curve train"), dots(lost, x, y, "stopped"), dots(kept, x, y, "small"), dots(best, x, y, "big"),
        dots(begun, x, y, "lead"),
    ]  # fmt: skip
    name = metric(str(data.get("metric")))
    unit = "kB" if what == "size" else f"ms for {many(int(what), 'example')}"
    title = f"{name} against size" if what == "size" else f"{name} against time, {many(int(what), 'example')} in a call"
    sentence = f"{many(len(best), 'point')} of {len(found)} on the front; whiskers are 95 % intervals of {name} on valid."
    key = legend([("dot", "kept"), ("dot stopped", "refused"), ("line train", "the front"), ("line lead", "the original")])
    return figure(title, sentence, key, plot(x, y, marks, sentence, (unit, f"{name} on valid"), tall=18))


def listed(data: Mapping[str, Any]) -> Html | None:
    """All points with their figures."""
    points, on = _points(data), {str(name) for name in rows(data.get("front"))}
    if not points:
        return None
    batches = list(table(points[0].get("milliseconds")))
    lines: list[Sequence[Child | Cell]] = []
    for one in points:
        value = measured(one.get("value"))
        cells: list[Child | Cell] = [
            str(one.get("name")),
            "on the front" if str(one.get("name")) in on else "kept" if one.get("kept") else "refused",
        ]
        cells.append(Cell(whole(value), value.value) if value else "–")
        losses = [table(loss) for loss in rows(one.get("losses"))]
        told = [
            f"{metric(str(loss.get('metric')))} {whole(m, True)}"
            for loss in losses
            if (m := measured(loss.get("difference")))
        ]
        cells.append("; ".join(told))
        cells.append(Cell(size(float(one["bytes"])), float(one["bytes"])))
        for n in batches:
            took, ratio = (measured(table(one.get(key)).get(n)) for key in ("milliseconds", "ratio"))
            cells.append(
                Cell(f"{number(took.value, 3)}\u00a0ms{f', {whole(ratio)}' if ratio else ''}", took.value) if took else "–"
            )
        lines.append(cells)
    head = (
        "point",
        "",
        f"{metric(str(data.get('metric')))} on valid",
        "against the original",
        "size",
        *(f"{n} in a call, of the original's" for n in batches),
    )
    sentence = "Every point that was made and measured"
    return figure(
        sentence,
        "+ is better; times are medians, ratios are of paired calls.",
        grid(head, lines, sentence, "", (4, *range(5, 5 + len(batches)))),
        class_="long",
    )


def refused(data: Mapping[str, Any]) -> Html | None:
    """What could not be tried, or lost too much."""
    told = [str(one) for one in rows(data.get("refused"))]
    return tag("ul", *(tag("li", one) for one in told)) if told else None


def _command(data: Mapping[str, Any]) -> Html | None:
    command = str(data.get("command", ""))
    return (
        figure("The command", "It proves the point on the test split, once, and seals it.", tag("pre", tag("code", command)))
        if command
        else None
    )


__all__ = ["headline", "render", "write"]
