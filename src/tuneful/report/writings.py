"""The part of the report that shows what was written beside what was wanted."""

from __future__ import annotations

from collections.abc import Sequence

from tuneful.report.charts import Cell, figure, grid
from tuneful.report.markup import Child, Html
from tuneful.report.story import Story
from tuneful.report.words import number, rows, table


def written(story: Story) -> Html | None:
    """Some pairs of the test split: the source, what was wanted, what was written."""
    told = table(story.evidence.get("writings"))
    keys = ("source", "wanted", "written")
    lines: list[Sequence[Child | Cell]] = [
        tuple(str(table(one).get(key, "")) for key in keys) for one in rows(told.get("pairs"))
    ]
    if not lines:
        return None
    alike = sum(table(entry).get("wanted") == table(entry).get("written") for entry in rows(told.get("pairs")))
    names = [str(name) for name in rows(told.get("names"))] or ["source", "target"]
    sentence = f"{number(len(lines))} pairs of the test split, evenly spaced; {number(alike)} of them are written exactly as wanted."
    same = f"BLEU is counted as {told.get('signature', '')}." + (
        f" {told['checked']}" if isinstance(told.get("checked"), str) else ""
    )
    body = grid((names[0], f"{names[1]}, wanted", f"{names[1]}, written"), lines, sentence, "rows", ())
    return figure("What it writes", sentence, body, note=same)
