"""The part of the report that tells how good the result is: key figures, baselines, all measures, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.core.measure import Measure
from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, boxes, dots, figure, grid, line, plot, ruler, uprights, whisker
from tuneful.report.markup import Child, Html, tag
from tuneful.report.story import Story, worth
from tuneful.report.words import (
    alike,
    begin,
    central,
    duration,
    interval,
    measured,
    metric,
    number,
    p_value,
    rows,
    share,
    size,
    table,
    whole,
    wilson,
)


def cards(story: Story) -> Html | None:
    """The key figures, each with its interval and how it was measured."""
    evidence, found = story.evidence, list[Html]()
    tested = measured(table(evidence.get("test")).get(story.metric))
    best = story.best
    chosen = worth(best) if best is not None else None
    if tested is not None:
        found.append(
            _card(
                f"{metric(story.metric)} on test", central(tested), interval(tested), f"{tested.n:,} examples, {tested.how}"
            )
        )
    if chosen is not None:
        how = f"{chosen.n:,} examples" + (f", {chosen.how}" if chosen.how else "")
        found.append(
            _card(
                f"{'best ' if len(story.trials) > 1 else ''}{metric(story.metric)} on valid",
                central(chosen),
                interval(chosen),
                how,
            )
        )
    against = table(evidence.get("against_baseline"))
    gap = measured(against.get("difference"))
    if gap is not None:
        words = {"better": "better than", "worse": "worse than", "tie": "a tie with"}.get(
            str(against.get("verdict")), "against"
        )
        how = f"{metric(str(against.get('metric', story.metric)))}, {p_value(_float(against.get('p')))}, {against.get('test', 'paired')}"
        found.append(
            _card(
                f"{words} {against.get('baseline', 'the best baseline')}",
                central(gap, True),
                interval(gap, True),
                how,
                str(against.get("verdict", "")),
            )
        )
    extras = {"regression": "r2", "multilabel": "f1_macro", "multiregression": "rmse_scaled", "forecasting": "mse_scaled"}
    extras |= {"sequence_to_sequence": "chrf", "segmentation": "dice", "openset": "auroc_outside"}
    extra = extras.get(str(story.facts.get("kind")), "calibration_error")
    other = measured(table(evidence.get("test")).get(extra))
    if other is not None and extra != story.metric:
        found.append(_card(f"{metric(extra)} on test", central(other), interval(other), f"{other.n:,} examples"))
    if len(story.trials) > 1:
        parts = ", ".join(f"{count:,} {state}" for state, count in story.states.most_common())
        found.append(_card("trials", f"{len(story.trials):,}", "", parts))
    seconds = seconds_of(story)
    if seconds:
        longest = max(seconds, key=lambda name: seconds[name])
        found.append(
            _card(
                "time",
                duration(sum(seconds.values())),
                "",
                f"{share(seconds[longest], sum(seconds.values()))} of it {longest}",
            )
        )
    export = table(evidence.get("export"))
    one = measured(table(export.get("latency")).get("1"))
    if export:
        found.append(
            _card(
                "model size",
                size(_float(export.get("bytes"))),
                "",
                f"ONNX{f', {whole(one)} for one example' if one else ''}",
            )
        )
    return tag("div", *found, class_="cards") if found else None


def baselines(story: Story) -> list[Html]:
    """The result beside the baselines, and the paired difference to the best of them."""
    listed = [table(entry) for entry in rows(story.evidence.get("baselines"))]
    against = table(story.evidence.get("against_baseline"))
    name = str(against.get("metric") or story.metric)
    ours = measured(table(story.evidence.get("test")).get(name))
    found = [(str(entry.get("name", "")), measured(table(entry.get("measures")).get(name)), entry) for entry in listed]
    known = [m for _, m, _ in found if m is not None] + ([ours] if ours else [])
    if not listed or not known:
        return []
    axis = Axis.over([end for m in _near(known, ours) for end in (m.value, m.low, m.high)], pad=0.04, most=7)
    total = sum(_float(value) for value in seconds_of(story).values())
    decimals = alike(_near(known, ours))
    lines: list[Sequence[Child | Cell]] = []
    if ours:
        lines.append(
            (
                tag("b", "tuneful"),
                whisker(ours, axis, "ours"),
                Cell(whole(ours, decimals=decimals), ours.value),
                Cell(duration(total) if total else "–", total),
            )
        )
    for label, m, entry in sorted(found, key=lambda e: e[1].value if e[1] else math.inf, reverse=not story.smaller):
        seconds = _float(entry.get("seconds"))
        if m is not None:
            lines.append(
                (label, whisker(m, axis), Cell(whole(m, decimals=decimals), m.value), Cell(duration(seconds), seconds))
            )
        else:
            lines.append(
                (
                    label,
                    tag("span", _why(str(entry.get("failed") or "no value")), class_="why"),
                    "–",
                    Cell(duration(seconds), seconds),
                )
            )
    lines.append(("", ruler(axis), "", ""))
    gap = measured(against.get("difference"))
    sentence = begin(f"{metric(name)} on the test split, dots with 95 % intervals.")
    if gap is not None:
        verdict = {"better": "is better than", "worse": "is worse than", "tie": "cannot be told apart from"}
        sentence = (
            f"The result {verdict.get(str(against.get('verdict')), 'stands against')} {against.get('baseline', 'the best baseline')}: the paired "
            f"difference is {whole(gap, True)}, {p_value(_float(against.get('p')))} ({against.get('test', 'paired test')}, n\u00a0=\u00a0{gap.n:,})."
        )
    smaller = " Smaller is better." if story.smaller else ""
    chart = grid(("", metric(name), "value [interval]", "time"), lines, sentence, "rows fixed", (2, 3))
    pieces = [figure("Beside the baselines", sentence, chart, note=f"All measured on the same test split.{smaller}")]
    if gap is not None:
        reach = Axis.over([0.0, gap.low, gap.high, gap.value], pad=0.12, most=5)
        body = tag("div", whisker(gap, reach, f"gap {against.get('verdict', '')}", 0.0), ruler(reach), class_="gapbox")
        told = (
            f"{whole(gap, True)}: right of the line tuneful is better, left of it {against.get('baseline', 'the baseline')}."
        )
        pieces.append(figure("The paired difference", told, body, class_="small"))
    return pieces


def _why(failed: str) -> str:
    """Why a baseline has no value: it was skipped, or it failed."""
    return failed if failed.startswith("skipped") else f"failed: {failed}"


def measures(story: Story) -> Html | None:
    """Every metric on valid and on test, with intervals and counts."""
    valid, test = table(story.evidence.get("valid")), table(story.evidence.get("test"))
    first = [story.metric] if story.metric in test or story.metric in valid else list[str]()
    names = list(dict.fromkeys([*first, *test, *valid]))
    if not names:
        return None
    lines: list[Sequence[Child | Cell]] = []
    for name in names:
        on_valid, on_test = measured(valid.get(name)), measured(test.get(name))
        either = on_test or on_valid
        told = tag("b", metric(name)) if name == story.metric else metric(name)
        lines.append((told, figures(on_test), figures(on_valid), either.how if either else ""))
    n_test, n_valid = (story.facts.get(key) for key in ("n_test", "n_valid"))
    counts = f" (n\u00a0=\u00a0{number(n_test)} on test, {number(n_valid)} on valid)" if n_test else ""
    first, chosen = measured(test.get(story.metric)), measured(valid.get(story.metric))
    sentence = f"Every measure with its interval{counts}."
    if first and chosen:
        sentence = begin(
            f"{metric(story.metric)} is {whole(first)} on test, and {whole(chosen)} on valid, where the choice was made{counts}."
        )
    return figure("All measures", sentence, grid(("metric", "test", "valid", "how"), lines, sentence, "measures", (1, 2)))


def calibration(story: Story) -> Html | None:
    """Reliability: how often the network is right when it is so sure, with the number of examples in each bin."""
    bins = [table(entry) for entry in rows(story.evidence.get("calibration"))]
    known = [(_float(b.get("confidence")), _float(b.get("accuracy")), int(_float(b.get("n")) or 0)) for b in bins]
    known = [(c, a, n) for c, a, n in known if n > 0 and math.isfinite(c) and math.isfinite(a)]
    if not known:
        return None
    total = sum(n for _, _, n in known)
    lean = sum(n * (c - a) for c, a, n in known) / total
    error = measured(table(story.evidence.get("test")).get("calibration_error"))
    kind = (
        "is overconfident" if lean > 0.01 else "is underconfident" if lean < -0.01 else "neither over- nor underrates itself"
    )
    gap = f" by {share(abs(lean), 1)} on average" if abs(lean) > 0.01 else ""
    sentence = f"The model {kind}{gap}" + (f"; calibration error {whole(error)}." if error else ".")
    x = Axis(-0.02, 1.02, ticks=tuple((k / 5, f"{k / 5:.1f}") for k in range(6)))
    ends = [(c, *wilson(a, n)) for c, a, n in known]
    marks = [
        line([(0, 0), (1, 1)], x, x, "ideal"),
        uprights(ends, x, x, "whisk"),
        line([(c, a) for c, a, _ in known], x, x, "curve thin"),
        dots([(c, a) for c, a, _ in known], x, x, "done big"),
    ]
    top = Axis.over([0.0, max(n for _, _, n in known)], pad=0.0, most=3, counts=True)
    wide = 0.8 / max(len(known), 10)
    counts = boxes([(max(c - wide / 2, 0), min(c + wide / 2, 1), n) for c, _, n in known], x, top, "count")
    upper = plot(x, x, marks, sentence, ("confidence", "share that is right"), tall=16)
    spread = f"Most of the {total:,} test examples have a confidence near {max(known, key=lambda b: b[2])[0]:.2f}."
    lower = plot(x, top, [counts], spread, ("confidence", "examples"), tall=5)
    lines: list[Sequence[Child | Cell]] = [
        (f"{c:.3f}", f"{a:.3f} [{low:.3f}, {high:.3f}]", n) for (c, a, n), (_, low, high) in zip(known, ends, strict=True)
    ]
    details = _folded("Figures", grid(("confidence", "right", "examples"), lines, spread, "", (0, 1, 2)))
    return figure(
        "Calibration",
        sentence,
        upper,
        lower,
        details,
        note="On the dashed line confidence is what it claims to be. Whiskers: Wilson 95 %.",
    )


def _near(known: Sequence[Measure], ours: Measure | None) -> Sequence[Measure]:
    """Those that a picture can show side by side: one that lies four times as far away as the next is left to an arrow."""
    ordered = sorted(known, key=lambda m: abs(m.value - (ours or known[0]).value))
    while len(ordered) > 2:
        centre = ordered[0].value
        if abs(ordered[-1].value - centre) <= 4 * max(abs(ordered[-2].value - centre), ordered[0].high - ordered[0].low):
            break
        ordered.pop()
    return ordered


def _card(name: str, value: str, reach: str, how: str, class_: str = "") -> Html:
    return tag(
        "div",
        tag("p", name, class_="name"),
        tag("p", value, class_="value"),
        tag("p", reach, class_="reach") if reach else None,
        tag("p", how, class_="how"),
        class_=f"card {class_}".rstrip(),
    )


def figures(measure: Measure | None, decimals: int | None = None) -> Cell:
    """A measure as a cell: the value, and its interval in small."""
    return (
        Cell("–")
        if measure is None
        else Cell([central(measure, False, decimals), " ", tag("small", interval(measure, False, decimals))], measure.value)
    )


def _folded(title: str, *body: Child) -> Html:
    return tag("details", tag("summary", title), *body)


def seconds_of(story: Story) -> Mapping[str, float]:
    """Where the time went: the story's own account, else the evidence's."""
    found: Mapping[str, Any] = story.seconds or table(story.evidence.get("seconds"))
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and value >= 0 and math.isfinite(value)
    }


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
