"""Ranges over the fields of a recipe: what a search may vary.

1e-4..1e-1      a range; logarithmic when its ends are positive and a decade or more apart
log(1..5)       logarithmic, lin(1e-4..1e-1) linear
16..256         whole numbers, when the field is one
sgd,adam        a choice
20              fixed: no dial
~1e-3           a range around 1e-3, with the belief that good values lie near it; behind a range or a choice, the belief: 1e-4..1e-1~1e-3
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from tuneful.core.config import Settings
from tuneful.core.errors import SpaceError

if TYPE_CHECKING:
    import optuna

    from tuneful.core.recipe import Recipe

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included. integer: whole numbers only. near: where the user believes that good ones lie."""

    low: float
    high: float
    log: bool = False
    integer: bool = False
    near: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise SpaceError(f"the range {self} has an end that is not a finite number")
        if self.low >= self.high:
            raise SpaceError(f"the range {self} is empty; its low end must come first", f"write {self.high:g}..{self.low:g}")
        if self.near is not None and not self.low <= self.near <= self.high:
            raise SpaceError(
                f"good values are believed near {self.near:g}, outside of the range {self.low:g}..{self.high:g}",
                f"write {min(self.low, self.near):g}..{max(self.high, self.near):g}~{self.near:g}",
            )
        if self.log and self.low <= 0:
            raise SpaceError(
                f"the range log({self.low:g}..{self.high:g}) reaches {self.low:g}; a logarithmic one must stay above 0",
                f"write lin({self.low:g}..{self.high:g}), or begin above 0",
            )

    def __str__(self) -> str:
        plain = f"{self.low:g}..{self.high:g}"
        told = plain if self.log == by_decades(self.low, self.high) else f"{'log' if self.log else 'lin'}({plain})"
        return told if self.near is None else f"{told}~{self.near:g}"

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, whole when the range is."""
        return (int(self.low), int(self.high)) if self.integer else (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of some values, in the user's order. near: the one that the user believes to be good."""

    values: tuple[Scalar, ...]
    near: Scalar | None = None

    def __post_init__(self) -> None:
        if self.near is not None and self.near not in self.values:
            raise SpaceError(f"{self.near} is believed to be good, and is none of {', '.join(map(str, self.values))}")

    def __str__(self) -> str:
        told = ",".join(str(value) for value in self.values)
        return told if self.near is None else f"{told}~{self.near}"


@dataclass(frozen=True)
class Dial:
    """One thing that a search varies: the field at `path`. when: (path of a choice, values at which it exists)."""

    path: str
    range: Range | Choice
    when: tuple[str, tuple[str, ...]] | None = None

    def exists(self, dials: Mapping[str, Any]) -> bool:
        """Does it exist beside these values of the dials before it?"""
        return self.when is None or dials.get(self.when[0]) in self.when[1]

    def holds(self, value: Any) -> bool:
        """Is this value inside the range?"""
        if isinstance(self.range, Choice):
            return value in self.range.values
        return isinstance(value, int | float) and self.range.low <= value <= self.range.high

    def suggest(self, trial: optuna.Trial) -> Scalar:
        """Ask an Optuna trial for a value."""
        if isinstance(self.range, Choice):
            # Optuna's type admits None as well; it gives back one of ours.
            return cast("Scalar", trial.suggest_categorical(self.path, list(self.range.values)))
        if self.range.integer:
            return trial.suggest_int(self.path, int(self.range.low), int(self.range.high), log=self.range.log)
        return trial.suggest_float(self.path, self.range.low, self.range.high, log=self.range.log)


@dataclass(frozen=True)
class Space:
    """Dials in an order in which each stands behind the choice that it hangs on.

    variants: {path of a choice of techniques: {kind: settings object}}, put in place before the fields are set;
    beside: {path of a choice: {kind: {path: value}}}, what else changes with a variant where the user left it open.
    """

    dials: tuple[Dial, ...] = ()
    variants: Mapping[str, Mapping[str, Settings]] = field(default_factory=dict[str, Mapping[str, Settings]])
    beside: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict[str, Mapping[str, Mapping[str, Any]]])

    def __len__(self) -> int:
        return len(self.dials)

    def __iter__(self) -> Iterator[Dial]:
        return iter(self.dials)

    def suggest(self, trial: optuna.Trial) -> dict[str, Scalar]:
        """Values for all dials that exist, from an Optuna trial."""
        values: dict[str, Scalar] = {}
        for dial in self.dials:
            if dial.exists(values):
                values[dial.path] = dial.suggest(trial)
        return values

    def apply(self, recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
        """The recipe with these values in place. Raises RecipeError when one cannot be."""
        ordered = sorted(values, key=lambda path: path not in self.variants)  # techniques first, then their fields
        along = {k: v for path in ordered if path in self.beside for k, v in self.beside[path].get(values[path], {}).items()}
        changes = {path: self.variants[path][values[path]] if path in self.variants else values[path] for path in ordered}
        return recipe.replace({**along, **changes})

    def as_data(self) -> dict[str, str]:
        """{path: range in our syntax}; two spaces with equal data search the same."""
        return {
            dial.path: str(dial.range) + (f" when {dial.when[0]}={','.join(dial.when[1])}" if dial.when else "")
            for dial in self.dials
        }


def by_decades(low: float, high: float) -> bool:
    """Is a range between these ends logarithmic when nothing else is said?"""
    return low > 0 and high / low >= 10 * (1 - 1e-12)


NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"(?:(log|lin)\()?\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*(\))?")


def parse(text: str, *, integer: bool = False) -> Range | Choice | Scalar:
    """Read a value as the user wrote it: a range, a choice with commas, or one scalar.

    integer: the field wants whole numbers. Raises SpaceError for a range that cannot be.

    >>> parse("1e-4..1e-1")
    Range(low=0.0001, high=0.1, log=True, integer=False, near=None)
    >>> print(parse("lin(1e-4..1e-1)"), parse("16..64", integer=True), parse("sgd,adam"), parse("3e-3"))
    lin(0.0001..0.1) 16..64 sgd,adam 0.003
    """
    text = text.strip()
    if "..." in text:  # 1e-4...1e-1 would be a range up to .1e-1, which nobody means
        raise _unreadable(text)
    if "~" in text:
        return _believed(text, integer)
    if match := RANGE.fullmatch(text):
        form, low, high, closed = match.groups()
        if bool(form) != bool(closed):
            raise _unreadable(text)
        if integer and not (_whole(low) and _whole(high)):
            raise SpaceError(
                f"the range {text} has an end that is not a whole number; this setting takes whole numbers only"
            )
        ends = float(low), float(high)
        return Range(*ends, log=form == "log" or (not form and by_decades(*ends)), integer=integer)
    if ".." in text and "," not in text and "/" not in text:
        raise _unreadable(text)
    if "," in text:
        values = tuple(scalar(part) for part in text.split(",") if part.strip())
        if len(set(values)) != len(values) or len(values) < 2:
            raise SpaceError(f"the choice {text} needs at least two different values", "write one value alone to fix it")
        return Choice(values)
    return scalar(text)


AROUND = 10**1.5
"""How far the range reaches to both sides of a value that alone is given."""


def _believed(text: str, integer: bool) -> Range | Choice:
    """A range or a choice with what is believed of it."""
    told, _, near = (part.strip() for part in text.partition("~"))
    value = scalar(near)
    if not told:
        if isinstance(value, bool | str) or value <= 0 or not math.isfinite(value):
            raise SpaceError(
                f"~{near} gives no range",
                "write one before it, such as 0..1~0.5; a number above 0 may stand alone, as ~1e-3",
            )
        low, high = (max(1, round(value / 4)), max(2, round(value * 4))) if integer else (value / AROUND, value * AROUND)
        return Range(float(f"{low:.3g}"), float(f"{high:.3g}"), log=not integer, integer=integer, near=value)
    found = parse(told, integer=integer)
    if isinstance(found, Choice):
        return replace(found, near=value)
    if not isinstance(found, Range) or isinstance(value, bool | str):
        raise SpaceError(
            f"{text} says what is believed of one value", "put a range or a choice before ~, such as 1e-4..1e-1~1e-3"
        )
    return replace(found, near=value)


def _whole(text: str) -> bool:
    return float(text).is_integer()


def _unreadable(text: str) -> SpaceError:
    return SpaceError(f"the range {text} cannot be read", "write 1e-4..1e-1, log(1..5), lin(0..1), 16..256, or sgd,adam")


def scalar(text: str) -> Scalar:
    """true, false, a whole number, a number, or else the text itself."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(NUMBER, text) or text.lower() in ("nan", "inf", "-inf"):
        return float(text)
    return text
