"""Charts as HTML and SVG that need no script: sharp at any width, in print, in the dark.

A plot is a small SVG stretched over its area (`preserveAspectRatio="none"`, strokes that do not scale) with its labels as
HTML around it, placed by per cent. So lines stretch while letters stay readable, on a phone too. A dot is a line of no
length with a round end. Every chart says in its `aria-label` the sentence that it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuneful.core.measure import Measure
from tuneful.report.axis import Axis
from tuneful.report.markup import Child, Html, tag
from tuneful.report.words import central, interval

WIDE, HIGH = 2000, 1000  # the SVG's own units


def figure(title: str, sentence: str, *body: Child, note: str = "", class_: str = "") -> Html:
    """A chart with its title above and the sentence that it shows below; `note` says how it was made."""
    caption = tag("figcaption", sentence, tag("span", " ", note, class_="note") if note else None)
    return tag("figure", tag("h3", title), *body, caption, class_=class_ or None)


def plot(
    x: Axis, y: Axis, marks: Iterable[Html], sentence: str, names: tuple[str, str], tall: float = 18, over: Child = None
) -> Html:
    """A plot area with grid, tick labels and the names of both axes. tall: height in rem; over: HTML laid over the area."""
    shown = [(value, label, y.at(value)) for value, label in y.ticks]
    below = [(value, label, x.at(value)) for value, label in x.ticks]
    grid = "".join(f"M0 {HIGH - _unit(at, HIGH)}H{WIDE}" for _, _, at in shown if 0 <= at <= 1)
    svg = Html(
        f'<svg viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" aria-hidden="true"><path class="grid" d="{grid}"/>{"".join(marks)}</svg>'
    )
    ylabels = [tag("span", label, style=f"top:{100 - 100 * at:.2f}%") for _, label, at in shown if 0 <= at <= 1]
    crowded = len(below) > 5
    xlabels = [
        tag("span", label, style=f"left:{100 * at:.2f}%", class_="odd" if crowded and k % 2 else None)
        for k, (_, label, at) in enumerate(below)
        if 0 <= at <= 1
    ]
    widest = max((len(label) for _, label, _ in shown), default=1)
    return tag(
        "div",
        tag("div", names[1], class_="yname"),
        tag("div", *ylabels, class_="yticks"),
        tag("div", svg, over, class_="area"),
        tag("div", *xlabels, class_="xticks"),
        tag("div", names[0], class_="xname"),
        class_="plot",
        role="img",
        aria_label=sentence,
        style=f"--tall:{tall}rem;--left:{0.56 * widest + 0.5:.2f}rem",
    )


def line(points: Iterable[tuple[float, float]], x: Axis, y: Axis, class_: str, data: str = "") -> Html:
    """A line through points in the axes' own units; points that are not finite interrupt it."""
    told: list[str] = []
    pen = "M"
    for a, b in points:
        u, v = x.at(a), y.at(b)
        if not (math.isfinite(u) and math.isfinite(v)):
            pen = "M"
            continue
        told.append(f"{pen}{_unit(u, WIDE)} {HIGH - _unit(v, HIGH)}")
        pen = "L"
    if len(told) == 1:
        told.append("h0")
    return Html(f'<path class="{class_}"{_data(data)} d="{"".join(told)}"/>')


def steps(points: Sequence[tuple[float, float]], x: Axis, y: Axis, class_: str) -> Html:
    """A staircase: the value holds until the next point."""
    corners = [corner for k, (a, b) in enumerate(points) for corner in (((a, points[k - 1][1]), (a, b)) if k else ((a, b),))]
    return line(corners, x, y, class_)


def dots(points: Iterable[tuple[float, float]], x: Axis, y: Axis, class_: str, data: str = "") -> Html:
    """Round dots of one class, as one path; those outside the axes are left out."""
    places = ((x.at(a), y.at(b)) for a, b in points)
    told = "".join(f"M{_unit(u, WIDE)} {HIGH - _unit(v, HIGH)}h0" for u, v in places if 0 <= u <= 1 and 0 <= v <= 1)
    return Html(f'<path class="dots {class_}"{_data(data)} d="{told}"/>')


def uprights(bars: Iterable[tuple[float, float, float]], x: Axis, y: Axis, class_: str) -> Html:
    """Upright lines (x, from, to): whiskers of points, or the bars of a histogram when the class makes them broad."""
    told = "".join(
        f"M{_unit(x.at(a), WIDE)} {HIGH - _unit(y.at(b), HIGH)}V{HIGH - _unit(y.at(c), HIGH)}" for a, b, c in bars
    )
    return Html(f'<path class="{class_}" d="{told}"/>')


def boxes(bars: Iterable[tuple[float, float, float]], x: Axis, y: Axis, class_: str) -> Html:
    """Filled bars (left, right, height) that stand on the lower end of y."""
    told = "".join(
        f"M{_unit(x.at(a), WIDE)} {HIGH}V{HIGH - _unit(y.at(c), HIGH)}H{_unit(x.at(b), WIDE)}V{HIGH}z" for a, b, c in bars
    )
    return Html(f'<path class="{class_}" d="{told}"/>')


def whisker(measure: Measure, axis: Axis, class_: str = "", zero: float | None = None) -> Html:
    """A dot with its interval on a track as wide as it may be; `zero` draws an upright line there."""
    parts: list[Child] = []
    if zero is not None and 0 <= axis.at(zero) <= 1:
        parts.append(tag("i", class_="zero", style=f"left:{100 * axis.at(zero):.2f}%"))
    if math.isfinite(measure.low) and math.isfinite(measure.high):
        left, right = (100 * min(max(axis.at(end), 0.0), 1.0) for end in (measure.low, measure.high))
        parts.append(tag("i", class_="reach", style=f"left:{left:.2f}%;width:{max(right - left, 0):.2f}%"))
    if 0 <= axis.at(measure.value) <= 1:
        parts.append(tag("b", style=f"left:{100 * min(max(axis.at(measure.value), 0.0), 1.0):.2f}%"))
    if not 0 <= axis.at(measure.value) <= 1:
        parts.append(
            tag(
                "em",
                "◂" if axis.at(measure.value) < 0 else "▸",
                class_="beyond low" if axis.at(measure.value) < 0 else "beyond",
            )
        )
    label = f"{central(measure)} {interval(measure)}"
    return tag("span", *parts, class_=f"track {class_}".rstrip(), role="img", aria_label=label)


def ruler(axis: Axis) -> Html:
    """The tick labels below a column of whiskers."""
    shown = [(label, axis.at(value)) for value, label in axis.ticks]
    return tag(
        "span",
        *(tag("span", label, style=f"left:{100 * at:.2f}%") for label, at in shown if 0 <= at <= 1),
        class_="ruler",
        aria_hidden="true",
    )


def bar(share: float, class_: str = "", low: float | None = None, high: float | None = None) -> Html:
    """A bar that fills `share` of its track, with an interval when its ends are given."""
    reach = None
    if low is not None and high is not None:
        reach = tag("i", class_="reach", style=f"left:{100 * low:.1f}%;width:{100 * max(high - low, 0):.1f}%")
    return tag(
        "span",
        tag("i", class_="fill", style=f"width:{100 * min(max(share, 0.0), 1.0):.2f}%"),
        reach,
        class_=f"bar {class_}".rstrip(),
        aria_hidden="true",
    )


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """What the marks mean: (class of the mark, words)."""
    return tag("ul", *(tag("li", tag("i", class_=f"key {mark}"), words) for mark, words in entries), class_="legend")


def thin(points: Sequence[tuple[float, float]], most: int) -> Sequence[tuple[float, float]]:
    """At most `most` of the points, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return points
    stride = (len(points) - 1) / (max(most, 2) - 1)
    return [points[round(k * stride)] for k in range(max(most, 2))]


@dataclass(frozen=True)
class Cell:
    """A cell of a table that sorts by `sort` rather than by its text."""

    content: Child
    sort: float | None = None
    class_: str = ""


def grid(
    head: Sequence[str],
    body: Iterable[Sequence[Child | Cell]],
    sentence: str,
    class_: str = "",
    numbers: Iterable[int] = (),
    marks: Sequence[str] = (),
) -> Html:
    """A table in a box of its own that scrolls when it must, so that the page never does.

    numbers: columns set right. marks: for each row the number of its trial, by which charts and table find one another.
    """
    right = frozenset(numbers)
    columns = (tag("th", name, class_="num" if k in right else None, scope="col") for k, name in enumerate(head))
    lines = (tag("tr", *_cells(row, right), data_t=marks[k] if marks else None) for k, row in enumerate(body))
    table = tag(
        "table",
        tag("caption", sentence, class_="unseen"),
        tag("thead", tag("tr", *columns)),
        tag("tbody", *lines),
        class_=class_ or None,
    )
    return tag("div", table, class_="box", tabindex="0", role="region", aria_label=sentence)


def _cells(row: Sequence[Child | Cell], right: frozenset[int]) -> Iterable[Html]:
    for k, found in enumerate(row):
        cell = found if isinstance(found, Cell) else Cell(found)
        told = " ".join(name for name in ("num" if k in right else "", cell.class_) if name)
        sort = None if cell.sort is None or not math.isfinite(cell.sort) else f"{cell.sort:.9g}"
        yield tag("th" if k == 0 else "td", cell.content, class_=told or None, data_v=sort, scope="row" if k == 0 else None)


def _unit(share: float, of: int) -> int:
    return round(min(max(share, -1.0), 2.0) * of)


def _data(number: str) -> str:
    return f' data-t="{number}"' if number else ""
