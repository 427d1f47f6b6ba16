"""The part of the report that tells of a population: whose copies took whose places, and the course of settings of the best.

Each place of the population is a row in which one trial after the other stands. An upright line leads from a model to the place where its
copy begins; the line of the best trial's ancestors is the thick one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.core.trial import Trial
from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, dots, figure, grid, legend, line, plot
from tuneful.report.markup import Child, Html
from tuneful.report.parallel import dials_of
from tuneful.report.story import Story
from tuneful.report.words import many, number, setting


def lineage(story: Story) -> Html | None:
    """The picture and the best one's course; None where no trial is a copy of another."""
    trials = {trial.number: trial for trial in sorted(story.trials, key=lambda trial: trial.number)}
    copies = [trial for trial in trials.values() if _born(trial)]
    best = story.best
    if not copies or best is None:
        return None
    rows, count = dict[int, int](), 0
    for number_of, trial in trials.items():
        if born := _born(trial):
            rows[number_of] = rows[int(born["replaces"])]
        else:
            rows[number_of], count = count, count + 1
    ancestors = _ancestors(best, trials)
    reached = {n: trial.last.epoch if trial.last else _since(trial) for n, trial in trials.items()}
    x = Axis.over([0.0, *reached.values()], pad=0.015)
    y = Axis.over([0, count - 1], pad=0.05, counts=True)
    ends = {
        trial.number: since
        for trial, since in zip(ancestors, [*(_since(t) for t in ancestors[1:]), reached[best.number]], strict=True)
    }
    marks: list[Html] = []
    for n, trial in trials.items():
        marks.append(
            line([(_since(trial), rows[n]), (max(reached[n], _since(trial)), rows[n])], x, y, f"curve {trial.state}", str(n))
        )
    for trial in copies:
        born = _born(trial)
        marks.append(
            line([(_since(trial), rows[int(born["number"])]), (_since(trial), rows[trial.number])], x, y, "curve thin")
        )
    path = [(at, rows[trial.number]) for trial in ancestors for at in (_since(trial), ends[trial.number])]
    marks += [line(path, x, y, "curve lead"), dots([path[-1]], x, y, "lead")]
    sentence = f"{many(len(copies), 'copy', 'copies')} took the places of others; "
    back = (
        f"goes back by {many(len(ancestors) - 1, 'copy', 'copies')} to trial {ancestors[0].number}"
        if len(ancestors) > 1
        else "is no copy"
    )
    sentence += f"trial {best.number}, the best, {back}."
    keys = [("line lead", "the best and its ancestors"), ("line done", "a member"), ("line thin", "a copy begins")]
    chart = plot(x, y, marks, sentence, ("epoch", "place in the population"), tall=16)
    return figure("Lineage of the population", sentence, legend(keys), chart, _course(ancestors, ends, story.trials))


def _course(ancestors: Sequence[Trial], ends: Mapping[int, float], trials: Sequence[Trial]) -> Html:
    """The settings of the best, from one change to the next."""
    dials = dials_of(trials)
    lines: list[Sequence[Child | Cell]] = [
        (
            f"{number(_since(trial), 3)} to {number(ends[trial.number], 3)}",
            Cell(str(trial.number), trial.number),
            *(setting(trial.dials.get(dial)) if dial in trial.dials else "–" for dial in dials),
        )
        for trial in ancestors
    ]
    return grid(
        ("epochs", "trial", *dials),
        lines,
        "The settings under which the best was trained, one after the other.",
        "rows",
        (1,),
    )


def _ancestors(best: Trial, trials: Mapping[int, Trial]) -> list[Trial]:
    """Of whom the best is a copy of a copy, the first of them first, itself last."""
    found = [best]
    while (born := _born(found[0])) and int(born["number"]) in trials:
        found.insert(0, trials[int(born["number"])])
    return found


def _born(trial: Trial) -> Mapping[str, Any]:
    return trial.tags.get("parent", {})


def _since(trial: Trial) -> float:
    """The epoch from which on it went its own way."""
    return float(_born(trial).get("epoch", 0.0))
