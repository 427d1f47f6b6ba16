"""The part of the report that tells of the best trials run again: who is taken, what ties, and how much of the best run was luck."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuneful.core.measure import Measure
from tuneful.report.charts import Cell, figure, grid, ruler, whisker
from tuneful.report.markup import Child, Html
from tuneful.report.story import Story
from tuneful.report.words import alike, metric, number, rows, table, whole


def again(story: Story) -> Html | None:
    """The candidates on fresh seeds; None where nothing was run again and no reason is worth telling."""
    told = table(story.evidence.get("confirmation"))
    lines = rows(told.get("candidates"))
    title = "The best, run again"
    if not lines:
        why = str(told.get("why", ""))
        return figure(title, f"The best trials were not run again: {why}.") if why and len(story.trials) > 1 else None
    name = metric(str(told.get("metric", story.metric)))
    found = [(table(line), Measure.from_data(table(line.get("quality")))) for line in map(table, lines)]
    found.sort(key=lambda pair: -float(pair[0].get("chance", 0.0)))
    known = [quality for _, quality in found]
    ends = [value for quality in known for value in (quality.low, quality.high) if math.isfinite(value)]
    axis = story.axis([*(quality.value for quality in known), *ends], pad=0.08, keep=ends)
    decimals = alike(known)
    body: list[Sequence[Child | Cell]] = []
    for line, quality in found:
        taken = line.get("trial") == told.get("chosen")
        verdict = "taken" if taken else "may be as good" if line.get("tied") else "behind"
        body.append(
            (
                Cell(str(line.get("trial")), float(line.get("trial", 0))),
                Cell(number(float(line.get("reported", math.nan)), 4), float(line.get("reported", 0.0))),
                Cell([whisker(quality, axis), whole(quality, decimals=decimals)], quality.value, "value"),
                ", ".join(number(float(value), 4) for value in rows(line.get("seeds"))),
                Cell(f"{100 * float(line.get('chance', 0.0)):.0f} %", float(line.get("chance", 0.0))),
                Cell(f"{int(line.get('weights') or 0):,}", float(line.get("weights") or 0)),
                verdict,
            )
        )
    body.append(("", "", ruler(axis), "", "", "", ""))
    head = ("trial", "its single run", f"{name} to be expected", "fresh seeds", "best by a chance of", "weights", "")
    optimism = Measure.from_data(table(told.get("optimism")))
    lost = [str(one) for one in rows(told.get("lost"))]
    note = (
        f"All on the same {told.get('examples')} examples of valid, each with the same {told.get('seeds')} fresh seeds. The expectation holds for one "
        f"network under another seed and on other examples; {number(abs(float(told.get('luck', 0.0))), 2)} is taken off the chosen one's for "
        f"having been chosen there. Winner's optimism, the best single run less the mean of its fresh ones: {whole(optimism)}."
    )
    return figure(
        title,
        str(told.get("sentence", "")),
        grid(head, body, str(told.get("sentence", "")), "rows", (1, 4, 5)),
        note=" ".join([note, *lost]),
    )
