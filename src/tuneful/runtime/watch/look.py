"""One look at a model at work: what is compared, in which order alarms come about, and what is told in the end.

In sequence (a record has times) alarms come from watching every column while the examples come, and from k of n windows; of data without
an order all of it is one sample, compared once. Both are held to the stated rate of false alarms, each way that is asked for to its
part of it. Everything is told as plain data, which the report draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneful.core.errors import TunefulError
from tuneful.runtime import answers
from tuneful.runtime.watch import columns, drift, several, streams, windows
from tuneful.runtime.watch.columns import Key
from tuneful.runtime.watch.judgement import Judged, judgement
from tuneful.runtime.watch.rate import Rate
from tuneful.runtime.watch.samples import Floats
from tuneful.runtime.watch.sides import Before, Now

WAYS = (*streams.WAYS, "windows")
MANY = 200  # columns that are watched in sequence: each gets its part of the rate, and takes 6 us an example
SHOWN = 200  # points of a curve that are told
WRONG: Key = ("labels", "wrong")


@dataclass(frozen=True)
class How:
    """How one looks. by: ways of WAYS, of a record; k of n: windows; level: of the table where it raises no alarm."""

    rate: Rate
    by: tuple[str, ...] = ("betting",)
    test: str = "auto"
    correction: str = "holm"
    window: str = "auto"
    k: int = 2
    n: int = 5
    since: float = 0.0  # alarms before this moment (UTC seconds) are told, and raise none

    def __post_init__(self) -> None:
        odd = [one for one in self.by if one not in WAYS]
        if odd or not self.by:
            raise TunefulError(
                f"there is no way {', '.join(odd) or '(none)'} of raising alarms", f"the ways are {', '.join(WAYS)}"
            )
        if not 1 <= self.k <= self.n:
            raise TunefulError(f"{self.k} of {self.n} windows cannot be asked for; such as 2/5")


def look(before: Before, now: Now, how: How, judged: Judged | None = None) -> dict[str, Any]:
    """What is found, as plain data; "drifted" is whether there was an alarm."""
    notes = list(now.notes)
    lacking = [name for (part, name) in before.columns if (part, name) not in {key for key, _, _ in now.features}]
    if lacking:
        notes.append(f"not compared, for want of it now: {', '.join(lacking[:20])}")
    found: dict[str, Any] = {
        "what": now.what, "kind": now.kind, "n": len(now), "reference": before.what, "rate": str(how.rate), "by": list(how.by),
        **_span(now),
    }  # fmt: skip
    alarms: list[dict[str, Any]] = []
    if now.times is None:
        shifts = drift.compared(
            before.columns, now.columns(), how.rate.chance, how.test, how.correction, _together(before, now, slice(None))
        )
        found |= {
            "columns": _shown(shifts, before, now, slice(None)),
            "level": how.rate.chance,
            "windows": [],
            "streams": [],
        }
        alarms = [_alarm("compared", one.key, None, None, _differs(one)) for one in shifts if one.drifted]
        if how.rate.seconds or how.rate.examples:
            notes.append(f"data without times is looked at once; the rate {how.rate} holds for this look as a whole")
    else:
        part = Rate(how.rate.chance / len(how.by), how.rate.seconds, how.rate.examples, str(how.rate))
        told, more = _windows(before, now, how, part, judged)
        found |= told
        alarms += more if "windows" in how.by else []
        lines, more = _streams(before, now, how, part, judged)
        if len(before.columns) > MANY:
            notes.append(
                f"of {len(before.columns)} columns {MANY} are watched in sequence, the answers first; windows compare all"
            )
        found["streams"] = lines
        alarms += more
        alarms.sort(key=lambda one: one["at"])
    old = [one for one in alarms if one["time"] is not None and one["time"] < how.since]
    found |= judgement(before, now, judged, [slice(*one["rows"]) for one in found["windows"]])
    recent = [one for one in alarms if one not in old]
    found |= {"alarms": alarms, "drifted": bool(recent), "notes": notes}
    found["headline"] = _headline(found, recent, old)
    return found


def _windows(
    before: Before, now: Now, how: How, rate: Rate, judged: Judged | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """({"windows", "columns": of the newest, "level"}, alarms of k among n)."""
    assert now.times is not None
    parts = windows.cut(now.times, how.window)
    if not parts and len(now):
        parts = [slice(0, len(now))]
    level = several.level(rate.chance, _per_period(now.times, parts, rate), how.k)
    every = [
        drift.compared(before.columns, now.columns(one), level, how.test, how.correction, _together(before, now, one))
        for one in parts
    ]
    told: list[dict[str, Any]] = []
    for one, shifts in zip(parts, every):
        told.append({
            "rows": [one.start, one.stop], "from": float(now.times[one.start]), "to": float(now.times[one.stop - 1]), "n": one.stop - one.start,
            "drifted": [f"{shift.key[0]}: {shift.name}" for shift in shifts if shift.drifted], "p": min((shift.p for shift in shifts), default=1.0),
            "sizes": {f"{shift.key[0]}: {shift.name}": shift.found.size for shift in shifts},
        })  # fmt: skip
    rows = _shown(every[-1], before, now, parts[-1]) if parts else []
    alarms: list[dict[str, Any]] = []
    for at in several.alarms([bool(one["drifted"]) for one in told], how.k, how.n):
        names = list(dict.fromkeys(name for one in told[max(0, at - how.n + 1) : at + 1] for name in one["drifted"]))
        sentence = f"{how.k} of {how.n} windows differ from the reference, in {', '.join(names[:5])}"
        alarms.append(
            _alarm(
                "windows",
                ("windows", f"{how.k} of {how.n}"),
                parts[at].stop - 1,
                float(now.times[parts[at].stop - 1]),
                sentence,
            )
        )
    return {"windows": told, "columns": rows, "level": level}, alarms


def _streams(
    before: Before, now: Now, how: How, rate: Rate, judged: Judged | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(curves, alarms) of the ways that look at every example."""
    assert now.times is not None
    bags = {key: columns.bag(before.columns[key]) for key in in_sequence(before)}
    scores = {
        key: columns.scores(before.columns[key], values, levels) for key, values, levels in now.features if key in bags
    }
    if judged is not None and before.judged is not None and len(judged.right):
        bags[WRONG] = 1 - before.judged[1]
        wrong = np.full(len(now), np.nan)
        wrong[judged.at] = 1 - judged.right
        scores[WRONG] = wrong
    lines: list[dict[str, Any]] = []
    alarms: list[dict[str, Any]] = []
    for way in how.by:
        if way == "windows":
            continue
        for one in streams.watched(bags, scores, rate, now.times, way):
            lines.append(
                {
                    "by": way,
                    "part": one.key[0],
                    "name": one.key[1],
                    "alarms": list(one.alarms),
                    **_curve(one.level, now.times),
                }
            )
            for at in one.alarms:
                sentence = (
                    f"{one.key[1]} is no longer as it was" if one.key != WRONG else "the share of wrong answers has changed"
                )
                alarms.append(_alarm(way, one.key, at, float(now.times[at]), sentence))
    return lines, alarms


def in_sequence(before: Before) -> list[Key]:
    """The columns that are watched example by example: answers, then inputs, at most MANY."""
    return sorted(before.columns, key=lambda key: key[0] != "answers")[:MANY]


def _per_period(times: Floats, parts: Sequence[slice], rate: Rate) -> float:
    """How many windows there are in the period of the rate."""
    if not parts:
        return 1.0
    if rate.examples:
        return rate.examples / max(1.0, float(np.mean([one.stop - one.start for one in parts])))
    span = float(times[parts[-1].stop - 1] - times[parts[0].start])
    if not rate.seconds or span <= 0:
        return float(len(parts))
    return max(1.0, len(parts) * rate.seconds / span)


def _together(before: Before, now: Now, part: slice) -> dict[Key, tuple[Floats, Floats]]:
    """Inputs and answers as a whole, where they are more than one number: of probabilities the logarithms."""
    found: dict[Key, tuple[Floats, Floats]] = {}
    if before.rows is not None and set(before.rows[0]) <= {key for key, _, _ in now.features}:
        found["inputs", "all together"] = (before.rows[1], now.rows(before.rows[0], part))
    if before.embedded is not None and now.embedded is not None and now.times is None:
        found["inputs", "embedding"] = (before.embedded, now.embedded)
    if before.told is None or now.told is None or before.told.shape[1] != now.told.shape[1] or now.told.shape[1] < 3:
        return found
    logs = now.kind not in answers.VALUES
    a, b = (np.log(np.clip(side, 1e-6, None)) if logs else side for side in (before.told, now.told[part]))
    return found | {("answers", "all together"): (a, b)}


def _shown(shifts: Sequence[drift.Shift], before: Before, now: Now, part: slice) -> list[dict[str, Any]]:
    """Shifts with what each column was and is like."""
    fresh = now.columns(part)
    lines = drift.told(shifts)
    for line, one in zip(lines, shifts):
        if one.key in fresh and one.key in before.columns:
            line |= {"before": _like(before.columns[one.key]), "now": _like(fresh[one.key])}
    return lines


def _like(one: columns.Column) -> dict[str, Any]:
    if isinstance(one, columns.Levels):
        most = sorted(one.counts.items(), key=lambda pair: -pair[1])[:12]
        return {"shares": {name: count / max(1, one.n) for name, count in most}, "n": one.n, "missing": one.missing}
    marks = np.quantile(one.values, np.linspace(0, 1, 21)) if len(one.values) else np.zeros(0)
    return {"quantiles": marks.tolist(), "n": one.n, "missing": one.missing}


def _curve(level: Floats, times: Floats) -> dict[str, Any]:
    """A curve that keeps its peaks: the largest of each stretch."""
    if not len(level):
        return {"level": [], "times": []}
    ends = np.unique(np.linspace(0, len(level), min(SHOWN, len(level)) + 1).astype(int))
    return {
        "level": [float(level[a:b].max()) for a, b in itertools.pairwise(ends)],
        "times": [float(times[b - 1]) for b in ends[1:]],
    }


def _span(now: Now) -> dict[str, Any]:
    return {} if now.times is None or not len(now) else {"from": float(now.times[0]), "to": float(now.times[-1])}


def _alarm(by: str, key: Key, at: int | None, when: float | None, sentence: str) -> dict[str, Any]:
    return {"by": by, "part": key[0], "name": key[1], "at": at, "time": when, "sentence": sentence}


def _differs(one: drift.Shift) -> str:
    return f"{one.name} differs: {one.found.test.replace('_', ' ')}, corrected p = {one.p:.2g}, {one.found.unit} {one.found.size:.3g}"


def _headline(found: dict[str, Any], recent: Sequence[dict[str, Any]], old: Sequence[dict[str, Any]]) -> str:
    many = f"{found['n']} examples of {found['what']}"
    if not recent:
        told = f", besides {len(old)} older one{'s' if len(old) != 1 else ''}" if old else ""
        return f"No alarm in {many}, at {found['rate']} false ones{told}."
    single = [one["name"] for one in recent if one["part"] != "windows"]
    names = list(dict.fromkeys(single or [name.partition(": ")[2] for one in found["windows"] for name in one["drifted"]]))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"Drift in {many}: {', '.join(names[:4])}{more}."


__all__ = ["WAYS", "WRONG", "How", "look"]
