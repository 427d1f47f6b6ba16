"""The part of the report that tells whether networks of the search were joined: who the members are, and what each alone reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneful.core.measure import Measure
from tuneful.report.charts import Cell, figure, grid, ruler, whisker
from tuneful.report.markup import Html
from tuneful.report.story import Story
from tuneful.report.words import alike, metric, rows, share, table, whole


def together(story: Story) -> Html | None:
    """The members with their weights, or why the single network stays; None where nothing is known of it."""
    told = table(story.evidence.get("joined"))
    if not told:
        return None
    title, sentence = "Several networks as one", str(told.get("sentence", ""))
    members = [table(one) for one in rows(told.get("members"))]
    if not members:
        return figure(title, sentence) if rows(story.trials) and len(story.trials) > 1 and table(told.get("tried")) else None
    single = table(told.get("single"))
    found = [(one, Measure.from_data(table(one.get("value")))) for one in [*members, single]]
    known = [value for _, value in found]
    axis = story.axis([v for one in known for v in (one.low, one.value, one.high)], pad=0.08)
    decimals = alike(known)
    body = [
        (
            Cell(_name(one), float(one.get("trial", 0))),
            Cell(share(float(one["weight"]), 1) if "weight" in one else "the single one", float(one.get("weight", 0.0))),
            Cell([whisker(value, axis), whole(value, decimals=decimals)], value.value, "value"),
        )
        for one, value in found
    ]
    head = ("network", "weight", f"{metric(story.metric)} alone, on valid")
    return figure(
        title, sentence, grid(head, [*body, ("", "", ruler(axis))], sentence, "rows", (0, 1)), note=_note(told, len(members))
    )


def _name(one: Mapping[str, Any]) -> str:
    run = int(one.get("run", 0))
    return f"trial {one.get('trial')}" + (f", fresh seed {run}" if run else "")


def _note(told: Mapping[str, Any], members: int) -> str:
    parts = [
        f"Members were chosen on all of valid, which favours them there; whether to join them was decided on {told.get('folds')} parts of it, each "
        f"answered by what was chosen without it. {told.get('pool')} networks were to be had."
    ]
    for kind, found in table(told.get("tried")).items():
        test = table(found)
        difference = Measure.from_data(table(test.get("difference")))
        parts.append(
            f"{'Soup' if kind == 'soup' else 'Ensemble'} of {test.get('members')} against the single one: {whole(difference)} (+ is better)."
        )
    if told.get("beyond"):
        parts.append(f"{str(told['beyond'])[:1].upper()}{str(told['beyond'])[1:]}.")
    return " ".join(parts)
