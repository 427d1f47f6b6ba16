"""A folder of images or sounds with one folder a class, with or without train, valid (validation, val, dev) and test above.

flowers/rose/1.jpg                 flowers/train/rose/1.jpg  flowers/test/rose/7.jpg
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import SPLITS, Files, Raw, Source, listing

_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_SOUNDS = (".wav", ".wave", ".flac", ".ogg", ".oga", ".aif", ".aiff")
_LOOK = 50  # files of a class that say what a folder is about
_DEEPEST = 8  # levels of folders below a class
_MOST = 5_000_000  # files; more belong into another format


class ImageFolder(Source):
    kind: Literal["image_folder"] = "image_folder"
    source: ClassVar[str] = "the layout of ImageNet and torchvision's ImageFolder"
    cost: ClassVar[str] = "every file is decoded once, brought to one size or length and kept in memory as bytes"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and given.is_dir() and any(_is_dir(entry) for entry in listing(given))

    def read(self, given: Path) -> Raw:
        folders = [entry for entry in listing(given) if _is_dir(entry)]
        named = {SPLITS[e.name.lower()]: Path(e.path) for e in folders if e.name.lower() in SPLITS}
        findings: list[Finding] = []
        parts: dict[str, Files] = {}
        roots = list(named.items()) if "train" in named else [("train", given)]
        media = _media([root for _, root in roots])
        for split, root in roots:
            parts[split] = _classes(root, media, findings)
        for split, part in parts.items():
            if not part.paths:
                raise DataError(
                    f"{named.get(split, given)} holds no {media}s in class folders; at least two folders with {media}s are wanted",
                    f"put the {media}s of each class into a folder of its own, such as {given.name}/cat/1.{_EXAMPLE[media]}",
                )
        classes = sorted(set(parts["train"].labels))
        counts = ", ".join(f"{len(part.paths)} {split}" for split, part in parts.items())
        article = "an image" if media == "image" else "a sound"
        what = f"{article} folder with {len(classes)} classes and {counts} {media}s"
        return Raw(parts, what, given.name, tuple(findings))


Media = Literal["image", "sound"]
_EXAMPLE: dict[Media, str] = {"image": "jpg", "sound": "wav"}


def media_of(path: bytes) -> Media | None:
    """Whether a file is an image or a sound, by its name, else by its first bytes; None when it is neither."""
    name = path.lower()
    if name.endswith(tuple(s.encode() for s in _SUFFIXES)):
        return "image"
    if name.endswith(tuple(s.encode() for s in _SOUNDS)):
        return "sound"
    try:
        if not os.path.isfile(path):
            return None  # never wait on a pipe or a device
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError:
        return None
    if start.startswith(_MAGIC) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "image"
    return "sound" if start[:4] in (b"fLaC", b"OggS") or (start[:4] == b"RIFF" and start[8:12] == b"WAVE") else None


def _media(roots: list[Path]) -> Media:
    """What a folder is about: the kind that most of the first files of each class are of."""
    counts: dict[Media, int] = {"image": 0, "sound": 0}
    for root in roots:
        for entry in listing(root):
            if _is_dir(entry):
                for path in itertools.islice(_found(os.fsencode(entry.path)), _LOOK):
                    if (kind := media_of(path)) is not None:
                        counts[kind] += 1
    return "sound" if counts["sound"] > counts["image"] else "image"


def _classes(root: Path, media: Media, findings: list[Finding]) -> Files:
    paths: list[bytes] = []
    labels: list[str] = []
    ignored: list[str] = []
    for entry in listing(root):
        if not _is_dir(entry):
            ignored += [printable(entry.name)] if media_of(os.fsencode(entry.path)) == media else []
            continue
        found = sorted(path for path in _found(os.fsencode(entry.path)) if media_of(path) == media)
        if not found:
            findings.append(
                Finding("warning", f"a folder holds no {media}s and makes no class", 1, 1, (printable(entry.name),))
            )
        paths += found
        labels += [printable(entry.name)] * len(found)
    if ignored:
        findings.append(
            Finding("warning", f"{media}s in {root.name} outside every class folder are not used", len(ignored),
                    len(ignored) + len(paths), tuple(ignored[:5]), "move each into the folder of its class")
        )  # fmt: skip
    return Files(tuple(paths), tuple(labels), media)


def _found(folder: bytes) -> Iterator[bytes]:
    """All files below a class folder; links that lead in a circle and folders too deep are not followed."""
    many = 0
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
                there = [entry for entry in entries if not entry.name.startswith((b".", b"__"))]
        except OSError as error:
            raise DataError(f"{printable(os.fsdecode(here))} cannot be opened: {error.strerror or error}") from None
        for entry in there:
            if _is_dir(entry):
                waiting.append((entry.path, depth + 1))
            else:
                many += 1
                yield entry.path
        if many > _MOST:
            raise DataError(f"{printable(os.fsdecode(folder))} holds more than {_MOST} files; at most {_MOST} are read")


def _is_dir(entry: os.DirEntry[Any]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def printable(name: str) -> str:
    """A file name that can be printed and stored anywhere; odd bytes and line breaks are escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
