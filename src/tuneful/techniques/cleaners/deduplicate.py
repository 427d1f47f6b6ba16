"""Deduplicate: of equal examples in train the first stays, and none that test or valid holds too.

An example of train that is in test or valid makes results look better than they are; it is train that gives it up, never the
other way, so that what is measured on stays what it was. Inside train, equal examples with one target are repetitions, of which
the first stays. Equal examples with different targets say that the target is uncertain there; they stay unless `conflicts` says
otherwise. Nearly equal ones are looked for where `near` asks: texts by the letters that they share, images by their gradients
(see `pipeline.likeness`).

Source: Lee et al., ACL 2022, arXiv:2107.06499 (duplicates and near-duplicates between train and test, and inside train).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tuneful.core.errors import DataError
from tuneful.techniques.cleaners.cleaner import Examples, Names, Sifted, Sifter

Likeness = Annotated[float, Field(gt=0, le=1)]


class Deduplicate(Sifter):
    """Of equal examples in train one stays, and none that test or valid holds too."""

    source: ClassVar[str] = "Lee et al., ACL 2022, arXiv:2107.06499"
    serves: ClassVar[tuple[str, ...]] = ("table", "text", "image", "sound", "series", "vector")
    cost: ClassVar[str] = "one number an example; near: some 100 numbers an example and a comparison of the likely pairs"

    kind: Literal["deduplicate"] = "deduplicate"
    near: Likeness = 1.0  # examples at least so much alike count as equal; 1 is equal to the last bit
    conflicts: Literal["keep", "first", "drop"] = "keep"  # which equals with different targets stay: all, the first, none
    columns: Names = ()  # of a table, by which rows are compared; all inputs when none is named

    @property
    def named(self) -> tuple[str, ...]:
        return self.columns

    def sift(self, seen: Examples) -> Sifted:
        leaked, first = self._equals(seen)
        targets = _codes(seen.y)
        group = np.unique(first, return_inverse=True)[1]
        conflict = (np.bincount(group, weights=targets != targets[first]) > 0)[group]  # not all equals bear one target
        same = _repeated(group, targets)
        later = first != np.arange(len(first))
        gone = {"keep": same, "first": later, "drop": same | conflict}[self.conflicts]
        keep = ~leaked & ~gone
        if not keep.any():
            raise DataError(
                f"deduplicate would take all {len(keep)} examples out of train: valid or test hold them, or no two agree",
                "give train data of its own, or leave conflicts=drop out",
            )
        told = {
            "examples that repeat an earlier one are taken out": int((gone & same & ~leaked).sum()),
            "examples that valid or test holds too are taken out": int(leaked.sum()),
            "examples that equal one with another target are taken out": int((gone & ~same & ~leaked).sum()),
            "examples that equal one with another target stay": int((conflict & keep).sum()),
        }
        kept = {what: n for what, n in told.items() if n or "repeat" in what}
        return Sifted(keep, seen.y, kept, tuple(seen.origin.name(int(k)) for k in np.flatnonzero(gone & same)[:3]))

    def _equals(self, seen: Examples) -> tuple[NDArray[Any], NDArray[Any]]:
        """Which examples of train are in another split, and for each the first of train that equals it."""
        prints = seen.prints(self.columns)
        train = prints["train"]
        others = np.concatenate([found for split, found in prints.items() if split != "train"])
        _, at, inverse = np.unique(train, return_index=True, return_inverse=True)
        leaked, first = np.isin(train, others), at[inverse]
        if self.near < 1:
            found = seen.near(self.near)
            if found is None:
                raise DataError(
                    f"deduplicate(near={self.near:g}) needs texts or images; nothing tells how alike other examples are",
                    "leave near out: examples that are equal to the last bit are found in any data",
                )
            leaked, first = leaked | found[0], np.minimum(first, found[1])
            while (first[first] != first).any():  # what is like one that is like a third
                first = first[first]
        return leaked, first


def _codes(y: NDArray[Any]) -> NDArray[Any]:
    """A number for each target, that equal targets share."""
    return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)


def _repeated(group: NDArray[Any], targets: NDArray[Any]) -> NDArray[Any]:
    """Which examples have an earlier one of their group that bears the same target."""
    pair = group.astype(np.int64) * (int(targets.max(initial=0)) + 1) + targets
    first = np.unique(pair, return_index=True)[1]
    out = np.ones(len(pair), dtype=bool)
    out[first] = False
    return out
