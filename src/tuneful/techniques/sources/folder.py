"""A folder of images with one folder a class, with or without train, valid (validation, val, dev) and test above them.

flowers/rose/1.jpg                 flowers/train/rose/1.jpg  flowers/test/rose/7.jpg
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import SPLITS, Files, Raw, Source, listing

_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
_DEEPEST = 8  # levels of folders below a class
_MOST = 5_000_000  # files; more belong into another format


class ImageFolder(Source):
    kind: Literal["image_folder"] = "image_folder"
    source: ClassVar[str] = "the layout of ImageNet and torchvision's ImageFolder"
    cost: ClassVar[str] = "every image is decoded once, resized to one size and kept in memory as bytes"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and given.is_dir() and any(_is_dir(entry) for entry in listing(given))

    def read(self, given: Path) -> Raw:
        folders = [entry for entry in listing(given) if _is_dir(entry)]
        named = {SPLITS[e.name.lower()]: Path(e.path) for e in folders if e.name.lower() in SPLITS}
        findings: list[Finding] = []
        parts: dict[str, Files] = {}
        for split, root in named.items() if "train" in named else [("train", given)]:
            parts[split] = _classes(root, findings)
        for split, part in parts.items():
            if not part.paths:
                raise DataError(
                    f"{named.get(split, given)} holds no images in class folders; at least two folders with images are wanted",
                    f"put the images of each class into a folder of its own, such as {given.name}/cat/1.jpg",
                )
        classes = sorted(set(parts["train"].labels))
        counts = ", ".join(f"{len(part.paths)} {split}" for split, part in parts.items())
        return Raw(parts, f"an image folder with {len(classes)} classes and {counts} images", given.name, tuple(findings))


def _classes(root: Path, findings: list[Finding]) -> Files:
    paths: list[bytes] = []
    labels: list[str] = []
    ignored: list[str] = []
    for entry in listing(root):
        if not _is_dir(entry):
            ignored += [printable(entry.name)] if _is_image(os.fsencode(entry.path)) else []
            continue
        found = _images(os.fsencode(entry.path))
        if not found:
            findings.append(
                Finding("warning", "a folder holds no images and makes no class", 1, 1, (printable(entry.name),))
            )
        paths += found
        labels += [printable(entry.name)] * len(found)
    if ignored:
        findings.append(
            Finding("warning", f"images in {root.name} outside every class folder are not used", len(ignored),
                    len(ignored) + len(paths), tuple(ignored[:5]), "move each into the folder of its class")
        )  # fmt: skip
    return Files(tuple(paths), tuple(labels))


def _images(folder: bytes) -> list[bytes]:
    """All images below a class folder, by name; links that lead in a circle and folders too deep are not followed."""
    found: list[bytes] = []
    seen: set[tuple[int, int]] = set()
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            stat = os.stat(here)
            if (stat.st_dev, stat.st_ino) in seen or depth > _DEEPEST:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.name.startswith((b".", b"__")):
                        continue
                    if _is_dir(entry):
                        waiting.append((entry.path, depth + 1))
                    elif entry.name.lower().endswith(tuple(s.encode() for s in _SUFFIXES)) or _is_image(entry.path):
                        found.append(entry.path)
        except OSError as error:
            raise DataError(f"{printable(os.fsdecode(here))} cannot be opened: {error.strerror or error}") from None
        if len(found) > _MOST:
            raise DataError(f"{printable(os.fsdecode(folder))} holds more than {_MOST} images; at most {_MOST} are read")
    return sorted(found)


def _is_dir(entry: os.DirEntry[Any]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_image(path: bytes) -> bool:
    if path.lower().endswith(tuple(s.encode() for s in _SUFFIXES)):
        return True
    try:
        if not os.path.isfile(path):
            return False  # never wait on a pipe or a device
        with open(path, "rb") as file:
            return file.read(8).startswith(_MAGIC)
    except OSError:
        return False


def printable(name: str) -> str:
    """A file name that can be printed and stored anywhere; odd bytes and line breaks are escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
