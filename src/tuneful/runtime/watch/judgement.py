"""What is known of how good the answers are: estimated while no labels are there, measured where they are, and both beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime import answers
from tuneful.runtime.watch import truth
from tuneful.runtime.watch.calibration import calibration
from tuneful.runtime.watch.estimated import CLASSES, estimated
from tuneful.runtime.watch.labels import numbered, valued
from tuneful.runtime.watch.samples import Floats
from tuneful.runtime.watch.sides import Before, Now


@dataclass(frozen=True)
class Judged:
    """Examples at places `at` [M] whose truth is known. right [M]: 0 or 1, of classes; off: (told, truth) of values; unknown: labels that the
    model does not have, which count as wrong answers; about: of the joining, in words."""

    at: NDArray[np.int64]
    right: Floats
    off: tuple[Floats, Floats] | None
    unknown: int
    about: tuple[str, ...] = ()


def judged(now: Now, at: NDArray[np.int64], said: Sequence[str], where: str, about: tuple[str, ...] = ()) -> Judged:
    """Compare answers with the truth of the examples at places `at`. Raises DataError for labels that are no numbers."""
    assert now.told is not None
    told = now.told[at]
    if now.kind in answers.VALUES:
        values = valued(said, where)
        return Judged(at, np.zeros(0), (told[:, 0], values), 0, about)
    numbers = numbered(said, now.labels)
    return Judged(at, truth.right(now.kind, now.labels, told, numbers), None, int((numbers < 0).sum()), about)


def judgeable(now: Now) -> bool:
    """Is there one class or one value an example?"""
    return now.told is not None and (
        now.kind in (*CLASSES, answers.OPEN) or (now.kind == "regression" and now.told.shape[1] == 1)
    )


def judgement(before: Before, now: Now, known: Judged | None, parts: Sequence[slice]) -> dict[str, Any]:
    """{"confidence", "estimated", "labels", "calibration", "over_time"} as far as there is any of it."""
    found: dict[str, Any] = {}
    sure = now.values(("answers", "confidence"))
    if sure is not None and before.judged is not None:
        found["estimated"] = {name: one.as_data() for name, one in estimated(*before.judged, sure).items()}
        found["accuracy_before"] = truth.measured(before.judged[1])["accuracy"].as_data()
        found["confidence_before"] = float(before.judged[0].mean())
    if known is not None and len(known.at):
        measures = truth.errors(*known.off) if known.off is not None else truth.measured(known.right)
        found["labels"] = {"n": len(known.at), "unknown": known.unknown, "about": list(known.about),
                           "measures": {name: one.as_data() for name, one in measures.items()}}  # fmt: skip
        if sure is not None and known.off is None:
            told = calibration(sure[known.at], known.right)
            found["calibration"] = {
                "error": told.error,
                "z": told.z,
                "p": told.p,
                "bins": [[mean, share.as_data()] for mean, share in told.bins],
            }
    over: list[dict[str, Any]] = []
    for part in parts:
        line: dict[str, Any] = {"from": part.start, "to": part.stop}
        if sure is not None:
            line["confidence"] = float(np.nanmean(sure[part]))
        if sure is not None and before.judged is not None:
            line["estimated"] = estimated(*before.judged, sure[part])["difference_of_confidences"].as_data()
        if known is not None and known.off is None:
            inside = (known.at >= part.start) & (known.at < part.stop)
            if inside.any():
                line["accuracy"] = truth.measured(known.right[inside])["accuracy"].as_data()
        over.append(line)
    return found | {"over_time": over}


__all__ = ["Judged", "judgeable", "judged", "judgement"]
