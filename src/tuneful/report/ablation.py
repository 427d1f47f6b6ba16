"""The part of the report that tells what each setting of the chosen recipe is worth, where somebody had it trained without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.core.measure import Measure
from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, figure, grid, ruler, whisker
from tuneful.report.markup import Html
from tuneful.report.story import Story
from tuneful.report.words import alike, metric, rows, setting, table, whole


def worth_of_settings(story: Story) -> list[Html]:
    """Each dial set back by itself, and the path from the defaults; [] where nothing was ablated."""
    told = table(story.evidence.get("ablation"))
    lines = [table(one) for one in rows(told.get("dials"))]
    if not lines:
        return []
    name, out = metric(str(told.get("metric", story.metric))), " ".join(str(one) for one in rows(told.get("left_out")))
    note = (
        f"Each is a training of the chosen recipe with that one setting as it was by default, on {told.get('seeds')} fresh seeds and the same "
        f"{told.get('examples')} examples of valid; + is better with the chosen value. {out}"
    )
    found = [
        _figure(
            "What each setting is worth",
            str(told.get("sentence", "")),
            lines,
            "worth",
            f"{name} lost by setting it back",
            note,
        )
    ]
    if path := [table(one) for one in rows(told.get("path"))]:
        said = "From the defaults to the chosen recipe, one setting a round, each time the one that gains most."
        found.append(_figure("The path from the defaults", said, path, "gain", f"{name} gained", ""))
    return found


def _figure(title: str, said: str, lines: Sequence[Mapping[str, Any]], key: str, what: str, note: str) -> Html:
    known = [Measure.from_data(table(line.get(key))) if line.get(key) else None for line in lines]
    ends = [end for one in known if one is not None for end in (one.low, one.high, 0.0)]
    axis = Axis.over(ends or [0.0, 1.0], pad=0.08)
    decimals = alike([one for one in known if one is not None])
    body = [
        (
            str(line.get("dial")),
            f"{setting(line.get('default', line.get('from')))} to {setting(line.get('chosen', line.get('to')))}",
            "" if one is None else Cell([whisker(one, axis), whole(one, decimals=decimals)], one.value, "value"),
            str(line.get("verdict", "")),
        )
        for line, one in zip(lines, known, strict=True)
    ]
    return figure(
        title,
        said,
        grid(("setting", "from the default", what, ""), [*body, ("", "", ruler(axis), "")], said, "rows", ()),
        note=note,
    )
