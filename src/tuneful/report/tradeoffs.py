"""The part of the report that tells of several objectives: who is best for its cost, and what a better value costs.

A trial belongs to the front when no other is at least as good in the metric and in every cost, and better in one. Values are the last ones on
valid, with their intervals, so that of two neighbours on the front one may owe its place to chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.core.measure import Measure
from tuneful.core.trial import Trial
from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, dots, figure, grid, legend, plot, ruler, steps, uprights, whisker
from tuneful.report.markup import Child, Html
from tuneful.report.parallel import dials_of
from tuneful.report.story import Story, worth
from tuneful.report.words import alike, many, metric, number, setting, whole


def tradeoffs(story: Story) -> list[Html]:
    """A picture of the metric over each cost, and the front as a table; [] where no cost was measured."""
    import numpy as np

    from tuneful.core.tradeoff import front

    known = [(t, v) for t in story.trials if t.tags.get("costs") and t.state != "failed" and (v := worth(t)) is not None]
    best = story.best
    if len(known) < 2 or best is None:
        return []
    names = list(known[0][0].tags["costs"])
    sign = 1.0 if story.smaller else -1.0
    costs = {trial.number: {name: Measure.from_data(trial.tags["costs"][name]) for name in names} for trial, _ in known}
    rows = np.array([[sign * value.value, *(costs[trial.number][name].value for name in names)] for trial, value in known])
    on = [known[k] for k in front(rows)]
    on.sort(key=lambda pair: [costs[pair[0].number][name].value for name in names])
    sentence = _sentence(story, on, costs, names, best)
    drawn = [_picture(story, known, on, costs, name, sentence) for name in names]
    refused = sum(trial.state == "stopped" and bool(trial.tags.get("costs")) for trial in story.trials)
    note = f"{many(refused, 'network')} broke a limit and did not begin to train. " if refused else ""
    note += "Latency is that of torch on this machine; that of the artifact is on its card."
    table = _table(story, on, costs, names, best)
    keys = legend([("dot lead", "on the front, with the interval of its value"), ("dot small", "another trial")])
    return [figure(f"What a better {metric(story.metric)} costs", sentence, keys, *drawn, table, note=note)]


def _sentence(
    story: Story,
    on: Sequence[tuple[Trial, Measure]],
    costs: Mapping[int, Mapping[str, Measure]],
    names: Sequence[str],
    best: Trial,
) -> str:
    told = f"{many(len(on), 'trial')} of {len(story.trials)} {'is' if len(on) == 1 else 'are'} better than all others in something"
    value, first = worth(best), names[0]
    rivals = [(trial, one) for trial, one in on if value is not None and one.low <= value.value <= one.high]
    cheap, reached = min(rivals, key=lambda pair: costs[pair[0].number][first].value, default=(best, value))
    if cheap.number == best.number or reached is None or best.number not in costs:
        return f"{told}; none that is cheaper reaches trial {best.number}, the best in {metric(story.metric)}, within its interval."
    small, large = costs[cheap.number][first], costs[best.number][first]
    share = f"{number(small.value, 2)} instead of {number(large.value, 2)} {small.unit} of {first}"
    return f"{told}; trial {cheap.number} with {share} may be as good as the best: {metric(story.metric)} {whole(reached)}."


def _picture(
    story: Story, known: Sequence[tuple[Trial, Measure]], on: Sequence[tuple[Trial, Measure]], costs: Mapping[int, Mapping[str, Measure]],
    name: str, sentence: str,
) -> Html:  # fmt: skip
    at = {trial.number: costs[trial.number][name].value for trial, _ in known}
    least, most = min(at.values()), max(at.values())
    x = Axis.over([*at.values()], log=least > 0 and most > 5 * least, pad=0.04)
    y = story.axis([value.value for _, value in known], keep=[value.value for _, value in on])
    import numpy as np

    from tuneful.core.tradeoff import front

    sign = 1.0 if story.smaller else -1.0
    here = front(
        np.array([[sign * value.value, at[trial.number]] for trial, value in on])
    )  # of the front in all, in this cost alone
    ends = sorted((at[on[k][0].number], on[k][1].value) for k in here)
    marks = [
        dots([(at[trial.number], value.value) for trial, value in known], x, y, "small"),
        uprights([(at[trial.number], value.low, value.high) for trial, value in on], x, y, "whisk"),
        steps(ends, x, y, "curve lead"),
        dots([(at[trial.number], value.value) for trial, value in on], x, y, "lead"),
    ]
    unit = costs[known[0][0].number][name].unit
    return plot(x, y, marks, sentence, (f"{name} in {unit}", f"{metric(story.metric)} on valid"), tall=15)


def _table(
    story: Story,
    on: Sequence[tuple[Trial, Measure]],
    costs: Mapping[int, Mapping[str, Measure]],
    names: Sequence[str],
    best: Trial,
) -> Html:
    dials = dials_of(story.trials)
    ends = [end for _, value in on for end in (value.low, value.high)]
    axis = story.axis([value.value for _, value in on], pad=0.08, keep=[end for end in ends if end == end])
    decimals = alike([value for _, value in on])
    lines: list[Sequence[Child | Cell]] = []
    for trial, value in on:
        told: Any = [whisker(value, axis), whole(value, decimals=decimals)]
        lines.append(
            (
                Cell(str(trial.number), trial.number),
                Cell(told, value.value, "value"),
                *(_cost(costs[trial.number][name]) for name in names),
                *(setting(trial.dials[dial]) if dial in trial.dials else "–" for dial in dials),
                "taken" if trial.number == best.number else "",
            )
        )
    lines.append(("", ruler(axis), *("" for _ in names), *("" for _ in dials), ""))
    head = ("trial", f"{metric(story.metric)} on valid", *names, *dials, "")
    return grid(head, lines, "Trials on the front, the cheapest first.", "rows", (0, *range(2, 2 + len(names))))


def _cost(measure: Measure) -> Cell:
    exact = measure.low == measure.high
    reach = "" if exact else f" [{number(measure.low, 3)}, {number(measure.high, 3)}]"
    return Cell(f"{number(measure.value, 3)}{reach} {measure.unit}", measure.value)
