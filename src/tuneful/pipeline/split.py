"""Cut what has no official split: stratified, seeded, equal examples kept together.

Each class gives its share to every split; a class with one example goes to train. Targets that are numbers are stratified by
ten groups of equal size. Examples that are equal to the last bit go to one split, so that none leaks (unless more than half
of all are repetitions, as in small tables of few columns, where that would spoil the shares).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.chance import key
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding

Indices = NDArray[np.int64]
MOST_VALID = 10_000  # more examples would hardly narrow the interval of a validation, and cost time at each of them
_BINS = 10


def check_share(name: str, share: float | Literal["auto"]) -> None:
    """Raises RecipeError for a share that is no share."""
    if share != "auto" and (isinstance(share, bool | str) or not 0 < share < 1):
        raise RecipeError([Problem(name, f"{name} is {share!r}; it must be in (0, 1) or 'auto'")])


def cut(
    y: Mapping[str, NDArray[Any]],
    twins: Mapping[str, NDArray[np.uint64]],
    valid: float | Literal["auto"],
    test: float | Literal["auto"],
    seed: int,
) -> tuple[dict[str, tuple[str, Indices]], list[Finding]]:
    """Which examples of which given part make up train, valid and test.

    Args:
        y: for each given part ("train", perhaps "valid" and "test") class numbers (int64) or targets (float).
        twins: for each part one number an example; equal examples have equal numbers.
        valid, test: shares of all examples of the given train that are cut where there is no official split; "auto" is 20 %,
            and at most 10 000 examples.

    Returns: {"train": ("train", indices), ...} with indices in rising order, and what was chosen, for people.
    Raises:  DataError when nothing would be left to train, validate or test on.
    """
    check_share("valid", valid)
    check_share("test", test)
    n = len(y["train"])
    chosen: dict[str, tuple[str, Indices]] = {s: (s, np.arange(len(y[s]))) for s in ("valid", "test") if s in y}
    findings: list[Finding] = []
    shares: list[tuple[str, float | Literal["auto"]]] = [("test", test), ("valid", valid)]
    wanted = {s: count_of(share, n) for s, share in shares if s not in chosen}
    if n <= len(wanted):
        raise _too_few(n, next(iter(wanted)))
    if sum(wanted.values()) >= n:
        raise DataError(f"valid={valid} and test={test} leave nothing of {n} examples to train on", "give smaller shares")
    strata = _strata(y["train"])
    group = _groups(twins["train"])
    dealt = _deal(strata, group, list(wanted.values()), key(seed, "split"))
    for number, (split, count) in enumerate(wanted.items()):
        indices = np.flatnonzero(dealt == number + 1)
        chosen[split] = ("train", indices)
        if not len(indices):
            raise _too_few(n, split)
        share = f"{len(indices) / n:.0%} of train" if len(y) > 1 else f"{len(indices) / n:.0%}"
        findings.append(
            Finding("note", f"{split}: {len(indices)} examples ({share}) were cut, stratified, seed {seed}", count, n)
        )
    chosen["train"] = ("train", np.flatnonzero(dealt == 0))
    findings += [
        Finding("note", f"{s}: the official split is used", len(y[s]), len(y[s])) for s in ("valid", "test") if s in y
    ]
    return {s: chosen[s] for s in ("train", "valid", "test")}, findings


def thin(y: NDArray[Any], limit: int, seed: int) -> Indices:
    """At most `limit` examples, stratified, in rising order; at least one of each class."""
    if len(y) <= limit:
        return np.arange(len(y))
    dice = np.random.default_rng(key(seed, "limit"))
    strata = _strata(y)
    kinds = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    counts = np.maximum(1, _shared(limit, np.array([len(kind) for kind in kinds])))
    while counts.sum() > limit and counts.max() > 1:
        counts[counts.argmax()] -= 1
    return np.sort(np.concatenate([dice.permutation(kind)[:count] for kind, count in zip(kinds, counts)]))


def _too_few(n: int, split: str) -> DataError:
    return DataError(
        f"there are {n} examples, too few to cut {split} from; each class needs at least three, one for each split",
        "collect more examples",
    )


def count_of(share: float | Literal["auto"], n: int) -> int:
    """How many of n examples a share is."""
    return max(1, min(round(0.2 * n), MOST_VALID) if share == "auto" else round(share * n))


def _strata(y: NDArray[Any]) -> Indices:
    if y.ndim == 2 and y.dtype.kind != "f":  # of several labels the rarest that an example bears: it has least to give away
        counts = (y == 1).sum(axis=0)
        rarity = np.where(y == 1, counts, len(y) + 1)
        return np.where((y == 1).any(axis=1), rarity.argmin(axis=1), y.shape[1]).astype(np.int64)
    if y.ndim == 2:
        y = ((y - y.mean(axis=0)) / np.maximum(y.std(axis=0), 1e-12)).mean(axis=1)
    if y.dtype.kind != "f":
        return y.astype(np.int64)
    order = np.empty(len(y), dtype=np.int64)
    order[np.argsort(y, kind="stable")] = np.arange(len(y))
    return order * _BINS // max(1, len(y)) if len(y) >= 3 * _BINS else np.zeros(len(y), dtype=np.int64)


def _groups(twins: NDArray[np.uint64]) -> Indices:
    """The first index of each example's equals, or its own index when repetitions are the rule."""
    _, first, inverse = np.unique(twins, return_index=True, return_inverse=True)
    return first[inverse] if len(first) >= len(twins) / 2 else np.arange(len(twins))


def _deal(strata: Indices, group: Indices, wanted: list[int], seed: int) -> Indices:
    """0 (train) or 1, 2, ... (the wanted cuts) for each example."""
    dice = np.random.default_rng(seed)
    dealt = np.zeros(len(strata), dtype=np.int64)
    heads, weight = np.unique(group, return_counts=True)  # one of each group of equals is dealt; the others follow it
    kinds = [np.flatnonzero(strata[heads] == stratum) for stratum in np.unique(strata[heads])]
    sizes = np.array([weight[kind].sum() for kind in kinds])
    shares = [_shared(count, sizes) for count in wanted]
    for number, kind in enumerate(kinds):
        members = dice.permutation(kind)
        start, room = 0, len(members) - 1  # the last stays in train
        for cut_, share in enumerate(shares):
            still = len(wanted) - cut_ - 1
            most = max(0, room - min(still, room // 2))
            enough = int(np.searchsorted(np.cumsum(weight[members[start:]]), share[number])) + 1
            take = min(enough if share[number] else 1, most)  # each class shows itself in each split, where it can
            dealt[heads[members[start : start + take]]] = cut_ + 1
            start, room = start + take, room - take
    return dealt[group]


def _shared(count: int, sizes: Indices) -> Indices:
    """A count dealt out in proportion to sizes, to the last one: largest remainders get what rounding down leaves."""
    exact = count * sizes / max(1, sizes.sum())
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: count - int(whole.sum())]] += 1
    return whole
