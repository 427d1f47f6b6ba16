"""reference.json: how inputs and answers were distributed when the model was made, for telling drift. numpy only.

    {"format": 1,
     "inputs":  {"split": "train", "of": examples in the split, "n": examples looked at, "features": [feature, ...]},
     "answers": {"split": "valid", "of", "n", "features": [feature, ...],
                 "sample": {"told": [[...], ...], "truth": [...]}}}          answers may be missing

and a feature (what it is: `runtime.features`) is one of

    {"name", "type": "number", "n": present, "missing": count, "mean", "std",
     "quantiles": [q(0), ..., q(1)],                evenly spaced; min and max are the ends; all values where n is small
     "edges": [e1, ..., e9], "counts": [c0, ..., c9]}   ten bins, ]-inf, e1[ ... [e9, inf[; fewer where values repeat
    {"name", "type": "category", "n", "missing", "levels": [...], "counts": [...], "other": count of any other}

sample: of up to SAMPLE validation examples what the network told ([L] probabilities, an open set's energy behind them, or values)
and what was true (a class's number, 0/1 of each label, or the value; null where an open set's example is of no class), for
calibration, for accuracy before labels come, and for tests on whole answers. Of answers at each place or pixel there is none.

No row of the data can be put together from it: inputs stand there each by itself, sorted. Extremes and the names of levels do
stand there; who must not ship them drops the column before training, or leaves out the file (`ship(..., reference=False)`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.artifact import Artifact
from tuneful.core.errors import ArtifactError
from tuneful.runtime.features import MISSING, Feature

FILE = "reference.json"
FORMAT = 1
SAMPLE = 1000  # validation examples whose answers are kept
BINS = 10
_MOST, _LEAST = 513, 21  # quantiles of one feature,
_ALL = 300_000  # and of all together, about; likewise numbers in the sample


def described(features: Sequence[Feature]) -> list[dict[str, Any]]:
    """Features as plain data."""
    most = max(_LEAST, min(_MOST, _ALL // max(1, len(features))))
    return [_category(one) if one.levels else _number(one, most) for one in features]


def _category(feature: Feature) -> dict[str, Any]:
    counts = np.bincount(feature.values[feature.values != MISSING], minlength=len(feature.levels) + 1)
    return {
        "name": feature.name, "type": "category", "n": int(counts.sum()), "missing": int((feature.values == MISSING).sum()),
        "levels": list(feature.levels), "counts": [int(count) for count in counts[:-1]], "other": int(counts[-1]),
    }  # fmt: skip


def _number(feature: Feature, most: int) -> dict[str, Any]:
    values = feature.values[np.isfinite(feature.values)].astype(np.float64)
    told: dict[str, Any] = {
        "name": feature.name, "type": "number", "n": len(values), "missing": len(feature.values) - len(values),
    }  # fmt: skip
    if not len(values):
        return told | {"mean": None, "std": None, "quantiles": [], "edges": [], "counts": [0]}
    edges = binned(values)
    return told | {
        "mean": _short(values.mean()),
        "std": _short(values.std()),
        "quantiles": _shorts(np.quantile(values, np.linspace(0, 1, min(most, len(values))))),
        "edges": edges.tolist(),
        "counts": counted(values, edges).tolist(),
    }


def binned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner edges of up to ten bins of equal count: the deciles, each once. A value that repeats much has its bin for itself."""
    found = np.unique(np.array(_shorts(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="higher"))))
    return found[(found > values.min()) & (found <= values.max())]


def counted(values: NDArray[Any], edges: NDArray[np.float64] | Sequence[float]) -> NDArray[np.int64]:
    """How many values lie in each bin; one more bin than edges, each with its lower edge."""
    at = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
    return np.bincount(at, minlength=len(edges) + 1).astype(np.int64)


def sample(told: NDArray[Any], truth: NDArray[Any]) -> dict[str, Any]:
    """Answers [N, ...] beside what was true, of evenly spaced examples; all of them where they are few."""
    flat = told.reshape(len(told), -1).astype(np.float64)
    most = max(1, min(SAMPLE, _ALL // max(1, flat.shape[1]), len(flat)))
    rows = np.unique(np.linspace(0, len(flat) - 1, most).astype(int))
    return {"told": [_shorts(flat[row]) for row in rows], "truth": [_plain(truth[row]) for row in rows]}


def read(artifact: Artifact) -> Mapping[str, Any] | None:
    """What an artifact holds of this, checked; None where it holds nothing, as older ones do.

    Raises: ArtifactError when the file is not as `ship` writes it.
    """
    if FILE not in artifact.names:
        return None
    told = artifact.read(FILE)
    place = f"{artifact.folder / FILE}"
    if not isinstance(told, dict) or cast("dict[str, Any]", told).get("format") != FORMAT:
        raise ArtifactError(f"{place} is not of format {FORMAT}", "pip install --upgrade tuneful, or ship the model again")
    found = cast("dict[str, Any]", told)
    for part in ("inputs", "answers"):
        section = found.get(part)
        if section is None and part == "answers":
            continue
        try:
            _look(section)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{place}: {part} is not as `ship` writes it ({error!r})", "ship the model again") from None
    return found


def _look(section: Any) -> None:
    """Raises where a section is not of the form above."""
    if not (section["n"] >= 0 and isinstance(section["split"], str)):
        raise ValueError("n is below 0")
    for feature in section["features"]:
        counts = [int(count) for count in feature["counts"]]
        wanted = len(feature["levels"]) if feature["type"] == "category" else len(feature["edges"]) + 1
        if feature["type"] not in ("category", "number") or len(counts) != wanted or min(counts, default=0) < 0:
            raise ValueError(f"the counts of {str(feature['name'])[:60]}")
        inside = sum(counts) + int(feature.get("other", 0))
        if inside != feature["n"] or feature["missing"] < 0:
            raise ValueError(f"the sum of {str(feature['name'])[:60]}")
        for rising in ("quantiles", "edges"):
            _rising(feature.get(rising, ()))
    if "sample" in section and len(section["sample"]["told"]) != len(section["sample"]["truth"]):
        raise ValueError("the sample")


def _rising(values: Iterable[Any]) -> None:
    found = [float(value) for value in values]
    if any(b < a for a, b in pairwise(found)):
        raise ValueError("quantiles must rise")


def _plain(value: Any) -> Any:
    array: NDArray[Any] = np.asarray(value)
    if array.ndim:
        return [_plain(one) for one in array]
    return int(array) if array.dtype.kind in "iub" else _short(array)


def _short(value: Any) -> float:
    return float(f"{float(value):.7g}")


def _shorts(values: NDArray[Any]) -> list[float]:
    return [_short(value) for value in values]


__all__ = ["BINS", "FILE", "FORMAT", "SAMPLE", "binned", "counted", "described", "read", "sample"]
