"""What a step of cleaning is: one of three kinds, which come in this order.

Mender   changes text, wherever it stands and in what is predicted too, knowing nothing but that text
Sifter   takes examples out of train, or changes their targets; valid, test and what is predicted stay as they are
Filler   changes cells of a table by what it learns from train alone; no row is lost by it, in training or later
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from tuneful.techniques.interfaces import Technique

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuneful.core.task import Origin

Names = Annotated[tuple[str, ...], Field(strict=False)]


@dataclass(frozen=True)
class Examples:
    """Train, as a sifter sees it.

    y: [N] classes or values, [N, L] labels, [N, M] values; labels: names of the classes; origin: where each stands in the data.
    prints(columns): for each split a number an example that equal ones share; of a table by these columns, () for all.
    near(likeness): the examples of train that are nearly one of another split [N], and for each the first of train that it
        nearly is, itself where there is none [N]; None where nothing tells how alike two examples are.
    absent(columns): which examples of train miss a value, and in which column [N, C]; None where nothing can be missing.
    dropped: rows of the data that a list has taken out of train before.
    """

    y: NDArray[Any]
    labels: tuple[str, ...]
    origin: Origin
    prints: Callable[[Sequence[str]], Mapping[str, NDArray[Any]]]
    near: Callable[[float], tuple[NDArray[Any], NDArray[Any]] | None]
    absent: Callable[[Sequence[str]], NDArray[Any] | None]
    dropped: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Sifted:
    """keep: which examples of train stay [N]; y: the targets of all N; told: {what was done: to how many examples}; examples:
    a few of their names."""

    keep: NDArray[Any]
    y: NDArray[Any]
    told: Mapping[str, int]
    examples: tuple[str, ...] = ()


class Cleaner(Technique):
    """One step, done only where the user asks for it, and counted."""

    family: ClassVar[str] = "clean"
    serves: ClassVar[
        tuple[str, ...]
    ] = ()  # kinds of data: table, text, sentence, prose, image, sound, series, vector; () is any

    @property
    def named(self) -> tuple[str, ...]:
        """The columns of a table that the user named; () for all that the step serves, or for none."""
        return ()


class Mender(Cleaner):
    """See the module."""

    @abstractmethod
    def flags(self) -> Mapping[str, bool]:
        """The arguments of `core.mojibake.mended`, as plain data that travels in the artifact."""


class Sifter(Cleaner):
    """See the module."""

    @abstractmethod
    def sift(self, seen: Examples) -> Sifted:
        """What becomes of train. Raises DataError when nothing sensible can."""


class Filler(Cleaner):
    """See the module."""

    @abstractmethod
    def number(self, found: NDArray[Any]) -> Mapping[str, Any]:
        """What the schema keeps of a column of numbers (see `runtime.preprocess`): "low" and "high", or "fill" and "indicator".

        found: float64 [N] of train, NaN where a value is missing; at least one is there."""

    def category(self, counts: Mapping[str, int]) -> Mapping[str, Any]:
        """The same of a column of categories: "indicator", and "fill" (a level); {} where the step leaves categories alone.

        counts: of each level in train."""
        return {}


__all__ = ["Cleaner", "Examples", "Filler", "Mender", "Names", "Sifted", "Sifter"]
