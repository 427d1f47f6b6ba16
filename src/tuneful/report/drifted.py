"""The page of `watch`: what has changed since the model was made, when that was noticed, and what it does to the answers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, bar, figure, grid, legend, line, plot, uprights
from tuneful.report.markup import Child, Html, join, tag
from tuneful.report.page import document, section, unbroken
from tuneful.report.words import many, measured, metric, number, rows, table, whole

FOOT = (
    "Made by tuneful. Every figure in brackets is an interval; “n” is what it was measured on. This file needs no network."
)


def drifted(found: Mapping[str, Any], made_at: str = "") -> str:
    """What `runtime.watch` found, as one HTML document. Deterministic but for `made_at`."""
    sections = [
        section("alarms", "Alarms", [alarms(found)], "wide"),
        section("changed", "What has changed", [*differences(found), *pictures(found)], "wide"),
        section("time", "In the course of time", [*courses(found), money(found)]),
        section("answers", "How good the answers are", [*quality(found), reliability(found)]),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    header = tag(
        "header",
        tag(
            "p",
            "tuneful watch ",
            tag("b", str(found.get("what", ""))),
            tag("span", made_at) if made_at else None,
            class_="from",
        ),
        tag("h1", unbroken(str(found["headline"]))),
        tag("p", _about(found), class_="about"),
        tag("ul", *(tag("li", str(note)) for note in rows(found.get("notes"))), class_="notes")
        if found.get("notes")
        else None,
        tag("nav", *(tag("a", title, href=f"#{name}") for name, title, _ in shown), aria_label="Sections"),
    )
    return document(str(found["headline"]), header, tag("main", *(body for _, _, body in shown)), tag("footer", FOOT))


def alarms(found: Mapping[str, Any]) -> Html | None:
    """The alarms of each column, the first one first."""
    told = gathered(rows(found.get("alarms")))
    if not told:
        return figure(
            "Alarms",
            f"No alarm; while nothing changes, {found['rate']} false ones at most are to be expected.",
            class_="long",
        )
    count = sum(int(one["times"]) for one in told)
    sentence = f"{many(count, 'alarm')}; while nothing changes, {found['rate']} false ones at most are to be expected."
    lines = [
        (
            tag("span", moment(one["time"]) if one.get("time") is not None else "–", class_="value"),
            str(one["sentence"]),
            str(one["by"]).replace("_", " "),
            number(one["at"]) if one.get("at") is not None else "–",
            number(one["times"]),
        )
        for one in told[:200]
    ]
    head = ("first", "what", "found by", "at example", "times")
    return figure("Alarms", sentence, grid(head, lines, sentence, "rows", (3, 4)), class_="long")


def gathered(alarms: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Alarms of one column and one way as one line, with "times" and "last"."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in map(table, alarms):
        key = (one.get("part"), one.get("name"), one.get("by"))
        line = found.setdefault(key, {**one, "times": 0})
        line["times"] += 1
        line["last"] = one.get("time")
    return list(found.values())


def differences(found: Mapping[str, Any]) -> list[Html]:
    """Every column's test, the most surprising first."""
    told = [table(one) for one in rows(found.get("columns"))]
    if not told:
        return []
    differing = sum(bool(one.get("drifted")) for one in told)
    what = "of the newest window" if found.get("windows") else "of these examples"
    sentence = f"{differing} of {len(told)} columns {what} differ from {found['reference']} at the level {number(found.get('level'), 3)}, corrected for their number."
    lines: list[Sequence[Child | Cell]] = []
    for one in told[:300]:
        state = tag(
            "span",
            "differs" if one["drifted"] else "as before",
            class_=f"severity {'warning' if one['drifted'] else 'note'}",
        )
        lines.append((
            str(one["name"]), str(one["part"]), Cell(state, float(bool(one["drifted"]))), Cell(number(one["p"], 2), one["p"]),
            str(one["test"]).replace("_", " "), Cell(f"{number(one['size'], 3)} {one['unit']}", one["size"]), _was(one.get("before")), _was(one.get("now")),
        ))  # fmt: skip
    head = ("column", "of", "state", "p", "test", "size", "before", "now")
    note = "p is corrected for the number of columns. Size does not grow with the number of examples."
    return [figure("Columns", sentence, grid(head, lines, sentence, "rows", (3,)), note=note, class_="long")]


def pictures(found: Mapping[str, Any]) -> list[Html]:
    """Distributions of the columns that differ most, before and now."""
    shown: list[Html] = []
    for one in (table(one) for one in rows(found.get("columns"))):
        before, now = table(one.get("before")), table(one.get("now"))
        if len(shown) == 6 or not one.get("drifted"):
            break
        title = f"{one['name']} ({one['part']})"
        sentence = f"{one['name']}: {one['unit']} {number(one['size'], 3)}."
        marks = [[float(v) for v in rows(side.get("quantiles"))] for side in (before, now)]
        if all(len(side) > 2 for side in marks):
            x = Axis.over([value for side in marks for value in side])
            y = Axis.over([0.0, 1.0], pad=0.02)
            lines = [
                line([(value, at / (len(side) - 1)) for at, value in enumerate(side)], x, y, f"curve {mark}")
                for side, mark in zip(marks, ("train", "lead"))
            ]
            key = legend([("line train", "before"), ("line lead", "now")])
            shown.append(
                figure(
                    title, sentence, key, plot(x, y, lines, sentence, (str(one["name"]), "share at most so large"), tall=13)
                )
            )
        elif table(before.get("shares")) or table(now.get("shares")):
            a, b = table(before.get("shares")), table(now.get("shares"))
            names = list(dict.fromkeys([*a, *b]))[:12]
            cells: list[Sequence[Child | Cell]] = [
                (
                    name,
                    bar(float(a.get(name, 0)), "weak"),
                    number(a.get(name, 0.0), 3),
                    bar(float(b.get(name, 0))),
                    number(b.get(name, 0.0), 3),
                )
                for name in names
            ]
            shown.append(figure(title, sentence, grid(("level", "before", "", "now", ""), cells, sentence, "rows", (2, 4))))
    return shown


def courses(found: Mapping[str, Any]) -> list[Html]:
    """What differs, window by window."""
    told = [table(one) for one in rows(found.get("windows"))]
    if len(told) < 2:
        return []
    names = list(dict.fromkeys(name for one in told for name in rows(one.get("drifted"))))
    x = Axis.over([0.0, float(len(told))], pad=0.01, counts=True)
    counts = [float(len(rows(one.get("drifted")))) for one in told]
    y = Axis.over([0.0, max(1.0, *counts)], pad=0.03, counts=True)
    sentence = f"{sum(count > 0 for count in counts)} of {len(told)} windows differ from the reference, from {moment(told[0]['from'])} to {moment(told[-1]['to'])}."
    shown = [figure("Windows", sentence, plot(x, y, [uprights([(k + 0.5, 0.0, n) for k, n in enumerate(counts)], x, y, "whisk")], sentence,
                                              ("window", "columns that differ"), tall=10))]  # fmt: skip
    for name in names[:4]:
        sizes = [(k + 0.5, float(table(one.get("sizes")).get(name, math.nan))) for k, one in enumerate(told)]
        high = Axis.over([0.0, *(value for _, value in sizes)])
        said = f"{name}: the size of its drift in each window."
        shown.append(
            figure(str(name), said, plot(x, high, [line(sizes, x, high, "curve lead")], said, ("window", "size"), tall=10))
        )
    return shown


def money(found: Mapping[str, Any]) -> Html | None:
    """The bets of the columns that won most."""
    told = [one for one in (table(one) for one in rows(found.get("streams"))) if rows(one.get("level"))]
    if not told:
        return None
    told = sorted(told, key=lambda one: -max(rows(one["level"])))[:5]
    x = Axis.over([0.0, 1.0], pad=0.01)
    floor = 1e-8
    values = [max(float(v), floor) for one in told for v in rows(one["level"])]
    y = Axis.over([*values, 1.0, floor], log=True)
    lines = [line([((k + 1) / len(rows(one["level"])), max(float(v), floor)) for k, v in enumerate(rows(one["level"]))], x, y,
                  "curve lead" if not at else "curve thin") for at, one in enumerate(told)]  # fmt: skip
    lines.append(line([(0.0, 1.0), (1.0, 1.0)], x, y, "ideal"))
    first = told[0]
    sentence = f"{first['name']} has won most of all columns by betting that it has changed: {number(max(rows(first['level'])), 3)} of the 1 that raises an alarm."
    note = f"Shown: {', '.join(str(one['name']) for one in told)}. Each alarm lays the money aside."
    return figure(
        "Bets against “nothing has changed”",
        sentence,
        plot(x, y, lines, sentence, ("share of the examples", "money; 1 is an alarm"), tall=14),
        note=note,
    )


def quality(found: Mapping[str, Any]) -> list[Html]:
    """Accuracy estimated and measured, in all and window by window."""
    lines: list[Sequence[Child | Cell]] = []
    before = measured(found.get("accuracy_before"))
    if before:
        lines.append(("accuracy on validation, when it was made", whole(before), before.how))
    for name, told in table(table(found.get("labels")).get("measures")).items():
        if one := measured(told):
            lines.append((f"true {metric(name)}, by labels that came", whole(one), one.how))
    guesses = [one for told in table(found.get("estimated")).values() if (one := measured(told))]
    lines += [("accuracy, estimated without labels", whole(one), one.how) for one in guesses]
    if not lines:
        return []
    labels = table(found.get("labels"))
    sentence = (
        f"{number(labels.get('n', 0))} labels have come."
        if labels
        else "No labels have come; what is estimated rests on the confidence alone, and is blind where the model errs confidently."
    )
    shown = [figure("Accuracy", sentence, grid(("what", "value", "how"), lines, sentence, "rows"), class_="long")]
    course = [table(one) for one in rows(found.get("over_time"))]
    told: list[tuple[str, str, str]] = [
        ("estimated", "curve train", "estimated"),
        ("accuracy", "curve lead", "measured"),
        ("confidence", "curve thin", "mean confidence"),
    ]
    known = {
        name: [(k + 0.5, m) for k, one in enumerate(course) if (m := _value(one.get(name))) is not None]
        for name, _, _ in told
    }
    if len(course) > 1 and any(known.values()):
        x = Axis.over([0.0, float(len(course))], pad=0.01, counts=True)
        y = Axis.over([value for each in known.values() for _, value in each])
        key = legend([(mark.replace("curve", "line"), words) for name, mark, words in told if known[name]])
        said = "Accuracy and confidence, window by window."
        marks = [line(known[name], x, y, mark) for name, mark, _ in told if known[name]]
        shown.append(figure("Accuracy and confidence", said, key, plot(x, y, marks, said, ("window", "share"), tall=14)))
    return shown


def reliability(found: Mapping[str, Any]) -> Html | None:
    """Confidence beside the share that was right."""
    told = table(found.get("calibration"))
    points = [(float(mean), share) for mean, one in rows(told.get("bins")) if (share := measured(one)) is not None]
    if len(points) < 2:
        return None
    axis = Axis.over([0.0, 1.0], pad=0.02)
    marks = [
        line([(0.0, 0.0), (1.0, 1.0)], axis, axis, "ideal"),
        uprights([(mean, share.low, share.high) for mean, share in points], axis, axis, "whisk"),
        line([(mean, share.value) for mean, share in points], axis, axis, "curve lead"),
    ]
    sure = "means what it says, as far as these labels can tell" if float(told["p"]) > 0.05 else "does not mean what it says"
    sentence = (
        f"Confidence {sure}: calibration error {number(told['error'], 3)}, Spiegelhalter's test p = {number(told['p'], 2)}."
    )
    return figure(
        "Calibration",
        sentence,
        plot(axis, axis, marks, sentence, ("confidence", "share that is right"), tall=16),
        note="Whiskers: Wilson 95 %.",
    )


def moment(seconds: Any) -> str:
    """A moment in UTC, to the minute."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(float(seconds)))
    except (TypeError, ValueError, OverflowError, OSError):
        return "–"


def _value(told: Any) -> float | None:
    one = measured(told)
    if one is not None:
        return one.value
    return float(told) if isinstance(told, int | float) and math.isfinite(told) else None


def _was(side: Any) -> str:
    """A column in a few words."""
    told = table(side)
    if marks := rows(told.get("quantiles")):
        return f"median {number(float(marks[len(marks) // 2]), 3)} ({number(float(marks[1]), 3)} to {number(float(marks[-2]), 3)})"
    shares = table(told.get("shares"))
    return ", ".join(f"{name} {number(100 * float(share), 2)} %" for name, share in list(shares.items())[:3]) or "–"


def _about(found: Mapping[str, Any]) -> Html:
    span = f", from {moment(found['from'])} to {moment(found['to'])} (UTC)" if "from" in found else ""
    return join(
        tag("b", str(found.get("what", ""))),
        f": {number(int(found['n']))} examples{span}, compared with {found['reference']}.",
    )


__all__ = ["drifted", "gathered", "moment"]
