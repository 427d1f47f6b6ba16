"""The part of the report that draws forecasts beside what came, and how the error grows with the distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuneful.report.axis import Axis
from tuneful.report.charts import figure, legend, line, plot, uprights
from tuneful.report.markup import Html
from tuneful.report.story import Story
from tuneful.report.words import measured, number, rows, table, whole


def drawn(story: Story) -> list[Html]:
    """Some windows of the test split: the past, what came, what was forecast."""
    found: list[Html] = []
    name = str(table(story.facts.get("target")).get("name") or "target").partition(",")[0]
    windows = [table(entry) for entry in rows(story.evidence.get("forecasts"))]
    for at, window in enumerate(windows):
        past, truth, told = (_numbers(window.get(key)) for key in ("past", "truth", "forecast"))
        if not past or len(truth) != len(told) or not truth:
            continue
        x = Axis.over([1 - len(past), len(truth)], pad=0.01, counts=True)
        y = Axis.over([*past, *truth, *told], pad=0.05)
        before = [(k + 1 - len(past), value) for k, value in enumerate(past)]
        came = [before[-1], *((k + 1, value) for k, value in enumerate(truth))]
        said = [before[-1], *((k + 1, value) for k, value in enumerate(told))]
        off = math.sqrt(sum((a - b) ** 2 for a, b in zip(truth, told, strict=True)) / len(truth))
        sentence = f"Forecast {at + 1} of {len(windows)}: RMSE {number(off, 3)} over {len(truth)} steps."
        marks = [line(before, x, y, "curve thin"), line(came, x, y, "curve train"), line(said, x, y, "curve lead")]
        found.append(figure(f"Test window {number(int(window.get('window', at)) + 1)}", sentence,
                            plot(x, y, marks, sentence, ("steps from the newest value", name), tall=13)))  # fmt: skip
    if found:
        key = legend([("line", "the past"), ("line train", "what came"), ("line lead", "what was forecast")])
        found.insert(0, figure("Forecasts beside the truth", "Windows of the test split, evenly spaced over its time.", key))
    return found


def steps(story: Story) -> Html | None:
    """RMSE of each step of the horizon, with its interval."""
    if story.facts.get("kind") != "forecasting":
        return None
    each = [measured(table(entry).get("rmse")) for entry in table(story.evidence.get("per_target")).values()]
    known = [(k + 1, m) for k, m in enumerate(each) if m is not None]
    if len(known) < 2:
        return None
    x = Axis.over([0, len(each)], pad=0.02, counts=True)
    y = Axis.over([0.0, *(m.high if math.isfinite(m.high) else m.value for _, m in known)], pad=0.03)
    sentence = (
        f"The error grows from {whole(known[0][1])} one step ahead to {whole(known[-1][1])} at the end of the horizon."
    )
    if known[-1][1].value < known[0][1].value:
        sentence = f"The error is {whole(known[0][1])} one step ahead and {whole(known[-1][1])} at the end of the horizon."
    marks = [
        uprights([(k, m.low, m.high) for k, m in known if math.isfinite(m.low) and math.isfinite(m.high)], x, y, "whisk"),
        line([(k, m.value) for k, m in known], x, y, "curve thin"),
    ]
    return figure("How far ahead", sentence, plot(x, y, marks, sentence, ("steps ahead", "RMSE"), tall=16))


def _numbers(values: Any) -> Sequence[float]:
    found = [float(v) for v in rows(values) if isinstance(v, int | float)]
    return found if all(map(math.isfinite, found)) else []
