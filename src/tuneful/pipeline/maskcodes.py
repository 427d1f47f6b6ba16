"""What the values of masks mean: decided on the masks of train, told, and kept in the schema so that new masks are read alike.

two values                       background and foreground, the lower first
few values, or few colours       a class each (255 beside small numbers, and VOC's border colour, are no class)
numbers of single things         instances: 1..k in each mask, k other from mask to mask, each in one piece; or more colours
                                 than classes could have. All of them are the foreground
noise around two values          as JPEG leaves it: cut at the middle
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline.maskfiles import Seen
from tuneful.techniques.sources import note

NOTHING = -1
VOID, BORDER = 255, 0xE0E0C0  # what VOC writes where nobody knows: in a palette, and as a colour
MOST = 64  # colours, or values, that may be classes
_CLOSE = 16  # values that JPEG's noise stays within
_MOSTLY = 0.8

How = Literal["values", "foreground", "halves"]
Array = NDArray[Any]


@dataclass(frozen=True)
class Coding:
    """how: "values", class k is codes[k]; "foreground": everything but codes[0] is class 1; "halves": from codes[1] on it is.
    labels: names of the classes."""

    how: How
    codes: tuple[int, ...]
    labels: tuple[str, ...]

    def classes(self, mask: Array) -> NDArray[np.int16]:
        """Values of a mask [H, W] as class numbers; -1 for those that are no class."""
        if self.how == "foreground":
            return (mask != self.codes[0]).astype(np.int16)
        if self.how == "halves":
            return (mask >= self.codes[1]).astype(np.int16)
        codes = np.array(self.codes)
        order = np.argsort(codes)
        at = np.searchsorted(codes, mask, sorter=order).clip(max=len(codes) - 1)
        found = order[at]
        return np.where(codes[found] == mask, found, NOTHING).astype(np.int16)

    def as_data(self) -> dict[str, Any]:
        """Plain data for the schema."""
        return {"how": self.how, "codes": list(self.codes), "labels": list(self.labels)}

    @staticmethod
    def of(data: Mapping[str, Any]) -> Coding:
        """From the schema."""
        return Coding(data["how"], tuple(int(code) for code in data["codes"]), tuple(str(name) for name in data["labels"]))


def decide(seen: Seen, asked: str, names: Sequence[str], findings: list[Finding]) -> Coding:
    """How masks are coded, from those of train. asked: "classes", "instances" or "auto"; names: of the values, from 0.

    Raises DataError where nothing tells classes apart.
    """
    counts, colours = seen.counts, seen.coloured
    codes, what = sorted(counts), "colours" if colours else "values"
    if not codes:
        raise DataError(
            "the masks of train hold no class at all: all their pixels are unknown (below 0)", "look at the masks"
        )
    if len(codes) < 2:
        raise DataError(
            f"all masks of train hold one value alone ({_shown(codes[0], colours)}); a class for the background and one more are wanted",
            "look at the masks: are they all empty?",
        )
    ground = 0 if 0 in counts else max(counts, key=lambda code: counts[code])
    things = f"{len(codes) - 1} different {what} beside the background"
    if asked == "instances":
        findings.append(note(f"masks: {things} are taken for single things, as asked; all of them are the foreground"))
        return Coding("foreground", (ground,), ("background", "foreground"))
    if asked == "auto" and len(codes) > 2:
        if not colours and _noisy(counts):
            findings.append(Finding("warning", f"masks hold {len(codes)} values near two, as JPEG leaves them; they are cut at 128",
                                    len(codes), len(codes), (), "keep masks in PNG files"))  # fmt: skip
            return Coding("halves", (0, 128), ("background", "foreground"))
        if (len(codes) > MOST and 0 in counts) or (not colours and _instances(seen)):
            text = f"masks: {things} number single things (instances); all of them are taken for the foreground"
            findings.append(Finding("note", text, seen.n, seen.n, (), "masks=classes makes each value a class"))
            return Coding("foreground", (ground,), ("background", "foreground"))
    if len(codes) > 1000:
        raise DataError(
            f"masks hold {len(codes)} different {what}; at most 1000 classes are wanted",
            "masks=instances takes everything but 0 for the foreground",
        )
    void = [code for code in codes if code == (BORDER if colours else VOID)]
    if len(codes) - len(void) >= 2 and void and (colours or codes[-2] < 128):
        share = counts[void[0]] / sum(counts.values())
        text = f"masks: {_shown(void[0], colours)} is taken for unknown, as in PASCAL VOC: {share:.1%} of the pixels have no target"
        findings.append(Finding("note", text, seen.n, seen.n))
        codes = [code for code in codes if code not in void]
    labels = _labels(codes, names, colours)
    told = ", ".join(f"{_shown(code, colours)} is {label}" for code, label in list(zip(codes, labels, strict=True))[:6])
    findings.append(note(f"masks: {len(codes)} {what} are {len(codes)} classes ({told}{', ...' if len(codes) > 6 else ''})",
                         "masks=instances takes everything but 0 for the foreground"))  # fmt: skip
    return Coding("values", tuple(codes), labels)


def _labels(codes: Sequence[int], names: Sequence[str], colours: bool) -> tuple[str, ...]:
    if names and not colours and codes[-1] < len(names):
        return tuple(names[code] for code in codes)
    if names and len(names) == len(codes):
        return tuple(names)
    if len(codes) == 2:
        return ("background", "foreground")
    return tuple(_shown(code, colours) for code in codes)


def _shown(code: int, colours: bool) -> str:
    return f"#{code:06x}" if colours else str(code)


def _noisy(counts: Mapping[int, int]) -> bool:
    """More grey values than classes have, nearly all pixels near black or white."""
    values, often = np.array(list(counts)), np.array(list(counts.values()))
    if len(values) <= MOST or values.min() < 0 or values.max() > 255:
        return False
    near = (values <= _CLOSE) | (values >= 255 - _CLOSE)
    white = often[values >= 255 - _CLOSE].sum()
    return bool(often[near].sum() >= 0.8 * often.sum() and white > 0.3 * often[values > _CLOSE].sum())


def _instances(seen: Seen) -> bool:
    """Are values numbers of single things? 1..k in each mask, k other from mask to mask, and each value in one piece."""
    from scipy import ndimage

    found = [(many, largest) for many, largest in seen.each if many]
    if not found:
        return False
    numbered = [many == largest for many, largest in found]
    many = [many for many, _ in found]
    if np.mean(numbered) < _MOSTLY or len(set(many)) < min(3, len(found)) or max(many) < 3:
        return False
    pieces = whole = 0
    for mask in seen.few:
        for value in np.unique(mask[mask != 0]):
            pieces += 1
            whole += ndimage.label(mask == value, np.ones((3, 3)))[1] == 1  # pyright: ignore[reportIndexIssue]
    return whole >= _MOSTLY * pieces
