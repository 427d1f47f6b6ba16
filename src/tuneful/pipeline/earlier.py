"""What an earlier search on other data found, to begin a new one with: tune houses2.csv --like runs/houses.

The best few trials of the earlier study, of different dials, stand at the beginning of the new one, behind the defaults; of each the dials are
taken that both spaces have and whose value lies in the new range. They train to their first rung as all others do, so that an earlier
search that tells nothing costs little. They are written into the new study when it begins: it goes on without the old one.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tuneful.core import storage
from tuneful.core.errors import StudyError
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.trial import Trial

MOST = 4  # trials that are taken over
LIKE = "like"  # what the study remembers of it


def remember(study: Study, like: str | None, space: Space, home: Path) -> None:
    """Write down what the earlier run found, once. Raises StudyError where there is no such run, or it tells nothing."""
    if like is None or LIKE in study.about:
        return
    places = [Path(like), home / like]
    folder = next((place for place in places if (place / storage.FILE).exists() or (place / "job.json").exists()), None)
    if folder is None:
        raise StudyError(
            f"like names {like}, where no run lies (looked at {places[0]} and {places[1]})", "`tuneful show` lists runs"
        )
    old = Study.open(folder, looking=True)
    found = points(old, space)
    if not found:
        paths = sorted({path for trial in old.trials() for path in trial.dials})
        raise StudyError(
            f"the run {like} searched {', '.join(paths) or 'nothing'}, and this one searches {', '.join(space.as_data())}: they share no value",
            "leave --like out, or give ranges that overlap",
        )
    study.remember(
        LIKE, [[f"the {_place(place)} of an earlier search, {old.name}", dials] for place, dials in enumerate(found, 1)]
    )


def points(old: Study, space: Space) -> list[dict[str, Any]]:
    """The dials of the best trials of another study that this space has, the best first."""
    sign = -1.0 if old.objective.direction == "max" else 1.0

    def loss(trial: Trial) -> float:
        return sign * trial.last.value.value if trial.last else math.inf

    rated = [t for t in old.trials() if t.last and t.state != "failed" and math.isfinite(t.last.value.value)]
    out: list[dict[str, Any]] = []
    for trial in sorted(rated, key=lambda one: (loss(one), one.number)):
        shared = {
            dial.path: trial.dials[dial.path]
            for dial in space
            if dial.path in trial.dials and dial.holds(trial.dials[dial.path])
        }
        if shared and shared not in out:
            out.append(shared)
    return out[:MOST]


def _place(place: int) -> str:
    return "best" if place == 1 else f"{('second', 'third', 'fourth')[place - 2]} best"


__all__ = ["LIKE", "points", "remember"]
