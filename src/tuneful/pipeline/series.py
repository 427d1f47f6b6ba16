"""Arrays as time series: [N, C, T] float32; and whether each series is standardized by itself before the network sees it.

    standardized already     every series has mean 0 and deviation 1: nothing is to be done
    level or size tells      the means or deviations of the series differ between the classes: they are kept
    otherwise                each series is standardized: its level and size are noise of how it was recorded

"Differ" is an F test of the means, and of the logarithms of the deviations, of each channel over the classes of train, p < 0.01
in one of them, divided among all of these tests (Bonferroni).

Source: Rakthanmanon et al., KDD 2012, section 1.2 (comparing series that are not z-normalized is meaningless, in most tasks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.techniques.sources import note

_TELLS = 0.01  # p below which level or size tells the class


def shaped(given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """[N, C, T] as it is, [N, T] as one channel. Raises DataError for other shapes, and for parts that do not fit together."""
    train = given["train"]
    if train.ndim not in (2, 3) or 0 in train.shape:
        raise DataError(
            f"x has shape {list(train.shape)}; a time series is [N, channels, moments], or [N, moments] of one channel",
            "leave form=series out, or reshape it",
        )
    out: dict[str, NDArray[np.float32]] = {}
    for split, x in given.items():
        if x.dtype.kind not in "biuf":
            raise DataError(f"x of {split} is of type {x.dtype}; it must be numbers")
        if x.shape[1:] != train.shape[1:]:
            raise DataError(f"x of {split} has examples of shape {list(x.shape[1:])}, and train of {list(train.shape[1:])}")
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is told by the check of values
            out[split] = np.ascontiguousarray(x if x.ndim == 3 else x[:, None], dtype=np.float32)
    return out


def standardized(x: NDArray[Any], y: NDArray[Any], asked: bool | str, findings: list[Finding]) -> bool:
    """Shall each series of train be standardized by itself? y: class numbers [N], or anything else. What is chosen is told."""
    if asked != "auto":
        findings.append(
            note(f"each series is {'standardized by itself' if asked else 'taken at its own level and size'}, as asked")
        )
        return bool(asked)
    if y.ndim != 1 or y.dtype.kind == "f":
        return False
    means, deviations = x.mean(axis=2, dtype=np.float64), x.std(axis=2, dtype=np.float64)
    size = max(float(deviations.mean()), 1e-12)
    if np.abs(means).max() < 0.01 * size and np.abs(deviations / size - 1).max() < 0.05 and abs(size - 1) < 0.05:
        findings.append(note("each series has mean 0 and deviation 1 already"))
        return False
    tests = np.concatenate([means, np.log(deviations + 1e-6 * size)], axis=1)
    least = min((chance(column, y) for column in tests.T), default=1.0) * tests.shape[1]
    told = f"p {'< 0.001' if least < 0.001 else '= ' + format(min(least, 1.0), '.2g')}"
    if least < _TELLS:
        findings.append(note(f"series keep their level and size, which differ between the classes ({told})",
                             "standardize=true takes them off"))  # fmt: skip
        return False
    findings.append(note(f"each series is standardized by itself: its level and size do not tell the class ({told})",
                         "standardize=false keeps them"))  # fmt: skip
    return True


def chance(values: NDArray[Any], y: NDArray[Any]) -> float:
    """p of the F test that the classes have one mean; 1 where it cannot be told."""
    from scipy import stats

    groups = [values[y == k] for k in np.unique(y)]
    groups = [group for group in groups if len(group) > 1]
    if len(groups) < 2 or float(np.std(values)) <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return 1.0
    if all(np.ptp(group) == 0 for group in groups):
        return 0.0
    found: Any = stats.f_oneway(*groups)
    return float(found.pvalue) if np.isfinite(found.pvalue) else 1.0


def refuse(asked: bool | str, kind: str) -> None:
    """Raises RecipeError where series or sounds are to be standardized and there are none."""
    if asked != "auto" and kind not in ("series", "audio"):
        raise RecipeError(
            [Problem("standardize", f"standardize is for time series and sounds; these data are of kind {kind}")]
        )
