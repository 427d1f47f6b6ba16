"""The part of the report that says what was tuned at which width, and shows that the widths behave alike."""

from __future__ import annotations

from collections.abc import Sequence

from tuneful.core.measure import Measure
from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, figure, grid, legend, line, plot
from tuneful.report.markup import Child, Html
from tuneful.report.story import Story
from tuneful.report.words import begin, metric, number, rows, table, whole


def tuned_where(story: Story) -> Html | None:
    """The small network and the large one; None where nothing was transferred."""
    told = table(story.evidence.get("transfer"))
    if not told:
        return None
    key = str(told.get("key", "width"))
    dials = ", ".join(
        f"{path} {number(v, 3) if isinstance(v, float) else v}" for path, v in table(told.get("dials")).items()
    )
    trained = [table(point) for point in rows(told.get("curve"))]
    epochs = number(float(trained[-1].get("epoch") or 0.0), 3) if trained else "0"
    body: list[Sequence[Child | Cell]] = [
        (f"{key} {told.get('proxy')}", f"{told.get('trials')} trials; the settings come from trial {told.get('trial')}", _value(told.get("small"))),
        (f"{key} {told.get('target')}", f"one training of {epochs} epochs with {dials}; it is what was proven", _value(told.get("large"))),
    ]  # fmt: skip
    sentence = str(told.get("sentence", ""))
    head = ("network", "what was done", f"{metric(story.metric)} on valid")
    return figure("What was tuned where", sentence, grid(head, body, sentence, "rows"))


def coordinates(story: Story) -> Html | None:
    """The coordinate check: by how much each layer changes at each width; None where there was none."""
    told = table(table(story.evidence.get("transfer")).get("check"))
    widths = [float(width) for width in rows(told.get("widths"))]
    changes = {str(name): [float(v) for v in rows(found)] for name, found in table(told.get("changes")).items()}
    every = [value for found in changes.values() for value in found if value > 0]
    if len(widths) < 2 or not every:
        return None
    x, y = Axis.over(widths, log=True), Axis.over(every, log=True)
    marks = [line(zip(widths, found), x, y, "curve thin") for name, found in changes.items() if name]
    marks.append(line(zip(widths, changes.get("", [])), x, y, "curve lead"))
    sentence = begin(f"{told.get('said')}.")
    note = (
        "Coordinate check (Yang et al. 2022, appendix D.1): each line is a layer, its mean change of output on one batch after the first steps. "
        "Level lines mean that a rate that suits one width suits the other; lines that rise mean that it does not."
    )
    names = ("width", "change of the output")
    chart = plot(x, y, marks, sentence, names, tall=14)
    return figure(
        "Do the widths behave alike?", sentence, legend([("line lead", "the network"), ("line thin", "a layer")]), chart, note=note
    )  # fmt: skip


def _value(found: object) -> Cell | str:
    measure = Measure.from_data(table(found)) if table(found) else None
    return Cell(whole(measure), measure.value, "value") if measure is not None else "none"


__all__ = ["coordinates", "tuned_where"]
