"""Images with a class at each pixel: read, coded, brought to one size (images blended, masks by the nearest pixel), split.

Where sides agree and are at most 128 they stay; otherwise images are brought to the shape of the middle one with 128 pixels along
its longer side. Predicted masks of files are given back at each file's own size.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline import checks, images, maskcodes, targets
from tuneful.pipeline.maskcodes import Coding
from tuneful.pipeline.parts import Built, Options, Parts, divide, take
from tuneful.runtime.pixels import Header, read_header, read_image, show_path
from tuneful.techniques.sources import Arrays, Masked, Raw, guard

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
    shares = {part: (found > 0).mean(axis=(1, 2)).astype(np.float32) for part, found in y.items()}
    chosen = divide(shares, twins, options, findings)  # as many masks with much in them everywhere
    out = {name: take(x[part], indices) for name, (part, indices) in chosen.items()}
    classes = {name: take(y[part], indices) for name, (part, indices) in chosen.items()}
    findings += _looked_at(classes, coding.labels)
    shape = [int(side) for side in x["train"].shape[1:]]
    schema = {"format": 1, "kind": "image", "shape": shape, "dtype": str(x["train"].dtype), "mask": coding.as_data()}
    return Built(
        x=out, target=targets.Target("segmentation", coding.labels, y), y=classes, schema=schema, column="mask", what="image",
        twins={name: twins[part][indices] for name, (part, indices) in chosen.items()},
        normalize=images.statistics(out["train"]), about={"pixels": shape[1:]},
    )  # fmt: skip


def read_mask(path: bytes) -> tuple[NDArray[np.int64], bool]:
    """The values of a mask file [H, W], palette entries by their number, and whether they are colours (red, green, blue as one
    number). Raises DataError that names the file."""
    from PIL import Image

    header = read_header(path)
    if header.trouble:
        raise DataError(f"{show_path(path)} cannot be read as a mask: {header.trouble}", "replace or remove the file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                image.load()
                if image.mode in ("LA", "La", "PA"):
                    image = image.convert("L" if image.mode != "PA" else "RGB")
                array = np.asarray(
                    image if image.mode in ("1", "L", "P") or image.mode.startswith("I") else image.convert("RGB")
                )
    except Exception as error:  # Pillow's decoders raise anything for damaged files
        raise DataError(
            f"{show_path(path)} cannot be read as a mask: it is damaged ({error})", "replace or remove the file"
        ) from None
    if array.ndim == 2:
        return array.astype(np.int64), False
    deep = array.astype(np.int64)
    if bool((deep[..., 0] == deep[..., 1]).all() and (deep[..., 1] == deep[..., 2]).all()):
        return deep[..., 0], False
    return deep[..., 0] << 16 | deep[..., 1] << 8 | deep[..., 2], True


def nearest(mask: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """A mask [H, W] at another size, each pixel from the nearest of the old ones; an area that both have is not moved."""
    if mask.shape == (height, width):
        return mask
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    return mask[rows[:, None], columns]


def fitted(part: Masked, coding: Coding, height: int, width: int) -> NDArray[np.int16]:
    """The masks of a split as class numbers [N, H, W], coded as the schema says."""
    return np.stack([coding.classes(nearest(_grey(path, coding), height, width)) for path in part.masks])


def _grey(path: bytes, coding: Coding) -> NDArray[np.int64]:
    """A mask's values; grey ones as colours where the masks of train were coloured, so that an empty one is black there too."""
    mask, coloured = read_mask(path)
    return mask * 0x010101 if not coloured and max(coding.codes) > 0xFFFF else mask


# Files


def _from_files(parts: Mapping[str, Masked], options: Options, findings: list[Finding]) -> tuple[Parts, Parts, Coding]:
    with ThreadPoolExecutor(_THREADS) as pool:
        heads = {split: list(pool.map(read_header, part.paths)) for split, part in parts.items()}
        beside = {split: list(pool.map(read_header, part.masks)) for split, part in parts.items()}
        parts, good = _readable(parts, heads, beside, findings)
        channels, (height, width) = images.channels_of(good, findings), _size(good, options.size, findings)
        guard(sum(len(p.paths) for p in parts.values()) * (channels + 2.0) * height * width, "images with their masks")
        first = parts["train"]
        looked = list(pool.map(read_mask, first.masks))
        coloured = any(colours for _, colours in looked)
        masks = [mask * 0x010101 if coloured and not colours else mask for mask, colours in looked]
        coding = maskcodes.decide(masks, options.masks, first.names, findings, coloured)
        x = {
            s: np.stack(list(pool.map(lambda p: read_image(p, channels, height, width), part.paths)))
            for s, part in parts.items()
        }
    y: Parts = {split: fitted(part, coding, height, width) for split, part in parts.items()}
    return x, y, coding


def _readable(
    parts: Mapping[str, Masked],
    heads: Mapping[str, Sequence[Header]],
    beside: Mapping[str, Sequence[Header]],
    findings: list[Finding],
) -> tuple[dict[str, Masked], list[Header]]:
    """What can be read of each part, and the headers of its images; what cannot, and masks of another size, are told."""
    found: dict[str, Masked] = {}
    good: list[Header] = []
    troubles: list[str] = []
    other: list[str] = []
    for split, part in parts.items():
        pairs = list(zip(part.paths, part.masks, heads[split], beside[split], strict=True))
        kept = [pair for pair in pairs if not pair[2].trouble and not pair[3].trouble]
        troubles += [
            f"{show_path(a).rpartition('/')[2]}: {h.trouble or m.trouble}" for a, _, h, m in pairs if h.trouble or m.trouble
        ]
        other += [show_path(a).rpartition("/")[2] for a, _, h, m in kept if (h.height, h.width) != (m.height, m.width)]
        if not kept:
            raise DataError(
                f"no image of {split} can be read with its mask ({'; '.join(troubles[:3])})", "replace these files"
            )
        found[split] = Masked(tuple(a for a, *_ in kept), tuple(b for _, b, *_ in kept), part.names)
        good += [head for _, _, head, _ in kept]
    n = len(good) + len(troubles)
    if troubles:
        findings.append(
            Finding("warning", "images or masks cannot be read and are left out", len(troubles), n, tuple(troubles[:20]))
        )
    if other:
        text = "masks are of another size than their images; each is stretched to the size of the network"
        findings.append(Finding("warning", text, len(other), n, tuple(other[:5]), "do they belong together?"))
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
    flat = {split: _flat(part.y) for split, part in parts.items()}
    x = images.shaped({split: part.x for split, part in parts.items()}, options.size, findings)
    for split, y in flat.items():
        if y.ndim != 3 or len(y) != len(x[split]) or y.shape[1:] != x[split].shape[2:]:
            raise DataError(
                f"x of {split} has shape {list(parts[split].x.shape)} and y {list(parts[split].y.shape)}; a mask [H, W] for each image "
                "of the same size is wanted",
                "give y as whole numbers [N, H, W]",
            )
        if y.dtype.kind not in "biu" and not bool((np.isfinite(y) & (y == np.round(y))).all()):
            raise DataError(
                f"y of {split} holds numbers that are not whole; a mask holds class numbers", "round it, or cut it at 0.5"
            )
    whole = {split: y.astype(np.int64) for split, y in flat.items()}
    names = {value for y in whole.values() for value in np.unique(y).tolist() if value < 0}
    if names:
        findings.append(Finding("note", "negative numbers in masks are taken for unknown", len(names), len(names)))
    coding = maskcodes.decide(
        [y[y >= 0] if (y < 0).any() else y for y in whole["train"]], options.masks, (), findings, False
    )
    return x, {split: np.stack([coding.classes(mask) for mask in y]) for split, y in whole.items()}, coding


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
    counts = np.bincount(y["train"][y["train"] >= 0].astype(np.int64), minlength=len(labels))
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
        empty = int((~(masks > 0).any(axis=(1, 2))).sum())
        if empty:
            found.append(Finding("note", f"masks of {split} hold {labels[0]} alone", empty, len(masks)))
    return found
