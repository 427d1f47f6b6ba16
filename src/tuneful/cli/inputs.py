"""Unlabelled input for a loaded model: tables, texts, images and arrays from files. numpy, and a reader where one is needed; no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tuneful.core.errors import DataError

if TYPE_CHECKING:
    from tuneful.runtime.load import Model

PIECE = 4096  # examples that are looked at together
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
SOUNDS = (".wav", ".wave", ".flac", ".ogg", ".oga", ".aif", ".aiff")
TEXT = (".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".tab.gz")
SUFFIXES = {"image": IMAGES, "audio": SOUNDS}


def read(data: str, model: Model) -> tuple[Any, list[str]]:
    """(what `Model.predict` takes, a name for each example or []). Raises DataError when it does not suit the model."""
    from tuneful.runtime.answers import PIXELS
    from tuneful.techniques.sources.mask_folder import MaskFolder

    path = Path(data)
    kind = str(model.schema["kind"])
    if kind in ("table", "forecast") and path.is_file() and path.name.lower().endswith(TEXT):
        from tuneful.runtime.preprocess import read_rows

        return read_rows(path), []
    if kind == "pair":
        return _sources(path, model), []
    if (
        kind == "tokens"
        and path.is_file()
        and not path.name.lower().removesuffix(".gz").endswith((*TEXT, ".parquet", ".json", ".jsonl"))
    ):
        return lines(path), []
    if model.kind in PIXELS and path.is_dir() and MaskFolder().accepts(path):  # the masks beside the images are no images
        _, part = test_part(MaskFolder().read(path).parts)
        return of_part(part, kind, data), [_shown(path, Path(os.fsdecode(file))) for file in part.paths]
    if kind in SUFFIXES and (files := files_at(path, SUFFIXES[kind])):
        return files, [_shown(path, file) for file in files]
    if path.suffix.lower() == ".npy" and path.is_file():
        return _array(path), []
    return _from_source(data, kind), []


def _sources(path: Path, model: Model) -> Any:
    """The texts that are to become others: lines of a file, the column or the side that the model reads, or a lone column."""
    from tuneful.techniques import sources

    plain = path.name.lower().removesuffix(".gz")
    if path.is_file() and not plain.endswith((*TEXT, ".parquet", ".json", ".jsonl", ".ndjson")):
        told = lines(path)
        return told if not told or any("\t" not in line for line in told) else [line.partition("\t")[0] for line in told]
    _, part = test_part(sources.read(str(path)).parts)
    return sides(part, model, str(path))[0]


def sides(part: Any, model: Model, data: str) -> tuple[list[str], list[str] | None]:
    """(sources, targets) of a split of a source as a model of sequence to sequence takes them; None for targets that are not there."""
    from tuneful.techniques.sources import Pairs, Stored, Table, Texts, stored

    part = stored.whole(part) if isinstance(part, Stored) else part
    first, second = (str(name) for name in model.schema["names"])
    if isinstance(part, Pairs):
        turned = part.names == (second, first)
        return list(part.targets if turned else part.sources), list(part.sources if turned else part.targets)
    if isinstance(part, Texts):
        return list(part.texts), ["" if label is None else label for label in part.labels]
    if not isinstance(part, Table):
        raise DataError(f"{data} holds no texts; this model takes a text and gives another")
    columns = part.frame.columns
    if first not in columns:
        raise DataError(f'{data} has no column "{first}", which this model reads; it has {", ".join(columns[:12])}')
    told = [
        ["" if cell is None else str(cell) for cell in part.frame[name].to_list()]
        for name in (first, second)
        if name in columns
    ]
    return told[0], told[1] if len(told) == 2 else None


def pieces(data: str, model: Model) -> Iterator[tuple[Any, list[str]]]:
    """The same in pieces, one after the other: tables may be larger than the memory. Raises DataError."""
    from tuneful.runtime.preprocess import row_pieces

    path, kind = Path(data), str(model.schema["kind"])
    if kind == "table" and path.is_file() and path.name.lower().endswith(TEXT):
        yield from ((piece, []) for piece in row_pieces(path))
        return
    x, names = read(data, model)
    if isinstance(x, Iterator):
        yield from ((piece, []) for piece in cast("Iterator[Any]", x))
    else:
        yield x, names


def files_at(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a kind at a path: itself, or those of a folder at any depth, by name."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    return [path] if path.is_file() and path.suffix.lower() in suffixes else []


def lines(path: Path) -> list[str]:
    """The lines of a text file, one text each; blank lines are left out."""
    from tuneful.techniques.sources.encoding import written

    return [line.strip() for line in written(path, []).split("\n") if line.strip()]


def example_names(count: int, before: int = 0) -> list[str]:
    """Rows by number, from 1; before: how many came before them."""
    return [str(row) for row in range(before + 1, before + count + 1)]


def of_part(part: Any, kind: str, what: str) -> Any:
    """A split of a source as `Model.predict` takes it; of a table on disk an iterator of such pieces. Raises DataError when the model was trained on another kind."""
    from tuneful.techniques.sources import Arrays, Files, Masked, Sentences, Stored, Table, Texts, stored

    if isinstance(part, Stored) and kind == "forecast":
        part = stored.whole(part)
    if isinstance(part, Stored) and kind in ("table", "tokens"):
        return (
            {name: frame[name].to_list() for name in frame.columns} for frame in stored.stretches(part, part.schema.names())
        )
    if isinstance(part, Table) and kind in ("table", "tokens", "forecast"):
        return {name: part.frame[name].to_list() for name in part.frame.columns}
    if isinstance(part, Files) and kind == {"image": "image", "sound": "audio"}[part.media]:
        return list(part.paths)
    if isinstance(part, Masked) and kind == "image":
        return list(part.paths)
    if isinstance(part, Texts) and kind == "tokens":
        return list(part.texts)
    if isinstance(part, Sentences) and kind == "tokens":
        return [list(row) for row in part.words]
    if isinstance(part, Arrays) and kind in ("image", "vector", "series"):
        return _sliced(part.x)
    known: dict[type[Any], str] = {
        Table: "a table",
        Stored: "a table",
        Arrays: "arrays",
        Texts: "texts",
        Sentences: "sentences",
    }
    met = f"{part.media} files" if isinstance(part, Files) else known.get(cast("type[Any]", type(part)), "text")
    wanted = {"table": "a table", "audio": "sounds", "series": "time series", "tokens": "texts", "forecast": "a table"}.get(
        kind, f"{kind}s"
    )
    raise DataError(f"{what} is {met}; this model takes {wanted}")


def _sliced(x: Any) -> Any:
    """An array in memory as it is, one that is mapped into it in pieces."""
    import numpy as np

    if not isinstance(x, np.memmap):
        return x
    mapped = cast("np.memmap[Any, np.dtype[Any]]", x)
    return (np.array(mapped[at : at + PIECE]) for at in range(0, len(mapped), PIECE)) if mapped.ndim else mapped


def test_part(parts: Any) -> tuple[str, Any]:
    """Of several splits the one named test, else the only one."""
    return ("test", parts["test"]) if "test" in parts else next(iter(parts.items()))


def _from_source(data: str, kind: str) -> Any:
    from tuneful.techniques import sources

    _, part = test_part(sources.read(data).parts)
    return of_part(part, kind, data)


def _array(path: Path) -> Any:
    import numpy as np

    try:
        return _sliced(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not a whole .npy file of numbers ({error})") from None


def _shown(root: Path, file: Path) -> str:
    shown: Sequence[str] = (file.relative_to(root) if root.is_dir() else file).parts
    return "/".join(shown).encode("utf-8", "backslashreplace").decode()
