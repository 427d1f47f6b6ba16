"""Which n-grams of words and letters tell of texts: those that at least two texts of train hold, the most frequent of each view.

An n-gram that one text alone holds tells nothing of others, and is most of all there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime.grams import Grams, packed

VIEWS = (("words", 1, 2), ("letters", 3, 5))  # what is looked at, and runs of how many
MOST = 150_000  # n-grams of a view that are kept, the most frequent
ROOM = 2.5e8  # numbers of all rows together that are kept in memory: 1 GB
_SOME = 500  # texts that are looked at to see how many n-grams a text has
_HELD = 4_000_000  # prints that are counted at once
_FEW = 10  # texts below which n-grams of one text are kept


def room(texts: Sequence[str], n: int) -> bool:
    """Do the n-grams of n texts like these fit into memory?"""
    some = texts[:: max(1, len(texts) // _SOME)][:_SOME]
    bare = Grams(_bare())
    held = [sum(map(len, bare.prints(text))) for text in some]
    return n * float(np.quantile(held, 0.99) if held else 0) <= ROOM


def learn(texts: Sequence[str], most: int | None = None) -> dict[str, Any]:
    """The data of a tokenizer of kind "grams" (see `runtime.grams`) from the texts of train. most: n-grams of a view.

    Raises: DataError when there is none.
    """
    data = _bare()
    bare = Grams(data)
    counts = [_Counts() for _ in bare.views]
    for text in texts:
        for count, prints in zip(counts, bare.prints(text), strict=True):
            count.add(prints)
    kept = [count.frequent(most or MOST, 2 if len(texts) >= _FEW else 1) for count in counts]
    if not any(map(len, kept)):
        kept = [count.frequent(most or MOST, 1) for count in counts]
    if not any(map(len, kept)):
        raise DataError("the texts of train hold no words at all", "is this the right column, or the right file?")
    views = [{**view, "kept": packed(prints)} for view, prints in zip(data["views"], kept, strict=True)]
    return {**data, "views": views}


def said() -> str:
    """The views in words."""
    names = [f"runs of {low} to {high} {of}" for of, low, high in VIEWS]
    return " and ".join(names)


class _Counts:
    """In how many texts each print occurs; counted by pieces, so that memory holds each print but a few times."""

    def __init__(self) -> None:
        self.prints, self.counts = np.zeros(0, np.uint32), np.zeros(0, np.int64)
        self.waiting: list[NDArray[np.uint32]] = []
        self.held = 0

    def add(self, prints: NDArray[np.uint32]) -> None:
        self.waiting.append(prints)
        self.held += len(prints)
        if self.held > _HELD:
            self._merge()

    def frequent(self, most: int, least: int) -> NDArray[np.uint32]:
        """The most frequent of those that at least so many texts hold, in rising order."""
        self._merge()
        often = np.flatnonzero(self.counts >= least)
        chosen = often[np.argsort(-self.counts[often], kind="stable")[:most]]
        return np.sort(self.prints[chosen])

    def _merge(self) -> None:
        new, counts = np.unique(np.concatenate([*self.waiting, self.prints[:0]]), return_counts=True)
        prints, inverse = np.unique(np.concatenate([self.prints, new]), return_inverse=True)
        total = np.zeros(len(prints), np.int64)
        np.add.at(total, inverse, np.concatenate([self.counts, counts]))
        self.prints, self.counts, self.waiting, self.held = prints, total, [], 0


def _bare() -> dict[str, Any]:
    return {
        "kind": "grams",
        "views": [{"of": of, "from": low, "to": high} for of, low, high in VIEWS],
        "lower": True,
        "digits": True,
    }


__all__ = ["learn", "room", "said"]
