"""Parallel coordinates laid on their side: one level track a dial, each trial a line from the top to its value at the bottom.

On their side, because names such as `optimizer.weight_decay` need width, and because a phone has height to give. Colour says
how good a trial is, in seven steps of lightness that survive colour blindness, grey printers and the dark.
Source: Inselberg, The Visual Computer 1985.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.core.trial import Trial
from tuneful.report.axis import Axis, spans_decades
from tuneful.report.charts import HIGH, WIDE, figure
from tuneful.report.importance import numeric
from tuneful.report.markup import Html, short, tag
from tuneful.report.story import Story, worth
from tuneful.report.words import many, metric, setting, whole

LINES = 1000  # lines drawn
STEPS = 7  # of lightness
FEW = 8  # numbers up to which each has a slot of its own
MARGIN = 0.04  # left free at both ends of a track


@dataclass(frozen=True)
class Track:
    """One dial or the value: its name, where each trial stands on it, and its labels (place, words)."""

    name: str
    places: Mapping[int, float]
    labels: Sequence[tuple[float, str]]


def dials_of(trials: Sequence[Trial]) -> list[str]:
    """The dials of a study in the order of their first use."""
    return list(dict.fromkeys(dial for trial in trials for dial in trial.dials))


def parallel(story: Story) -> Html | None:
    """The picture, or None when fewer than two trials have a value or nothing was varied."""
    known = [trial for trial in story.ranked if worth(trial) is not None and trial.state != "failed"]
    dials = dials_of(known)
    if len(known) < 2 or not dials:
        return None
    drawn = (
        known
        if len(known) <= LINES
        else [*known[: LINES // 2], *known[LINES // 2 :: -(-2 * (len(known) - LINES // 2) // LINES)]]
    )
    tracks = [_track(dial, drawn) for dial in dials] + [_value(story, drawn)]
    best = drawn[0]
    value = worth(best)
    settings = ", ".join(f"{dial} {setting(best.dials[dial])}" for dial in dials if best.dials.get(dial) is not None)
    sentence = f"The best {metric(story.metric)}, {whole(value) if value else ''}, came with {short(settings, 200)}."
    marks = [_line(trial, tracks, k, len(drawn)) for k, trial in reversed(list(enumerate(drawn)))]
    svg = Html(f'<svg viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" aria-hidden="true">{"".join(marks)}</svg>')
    rows = [_row(track, k, len(tracks)) for k, track in enumerate(tracks)]
    body = tag(
        "div",
        tag("div", svg, *rows, class_="area"),
        class_=f"plot parallel{' crowd' if len(drawn) > 300 else ''}",
        role="img",
        aria_label=sentence,
        style=f"--tracks:{len(tracks)}",
    )
    scale = tag(
        "p",
        "worse ",
        *(tag("i", class_=f"q{k}") for k in range(STEPS)),
        " better, ",
        tag("i", class_="best"),
        " best",
        class_="scale",
    )
    notes = f"{many(len(drawn), 'trial')} that have a value; colour is their rank."
    if len(drawn) < len(known):
        notes += f" {len(known) - len(drawn):,} of the worse half are not drawn."
    return figure("What was tried", sentence, scale, body, note=notes)


def _line(trial: Trial, tracks: Sequence[Track], rank: int, of: int) -> Html:
    """A trial from track to track; straight when there are many, else bent so that the eye can follow it."""
    stops = [
        (round(track.places[trial.number] * WIDE), round((k + 0.5) / len(tracks) * HIGH))
        for k, track in enumerate(tracks)
        if trial.number in track.places
    ]
    told = f"M{stops[0][0]} {stops[0][1]}"
    for (x0, y0), (x1, y1) in itertools.pairwise(stops):
        middle = (y0 + y1) // 2
        told += f"L{x1} {y1}" if of > 300 else f"C{x0} {middle} {x1} {middle} {x1} {y1}"
    class_ = "lead" if rank == 0 else f"q{STEPS - 1 - rank * STEPS // of}"
    return Html(f'<path class="{class_}" data-t="{trial.number}" d="{told}"/>')


def _row(track: Track, k: int, of: int) -> Html:
    labels = [tag("span", words, style=f"left:{100 * at:.2f}%") for at, words in track.labels]
    return tag(
        "div", tag("b", short(track.name, 48)), tag("i"), *labels, class_="row", style=f"top:{100 * (k + 0.5) / of:.3f}%"
    )


def _track(dial: str, trials: Sequence[Trial]) -> Track:
    column = {trial.number: trial.dials.get(dial) for trial in trials}
    set_ones = {number: value for number, value in column.items() if value is not None}
    start = MARGIN if len(set_ones) == len(column) else 0.16
    places: dict[int, float] = {}
    labels: list[tuple[float, str]] = []
    if numeric(list(set_ones.values())) and len(set(set_ones.values())) > FEW:
        axis = Axis.over(set_ones.values(), log=spans_decades(set_ones.values()), pad=0.0, most=5)
        places = {number: start + (1 - MARGIN - start) * axis.at(value) for number, value in set_ones.items()}
        labels = [(start + (1 - MARGIN - start) * axis.at(value), words) for value, words in axis.ticks]
    else:
        places, labels = _slots(set_ones, start)
    missing = [number for number in column if number not in set_ones]
    places.update(_spread(missing, MARGIN, 0.06))
    if missing:
        labels = [(MARGIN + 0.02, "not set"), *labels]
    return Track(dial, places, labels)


def _value(story: Story, trials: Sequence[Trial]) -> Track:
    known: dict[int, float] = {trial.number: value.value for trial in trials if (value := worth(trial)) is not None}
    axis = story.axis(known.values(), pad=0.0)
    flip = story.smaller  # better is always to the right
    at = {number: min(max(axis.at(value), -0.04), 1.04) for number, value in known.items()}
    places = {number: MARGIN + (1 - 2 * MARGIN) * (1 - place if flip else place) for number, place in at.items()}
    labels = [
        (MARGIN + (1 - 2 * MARGIN) * ((1 - axis.at(value)) if flip else axis.at(value)), words)
        for value, words in axis.ticks
    ]
    return Track(f"{metric(story.metric)} on valid", places, labels)


def _slots(set_ones: Mapping[int, Any], start: float) -> tuple[dict[int, float], list[tuple[float, str]]]:
    """One slot an option; trials of one option spread inside it, so that their number shows."""
    told = {number: setting(value) for number, value in set_ones.items()}
    if numeric(list(set_ones.values())):
        options = [setting(value) for value in sorted(set(set_ones.values()))]
    else:
        options = sorted(dict.fromkeys(told.values()))
    width = (1 - MARGIN - start) / len(options)
    places: dict[int, float] = {}
    for k, option in enumerate(options):
        members = [number for number, value in told.items() if value == option]
        places.update(_spread(members, start + (k + 0.25) * width, width / 2))
    shown = options if len(options) <= 8 else []
    return places, [(start + (k + 0.5) * width, short(option, 14)) for k, option in enumerate(shown)]


def _spread(numbers: Sequence[Any], left: float, width: float) -> dict[int, float]:
    ordered = sorted(numbers)
    return {number: left + width * (k + 0.5) / len(ordered) for k, number in enumerate(ordered)}
