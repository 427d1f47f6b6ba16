"""Sources: where data comes from. Each looks at content before names, reads, and leaves every decision to `prepare`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tuneful.core.config import nearest
from tuneful.core.errors import DataError
from tuneful.techniques.sources.arrays import InMemory
from tuneful.techniques.sources.cifar import Cifar
from tuneful.techniques.sources.conll import Conll
from tuneful.techniques.sources.digits import Digits
from tuneful.techniques.sources.filelist import FileList
from tuneful.techniques.sources.folder import ImageFolder
from tuneful.techniques.sources.hugging_face import HuggingFace
from tuneful.techniques.sources.idx import Idx
from tuneful.techniques.sources.mask_folder import MaskFolder
from tuneful.techniques.sources.mask_list import MaskList
from tuneful.techniques.sources.npy import Npy
from tuneful.techniques.sources.npz import Npz
from tuneful.techniques.sources.pair_lines import PairLines
from tuneful.techniques.sources.parallel import ParallelText
from tuneful.techniques.sources.prose import PlainText
from tuneful.techniques.sources.public import INSIDE, SETS, Public, known
from tuneful.techniques.sources.raw import (
    Arrays,
    Files,
    Masked,
    Pairs,
    Prose,
    Raw,
    Sentences,
    Source,
    Stored,
    Table,
    Texts,
    fits,
    gigabytes,
    guard,
    note,
)
from tuneful.techniques.sources.series import TimeSeries
from tuneful.techniques.sources.table import TableFile
from tuneful.techniques.sources.text_classes import TextClasses
from tuneful.techniques.sources.text_folder import TextFolder
from tuneful.techniques.sources.text_json import TextJson
from tuneful.techniques.sources.text_lines import TextLines
from tuneful.techniques.sources.torch_dataset import TorchDataset

TABLE: dict[str, type[Source]] = {
    "digits": Digits,
    "public": Public,
    "mask_folder": MaskFolder,
    "idx": Idx,
    "npz": Npz,
    "npy": Npy,
    "cifar": Cifar,
    "time_series": TimeSeries,
    "mask_list": MaskList,
    "file_list": FileList,
    "conll": Conll,
    "parallel_text": ParallelText,
    "pair_lines": PairLines,
    "plain_text": PlainText,
    "text_json": TextJson,
    "text_lines": TextLines,
    "text_classes": TextClasses,
    "table": TableFile,
    "text_folder": TextFolder,
    "image_folder": ImageFolder,
    "torch": TorchDataset,
    "hugging_face": HuggingFace,
    "arrays": InMemory,
}
"""In the order in which they are asked."""


def read(given: object) -> Raw:
    """Whatever was given, read by the first source that accepts it; or a (train, valid, test) or (train, test) of such.

    Raises: DataError when there is nothing, or nothing that can be read.
    """
    given = located(given)
    for kind in TABLE.values():
        source = kind()
        if source.accepts(given):
            return source.read(given)
    if isinstance(given, Path):
        raise _unreadable(given)
    if isinstance(given, tuple | list) and len(given) in (2, 3):
        return _joined(dict(zip(("train", "test") if len(given) == 2 else ("train", "valid", "test"), given)))
    if isinstance(given, Mapping) and given and set(given) <= {"train", "valid", "test"}:
        return _joined(dict(given))
    raise DataError(
        f"data of type {type(given).__name__} is not understood",
        'give "digits", a path, (x, y), {"train": (x, y), "test": (x, y)}, a data frame, a torch Dataset or a Dataset of Hugging Face',
    )


def name_of(given: object) -> str:
    """The name of the source that would read this, or "" where several or none would. Looks at a path's first bytes, no more.

    Raises: DataError when there is nothing at a path.
    """
    given = located(given)
    return next((name for name, kind in TABLE.items() if kind().accepts(given)), "")


def _joined(given: Mapping[str, object]) -> Raw:
    found = {split: read(item) for split, item in given.items() if item is not None}
    if "train" not in found:
        raise DataError("the first of the splits is None; train is needed")
    kinds = {split: type(raw.parts["train"]) for split, raw in found.items()}
    if len(set(kinds.values())) > 1:
        named = ", ".join(f"{split} is {kind.__name__.lower()}" for split, kind in kinds.items())
        raise DataError(f"the splits are of different kinds ({named}); all must be of one")
    parts = {split: raw.parts["train"] for split, raw in found.items()}
    what = "; ".join(f"{split}: {raw.what}" for split, raw in found.items())
    findings = tuple(finding for raw in found.values() for finding in raw.findings)
    return replace(found["train"], parts=parts, what=what, findings=findings)  # type: ignore[arg-type]


def located(given: object) -> object:
    """Text that is a path as a Path that exists, else the public set that it names; anything else as it is."""
    if not isinstance(given, str | os.PathLike) or given == "digits":
        return given
    text = os.fspath(given)
    path = Path(text if isinstance(text, str) else os.fsdecode(text)).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{text[:80]!r}{'...' if len(text) > 80 else ''} cannot be a path: {why}") from None
    if there:
        return path
    if known(text):
        return known(text)
    parent = path.parent
    beside = [entry.name for entry in os.scandir(parent)] if parent.is_dir() else []
    words = ["digits", *SETS, *INSIDE] if str(parent) == "." else []
    guess = nearest(path.name, [*beside, *words])
    if guess:
        hint = f"did you mean {guess if guess in words and guess not in beside else parent / guess}?"
    elif not parent.is_dir():
        hint = f"the folder {parent} does not exist either"
    else:
        hint = f"{parent} holds {', '.join(sorted(beside)[:6]) or 'nothing'}"
    raise DataError(f"there is no file or folder {text}", hint)


def _unreadable(path: Path) -> DataError:
    if path.is_dir():
        names = sorted(entry.name for entry in os.scandir(path))
        if not names:
            return DataError(
                f"the folder {path} is empty; it must hold class folders with images, a table, an .npz archive or idx files"
            )
        return DataError(
            f"the folder {path} holds nothing that can be read ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})",
            "wanted: folders of images (one a class), a .csv, .tsv, .parquet or .arrow table, an .npz archive, or idx files",
        )
    if path.stat().st_size == 0:
        return DataError(f"the file {path} is empty (0 bytes)")
    return DataError(
        f"the file {path} is of no kind that can be read",
        "wanted: a folder of images (one folder a class), a CSV, TSV, Parquet or Arrow table, an .npz archive, or idx files",
    )


__all__ = [
    "TABLE",
    "Arrays",
    "Files",
    "Pairs",
    "Masked",
    "Prose",
    "Raw",
    "Sentences",
    "Source",
    "Stored",
    "Table",
    "Texts",
    "fits",
    "gigabytes",
    "guard",
    "name_of",
    "note",
    "read",
]
