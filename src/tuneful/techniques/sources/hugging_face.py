"""A Dataset or DatasetDict of Hugging Face's `datasets`: images with labels, text with labels, and columns as in a table.

Nothing of that library is imported: its objects are known by the name of their module. A column of the feature Image makes
images; everything else is a table, whose label goes last and whose class numbers become words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import SPLITS, Arrays, Raw, Source, Table, guard
from tuneful.techniques.sources.table import plain as plain_frame

_LABELS = ("label", "labels", "target", "class", "y", "fine_label")
_STREAMS = ("IterableDataset", "IterableDatasetDict")


class HuggingFace(Source):
    kind: Literal["hugging_face"] = "hugging_face"
    source: ClassVar[str] = "Lhoest et al., Datasets, EMNLP 2021, arXiv:2109.02846"
    cost: ClassVar[str] = "one pass over the data set; then all of it is in memory"

    def accepts(self, given: object) -> bool:
        return type(given).__module__.partition(".")[0] == "datasets" and type(given).__name__ in (
            "Dataset",
            "DatasetDict",
            *_STREAMS,
        )

    def read(self, given: Any) -> Raw:
        if type(given).__name__ in _STREAMS:
            raise DataError(
                f"the data set is an {type(given).__name__}, which has no length and no order of its own; the splits need both",
                "load it without streaming=True",
            )
        found: dict[str, Any] = {}
        findings: list[Finding] = []
        for name, split in given.items() if isinstance(given, Mapping) else (("train", given),):
            if (word := SPLITS.get(str(name).lower())) is None or word in found:
                findings.append(
                    Finding("warning", "a split of the data set is not used", len(split), len(split), (str(name),))
                )
                continue
            found[word] = split
        if "train" not in found:
            raise DataError(
                f"the data set has the splits {', '.join(map(str, given))}; train is missing", 'give data["train"]'
            )
        image = next((n for n, f in found["train"].features.items() if type(f).__name__ == "Image"), "")
        sound = next((n for n, f in found["train"].features.items() if type(f).__name__ == "Audio"), "")
        if sound:
            raise DataError(
                f'column "{sound}" holds sounds, which are not read from here yet',
                "give a folder with a folder of sounds a class",
            )
        parts: Any = {
            name: _images(split, image, name, findings) if image else _table(split, name) for name, split in found.items()
        }
        kind = f"images of shape {list(parts['train'].x.shape[1:])}" if image else "rows"
        counts = ", ".join(f"{len(split)} {name}" for name, split in found.items())
        told = str(getattr(found["train"].info, "dataset_name", None) or "dataset")
        return Raw(parts, f"a data set of Hugging Face with {counts} {kind}", told, tuple(findings))


def _label(split: Any, without: str = "") -> str:
    """The column of classes: one of the feature ClassLabel, or one that is named like a label; "" when there is none."""
    classes = [name for name, feature in split.features.items() if type(feature).__name__ == "ClassLabel"]
    named = [name for name in _LABELS if name in split.features and name != without]
    return next((name for name in named if name in classes), (classes or named or [""])[0])


def _words(split: Any, name: str, values: Any) -> list[Any]:
    """Class numbers as the words that they stand for; a number below 0 is no class. Other columns as they are."""
    feature = split.features[name]
    if type(feature).__name__ != "ClassLabel":
        return list(values)
    return [None if v is None or v < 0 else feature.names[v] for v in values]


def _images(split: Any, image: str, part: str, findings: list[Finding]) -> Arrays:
    label = _label(split, image)
    if not label:
        raise DataError(
            f"the data set has the columns {', '.join(split.features)}; none of them is a label", "rename it to label"
        )
    plain = split.with_format(None)
    y = _words(split, label, plain[label])
    kept = [i for i, word in enumerate(y) if word is not None]
    if len(kept) < len(y):
        findings.append(Finding("warning", f"images of {part} have no label and are left out", len(y) - len(kept), len(y)))
    x: Any = None
    mode = ""
    for place, i in enumerate(kept):
        picture = plain[i][image]
        if picture is None:
            raise DataError(f"image {i} of {part} is missing", "filter such rows out of the data set")
        if x is None:
            mode = "L" if picture.mode in ("1", "L", "LA") else "RGB"
            height, width = picture.height, picture.width
            channels = 1 if mode == "L" else 3
            guard(2.0 * len(kept) * channels * height * width, f"{len(kept)} images of {height}x{width}")
            x = np.empty((len(kept), channels, height, width), dtype=np.uint8)
        pixels = np.asarray(picture.convert(mode))
        if pixels.shape[:2] != x.shape[2:]:
            raise DataError(
                f"image {i} of {part} is {pixels.shape[0]}x{pixels.shape[1]}, and the first {x.shape[2]}x{x.shape[3]}; all must be alike",
                f'resize them: data.map(lambda row: {{"{image}": row["{image}"].resize((64, 64))}})',
            )
        x[place] = pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
    if x is None:
        raise DataError(f"{part} holds no image with a label")
    return Arrays(x, np.array([y[i] for i in kept], dtype=object))


def _table(split: Any, part: str) -> Table:
    import polars as pl

    label = _label(split)
    names = [name for name in split.features if name != label] + ([label] if label else [])
    guard(16.0 * len(split) * len(names), f"the split {part}")
    plain = split.with_format(None)
    columns: dict[str, Any] = {}
    for name in names:
        values = _words(split, name, plain[name])
        odd = next((v for v in values if v is not None and not isinstance(v, str | bool | int | float | list)), None)
        if odd is not None and type(odd).__name__ not in ("date", "datetime"):
            raise DataError(
                f'{part}: column "{name}" holds {type(odd).__name__}; numbers, text, dates or true/false are wanted',
                f'leave it out: data.remove_columns("{name}")',
            )
        columns[name] = values
    return Table(plain_frame(pl.DataFrame(columns, strict=False), f"{part} of the data set"), f"{part} of the data set")
