"""Splits in the order of time: what is predicted lies after all that was learned from.

    train | valid | test      by a column of dates or numbers, or by the rows as they stand

Rows of one moment stay together. Data from elsewhere in time says nothing of the future: a shuffled split of a stream looks
too good, since each row then has its neighbours in train.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline.cells import Frame
from tuneful.pipeline.columns import date_order
from tuneful.pipeline.split import Indices, check_share, count_of
from tuneful.runtime.preprocess import moments, numbers

if TYPE_CHECKING:
    pass

ROWS = "rows"  # the order of the rows themselves
Moments = NDArray[Any]


def moments_of(frame: Frame, name: str, where: str) -> Moments:
    """When each row was: numbers or dates that can be compared. Raises DataError, RecipeError."""
    if name not in frame.columns:
        sentence = f"order names column {name!r}, which {where} has not; it must be a column, or {ROWS}"
        raise RecipeError([Problem("order", sentence, nearest=nearest(name, [*frame.columns, ROWS]))])
    series = frame[name]
    if series.dtype.is_numeric() or series.cast(float, strict=False).null_count() == series.null_count():
        found: Moments = numbers(series.to_numpy() if series.dtype.is_numeric() else series.to_list(), name, ())
        absent = np.isnan(found)
    else:
        how = date_order(series.drop_nulls().filter(series.drop_nulls() != ""), name, [])
        if not how:
            raise DataError(
                f'{where}: column "{name}" says when by neither numbers nor dates (such as "{series[0]}")',
                "write dates as YYYY-MM-DD, or take order=rows when the rows stand in order",
            )
        found = moments(series.to_list(), name, (), how)
        absent = np.isnat(found)
    if absent.any():
        raise DataError(
            f'{where}: column "{name}" has no value in {int(absent.sum())} of {len(absent)} rows, so their place in time is unknown',
            "fill them, or take these rows out",
        )
    return found


def cut(
    when: Mapping[str, Moments], valid: float | Literal["auto"], test: float | Literal["auto"], said: str
) -> tuple[dict[str, tuple[str, Indices]], list[Finding]]:
    """As `split.cut`, in the order of time. when: for each given part the moment of each example; said: the name of the order.

    Raises: DataError when nothing would be left of a split.
    """
    check_share("valid", valid)
    check_share("test", test)
    n = len(when["train"])
    order = np.argsort(when["train"], kind="stable")
    sorted_ = when["train"][order]
    chosen: dict[str, tuple[str, Indices]] = {s: (s, np.arange(len(when[s]))) for s in ("valid", "test") if s in when}
    findings: list[Finding] = []
    end = n
    shares: list[tuple[str, float | Literal["auto"]]] = [("test", test), ("valid", valid)]
    for part, share in shares:
        if part in chosen:
            continue
        begin = max(0, end - count_of(share, n))
        begin = int(np.searchsorted(sorted_, sorted_[begin], "left")) if 0 < begin < end else begin  # a moment is not parted
        if begin <= 0 or begin >= end:
            raise DataError(
                f"{part} cannot be cut from {n} rows in the order of {said}: too few moments come before it",
                "give smaller shares, or an order that tells more moments apart",
            )
        chosen[part] = ("train", np.sort(order[begin:end]))
        text = f"{part}: {end - begin} examples ({(end - begin) / n:.0%}) were cut in the order of {said}, from {sorted_[begin]} on"
        findings.append(Finding("note", text, end - begin, n))
        end = begin
    chosen["train"] = ("train", np.sort(order[:end]))
    last = sorted_[end - 1]
    for part in ("valid", "test"):
        if part in when:
            early = int((when[part] <= last).sum())
            findings.append(Finding("note", f"{part}: the official split is used", len(when[part]), len(when[part])))
            if early:
                text = f"examples of {part} are no later than the last of train ({last}), so they do not test the future"
                findings.append(Finding("warning", text, early, len(when[part])))
    return {s: chosen[s] for s in ("train", "valid", "test")}, findings
