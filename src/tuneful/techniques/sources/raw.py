"""What every source yields: raw splits, as they were found, with a sentence on what was found.

A source only reads and checks form; it decides nothing about learning. `pipeline.prepare` splits, fits and encodes.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, cast

from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.interfaces import Technique

if TYPE_CHECKING:
    import polars as pl

MEMORY = "TUNEFUL_MEMORY"
"""The variable that says how much memory data may take, where half of what is free is not meant."""

SPLITS = {
    "train": "train", "training": "train", "tr": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test", "t10k": "test", "te": "test", "eval": "test",
}  # fmt: skip
"""Words by which people call their splits, and ours for each."""


@dataclass(frozen=True)
class Arrays:
    """One split in memory. x: [N, ...] numbers; y: [N] numbers or text. form: "series" where x is [N, C, T]; "" for what its
    shape says."""

    x: NDArray[Any]
    y: NDArray[Any]
    form: Literal["", "series"] = ""


@dataclass(frozen=True)
class Files:
    """One split as files. label: the class folder's name, as text that can be printed, or what a list says of the file."""

    paths: tuple[bytes, ...]
    labels: tuple[str, ...]
    media: Literal["image", "sound"] = "image"


@dataclass(frozen=True)
class Masked:
    """One split of images with a class at each pixel: image files, and the file of each one's mask. names: what the values of
    masks are called, from 0, where a file says so."""

    paths: tuple[bytes, ...]
    masks: tuple[bytes, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One split as a table. Text columns hold the cells as written, stripped; lines: the file line of the first row."""

    frame: pl.DataFrame
    where: str
    semicolons: bool = False  # the file parts its cells by ";", so a comma may be a decimal point


@dataclass(frozen=True)
class Stored:
    """One split as a table that stays on disk, since it would not fit into memory: see `stored`, which reads it.

    frames: unread frames with the same columns and types, and how many rows each has; one file may be several. holds: what
    must live as long as the table (files that were made for it).
    """

    frames: tuple[tuple[pl.LazyFrame, int], ...]
    schema: pl.Schema
    where: str
    piece: int  # rows that may be looked at together
    semicolons: bool = False
    holds: object = None

    @property
    def height(self) -> int:
        """How many rows there are."""
        return sum(rows for _, rows in self.frames)


@dataclass(frozen=True)
class Texts:
    """One split of texts. labels: a class for each; None for a text that is of no known class (out of scope)."""

    texts: tuple[str, ...]
    labels: tuple[str | None, ...]


@dataclass(frozen=True)
class Sentences:
    """One split of sentences with a tag at each word."""

    words: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Pairs:
    """One split of texts, each with what it is to become. names: of the two sides."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    names: tuple[str, str] = ("source", "target")


@dataclass(frozen=True)
class Prose:
    """One split as one running text."""

    text: str


@dataclass(frozen=True)
class Raw:
    """What a source found.

    parts: "train", and "valid" and "test" where the data brings them; all of one type. what: a sentence for people.
    """

    parts: (
        Mapping[str, Arrays]
        | Mapping[str, Files]
        | Mapping[str, Masked]
        | Mapping[str, Table]
        | Mapping[str, Stored]
        | Mapping[str, Texts]
        | Mapping[str, Sentences]
        | Mapping[str, Prose]
        | Mapping[str, Pairs]
    )
    what: str
    name: str
    findings: tuple[Finding, ...] = field(default=())


class Source(Technique):
    """A place from which data comes. `accepts` looks at content, not only at names; `read` may take long."""

    family: ClassVar[str] = "sources"

    @abstractmethod
    def accepts(self, given: object) -> bool:
        """Can this source read what was given? Cheap: looks at the first bytes only."""

    @abstractmethod
    def read(self, given: Any) -> Raw:
        """Everything that was given. Raises DataError in finished sentences."""


def note(what: str, hint: str = "", n: int = 1) -> Finding:
    """A finding that tells a choice; it counts whole things: n of n."""
    return Finding("note", what, n, n, (), hint)


def head(path: Path, size: int = 512) -> bytes:
    """The first bytes of a file, unpacked when it is gzip. Raises DataError when it cannot be read."""
    import gzip
    import zlib

    try:
        with path.open("rb") as file:
            start = file.read(size)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as file:
                return file.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} is a damaged or truncated gzip file", "copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return start


def packed(path: Path) -> bool:
    """Is the file gzip, by its first bytes?"""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def unpacked(path: Path) -> IO[bytes]:
    """A file opened for reading bytes, which are unpacked on the way where it is gzip."""
    import gzip

    return cast("IO[bytes]", gzip.open(path, "rb")) if packed(path) else path.open("rb")


def content(path: Path) -> bytes:
    """A whole file, unpacked when it is gzip; refuses what would not fit into memory, also while it unpacks."""
    import gzip
    import zlib

    try:
        guard(path.stat().st_size, f"{path}")
        if not packed(path):
            return path.read_bytes()
        most = allowed()
        pieces: list[bytes] = []
        total = 0
        with gzip.open(path, "rb") as file:
            while piece := file.read(1 << 24):
                total += len(piece)
                if total > most:
                    guard(total, f"{path}, unpacked,")
                pieces.append(piece)
        return b"".join(pieces)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} is a damaged or truncated gzip file", "copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def free() -> float:
    """How many bytes of memory are free now; endless where that is unknown."""
    found = float("inf")
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found = int(line.split()[1]) * 1024.0
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
            found = min(found, max(0, int(limit) - used))
    except (OSError, ValueError):
        pass  # no such files outside Linux, or in some containers
    return found


def allowed() -> float:
    """How many bytes data may take: half of the memory that is free now, and at most $TUNEFUL_MEMORY ("500MB", "2GB").

    Raises: DataError when the variable says no size.
    """
    return min(free() / 2, _said())


def _said() -> float:
    """The size in $TUNEFUL_MEMORY; endless when it is not set."""
    text = os.environ.get(MEMORY, "").strip()
    if not text:
        return float("inf")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.lower())
    if found is None or float(found[1]) <= 0:
        raise DataError(f"${MEMORY} is {text!r}; it must be a size above 0", f"such as {MEMORY}=500MB or {MEMORY}=2GB")
    return float(found[1]) * 1000.0 ** " kmgt".index(found[2] or " ")


def guard(size: float, what: str) -> None:
    """Raises DataError when `size` bytes are more than data may take."""
    most = allowed()
    if size > most:
        raise DataError(
            f"{what} needs {gigabytes(size)} of memory; at most {gigabytes(most)} ({_measure(most)}) may be taken",
            "use fewer or smaller examples, or a machine with more memory",
        )


def fits(size: float) -> tuple[bool, str]:
    """May data take so much? And the reason, in words."""
    most = allowed()
    room = f"{gigabytes(most)} ({_measure(most)})" if most < float("inf") else "an unknown amount"
    return size <= most, f"{gigabytes(size)} of memory are needed and {room} may be taken"


def _measure(most: float) -> str:
    """What set the limit, in words."""
    return f"${MEMORY}" if most == _said() else "half of what is free"


def gigabytes(size: float) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def listing(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, hidden things left out. Raises DataError when it cannot be opened."""
    try:
        with os.scandir(folder) as found:
            return sorted((e for e in found if not e.name.startswith((".", "__"))), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be opened: {error.strerror or error}") from None


def files_in(given: object, fits: Callable[[Path], bool]) -> Iterator[Path]:
    """The path itself if it is a file that fits, or the files of the folder that fit."""
    if not isinstance(given, Path):
        return
    if given.is_file():
        if fits(given):
            yield given
    elif given.is_dir():
        for entry in listing(given):
            path = Path(entry.path)
            if path.is_file() and fits(path):
                yield path


def split_of(name: str) -> str:
    """The split that a file or folder is named after ("adult_test.csv" is test), or "" when it is none."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    found = [SPLITS[word] for word in words if word in SPLITS]
    return found[0] if found else ""


def by_split(paths: list[Path], what: str) -> dict[str, Path]:
    """Files as splits: a single one is train; of several each must be named after another split."""
    if len(paths) == 1:
        return {"train": paths[0]}
    named: dict[str, Path] = {}
    names = ", ".join(path.name for path in paths[:6])
    for path in paths:
        split = split_of(path.name)
        if not split or split in named:
            raise DataError(
                f"{paths[0].parent} holds {len(paths)} {what} ({names}); one is wanted, or one for each of train, valid and test",
                f"give one of them, such as {paths[0]}, or name them train, valid and test",
            )
        named[split] = path
    if "train" not in named:
        raise DataError(f"{paths[0].parent} holds no {what} named train (it holds {names})", "name one of them train")
    return named
