"""What the second half of a search was forecast to bring, from its first half alone, beside what it brought."""

from __future__ import annotations

from itertools import accumulate

from tuneful.core.outlook import FEWEST, outlook
from tuneful.report.axis import Axis
from tuneful.report.charts import dots, figure, legend, line, plot, steps
from tuneful.report.markup import Html
from tuneful.report.story import Story, worth
from tuneful.report.words import duration, metric, number


def forecast(story: Story) -> Html | None:
    """The forecast from half of the trials and what happened; None where there are too few."""
    known = [(t, v.value) for t in sorted(story.trials, key=lambda t: t.number) if t.state != "failed" and (v := worth(t))]
    half = len(known) // 2
    values = [value for _, value in known]
    found = outlook(values[:half], story.smaller, len(values) - half) if half >= FEWEST else None
    if found is None:
        return None
    better = min if story.smaller else max
    happened = list(accumulate(values, better))
    end, low, high = happened[-1], found.low[-1], found.high[-1]
    inside = low <= end <= high
    ahead = outlook(values, story.smaller)
    pace = sum(trial.cost for trial, _ in known) / len(known)
    more = f" The next trial is expected to add {number(ahead.gain, 2)}, in {duration(pace)}." if ahead else ""
    verdict = "as forecast" if inside else "better than forecast" if (end > high) != story.smaller else "worse than forecast"
    sentence = (
        f"After half of the trials the best was expected to reach {number(found.expected[-1])} [{number(low)}, {number(high)}]; it reached "
        f"{number(end)}, {verdict}.{more}"
    )
    x = Axis.over([1, len(values)], pad=0.02, counts=True)
    y = story.axis([*found.low, *found.high, *happened[half - 1 :]], keep=[end, *found.expected])
    later = range(half + 1, len(values) + 1)
    marks = [
        line(zip(later, found.low, strict=True), x, y, "curve stopped"),
        line(zip(later, found.high, strict=True), x, y, "curve stopped"),
        line(zip(later, found.expected, strict=True), x, y, "curve valid"),
        steps([(float(k), value) for k, value in enumerate(happened, 1)], x, y, "best-so-far"),
        dots([(float(len(values)), end)], x, y, "lead"),
    ]
    keys = [
        ("line best", "what happened"),
        ("line valid", "forecast from the first half"),
        ("line stopped", "its 95 % interval"),
    ]
    note = (
        "The forecast takes the trials to come to be as the last thirty were; a search that is still learning does better."
    )
    chart = plot(x, y, marks, sentence, ("trials", f"best {metric(story.metric)} on valid"), tall=14)
    return figure("What more trials were expected to bring", sentence, legend(keys), chart, note=note)
