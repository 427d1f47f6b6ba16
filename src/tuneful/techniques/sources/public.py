"""A public data set by its name: mnist, fashion-mnist, cifar10, cifar100; and the small ones inside scikit-learn.

It is looked for in $TUNEFUL_DATA/NAME, in any layout that is read elsewhere (idx, .npz, CIFAR batches, folders of images), then
in tuneful's cache; else it is downloaded from its authors into the first of the two that can be written, and its size and hash
are checked. A file or folder of that name in the working directory is meant before a public set.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tuneful.core.errors import DataError, StorageError, TunefulError
from tuneful.techniques.sources.cifar import Cifar
from tuneful.techniques.sources.download import Remote, fetch
from tuneful.techniques.sources.folder import ImageFolder
from tuneful.techniques.sources.idx import Idx
from tuneful.techniques.sources.npz import Npz
from tuneful.techniques.sources.raw import Arrays, Raw, Source, note


@dataclass(frozen=True)
class Known:
    """A public set: the files that make it, and where it comes from, for people."""

    files: tuple[Remote, ...]
    origin: str


def _four(address: str, told: tuple[tuple[int, str], ...]) -> tuple[Remote, ...]:
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return tuple(Remote(f"{address}/{name}", size, f"md5:{md5}") for name, (size, md5) in zip(names, told, strict=True))


SETS: dict[str, Known] = {
    "mnist": Known(
        _four("https://ossci-datasets.s3.amazonaws.com/mnist", (
            (9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"), (28881, "d53e105ee54ea40749a09fcbcd1e9432"),
            (1648877, "9fb629c4189551a2d022fa330f9573f3"), (4542, "ec29112dd5afa0611ce80d1b7f02629c"))),
        "LeCun, Cortes & Burges, 1998"),
    "fashion-mnist": Known(
        _four("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion", (
            (26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"), (29515, "25c81989df183df01b3e8a0aad5dffbe"),
            (4422102, "bef4ecab320f06d8554ea6380940ec79"), (5148, "bb300cfdad3c16e7a12a480ee83cd310"))),
        "Xiao, Rasul & Vollgraf, arXiv:1708.07747"),
    "cifar10": Known(
        (Remote("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", 170498071, "md5:c58f30108f718f92721af3b95e74349a"),),
        "Krizhevsky, 2009"),
    "cifar100": Known(
        (Remote("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", 169001437, "md5:eb9058c3a382ffc7106e4002c42a8d85"),),
        "Krizhevsky, 2009"),
}  # fmt: skip
"""Sizes and hashes are those that torchvision checks."""

INSIDE = ("iris", "wine", "breast-cancer", "diabetes")  # lie within scikit-learn
_ALIASES = {"fashionmnist": "fashion-mnist", "cifar-10": "cifar10", "cifar-100": "cifar100"}
_FILES: tuple[type[Source], ...] = (Idx, Npz, Cifar)


def known(name: object) -> str:
    """The set that a word means, or ""."""
    word = name.strip().lower().replace("_", "-") if isinstance(name, str) else ""
    word = _ALIASES.get(word, word)
    return word if word in SETS or word in INSIDE else ""


class Public(Source):
    kind: Literal["public"] = "public"
    source: ClassVar[str] = "the sets' own authors; scikit-learn's embedded sets"
    cost: ClassVar[str] = "a download of up to 170 MB, once"

    def accepts(self, given: object) -> bool:
        return bool(known(given))

    def read(self, given: Any) -> Raw:
        name = known(given)
        if name in INSIDE:
            return _inside(name)
        tried: list[str] = []
        for folder in places(name):
            if (found := _here(folder)) is not None:
                return replace(found[0].read(found[1]), name=name)
            tried.append(f"{folder} holds nothing that can be read" if folder.is_dir() else f"there is no folder {folder}")
        for folder in places(name):
            try:
                for remote in SETS[name].files:
                    _unpack(fetch(remote, folder), folder)
            except StorageError as error:
                tried.append(error.message)
                continue
            except TunefulError as error:
                tried.append(error.message)
                break
            if (found := _here(folder)) is not None:
                raw = found[0].read(found[1])
                told = note(f"{name} was downloaded into {folder} (from {SETS[name].origin}); its hashes are right")
                return replace(raw, name=name, findings=(*raw.findings, told))
        files = ", ".join(remote.address for remote in SETS[name].files)
        raise DataError(
            f"{name} is not here and cannot be fetched: {'; '.join(tried)}", f"put {files} into {places(name)[0]}"
        )


def places(name: str) -> list[Path]:
    """Where a set may lie, the best place first: below $TUNEFUL_DATA where it is set, then in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tuneful"
    roots = [Path(os.environ["TUNEFUL_DATA"])] if os.environ.get("TUNEFUL_DATA") else []
    return [root / name for root in (*roots, cache)]


def _here(folder: Path) -> tuple[Source, Path] | None:
    """What reads the folder, or a folder in it where other loaders put the files (NAME/raw, cifar-10-batches-py); None where
    nothing does. Half of a download is nothing."""
    if not folder.is_dir() or any(folder.glob("*.part")):
        return None
    inside = [path for pattern in ("*", "*/raw") for path in sorted(folder.glob(pattern))[:20] if path.is_dir()]
    for kinds, folders in ((_FILES, [folder, *inside]), ((ImageFolder,), [folder])):
        for path in folders:
            for kind in kinds:
                if kind().accepts(path):
                    return kind(), path
    return None


def _unpack(path: Path, folder: Path) -> None:
    """The files of a .tar.gz, without the folders inside, so that no name can lead elsewhere; other files are left alone."""
    if not path.name.endswith(".tar.gz"):
        return
    try:
        with tarfile.open(path) as archive:
            for member, name in _members(archive):
                if (source := archive.extractfile(member)) is not None:
                    aside = folder / f"{name}.part"
                    with source, aside.open("wb") as file:
                        while piece := source.read(1 << 20):
                            file.write(piece)
                    aside.replace(folder / name)
    except tarfile.TarError as error:
        raise DataError(f"{path} is not a whole archive: {error}", "remove it; the same command fetches it again") from None
    path.unlink()


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    for member in archive:
        name = Path(member.name).name
        if member.isreg() and name and not name.startswith("."):
            yield member, name


def _inside(name: str) -> Raw:
    from sklearn import datasets

    loaded: Any = getattr(datasets, f"load_{name.replace('-', '_')}")()
    names = [str(label) for label in getattr(loaded, "target_names", ())]
    y = np.array(names, dtype=object)[loaded.target] if names else loaded.target
    part = Arrays(np.asarray(loaded.data), np.asarray(y))
    return Raw({"train": part}, f"scikit-learn's {name}, {len(part.y)} examples of {part.x.shape[1]} numbers", name)


__all__ = ["INSIDE", "SETS", "Known", "Public", "known", "places"]
