"""CIFAR-10 and CIFAR-100 as their authors give them: python batches (data_batch_1 ... test_batch) or binary ones (.bin).

binary: for each image one byte for the class (CIFAR-100: coarse, then fine), then 3072 bytes: red, green, blue, row by row.
python: a pickle. It is read by a reader that knows dicts, lists, bytes, numbers and one numpy array of bytes, and refuses
everything else: nothing in the file is ever executed.
"""

from __future__ import annotations

import pickletools
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.sources.raw import Arrays, Raw, Source, content, guard, listing

_PIXELS = 3 * 32 * 32
_BINARY = re.compile(r"(data_batch_\d+|test_batch|train|test)\.bin")
_PYTHON = re.compile(r"(data_batch_\d+|test_batch|train|test)")
_NAMES = {"batches.meta": "label_names", "meta": "fine_label_names"}
_LISTS = ("batches.meta.txt", "fine_label_names.txt")


class Cifar(Source):
    kind: Literal["cifar"] = "cifar"
    source: ClassVar[str] = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
    cost: ClassVar[str] = "3 KB an image, in memory"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and given.is_dir() and bool(_batches(given))

    def read(self, given: Path) -> Raw:
        parts: dict[str, list[Arrays]] = {}
        for path in _batches(given):
            raw = content(path)
            x, y = _binary(path, raw) if path.suffix == ".bin" else _python(path, raw)
            parts.setdefault("test" if path.name.startswith("test") else "train", []).append(Arrays(x, y))
        if "train" not in parts:
            raise DataError(f"{given} holds no data batches, only {', '.join(p.name for p in _batches(given))}")
        names = _names(given)
        joined: dict[str, Arrays] = {}
        for split, pieces in parts.items():
            x, y = np.concatenate([p.x for p in pieces]), np.concatenate([p.y for p in pieces])
            if names and int(y.max()) < len(names):
                y = np.array(names, dtype=object)[y]
            joined[split] = Arrays(x, y)
        counts = ", ".join(f"{len(part.y)} {split}" for split, part in joined.items())
        return Raw(joined, f"CIFAR batches with {counts} images of 3x32x32", given.name)


def _batches(folder: Path) -> list[Path]:
    names = [Path(entry.path) for entry in listing(folder) if entry.is_file()]
    for form in (_BINARY, _PYTHON):
        found = [path for path in names if form.fullmatch(path.name) and (form is _BINARY or _is_pickle(path))]
        if found:
            return found
    return []


def _is_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return path.suffix == ""  # its reading tells what is wrong with it
    return start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _names(folder: Path) -> list[str]:
    """Class names by number, [] where the folder does not tell them."""
    for name in _LISTS:
        path = folder / name
        if path.is_file():
            return [line.strip() for line in content(path).decode("utf-8", "replace").splitlines() if line.strip()]
    for name, key in _NAMES.items():
        path = folder / name
        if path.is_file() and _is_pickle(path):
            told = _Reader(path, content(path)).read().get(key, [])
            return [word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in told]
    return []


def _binary(path: Path, raw: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    ahead = 2 if path.name in ("train.bin", "test.bin") else 1
    row = ahead + _PIXELS
    if not raw or len(raw) % row:
        raise DataError(
            f"{path} has {len(raw)} bytes; {row} an image are wanted, with nothing left over", "copy or download it again"
        )
    table = np.frombuffer(raw, np.uint8).reshape(-1, row)
    return table[:, ahead:].reshape(-1, 3, 32, 32).copy(), table[:, ahead - 1].astype(np.int64)


def _python(path: Path, raw: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = _Reader(path, raw).read()
    pixels = batch.get("data")
    labels = batch.get("labels", batch.get("fine_labels"))
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS or not isinstance(labels, list):
        raise DataError(f"{path} is no CIFAR batch: it must hold data [N, {_PIXELS}] and labels", "give another folder")
    if len(labels) != len(pixels) or not all(isinstance(label, int) for label in labels):
        raise DataError(f"{path} holds {len(pixels)} images and {len(labels)} labels; both must be equally many numbers")
    return pixels.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


class _Mark:
    """Where a group of values on the stack begins."""


class _Reader:
    """Reads the few opcodes of pickle that the batches are made of. No name in the file is looked up, nothing is called."""

    def __init__(self, path: Path, raw: bytes) -> None:
        self.path, self.raw = path, raw
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> dict[str, Any]:
        try:
            for code, argument, _ in pickletools.genops(self.raw):
                self._one(code.name, argument)
                if code.name == "STOP":
                    break
            found = self.stack.pop()
        except DataError:
            raise
        except Exception as error:  # a damaged file may break the opcodes' reader and the stack in any way
            raise DataError(
                f"{self.path} is damaged ({type(error).__name__}: {str(error)[:80]})", "copy or download it again"
            ) from None
        if not isinstance(found, dict):
            raise DataError(f"{self.path} holds {type(found).__name__}; a CIFAR batch is a dict")
        return {key.decode("latin-1") if isinstance(key, bytes) else str(key): value for key, value in found.items()}

    def _one(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "STOP", "FRAME"):
            return
        if name in ("BININT", "BININT1", "BININT2", "LONG1", "INT", "BINUNICODE", "SHORT_BINUNICODE", "UNICODE",
                    "BINBYTES", "SHORT_BINBYTES"):  # fmt: skip
            stack.append(argument)
        elif name in ("BINSTRING", "SHORT_BINSTRING", "STRING"):
            stack.append(argument.encode("latin-1") if isinstance(argument, str) else argument)
        elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[name]())
        elif name == "MARK":
            stack.append(_Mark())
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            items = self._marked() if name == "TUPLE" else [stack.pop() for _ in range(int(name[-1]))][::-1]
            stack.append(tuple(items))
        elif name in ("APPENDS", "APPEND"):
            items = self._marked() if name == "APPENDS" else [stack.pop()]
            stack[-1].extend(items)
        elif name in ("SETITEMS", "SETITEM"):
            items = self._marked() if name == "SETITEMS" else [stack.pop() for _ in range(2)][::-1]
            stack[-1].update(zip(items[::2], items[1::2]))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(argument)])
        elif name == "GLOBAL":
            stack.append(_known(self.path, argument))
        elif name == "STACK_GLOBAL":
            word, module = stack.pop(), stack.pop()
            stack.append(_known(self.path, f"{module} {word}"))
        elif name == "REDUCE":
            arguments, what = stack.pop(), stack.pop()
            stack.append(_made(self.path, what, arguments))
        elif name == "BUILD":
            stack.append(_filled(self.path, stack.pop(), stack.pop()))
        else:
            raise DataError(f"{self.path} holds the pickle instruction {name}, which no CIFAR batch has; it is not read")

    def _marked(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(self.stack[-1], _Mark):
            items.append(self.stack.pop())
        self.stack.pop()
        return items[::-1]


_ARRAY = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_TYPE = ("numpy dtype",)
_PLAIN = ("numpy ndarray", "numpy.core.multiarray ndarray")
_BYTES = ("_codecs encode",)


def _known(path: Path, name: str) -> str:
    if name not in (*_ARRAY, *_TYPE, *_PLAIN, *_BYTES):
        raise DataError(
            f"{path} wants to run {name.replace(' ', '.')}, which no CIFAR batch does; it is not read",
            "do not use this file: opened with pickle it could do anything",
        )
    return name


def _made(path: Path, what: Any, arguments: Any) -> Any:
    if what in _BYTES:
        return str(arguments[0]).encode("latin-1")
    if what in _TYPE and arguments[0] in ("u1", b"u1"):
        return "u1"
    if what in _ARRAY:
        return _Empty()
    raise DataError(f"{path} holds an object that no CIFAR batch has; it is not read")


class _Empty:
    """An array whose bytes come later."""


def _filled(path: Path, state: Any, what: Any) -> Any:
    if what == "u1":
        return what
    if not isinstance(what, _Empty) or len(state) != 5 or state[2] != "u1" or state[3]:
        raise DataError(f"{path} holds an array that is not of bytes in rows; a CIFAR batch holds such an array")
    _, shape, _, _, raw = state
    guard(len(raw), str(path))
    return np.frombuffer(raw, np.uint8).reshape(shape).copy()
