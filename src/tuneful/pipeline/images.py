"""Images of any kind -> uint8 or float32 [N, C, H, W] of one size; vectors -> float32 [N, D]; their means and deviations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline.imagefiles import unread
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.ledger import Ledger
from tuneful.runtime.pixels import Header, read_header, read_image, show_path
from tuneful.techniques.sources import Files, fits

LARGEST = 96
"""Images that agree in a size up to this keep it; larger ones are shrunk, for the sake of time."""
_AGREE = 0.6  # share of images that makes a size the common one
_THREADS = 4  # Pillow decodes without holding Python's lock

T = TypeVar("T")
Loaded = dict[str, tuple[NDArray[np.uint8] | Lazy, NDArray[Any]]]


def load(
    parts: Mapping[str, Files], size: int | tuple[int, int] | None, findings: list[Finding], ledger: Ledger
) -> tuple[Loaded, dict[str, Any]]:
    """All images of all parts at one size, with their labels, and the schema.

    Unreadable files are left out and told. Raises DataError when a part, or a class of train, has no readable image.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        heads = {split: _each(pool, read_header, part.paths) for split, part in parts.items()}
        good = [head for found in heads.values() for head in found if not head.trouble]
        if not good:
            first = next((p, h) for split, part in parts.items() for p, h in zip(part.paths, heads[split]))
            raise DataError(f"no image can be read (first: {show_path(first[0])}: {first[1].trouble})")
        height, width = _size(good, size, findings)
        channels = channels_of(good, findings)
        needed = 2.0 * len(good) * channels * height * width  # what is left out is cut out of a copy
        kept_here, why = fits(needed)
        where = "are kept in memory" if kept_here else "stay in their files and are read by threads at every step"
        findings.append(Finding("note", f"images of {channels}x{height}x{width} {where} ({why})", len(good), len(good)))
        troubles: list[str] = []
        loaded: Loaded = {}
        for split, part in parts.items():
            jobs = [(path, label) for path, label, head in zip(part.paths, part.labels, heads[split]) if not head.trouble]
            troubles += [_told(p, h.trouble) for p, h in zip(part.paths, heads[split]) if h.trouble]
            readable = np.array([at for at, head in enumerate(heads[split]) if not head.trouble], dtype=np.int64)
            if not kept_here:
                unseen, wrong = unread([path for path, _ in jobs], channels, height, width)
                troubles += [_told(jobs[i][0], why) for i, why in wrong.items()]
                loaded[split] = (unseen, np.array([jobs[i][1] for i in unseen.rows], dtype=object))
                ledger.left(split, readable[unseen.rows], "drop_unreadable", "images that cannot be read are left out")
                continue
            x = np.empty((len(jobs), channels, height, width), dtype=np.uint8)

            def fill(number: int, x: NDArray[np.uint8] = x, jobs: list[tuple[bytes, str]] = jobs) -> str:
                try:
                    x[number] = read_image(jobs[number][0], channels, height, width)
                except DataError as error:
                    return error.message.rpartition(": ")[2]
                return ""

            failed = _each(pool, fill, range(len(jobs)))
            troubles += [_told(jobs[i][0], why) for i, why in enumerate(failed) if why]
            kept = [i for i, why in enumerate(failed) if not why]
            ledger.left(split, readable[kept], "drop_unreadable", "images that cannot be read are left out")
            labels = np.array([jobs[i][1] for i in kept], dtype=object)
            loaded[split] = (x if len(kept) == len(jobs) else x[kept], labels)
    everything = sum(len(part.paths) for part in parts.values())
    if troubles:
        findings.append(
            Finding("warning", "images cannot be read and are left out", len(troubles), everything, tuple(troubles[:20]),
                    "replace or remove these files")
        )  # fmt: skip
    _none_lost(parts, loaded, troubles)
    return loaded, {"format": 1, "kind": "image", "shape": [channels, height, width], "dtype": "uint8"}


def _each(pool: ThreadPoolExecutor, work: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """work of each item, in order; dealt to the threads by the hundred, since small images take less time than dealing."""
    pieces = [items[start : start + 100] for start in range(0, len(items), 100)]
    return [result for piece in pool.map(lambda piece: [work(item) for item in piece], pieces) for result in piece]


def _told(path: bytes, trouble: str) -> str:
    return f"{show_path(path).rpartition('/')[2]}: {trouble}"


def _none_lost(parts: Mapping[str, Files], loaded: Loaded, troubles: list[str]) -> None:
    for split, (_, labels) in loaded.items():
        if not len(labels):
            raise DataError(f"no image of {split} can be read ({'; '.join(troubles[:3])})", "replace these files")
    lost = sorted(set(parts["train"].labels) - set(loaded["train"][1]))
    if lost:
        raise DataError(
            f'class "{lost[0]}" has no image that can be read ({"; ".join(troubles[:3])})', "replace these files"
        )


def _size(good: list[Header], size: int | tuple[int, int] | None, findings: list[Finding]) -> tuple[int, int]:
    sizes = Counter((head.height, head.width) for head in good)
    (common, count), n = sizes.most_common(1)[0], len(good)
    if size is not None:
        chosen = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if min(chosen) < 1 or max(chosen) > 4096:
            raise RecipeError([Problem("size", f"size is {size}; it must be in [1, 4096] pixels a side")])
        reason = "as asked"
    elif count >= _AGREE * n and max(common) <= LARGEST:
        chosen, reason = common, "the most common size"
    else:
        short = float(np.median([min(head.height, head.width) for head in good]))
        side = 64 if short >= 48 else 32
        chosen, reason = (side, side), "sizes differ" if count < _AGREE * n else f"larger than {LARGEST} pixels"
    others = n - sizes[chosen]
    if others:
        seen = tuple(f"{h}x{w}: {k}" for (h, w), k in sizes.most_common(4) if (h, w) != chosen)
        text = f"images are of another size and are resized to {chosen[0]}x{chosen[1]} ({reason}; sides are stretched)"
        findings.append(
            Finding("warning" if reason == "the most common size" else "note", text, others, n, seen, "size=N for another")
        )
    return chosen


def channels_of(good: list[Header], findings: list[Finding]) -> int:
    """1 where all images are grey, else 3; what is lost by that is told."""
    modes = Counter(head.mode for head in good)
    channels = max(head.channels for head in good)
    grey, n = sum(head.channels == 1 for head in good), len(good)
    if channels == 3 and grey:
        seen = tuple(f"{mode}: {k}" for mode, k in modes.most_common(5))
        findings.append(Finding("warning", "images are grey among coloured ones; all are read as RGB", grey, n, seen))
    clear = sum(mode in ("RGBA", "LA", "PA", "La", "RGBa") for mode in modes.elements())
    if clear:
        findings.append(Finding("note", "images have transparent parts, which are laid on white", clear, n))
    deep = sum(mode.startswith("I") for mode in modes.elements())
    if deep:
        findings.append(Finding("note", "images have 16 bits a pixel, of which the upper 8 are used", deep, n))
    return channels


def shaped(given: Mapping[str, NDArray[Any]], size: Any, findings: list[Finding]) -> dict[str, NDArray[Any]]:
    """Arrays as [N, C, H, W] (uint8 kept, else float32) or [N, D] float32. Raises DataError for other shapes."""
    if size is not None:
        raise RecipeError([Problem("size", "size is for image files; arrays are used as they are")])
    train = given["train"]
    last = False
    if train.ndim == 4:
        first, final = train.shape[1], train.shape[3]
        last = final in (1, 2, 3, 4) and (first not in (1, 2, 3, 4) or first > final)
        if not last and first > 4 and final > 4:
            raise DataError(
                f"x has shape {list(train.shape)}; images must be [N, C, H, W] or [N, H, W, C] with 1 to 4 channels",
            )
        if last:
            findings.append(Finding("note", "the last axis of x was taken for the channels", 1, 1))
    elif train.ndim == 3:
        findings.append(Finding("note", f"x of shape {list(train.shape)} was taken for grey images", 1, 1))
    elif train.ndim not in (1, 2):
        raise DataError(
            f"x has shape {list(train.shape)}; it must be [N, D] or [N, H, W] or [N, C, H, W] or [N, H, W, C]",
            "flatten or reshape it",
        )
    if 0 in train.shape:
        raise DataError(f"x has shape {list(train.shape)}; no axis may be empty")
    out: dict[str, NDArray[Any]] = {}
    for split, x in given.items():
        if x.dtype.kind not in "biuf":
            raise DataError(f"x of {split} is of type {x.dtype}; it must be numbers", "give text and categories as a table")
        if x.shape[1:] != train.shape[1:]:
            raise DataError(f"x of {split} has examples of shape {list(x.shape[1:])}, and train of {list(train.shape[1:])}")
        if x.ndim == 1 or x.ndim == 3:
            x = x[:, None]
        elif last:
            x = x.transpose(0, 3, 1, 2)
        if x.ndim == 4 and all(part.dtype == np.uint8 for part in given.values()):
            out[split] = np.ascontiguousarray(x)
        else:
            with np.errstate(over="ignore"):  # what overflows becomes infinite and is told by the check of values
                out[split] = np.ascontiguousarray(x, dtype=np.float32)
    return out


def statistics(x: NDArray[Any] | Lazy) -> dict[str, list[float]]:
    """Mean and standard deviation per channel of [N, C, H, W], or per feature of [N, D]; a deviation of 0 becomes 1."""
    axes = (0, *range(2, x.ndim))
    n = math.prod(x.shape) / x.shape[1]
    total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    if isinstance(x, Lazy) and x.dtype == np.uint8:
        total, squares = x.sums.sum(axis=0).astype(np.float64)
        mean = total / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0))
    elif x.dtype == np.uint8:
        for start in range(0, len(x), 1024):  # whole numbers, so these sums are exact
            piece = x[start : start + 1024]
            for channel in range(x.shape[1]):
                counts = np.bincount(piece[:, channel].ravel(), minlength=256)
                total[channel] += float(counts @ np.arange(256))
                squares[channel] += float(counts @ np.arange(256) ** 2)
        mean = total / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0))
    else:
        if isinstance(x, Lazy):
            for start in range(0, len(x), 1024):
                total += x[start : start + 1024].sum(axis=axes, dtype=np.float64)
            mean = total / n
        else:
            mean = x.mean(axis=axes, dtype=np.float64)
        spread = mean.reshape(1, -1, *[1] * (x.ndim - 2))
        for start in range(0, len(x), 1024):
            squares += ((x[start : start + 1024] - spread) ** 2).sum(axis=axes)
        std = np.sqrt(squares / n)
    std = np.where(std > 1e-12 * np.maximum(1, np.abs(mean)), std, 1.0)
    return {"mean": [float(v) for v in mean], "std": [float(v) for v in std]}
