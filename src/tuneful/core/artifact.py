"""The sealed folder that leaves the house: its layout, its hashes, its format number.

    model.onnx           the network, softmax inside: x [N, *shape] float32 -> probabilities [N, L], or value [N]; where it can,
                         map [N, L, *sides] besides (`pipeline.explain`); the names of the classes are its metadata "labels"
                         (of pairs of texts it reads the source, and writer.onnx beside it says what follows a token; of an open
                         set it gives probabilities_and_energy [N, L + 1])
    weights.safetensors  the same weights for torch
    recipe.json          how it was made
    preprocessing.json   how raw input becomes x
    labels.json          class names in the order of their numbers; [] for a regression
    evidence.json        what is known of it, every number with its interval
    card.md              the same in words
    inputs.json          JSON Schema of what is asked for, with the ranges that train had (`runtime.inputs`)
    reference.json       how inputs and answers were distributed, for telling drift; may be missing (`runtime.reference`)
    environment.json     what it was made with: versions, processor
    sbom.json            a bill of materials: CycloneDX, of the files here and the packages behind them
    licence.txt          under which licence it may be used, as far as that is known
    manifest.json        {"format": 2, "tuneful": version, "created": UTC, "files": {name: {"sha256": hex, "bytes": n}}}
    signature.json       who vouches for the manifest; may be missing, and is listed nowhere (`runtime.signature`)

Format 1 had none of the files from inputs.json on but reference.json; it is read as before. A seal is all or nothing: the folder
is written beside its place, synced, and renamed into it. Hashes tell damage, not forgery: whoever can change a file can change the
manifest too; a signature tells forgery. Only the standard library is needed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tuneful.core.errors import ArtifactError, StorageError

FORMAT = 2
MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
_FIRST = (
    "model.onnx", "weights.safetensors", "recipe.json", "preprocessing.json", "labels.json", "evidence.json", "card.md",
)  # fmt: skip
LAYOUTS = {1: _FIRST, 2: (*_FIRST, "inputs.json", "environment.json", "sbom.json", "licence.txt")}  # by format
LAYOUT = LAYOUTS[FORMAT]
LIMITS = {".onnx": 2 << 30, ".safetensors": 64 << 30}  # bytes a file may have; 2 GiB is all that protobuf can hold
LIMIT = 64 << 20  # for every other file
SMALL = 1 << 20  # for the manifest
MANY = 64  # files in one artifact
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AGAIN = "get a fresh copy of the artifact, or ship the model again"
_WHICH = "give the folder that `ship` wrote"


@dataclass(frozen=True)
class Artifact:
    """A folder that was found whole. Every `read` looks at the hash again: what you get is what was sealed."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """The sealed files, without the manifest."""
        return tuple(self.manifest["files"])

    def read(self, name: str) -> Any:
        """The content of a sealed file: .json parsed, .md and .txt as text, everything else as bytes.

        Raises ArtifactError when there is no such file or it is not what was sealed.
        """
        data = self.raw(name)
        if name.endswith(".json"):
            return _parsed(self.folder / name, data)
        return data.decode("utf-8", "replace") if name.endswith((".md", ".txt")) else data

    def raw(self, name: str) -> bytes:
        """The bytes of a sealed file, checked against size and hash."""
        if name not in self.manifest["files"]:
            raise ArtifactError(f"{self.folder} has no file {name}", f"it has {', '.join(self.names)}")
        entry = self.manifest["files"][name]
        with _opened(self.folder / name, entry["bytes"]) as file:
            data = file.read(entry["bytes"] + 1)
        _same(self.folder / name, len(data), hashlib.sha256(data).hexdigest(), entry)
        return data


def seal(folder: Path, files: Mapping[str, Any], version: str, created: str = "") -> Artifact:
    """Write an artifact, whole or not at all; one that lies there already is replaced in the last moment.

    Args:
        folder: its place; may hold an older artifact or nothing, but not other files.
        files: name -> bytes, text, or plain data for a .json name; every name of LAYOUT, and others if you like.
        version: of the tuneful that writes.
        created: ISO time; now, in UTC, when empty.

    Raises: StorageError when the disk is full or refuses (what lay there before is untouched and nothing half-written
    stays); ArtifactError when a file is missing or too large, or the folder holds something else.
    """
    contents = {name: encoded(name, value) for name, value in files.items()}
    if missing := [name for name in LAYOUT if name not in contents]:
        raise ArtifactError(f"an artifact needs {', '.join(LAYOUT)}; {', '.join(missing)} is missing")
    manifest = {
        "format": FORMAT,
        "tuneful": version,
        "created": created or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": {n: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for n, data in contents.items()},
    }
    _checked(folder / MANIFEST, manifest)
    place = folder.resolve()
    beside = place.with_name(f".{place.name}.sealing-{secrets.token_hex(4)}")
    with _storing(folder):
        _free_to_take(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place)
    try:
        with _storing(folder):
            beside.mkdir()
        for name, data in {**contents, MANIFEST: encoded(MANIFEST, manifest)}.items():
            with _storing(folder / name, len(data)), (beside / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        with _storing(folder):
            _sync(beside)
            _take(beside, place)
            _sync(place.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # the half-written new one, or the old one that was swapped out
    return Artifact(folder, manifest)


def unseal(folder: Path) -> Artifact:
    """Check a folder and open it: manifest, format, every file's size and hash, and nothing that is not listed.

    Symbolic links and names that lead out of the folder are refused. Cost: every byte is read once.
    Raises: ArtifactError with the file's name and what differs.
    """
    if not folder.is_dir():
        met = "is a file" if folder.exists() else "does not exist"
        raise ArtifactError(f"{folder} {met}; an artifact is a folder with a {MANIFEST}", _WHICH)
    if not (folder / MANIFEST).exists():
        raise ArtifactError(f"{folder} has no {MANIFEST}; it is not an artifact", _WHICH)
    with _opened(folder / MANIFEST) as file:
        manifest = _checked(folder / MANIFEST, _parsed(folder / MANIFEST, file.read(SMALL)))
    listed: Mapping[str, Any] = manifest["files"]
    if missing := [name for name in LAYOUTS[manifest["format"]] if name not in listed]:
        raise ArtifactError(f"{folder / MANIFEST} lists no {missing[0]}; every artifact has one", _AGAIN)
    with _reading(folder):
        extra = sorted({entry.name for entry in os.scandir(folder)} - {*listed, MANIFEST, SIGNATURE})
    if extra:
        more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        raise ArtifactError(f"{folder / extra[0]}{more} is not listed in {MANIFEST}; a sealed folder holds nothing else",
                            "move it away if you put it there")  # fmt: skip
    for name, entry in listed.items():
        with _opened(folder / name, entry["bytes"]) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            _same(folder / name, file.tell(), digest, entry)
    return Artifact(folder, manifest)


def finite(value: Any) -> Any:
    """Plain data whose numbers that are not finite have become None, so that the JSON stays valid."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in cast("list[Any]", value)]
    return value


def encoded(name: str, value: Any) -> bytes:
    """What stands in a file: bytes as they are, text, or plain data for a .json name."""
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(finite(value), indent=1, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate (odd file name) becomes its JSON escape


def _parsed(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ArtifactError(f"{path} is not JSON ({why})", _AGAIN) from None


def _checked(path: Path, data: Any) -> Mapping[str, Any]:
    """The manifest's own shape, so that later code may trust every name and number in it."""

    def need(holds: bool, sentence: str) -> None:
        if not holds:
            raise ArtifactError(f"{path}: {sentence}", _AGAIN)

    need(isinstance(data, dict), "it must hold an object")
    data = cast("dict[str, Any]", data)
    number = data.get("format")
    need(type(number) is int and number >= 1, f"format is {number!r}; it must be a whole number from 1")
    if number > FORMAT:
        writer = str(data.get("tuneful"))[:40]
        raise ArtifactError(
            f"{path} has format {number}, written by tuneful {writer}; this tuneful reads formats up to {FORMAT}",
            "pip install --upgrade tuneful",
        )
    files = data.get("files")
    need(
        isinstance(files, dict) and 0 < len(cast("dict[str, Any]", files)) <= MANY,
        f"files must be an object of 1 to {MANY} entries",
    )
    for name, entry in cast("dict[str, dict[str, Any]]", files).items():
        need(bool(_NAME.fullmatch(name)) and name not in (MANIFEST, SIGNATURE), f"{name[:100]!r} is not a plain file name")
        need(type(entry) is dict, f"the entry of {name} must be an object")
        size, digest, limit = entry.get("bytes", -1), str(entry.get("sha256")), LIMITS.get(Path(name).suffix, LIMIT)
        need(type(size) is int and 0 <= size <= limit, f"{name} has {size} bytes; it must have 0 to {limit}")
        need(bool(re.fullmatch("[0-9a-f]{64}", digest)), f"the sha256 of {name} is not 64 hex digits")
    return data


@contextlib.contextmanager
def _opened(path: Path, size: int | None = None) -> Generator[io.BufferedReader]:
    """A plain file of `size` bytes (None: a manifest of any small size), never through a symbolic link."""
    with _reading(path):
        kind = os.lstat(path).st_mode
        if not stat.S_ISREG(kind):
            met = "a symbolic link" if stat.S_ISLNK(kind) else "not a file"
            raise ArtifactError(f"{path} is {met}; an artifact holds plain files only", _AGAIN)
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            met = os.fstat(file.fileno()).st_size
            if size is None and met > SMALL:
                raise ArtifactError(f"{path} has {met} bytes; it may have at most {SMALL}", _AGAIN)
            if size is not None and met != size:
                raise ArtifactError(f"{path} has {met} bytes; {size} were sealed", _AGAIN)
            yield file


def _same(path: Path, size: int, digest: str, entry: Mapping[str, Any]) -> None:
    if size != entry["bytes"] or digest != entry["sha256"]:
        sealed = entry["sha256"][:12]
        raise ArtifactError(f"{path} was changed: its sha256 is {digest[:12]}..., {sealed}... was sealed", _AGAIN)


@contextlib.contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; the manifest lists it", _AGAIN) from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror})", "look at its permissions and the disk") from error


@contextlib.contextmanager
def _storing(path: Path, size: int = 0) -> Generator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else (error.strerror or str(error))
        much = f" ({size / 1e6:.1f} MB)" if full and size else ""
        hint = "free some space or give another folder" if full else "see that the folder can be written, or give another"
        raise StorageError(
            f"{path}{much} cannot be written: {why}", f"{hint}; what was there before is untouched"
        ) from error


def _free_to_take(folder: Path) -> None:
    if folder.is_dir() and (folder / MANIFEST).exists():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(
            f"{folder} exists and is no artifact; it will not be overwritten", "give a new folder, or empty it"
        )


def _sweep(place: Path) -> None:
    """Remove what a killed process left beside `place`; an hour's age tells it from a writer at work. While the place is
    empty nothing is removed: what lies beside it may be the only whole copy."""
    for left in place.parent.glob(f".{place.name}.sealing-*") if place.exists() else ():
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left, ignore_errors=True)


def _take(beside: Path, place: Path) -> None:
    """Put `beside` in the place of `place`. On Linux the two are exchanged in one step; elsewhere an old artifact is away
    for the moment between two renames, and comes back if the second fails."""
    if not place.exists():
        os.rename(beside, place)
        return
    if sys.platform == "linux" and _exchanged(beside, place):
        return
    aside = beside.with_name(beside.name + "-old")
    os.rename(place, aside)
    try:
        os.rename(beside, place)
    except OSError:
        os.rename(aside, place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """renameat2(2) with RENAME_EXCHANGE; False where kernel, file system or C library has it not."""
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _sync(folder: Path) -> None:
    """Make the names in a folder durable. Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["FORMAT", "LAYOUT", "LAYOUTS", "MANIFEST", "SIGNATURE", "Artifact", "encoded", "finite", "seal", "unseal"]
