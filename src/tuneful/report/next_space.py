"""The part of the report that says what a search teaches for the next one: importance for the best, ends that were too near, a command."""

from __future__ import annotations

from collections.abc import Sequence

from tuneful.report.charts import Cell, bar, figure, grid
from tuneful.report.markup import Child, Html, tag
from tuneful.report.story import Story
from tuneful.report.words import begin, listed, number, rows, setting, table


def next_space(story: Story) -> Html | None:
    """What to search next; None where the search taught nothing."""
    told = table(table(story.evidence.get("search")).get("lessons"))
    dials = table(told.get("dials"))
    if not dials:
        return None
    warnings = [str(one) for one in rows(told.get("warnings"))]
    pairs = [table(one) for one in rows(told.get("together"))]
    sentence = (
        begin(f"{'; '.join(warnings)}.")
        if warnings
        else "No range was too short: the best values lie inside of all of them."
    )
    body: list[Sequence[Child | Cell]] = []
    for path, one in sorted(dials.items(), key=lambda item: -float(table(item[1]).get("importance") or 0.0)):
        line = table(one)
        share = line.get("importance")
        low, high = (float(line.get(end) or 0.0) for end in ("low", "high"))
        clear = low > 0.01
        drawn = bar(float(share), "" if clear else "weak", low, high) if share is not None else None
        figure_of = f"{100 * float(share):.0f} % [{100 * low:.0f}, {100 * high:.0f}]" if share is not None else "–"
        best = ", ".join(number(v, 2) if isinstance(v, float) else setting(v) for v in rows(line.get("best"))[:3])
        edge = f"{line.get('edge')} end" if line.get("edge") else ""
        body.append((path, drawn, Cell(figure_of, float(share or 0.0)), best, edge, str(line.get("next", ""))))
    note = (
        f"Importance for the best tenth of {told.get('trials')} trials (PED-ANOVA, as Optuna has it; 95 % from random halves): how far a dial's values "
        "among the best are from those among all. "
    )
    if pairs:
        said = [
            f"{' and '.join(map(str, rows(one.get('dials'))))} act together (p = {number(float(one.get('p', 1.0)), 2)})"
            for one in pairs[:3]
        ]
        note += f"{begin(listed(said))}: what is best for one hangs on the other."
    else:
        note += "No two numeric dials were seen to act together."
    command = str(told.get("command", ""))
    head = ("dial", "importance for the best", "share", "the best three", "", "search next")
    return figure(
        "What to search next",
        sentence,
        grid(head, body, sentence, "rows", (2,)),
        tag("pre", tag("code", command)) if command else None,
        note=note,
    )
