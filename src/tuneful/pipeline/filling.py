"""What the schema keeps of a column that is filled or clipped: what the user's steps learn from train, else train's median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.cleaners import Clip, Filler, Impute


def concerned(steps: Sequence[Filler], name: str) -> list[Filler]:
    """The steps that act on a column: those that name it, and those that name none, where no other of their kind names it."""
    own = [step for step in steps if name in step.named]
    kinds = {type(step) for step in own}
    return [step for step in steps if step in own or (not step.named and type(step) not in kinds)]


def number(steps: Sequence[Filler], name: str, found: NDArray[np.float64]) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """({"fill", "indicator", perhaps "how", "low" and "high"}, the values clipped) of a column of numbers of train."""
    absent = bool(np.isnan(found).any())
    told: dict[str, Any] = {}
    for step in concerned(steps, name):
        learned = _learned(name, lambda step=step, found=found: step.number(found))
        told |= learned | _how(step, learned)
        if "low" in learned:
            found = np.clip(found, learned["low"], learned["high"])
    fill = float(told.get("fill", np.nanmedian(found)))
    if "low" in told:
        fill = float(np.clip(fill, told["low"], told["high"]))
    return told | {"fill": fill, "indicator": absent and bool(told.get("indicator", True))}, found


def category(steps: Sequence[Filler], name: str, counts: Mapping[str, int], absent: bool) -> dict[str, Any]:
    """{"indicator", perhaps "fill" and "how"} of a column of categories of train."""
    told: dict[str, Any] = {}
    for step in concerned(steps, name):
        if isinstance(step, Clip) and name in step.named:
            raise DataError(f'column "{name}" holds categories, which cannot be clipped', "clip serves columns of numbers")
        learned = _learned(name, lambda step=step: step.category(counts))
        told |= learned | _how(step, learned)
    if told.get("fill") is not None and told["fill"] not in counts and not absent:
        told = {key: value for key, value in told.items() if key not in ("fill", "how")}  # no such level can be learned of
    return told | {"indicator": absent and bool(told.get("indicator", True))}


def said(column: Mapping[str, Any]) -> str:
    """What a missing value of a column becomes, in words."""
    if column["type"] == "number":
        how = str(column.get("how", "median"))
        what = {"constant": "", "most_frequent": "the most frequent value "}.get(how, f"the {how} ")
        return f"{what}{column['fill']:.6g}"
    if column["type"] == "date":
        return "the median of each part"
    return (
        f'the level "{column["fill"]}"'
        if "fill" in column
        else "a level of their own"
        if column["indicator"]
        else "no level"
    )


def _how(step: Filler, learned: Mapping[str, Any]) -> dict[str, Any]:
    """Kept beside a filling that is not the usual one, for people."""
    return {"how": step.how} if isinstance(step, Impute) and "fill" in learned and step.how != "median" else {}


def _learned(name: str, learn: Any) -> dict[str, Any]:
    try:
        return dict(learn())
    except DataError as error:
        raise DataError(f'column "{name}": {error.message}', error.hint) from None


__all__ = ["category", "concerned", "number", "said"]
