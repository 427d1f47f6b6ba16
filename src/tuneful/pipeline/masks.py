"""Images with a class at each pixel: read, coded, brought to one size (images blended, masks by the nearest pixel), split.

Where sides agree and are at most 128 they stay; otherwise images are brought to the shape of the middle one with 128 pixels along
its longer side. Predicted masks of files are given back at each file's own size.

What would not fit into memory stays on disk: images in their files, which are read at every step, and the classes of their pixels,
at the size of the network, in one file that is mapped into memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline import arrayfiles, checks, flat, imagefiles, images, maskcodes, targets
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.maskcodes import Coding
from tuneful.pipeline.maskfiles import Look, Seen, look, nearest, piecewise, read_mask
from tuneful.pipeline.parts import Built, Options, Parts, divide, take
from tuneful.runtime.pixels import Header, read_header, read_image, show_path
from tuneful.techniques.sources import Arrays, Masked, Raw, fits, note

LARGEST = 128  # pixels of the longer side, when nothing is said: four times as many take four times as long
_AGREE = 0.6  # share of images that makes a size the common one
_THREADS = 4
_RARE = 1e-3  # share of the pixels of train below which a class is told


def there(raw: Raw, kind: str | None) -> bool:
    """Are these images with masks, files or arrays?"""
    first = raw.parts["train"]
    if isinstance(first, Masked):
        return True
    if not isinstance(first, Arrays) or kind not in (None, "segmentation"):
        return False
    if kind is None and (first.y.dtype.kind not in "biu" or first.form == "series"):
        return False
    return _beside(first.x, _flat(first.y))


def build(raw: Raw, options: Options, findings: list[Finding]) -> Built:
    """The splits, from files or arrays."""
    if isinstance(raw.parts["train"], Masked):
        x, y, coding = _from_files(cast("Mapping[str, Masked]", raw.parts), options, findings)
    else:
        x, y, coding = _from_arrays(cast("Mapping[str, Arrays]", raw.parts), options, findings)
    for part, found in x.items():
        checks.finite(found, f"x of {part}")
    twins: Parts = {part: checks.prints(found) for part, found in x.items()}
    shares = {part: _shares(found) for part, found in y.items()}
    chosen = divide(shares, twins, options, findings)  # as many masks with much in them everywhere
    out = {name: take(x[part], indices) for name, (part, indices) in chosen.items()}
    unread = any(isinstance(found, Lazy) for found in x.values())
    if isinstance(out["valid"], Lazy) and fits(4.0 * out["valid"].nbytes)[0]:
        out["valid"] = out["valid"][:]  # it is looked at again and again
    classes = {
        name: flat.gathered(y[part], indices, f"the masks of {name}") if unread else take(y[part], indices)
        for name, (part, indices) in chosen.items()
    }
    findings += _looked_at(classes, coding.labels)
    shape = [int(side) for side in x["train"].shape[1:]]
    schema = {"format": 1, "kind": "image", "shape": shape, "dtype": str(x["train"].dtype), "mask": coding.as_data()}
    return Built(
        x=out, target=targets.Target("segmentation", coding.labels, y), y=classes, schema=schema, column="mask", what="image",
        twins={name: twins[part][indices] for name, (part, indices) in chosen.items()},
        normalize=images.statistics(out["train"]), about={"pixels": shape[1:]},
    )  # fmt: skip


def fitted(part: Masked, coding: Coding, height: int, width: int) -> NDArray[np.int16]:
    """The masks of a split as class numbers [N, H, W], coded as the schema says. Raises DataError where one cannot be read."""
    return np.stack([_coded(path, coding, height, width) for path in part.masks])


def _coded(path: bytes, coding: Coding, height: int, width: int) -> NDArray[np.int16]:
    """A mask as class numbers; grey ones as colours where the masks of train were coloured, so that an empty one is black there."""
    mask, coloured = read_mask(path)
    small = nearest(mask, height, width).astype(np.int64)
    return coding.classes(small * 0x010101 if not coloured and max(coding.codes) > 0xFFFF else small)


def _shares(y: NDArray[np.int16]) -> NDArray[np.float32]:
    """The share of each image's pixels that are not of the first class."""
    found = [(y[part] > 0).mean(axis=(1, 2)).astype(np.float32) for part in flat.steps(y)]
    return np.concatenate(found) if found else np.empty(0, np.float32)


# Files


def _from_files(parts: Mapping[str, Masked], options: Options, findings: list[Finding]) -> tuple[Parts, Parts, Coding]:
    everything = sum(len(part.paths) for part in parts.values())
    x: Parts = {}
    y: Parts = {}
    troubles: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        parts, good = _readable(pool, parts, troubles, findings)
        channels, (height, width) = images.channels_of(good, findings), _size(good, options.size, findings)
        here, why = fits(2.0 * len(good) * (channels + 2) * height * width)  # what is left out is cut out of a copy
        where = "are kept in memory" if here else "stay in their files and are read by threads at every step"
        findings.append(note(f"images of {channels}x{height}x{width} with their masks {where} ({why})", n=len(good)))
        pairs: dict[str, list[tuple[bytes, bytes]]] = {}
        for split, part in parts.items():
            found = _images(pool, part.paths, here, (channels, height, width), troubles)
            x[split], pairs[split] = found[0], [(part.paths[i], part.masks[i]) for i in found[1]]
        seen, whole = Seen(), {}
        for split, both in pairs.items():
            masks = [mask for _, mask in both]
            whole[split] = _looked(pool, masks, seen if split == "train" else None, troubles)
            if not len(whole[split]):
                raise DataError(
                    f"no image of {split} can be read with its mask ({'; '.join(troubles[:3])})", "replace these files"
                )
            x[split] = take(x[split], whole[split])
        coding = maskcodes.decide(seen, options.masks, parts["train"].names, findings)
        for split, both in pairs.items():
            masks = [both[i][1] for i in whole[split]]
            coded = _all_coded(pool, masks, coding, height, width)
            if here:
                y[split] = np.concatenate(list(coded))
            else:
                y[split] = flat.array(coded, (height, width), np.int16, f"the masks of {split}")
    if troubles:
        text = "images or masks cannot be read and are left out"
        findings.append(
            Finding("warning", text, len(troubles), everything, tuple(troubles[:20]), "replace or remove these files")
        )
    return x, y, coding


def _images(
    pool: ThreadPoolExecutor, paths: Sequence[bytes], here: bool, shape: tuple[int, int, int], troubles: list[str]
) -> tuple[Any, list[int]]:
    """The images that can be read, in memory or unread, and which of the paths these are."""
    if not here:
        found, wrong = imagefiles.unread(paths, *shape)
        troubles += [_told(paths[i], why) for i, why in wrong.items()]
        return found, found.rows.tolist()
    x = np.empty((len(paths), *shape), np.uint8)

    def fill(number: int) -> str:
        try:
            x[number] = read_image(paths[number], *shape)
        except DataError as error:
            return _why(error)
        return ""

    failed = list(pool.map(fill, range(len(paths))))
    troubles += [_told(path, why) for path, why in zip(paths, failed, strict=True) if why]
    kept = [i for i, why in enumerate(failed) if not why]
    return x if len(kept) == len(x) else x[kept], kept


def _looked(pool: ThreadPoolExecutor, masks: Sequence[bytes], seen: Seen | None, troubles: list[str]) -> NDArray[np.int64]:
    """Which masks can be read; what they hold is added to what was seen, where that is asked for."""

    def one(number: int) -> Look | str:
        try:
            mask, coloured = read_mask(masks[number])
        except DataError as error:
            return _why(error)
        return look(mask, coloured) if seen is not None else Look({}, coloured, None)

    kept: list[int] = []
    for numbers in piecewise(len(masks)):
        for number, found in zip(numbers, pool.map(one, numbers), strict=True):
            if isinstance(found, str):
                troubles.append(_told(masks[number], found))
                continue
            kept.append(number)
            if seen is not None:
                seen.add(found)
    return np.array(kept, np.int64)


def _all_coded(
    pool: ThreadPoolExecutor, masks: Sequence[bytes], coding: Coding, height: int, width: int
) -> Iterator[NDArray[np.int16]]:
    for numbers in piecewise(len(masks)):
        yield np.stack(list(pool.map(lambda i: _coded(masks[i], coding, height, width), numbers)))


def _why(error: DataError) -> str:
    return error.message.rpartition(" cannot be read as ")[2].partition(": ")[2]


def _told(path: bytes, trouble: str) -> str:
    return f"{show_path(path).rpartition('/')[2]}: {trouble}"


def _readable(
    pool: ThreadPoolExecutor, parts: Mapping[str, Masked], troubles: list[str], findings: list[Finding]
) -> tuple[dict[str, Masked], list[Header]]:
    """What says of itself that it can be read, and the headers of the images; masks of another size than theirs are told."""
    found: dict[str, Masked] = {}
    good: list[Header] = []
    other: list[str] = []
    for split, part in parts.items():
        heads, beside = (list(pool.map(read_header, paths)) for paths in (part.paths, part.masks))
        pairs = list(zip(part.paths, part.masks, heads, beside, strict=True))
        kept = [pair for pair in pairs if not pair[2].trouble and not pair[3].trouble]
        troubles += [_told(a if h.trouble else b, h.trouble or m.trouble) for a, b, h, m in pairs if h.trouble or m.trouble]
        other += [show_path(a).rpartition("/")[2] for a, _, h, m in kept if (h.height, h.width) != (m.height, m.width)]
        if not kept:
            raise DataError(
                f"no image of {split} can be read with its mask ({'; '.join(troubles[:3])})", "replace these files"
            )
        found[split] = Masked(tuple(a for a, *_ in kept), tuple(b for _, b, *_ in kept), part.names)
        good += [head for _, _, head, _ in kept]
    if other:
        text = "masks are of another size than their images; each is stretched to the size of the network"
        findings.append(Finding("warning", text, len(other), len(good), tuple(other[:5]), "do they belong together?"))
    return found, good


def _size(good: Sequence[Header], size: Any, findings: list[Finding]) -> tuple[int, int]:
    sizes = Counter((head.height, head.width) for head in good)
    (common, count), n = sizes.most_common(1)[0], len(good)
    if size is not None:
        chosen = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if min(chosen) < 4 or max(chosen) > 4096:
            raise RecipeError([Problem("size", f"size is {size}; it must be in [4, 4096] pixels a side")])
        reason = "as asked"
    elif count >= _AGREE * n and max(common) <= LARGEST:
        chosen, reason = common, "the most common size"
    else:
        high, wide = float(np.median([head.height for head in good])), float(np.median([head.width for head in good]))
        scale = min(1.0, LARGEST / max(high, wide))
        chosen = (max(8, 8 * round(high * scale / 8)), max(8, 8 * round(wide * scale / 8)))
        reason = f"larger than {LARGEST} pixels" if max(high, wide) > LARGEST else "sizes differ"
    others = n - sizes[chosen]
    if others:
        seen = tuple(f"{h}x{w}: {k}" for (h, w), k in sizes.most_common(4) if (h, w) != chosen)
        text = (
            f"images and masks are of another size and are brought to {chosen[0]}x{chosen[1]} ({reason}; sides are stretched, masks "
            "take the nearest pixel); all measures are of masks of that size"
        )
        findings.append(Finding("note", text, others, n, seen, "size=N for another"))
    return chosen


# Arrays


def _from_arrays(parts: Mapping[str, Arrays], options: Options, findings: list[Finding]) -> tuple[Parts, Parts, Coding]:
    apart = {split: _flat(part.y) for split, part in parts.items()}
    given = {split: part.x for split, part in parts.items()}
    mapped = any(isinstance(x, np.memmap) for x in given.values())
    few = {split: np.asarray(found[:1]) for split, found in given.items()} if mapped else given
    x = images.shaped(few, options.size, findings)
    for split, y in apart.items():
        if y.ndim != 3 or len(y) != len(given[split]) or y.shape[1:] != x[split].shape[2:]:
            raise DataError(
                f"x of {split} has shape {list(parts[split].x.shape)} and y {list(parts[split].y.shape)}; a mask [H, W] for each image "
                "of the same size is wanted",
                "give y as whole numbers [N, H, W]",
            )
        if y.dtype.kind not in "biu" and not all(_whole(y[part]) for part in flat.steps(y)):
            raise DataError(
                f"y of {split} holds numbers that are not whole; a mask holds class numbers", "round it, or cut it at 0.5"
            )
    if mapped:
        x = cast("Parts", arrayfiles.unread(given, lambda parts: images.shaped(parts, options.size, [])))
        why = fits(2.0 * sum(found.nbytes for found in given.values()))[1]
        findings.append(
            note(f"the arrays stay in their files and are read by threads at every step ({why})", n=len(x["train"]))
        )
    names = {int(v) for y in apart.values() for part in flat.steps(y) for v in np.unique(y[part]).tolist() if v < 0}
    if names:
        findings.append(Finding("note", "negative numbers in masks are taken for unknown", len(names), len(names)))
    seen = Seen()
    for mask in apart["train"]:
        seen.add(look(mask.astype(np.int64)))
    coding = maskcodes.decide(seen, options.masks, (), findings)

    def coded(y: NDArray[Any]) -> Iterator[NDArray[np.int16]]:
        return (np.stack([coding.classes(mask.astype(np.int64)) for mask in y[part]]) for part in flat.steps(y))

    if not mapped:
        return x, {split: np.concatenate(list(coded(y))) for split, y in apart.items()}, coding
    return x, {s: flat.array(coded(y), y.shape[1:], np.int16, f"the masks of {s}") for s, y in apart.items()}, coding


def _whole(y: NDArray[Any]) -> bool:
    return bool((np.isfinite(y) & (y == np.round(y))).all())


def _flat(y: NDArray[Any]) -> NDArray[Any]:
    """[N, H, W] of [N, H, W, 1] or [N, 1, H, W]."""
    if y.ndim != 4 or 1 not in (y.shape[1], y.shape[3]):
        return y
    return y[..., 0] if y.shape[3] == 1 else y[:, 0]


def _beside(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Is there a value of y for each pixel of x?"""
    return x.ndim in (3, 4) and y.ndim == 3 and len(x) == len(y) and y.shape[1:] in (x.shape[1:3], x.shape[2:])


# What may be wrong


def _looked_at(y: Mapping[str, NDArray[np.int16]], labels: Sequence[str]) -> list[Finding]:
    """Classes that are rare or missing, and pixels without a target."""
    found: list[Finding] = []
    counts = counted(y["train"], len(labels))
    shares = counts / max(1, counts.sum())
    told = tuple(f"{label}: {share:.2%}" for label, share in zip(labels, shares, strict=True))
    found.append(Finding("note", "pixels of train by class", len(labels), len(labels), told[:20]))
    rare = tuple(one for one, share in zip(told, shares, strict=True) if share < _RARE)
    if rare:
        found.append(
            Finding(
                "warning", f"classes cover less than {_RARE:.1%} of the pixels of train", len(rare), len(labels), rare[:5]
            )
        )
    for split, masks in y.items():
        empty = sum(int((~(masks[part] > 0).any(axis=(1, 2))).sum()) for part in flat.steps(masks))
        if empty:
            found.append(Finding("note", f"masks of {split} hold {labels[0]} alone", empty, len(masks)))
    return found


def counted(y: NDArray[np.int16], classes: int) -> NDArray[np.int64]:
    """Pixels of each class."""
    found = np.zeros(classes, np.int64)
    for part in flat.steps(y):
        known = y[part][y[part] >= 0]
        found += np.bincount(known.astype(np.int64), minlength=classes)
    return found
