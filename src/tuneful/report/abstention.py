"""The part of the report that tells when a model of an open set abstains, and what each threshold would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, figure, grid, legend, line, plot, uprights
from tuneful.report.markup import Child, Html, tag
from tuneful.report.story import Story
from tuneful.report.words import begin, fixed, measured, number, rows, share, table, whole

SAID = {"max_logit": "largest logit", "energy": "energy (log-sum-exp of the logits)", "probability": "largest probability"}


def rule(story: Story) -> str:
    """The rule in a sentence: "It abstains where the largest logit is below 3.31: 5 % of the known examples of valid"."""
    how = table(story.evidence.get("openset"))
    known = [float(v) for key in ("threshold", "coverage") if isinstance(v := how.get(key), int | float)]
    if len(known) < 2:
        return ""
    score = SAID.get(str(how.get("score")), str(how.get("score")))
    return f"It abstains where the {score} is below {number(known[0])}, which {share(1 - known[1], 1)} of the known examples of valid are"


def curve(story: Story) -> Html | None:
    """Coverage against risk on the test split, with the rule's own place in it."""
    told = [table(entry) for entry in rows(table(story.evidence.get("openset")).get("curve"))]
    points = [{k: float(v) for k, v in p.items() if isinstance(v, int | float)} for p in told]
    points = [p for p in points if {"coverage", "risk", "low", "high", "threshold"} <= set(p)]
    if len(points) < 2:
        return None
    test = table(story.evidence.get("test"))
    covered, area = measured(test.get("coverage")), measured(test.get("aurc"))
    beside = all("outside" in p for p in points)
    x = Axis.over([0.0, 1.0], pad=0.02)
    tall = [p["high"] for p in points if p["coverage"] >= 0.1]
    y = Axis.over([0.0, *tall, *(p["outside"] for p in points if beside)], pad=0.03)
    marks = [
        uprights([(p["coverage"], p["low"], min(p["high"], y.high)) for p in points], x, y, "whisk"),
        line([(p["coverage"], p["risk"]) for p in points], x, y, "curve lead"),
    ]
    if beside:
        marks.append(line([(p["coverage"], p["outside"]) for p in points], x, y, "curve train"))
    if covered is not None:
        marks.append(line([(covered.value, y.low), (covered.value, y.high)], x, y, "ideal"))
    sentence = f"{rule(story)}." + (f" On test it answers {whole(covered)} of the known" if covered else "")
    answered, kept = measured(test.get("accuracy_answered")), measured(test.get("outside_rejected"))
    sentence += f", of which {whole(answered)} are right" if covered and answered else ""
    sentence += f"; of those outside it abstains from {whole(kept)}" if covered and kept else ""
    sentence = begin(sentence + ("." if covered else ""))
    key = legend([("line lead", "share of the answered known that is wrong"),
                  *([("line train", "share of those outside that is answered")] if beside else [])])  # fmt: skip
    lines: list[Sequence[Child | Cell]] = [
        (share(p["coverage"], 1), fixed(p["threshold"], 3), f"{p['risk']:.4f} [{p['low']:.4f}, {p['high']:.4f}]",
         f"{p['outside']:.4f}" if beside else "–")
        for p in points
    ]  # fmt: skip
    figures = grid(
        ("known that are answered", "threshold", "wrong among them", "outside that are answered"),
        lines,
        sentence,
        "",
        (0, 1, 2, 3),
    )
    folded = tag("details", tag("summary", "Figures"), figures)
    note = "Test split; each point is another threshold, the dashed line the one that was chosen. Whiskers: Wilson 95 %."
    note += f" Area under the risk: {whole(area)}." if area and math.isfinite(area.value) else ""
    note += f" The score: {chosen}." if (chosen := str(table(story.evidence.get("openset")).get("chosen") or "")) else ""
    chart = plot(x, y, marks, sentence, ("share of the known that is answered", "share"), tall=16)
    return figure("Coverage and risk", sentence, key, chart, folded, note=note)


__all__ = ["curve", "rule"]
