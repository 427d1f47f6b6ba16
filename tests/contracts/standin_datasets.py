"""A small stand-in for Hugging Face's `datasets`: as much of its face as our reader touches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class ClassLabel:
    """The feature of classes."""

    def __init__(self, names: list[str]) -> None:
        self.names = names


class Image:
    """The feature of images."""


class Value:
    """The feature of plain values."""


class Dataset:
    """Columns by name, with a feature for each."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any]) -> None:
        self.columns, self.features = columns, features
        self.info = SimpleNamespace(dataset_name="standin")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: str | int) -> Any:
        return self.columns[key] if isinstance(key, str) else {name: column[key] for name, column in self.columns.items()}

    def with_format(self, kind: None) -> Dataset:
        assert kind is None
        return self


class DatasetDict(dict):
    """Splits by name."""


class IterableDataset:
    """A stream."""


for one in (Dataset, DatasetDict, IterableDataset):
    one.__module__ = "datasets.standin"
