"""What was done to the data before anything learned from it, and which labels deserve a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.report.charts import Cell, figure, grid
from tuneful.report.markup import Child, Html, short, tag
from tuneful.report.story import Story
from tuneful.report.words import many, number, rows, setting, share, table

SHOWN = 50  # suspected labels in the report; the file beside it has all


def steps(story: Story) -> Html | None:
    """Each step of cleaning with its count in each split, asked for or not."""
    if "cleaning" not in story.facts:
        return None
    found = [table(entry) for entry in rows(story.facts.get("cleaning"))]
    if not found:
        return figure("What was cleaned", "Nothing was taken out, filled in or changed.")
    lines: list[Sequence[Child | Cell]] = []
    for entry in found:
        by = str(entry.get("by", ""))
        examples = ", ".join(short(example, 60) for example in rows(entry.get("examples"))[:5])
        told = [
            tag("p", str(entry.get("what", ""))),
            tag("p", f"such as {examples}", class_="examples") if examples else None,
        ]
        lines.append(
            (
                tag("code", called(entry)),
                Cell(tag("span", by, class_=f"by {by}")),
                str(entry.get("split", "")),
                Cell(told, class_="told"),
                _affected(entry.get("count"), entry.get("of")),
            )
        )
    asked = len({called(entry) for entry in found if entry.get("by") == "asked"})
    sentence = (
        f"{many(asked, 'step')} of cleaning {'was' if asked == 1 else 'were'} asked for; what stands beside auto is done where "
        "data could not serve otherwise. Statistics are learned from train alone; examples are taken out of train alone, so that "
        "valid and test stay what they were."
    )
    return figure(
        "What was cleaned", sentence, grid(("step", "by", "split", "what", "affected"), lines, sentence, "cleaning", (4,))
    )


def labels(story: Story) -> Html | None:
    """Suspected label errors, the least believed first; or why they were not looked for."""
    told = table(story.evidence.get("label_errors"))
    if not told:
        return None
    title = "Labels to look at"
    if told.get("why_not"):
        return figure(title, f"Label errors were not looked for: {told['why_not']}.")
    first = [table(entry) for entry in rows(told.get("first"))]
    looked = f"of {number(told.get('looked_at'))} examples of train"
    if not first:
        return figure(title, f"No label {looked} is suspected, by {told.get('model')}.")
    file = str(told.get("file", "label_errors.csv"))
    sentence = (
        f"{number(told.get('count'))} labels {looked} are suspected: {told.get('model')} that has not seen them believes another "
        "class (confident learning). None is changed or left out; ordinary hard examples are among them."
    )
    lines: list[Sequence[Child | Cell]] = [
        (
            short(str(entry.get("example", "")), 80),
            str(entry.get("given", "")),
            str(entry.get("suggested", "")),
            Cell(number(entry.get("confidence"), 3), float(entry.get("confidence") or 0.0)),
            Cell(number(entry.get("belief"), 3), float(entry.get("belief") or 0.0)),
        )
        for entry in first[:SHOWN]
    ]
    note = f"All of them: {file}, beside this report. After a look: --clean drop_labels=PATH of that file, or --clean relabel=PATH."
    heads = ("example", "bears", "believed instead", "how much", "its own")
    return figure(title, sentence, grid(heads, lines, sentence, "labels", (3, 4)), note=note)


def called(entry: Mapping[str, Any]) -> str:
    """A step with its settings, as it can be written."""
    settings = {name: value for name, value in table(entry.get("settings")).items() if value not in ([], ())}
    inside = ", ".join(f"{name}={setting(value)}" for name, value in settings.items())
    return f"{entry.get('step', '')}({inside})" if inside else str(entry.get("step", ""))


def _affected(count: Any, of: Any) -> Cell:
    part = f" of {number(of)} ({share(float(count), float(of))})" if isinstance(of, int | float) and of else ""
    return Cell(number(count) + part, float(count or 0))


__all__ = ["called", "labels", "steps"]
