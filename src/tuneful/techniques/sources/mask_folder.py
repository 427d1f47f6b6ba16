"""A folder of images and one of their masks, paired by the name before the ending.

cells/images/a.png  cells/masks/a.png            with train.txt, valid.txt, test.txt beside them that list names, or without
cells/train/images/a.png  cells/train/masks/a.png  cells/test/...        cells/images/train/a.png  cells/masks/train/a.png

A mask may be called a_mask.png too. classes.txt, where there is one, names the values of the masks, one a line, from 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.folder import media_of, printable
from tuneful.techniques.sources.raw import SPLITS, Masked, Raw, Source, content, listing

IMAGES = ("images", "image", "imgs", "img", "jpegimages")
MASKS = ("masks", "mask", "annotations", "segmentations", "segmentationclass", "labels", "ground_truth", "groundtruth", "gt")
ENDS = ("_mask", "-mask", "_masks", "_seg", "_segmentation", "_label", "_labels", "_gt", "_groundtruth")
_NAMES = ("classes.txt", "labels.txt", "class_names.txt")


class MaskFolder(Source):
    kind: Literal["mask_folder"] = "mask_folder"
    source: ClassVar[str] = "the layouts of PASCAL VOC, of Kaggle's segmentation tasks and of U-Net's example code"
    cost: ClassVar[str] = (
        "every image and mask is decoded and brought to one size; images stay in their files where they would not fit"
    )

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and given.is_dir() and bool(_pairs(given))

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        names = _class_names(given)
        found = {split: paired(_files(a), _files(b), f"{a}", f"{b}", findings) for split, (a, b) in _pairs(given).items()}
        if "train" not in found:
            raise DataError(f"{given} holds images with masks of {', '.join(found)}; those of train are missing")
        if set(found) == {"train"}:
            found = _listed(given, found["train"], findings)
        parts = {s: Masked(tuple(a for a, _ in pairs), tuple(b for _, b in pairs), names) for s, pairs in found.items()}
        counts = ", ".join(f"{len(part.paths)} {split}" for split, part in parts.items())
        return Raw(parts, f"a folder of images with masks, {counts}", given.name, tuple(findings))


def paired(
    images: Mapping[str, bytes], masks: Mapping[str, bytes], where: str, beside: str, findings: list[Finding]
) -> list[tuple[bytes, bytes]]:
    """Images with the mask of the same name. Raises DataError where no two belong together."""
    bare = {_bare(stem): path for stem, path in masks.items()} | dict(masks)
    found = [(path, bare[stem]) for stem, path in images.items() if stem in bare]
    if not found:
        example = next(iter(images), "a")
        raise DataError(
            f"no mask in {beside} is called like an image in {where} ({len(masks)} masks, {len(images)} images)",
            f"the mask of {example}.png is wanted as {example}.png or {example}_mask.png",
        )
    alone = [printable(stem) for stem in images if stem not in bare]
    if alone:
        text = f"images in {Path(where).name} have no mask and are left out"
        findings.append(Finding("warning", text, len(alone), len(images), tuple(alone[:5])))
    unused = [printable(stem) for stem in masks if stem not in images and _bare(stem) not in images]
    if unused:
        text = f"masks in {Path(beside).name} have no image and are not used"
        findings.append(Finding("warning", text, len(unused), len(masks), tuple(unused[:5])))
    return found


def _bare(stem: str) -> str:
    """The name without what only says that it is a mask."""
    end = next((end for end in ENDS if stem.lower().endswith(end)), "")
    return stem[: len(stem) - len(end)] if end else stem


def _pairs(root: Path) -> dict[str, tuple[Path, Path]]:
    """{split: (folder of images, folder of masks)}; {} where the folder has no such layout."""
    folders = {entry.name.lower(): Path(entry.path) for entry in listing(root) if _is_folder(entry)}
    images, masks = (next((folders[name] for name in known if name in folders), None) for known in (IMAGES, MASKS))
    if images is not None and masks is not None:
        inner = {SPLITS[e.name.lower()]: e.name for e in listing(images) if _is_folder(e) and e.name.lower() in SPLITS}
        below = {s: (images / name, masks / name) for s, name in inner.items() if (masks / name).is_dir()}
        if below:
            return below
        return {"train": (images, masks)} if any(media_of(os.fsencode(e.path)) == "image" for e in listing(masks)) else {}
    found: dict[str, tuple[Path, Path]] = {}
    for name, folder in folders.items():
        if name in SPLITS and images is None and (inside := _pairs(folder)).keys() == {"train"}:
            found[SPLITS[name]] = inside["train"]
    return found if "train" in found else {}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _files(folder: Path) -> dict[str, bytes]:
    """The images of a folder by the name before the ending. Raises DataError where two share one."""
    found: dict[str, bytes] = {}
    for entry in listing(folder):
        path = os.fsencode(entry.path)
        if media_of(path) != "image":
            continue
        stem = Path(entry.name).stem
        if stem in found:
            raise DataError(
                f"{folder} holds {printable(os.path.basename(os.fsdecode(found[stem])))} and {printable(entry.name)}, so that "
                "masks cannot be paired by name; each name may be there once",
                "remove one of them",
            )
        found[stem] = path
    return found


def _listed(root: Path, pairs: list[tuple[bytes, bytes]], findings: list[Finding]) -> dict[str, list[tuple[bytes, bytes]]]:
    """The splits that lists beside the folders name (train.txt, valid.txt, test.txt); one where there are none."""
    lists = {SPLITS[p.stem.lower()]: p for p in sorted(root.glob("*.txt")) if p.stem.lower() in SPLITS and p.is_file()}
    if "train" not in lists or len(lists) < 2:
        return {"train": pairs}
    by_stem = {Path(os.fsdecode(image)).stem: (image, mask) for image, mask in pairs}
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    absent: list[str] = []
    for split, path in lists.items():
        lines = content(path).decode("utf-8", "replace").splitlines()
        named = [_stem(line.strip(), by_stem) for line in lines if line.strip()]
        found[split] = [by_stem[stem] for stem in dict.fromkeys(named) if stem in by_stem]
        absent += [printable(stem) for stem in named if stem not in by_stem]
        if not found[split]:
            raise DataError(f"{path} names no image that is there (its first line: {printable((lines or [''])[0])[:80]})")
    if absent:
        findings.append(Finding("warning", "names in the lists of splits have no image with a mask", len(absent),
                                len(absent) + sum(map(len, found.values())), tuple(absent[:5])))  # fmt: skip
    unnamed = len(by_stem) - len({image for pairs in found.values() for image, _ in pairs})
    if unnamed:
        findings.append(Finding("warning", "images are in no list of a split and are not used", unnamed, len(by_stem)))
    return found


def _stem(line: str, known: Mapping[str, object]) -> str:
    """A line of a list as a name: with or without folder and ending."""
    last = line.replace("\\", "/").rpartition("/")[2]
    return last if last in known else Path(last).stem


def _class_names(root: Path) -> tuple[str, ...]:
    path = next((root / name for name in _NAMES if (root / name).is_file()), None)
    if path is None:
        return ()
    lines = content(path).decode("utf-8-sig", "replace").splitlines()
    return tuple(printable(line.strip()) for line in lines if line.strip())
