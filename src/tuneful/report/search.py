"""The part of the report that tells of the search: every trial, how it went, and which dials mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuneful.report import confirmation, joined, transfer
from tuneful.report.ablation import worth_of_settings
from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, bar, dots, figure, grid, legend, line, plot, steps, thin, whisker
from tuneful.report.control import against_random
from tuneful.report.importance import FEWEST, numeric, weigh
from tuneful.report.lineage import lineage
from tuneful.report.markup import Child, Html, short, tag
from tuneful.report.next_space import next_space
from tuneful.report.outlook import forecast
from tuneful.report.parallel import dials_of, parallel
from tuneful.report.story import Story, worth
from tuneful.report.tradeoffs import tradeoffs
from tuneful.report.words import alike, begin, duration, listed, many, metric, number, setting, share, whole

POINTS = 24_000  # points of curves drawn in one picture
LINES = 300  # curves drawn in one picture
ROWS = 1000  # rows of the table
ENDS = {"failed": "failed", "stopped": "stopped early", "paused": "paused", "running": "running", "done": "finished"}


def search(story: Story) -> list[Html]:
    """The pieces of the section, in reading order; [] without trials."""
    if not story.trials:
        return []
    pieces: list[Html | None] = [values(story), progress(story), against_random(story), forecast(story), losses(story)]
    if len(story.trials) > 1:
        pieces += [
            confirmation.again(story),
            joined.together(story),
            *tradeoffs(story),
            lineage(story),
            parallel(story),
            weights(story),
            *worth_of_settings(story),
            next_space(story),
        ]
    pieces += [transfer.tuned_where(story), transfer.coordinates(story)]
    return [*(piece for piece in pieces if piece is not None), trials(story)]


def progress(story: Story) -> Html | None:
    """The value of each trial in the order of their beginning, with the best so far."""
    known = [(trial, value) for trial in sorted(story.trials, key=lambda t: t.number) if (value := worth(trial)) is not None]
    best = story.best
    if len(known) < 2 or best is None:
        return None
    so_far: list[tuple[float, float]] = []
    for trial, value in known:
        if trial.state != "failed" and (
            not so_far or ((value.value < so_far[-1][1]) == story.smaller and value.value != so_far[-1][1])
        ):
            so_far.append((trial.number, value.value))
    far = max(trial.number for trial in story.trials)
    so_far.append((far, so_far[-1][1]))
    x = Axis.over([min(trial.number for trial in story.trials), far], pad=0.02, counts=True)
    y = story.axis([value.value for _, value in known], keep=[so_far[-1][1]])
    beyond = sum(not 0 <= y.at(value.value) <= 1 for _, value in known)
    crowd = " crowd" if len(known) > 150 else ""
    kinds = [("stopped", ("stopped", "paused")), ("failed", ("failed",)), ("done", ("done", "running"))]
    marks = [
        dots(((t.number, v.value) for t, v in known if t.state in states), x, y, name + crowd) for name, states in kinds
    ]
    marks += [steps(so_far, x, y, "best-so-far"), dots([(best.number, so_far[-1][1])], x, y, "lead")]
    improved = len(so_far) - 2
    last = f"the last time at trial {number(int(so_far[-2][0]))}" if improved else "the first was never beaten"
    sentence = f"The best value improved {many(improved, 'time')} in {many(len(known), 'trial')}, {last}."
    keys = [("line best", "best so far"), *_keys(story, "dot")]
    note = _beyond(beyond, "trial")
    chart = plot(x, y, marks, sentence, ("trial", f"{metric(story.metric)} on valid"), tall=14)
    return figure("Progress of the search", sentence, legend(keys), chart, note=note)


def values(story: Story) -> Html | None:
    """The learning curves of all trials, the best in front."""
    begun = [trial for trial in story.ranked if trial.curve]
    best = story.best
    if not begun:
        return None
    drawn = (
        begun
        if len(begun) <= LINES
        else [*begun[: LINES // 2], *begun[LINES // 2 :: -(-2 * (len(begun) - LINES // 2) // LINES)]]
    )
    most = max(POINTS // len(drawn), 8)
    curves = [(trial, [(point.epoch, point.value.value) for point in trial.curve]) for trial in drawn]
    x = Axis.over([0.0, *(curve[-1][0] for _, curve in curves)], pad=0.012)
    # Every curve starts badly; where the curves end is what the picture is for.
    settled = [v for _, curve in curves for _, v in curve[len(curve) // 4 :]]
    single = len(begun) == 1
    front = [v for trial, curve in curves if trial is best for _, v in curve[len(curve) // 4 :]]
    y = story.axis(settled, 2.0, keep=front)
    if single:
        everything = [v for _, curve in curves for _, v in curve]
        y = story.axis(everything, keep=everything)
    beyond = sum(not any(0 <= y.at(v) <= 1 for _, v in curve if math.isfinite(v)) for _, curve in curves)
    crowd = " crowd" if len(drawn) > 100 else ""
    marks: list[Html] = []
    for trial, curve in reversed(curves):
        lead = trial is best
        class_ = "curve lead" if lead else f"curve {trial.state}{crowd}"
        shown = thin(curve, most)
        marks.append(line(shown, x, y, class_, str(trial.number)))
        if len(curve) == 1 or lead:
            marks.append(dots(shown[-1:], x, y, "lead" if lead else f"small {trial.state}"))
    name = metric(story.metric)
    if best is None:
        sentence = f"No trial has a value yet; {_counted(story)}."
    else:
        value, last = worth(best), best.curve[-1]
        who = "This run" if single else f"Trial {best.number}"
        reached = f"{name} {whole(value)}" if value else name
        sentence = f"{who} reached {reached} after {number(float(last.epoch), 3)} epochs" + (
            "." if single else f"; {_counted(story)}."
        )
    longest = max(len(trial.curve) for trial in begun)
    notes = ["The axis stretches toward 1."] if y.scale == "one" else list[str]()
    if longest > most:
        notes.append(f"Each curve is drawn with at most {most} of its points.")
    if len(drawn) < len(begun):
        notes.append(
            f"{len(drawn)} of {len(begun):,} curves are drawn: the better half in full, the others as an even sample."
        )
    notes.append(_beyond(beyond, "curve"))
    keys = [("line lead", "best"), *_keys(story, "line")]
    chart = plot(x, y, marks, sentence, ("epoch", f"{name} on valid"), tall=20)
    title = "Learning curve" if single else "Learning curves of all trials"
    return figure(
        title,
        sentence,
        None if single else legend(keys),
        chart,
        note=" ".join(n for n in notes if n),
        class_="" if single else "curves",
    )


def losses(story: Story) -> Html | None:
    """Train and valid loss of the best trial."""
    trial = story.best or next((t for t in story.ranked if t.curve), None)
    if trial is None or not trial.curve:
        return None
    train = [(p.epoch, p.train_loss) for p in trial.curve if math.isfinite(p.train_loss)]
    valid = [(p.epoch, p.valid_loss) for p in trial.curve if math.isfinite(p.valid_loss)]
    if not valid or not train:
        return None
    both = [loss for _, loss in train + valid]
    x = Axis.over([0.0, train[-1][0], valid[-1][0]], pad=0.015)
    y = Axis.over(both, log=min(both) > 0 and max(both) > 30 * min(both), pad=0.05)
    lowest = min(valid, key=lambda point: point[1])
    sentence = f"Valid loss is lowest at epoch {number(float(lowest[0]), 3)} ({number(lowest[1], 3)})"
    if lowest is valid[-1]:
        sentence += " and was still the lowest at the end."
    else:
        rise = number(valid[-1][1], 3)
        sentence += f" and ends at {rise}, while train loss ends at {number(train[-1][1], 3)}."
    marks = [
        line(thin(train, 500), x, y, "curve train"),
        line(thin(valid, 500), x, y, "curve valid"),
        dots(train if len(train) == 1 else [], x, y, "train"),
        dots([lowest], x, y, "valid"),
    ]
    keys = [("line train", "train"), ("line valid", "valid")]
    single = len(story.trials) == 1
    title = "Loss" if single else f"Loss of trial {trial.number}, the best"
    chart = plot(x, y, marks, sentence, ("epoch", "loss" + (" (log)" if y.scale == "log" else "")), tall=20)
    return figure(
        title,
        sentence,
        legend(keys),
        chart,
        note="Train loss is the mean over the steps since the last point, with regularization and augmentation at work.",
    )


def weights(story: Story) -> Html | None:
    """How much of the spread each dial explains, and where its best values lie."""
    dials = dials_of(story.trials)
    known = [(t, v.value) for t in story.trials if t.state != "failed" and (v := worth(t)) is not None]
    if not dials:
        return None
    title = "Which dials mattered"
    if len(known) < FEWEST:
        return figure(title, f"Too few trials to tell: {len(known)} have a value, and {FEWEST} are needed.")
    found = weigh([t.dials for t, _ in known], [v for _, v in known], story.smaller)
    if not found:
        return figure(title, "All trials have the same value, so no dial made a difference.")
    clear = [w for w in found if w.low > 0.01]
    sentence = "No dial's effect can be told from chance."
    if clear:
        sentence = f"{clear[0].dial} explains {100 * clear[0].share:.0f}\u00a0% of the spread"
        others = [f"{w.dial} {100 * w.share:.0f}\u00a0%" for w in clear[1:3]]
        sentence += f", {listed(others)}." if others else "; no other dial's effect can be told from chance."
    lines: list[Sequence[Child | Cell]] = [
        (
            w.dial,
            bar(w.share, "" if w.low > 0.01 else "weak", w.low, w.high),
            Cell(f"{100 * w.share:.0f} % [{100 * w.low:.0f}, {100 * w.high:.0f}]", w.share),
            _leaders(w.leaders),
        )
        for w in found
    ]
    note = (
        f"Share of the spread of {len(known)} trials' ranks that each dial explains by itself, with 95 % intervals from random halves of them. "
        "It says nothing about interactions, and only speaks of values that were tried; stopped trials count with their last value."
    )
    head = ("dial", "share explained", "share", "in the best tenth")
    return figure(title, sentence, grid(head, lines, sentence, "rows", (2,)), note=note)


def trials(story: Story) -> Html:
    """All trials as a table, the best first."""
    single = len(story.trials) == 1
    dials = [] if single else dials_of(story.trials)  # the recipe tells a single run's settings
    shown = story.ranked[:ROWS]
    figures = {dial for dial in dials if numeric([trial.dials.get(dial) for trial in shown])}
    known = [v for t in shown if t.state != "failed" and (v := worth(t)) is not None]
    axis = story.axis([v.value for v in known], pad=0.08) if len(known) > 1 else None
    decimals = alike(known)
    lines: list[Sequence[Child | Cell]] = []
    for trial in shown:
        value, last = worth(trial), trial.last
        told = whole(value, decimals=decimals) if value else "–"
        lines.append(
            (
                Cell(str(trial.number), trial.number),
                Cell(
                    [whisker(value, axis) if value and axis else None, tag("span", told)],
                    value.value if value else None,
                    "value",
                ),
                Cell(tag("span", ENDS[trial.state], class_=f"state {trial.state}")),
                *(_dial(trial.dials.get(dial)) for dial in dials),
                Cell(number(float(last.epoch), 3) if last else "–", last.epoch if last else 0.0),
                Cell(duration(trial.cost), trial.cost),
                Cell(short(trial.because, 160), class_="why"),
                Cell(short(trial.ended_because, 240), class_="why"),
            )
        )
    name = metric(story.metric) or "value"
    head = ("trial", f"{name} on valid", "state", *dials, "epochs", "time", "why it began", "why it ended")
    n = len(dials)
    cut = f" The best {ROWS:,} of {len(story.trials):,} are listed." if len(story.trials) > ROWS else ""
    sentence = f"{many(len(story.trials), 'trial')}, the best first: {_counted(story)}.{cut}"
    if single:
        sentence = begin(f"{ENDS[shown[0].state]}{f': {shown[0].ended_because}' if shown[0].ended_because else ''}.")
    right = (0, *(3 + k for k, dial in enumerate(dials) if dial in figures), 3 + n, 4 + n)
    table = grid(head, lines, sentence, "trials", right, [str(t.number) for t in shown])
    more = len(lines) - 60
    note = f"In print, the {more} trials behind the best 60 are left out; they are in the file." if more > 0 else ""
    return figure("How it went" if single else "All trials", sentence, table, note=note, class_="long")


def _dial(value: Any) -> Cell:
    sort = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    told = "–" if value is None else short(setting(value), 40)
    return Cell(told, sort)


def _leaders(column: Sequence[Any]) -> str:
    """The dial's values among the best trials, as a range or as counts."""
    if not column:
        return "not set"
    if numeric(column):
        ordered = sorted(column)  # of many, the middle four fifths
        cut = len(ordered) // 10
        low, high = ordered[cut], ordered[-1 - cut]
        return number(low, 2) if low == high else f"{number(low, 2)} … {number(high, 2)}"
    told = [setting(value) for value in column]
    common = sorted(dict.fromkeys(told), key=lambda name: -told.count(name))[:3]
    return ", ".join(
        f"{short(name, 24)} ({share(told.count(name), len(told))})" if len(common) > 1 else short(name, 24)
        for name in common
    )


def _counted(story: Story) -> str:
    return ", ".join(
        f"{story.states[state]:,} {ENDS[state]}"
        for state in ("done", "running", "paused", "stopped", "failed")
        if story.states[state]
    )


def _keys(story: Story, mark: str) -> list[tuple[str, str]]:
    """The legend's entries for the states that occur."""
    found: list[tuple[str, str]] = []
    for name, states in (("done", ("done", "running")), ("stopped", ("stopped", "paused")), ("failed", ("failed",))):
        words = [ENDS[state] for state in states if story.states[state]]
        if words:
            found.append((f"{mark} {name}", " or ".join(words)))
    return found


def _beyond(count: int, what: str) -> str:
    return f"{many(count, what)} {'lies' if count == 1 else 'lie'} outside the picture, on the bad side." if count else ""
