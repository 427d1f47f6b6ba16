"""A torch Dataset (or a DataLoader's): read once into memory, item by item; a TensorDataset is taken as it is."""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.arrays import as_array
from tuneful.techniques.sources.raw import Arrays, Raw, Source, guard


class TorchDataset(Source):
    kind: Literal["torch"] = "torch"
    source: ClassVar[str] = "torch.utils.data.Dataset, the user's own"
    cost: ClassVar[str] = "one pass over the data set; then all of it is in memory"

    def accepts(self, given: object) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(given, torch.utils.data.Dataset | torch.utils.data.DataLoader)

    def read(self, given: Any) -> Raw:
        from torch.utils.data import DataLoader, IterableDataset, TensorDataset

        dataset: Any = given.dataset if isinstance(given, DataLoader) else given
        findings = []
        if isinstance(dataset, IterableDataset):
            raise DataError(
                f"{type(dataset).__name__} is an IterableDataset, which has no length and may never end; the splits need a length",
                "give a data set with __len__ and __getitem__, or arrays",
            )
        if isinstance(dataset, TensorDataset):
            if len(dataset.tensors) != 2:
                raise DataError(f"the TensorDataset has {len(dataset.tensors)} tensors; two are wanted, inputs and labels")
            part = Arrays(as_array(dataset.tensors[0], "x"), as_array(dataset.tensors[1], "y"))
        else:
            items = (dataset[i] for i in range(len(dataset)))
            findings.append(
                Finding("note", "random transforms of the data set are frozen: every item was read once", len(dataset),
                        len(dataset), (), "give the data set without its augmentation; tuneful augments each batch anew")
            )  # fmt: skip
            part = _collect(items, type(dataset).__name__, len(dataset))
        name = type(dataset).__name__
        return Raw({"train": part}, f"a torch {name} with {len(part.y)} items of shape {list(part.x.shape[1:])}", name.lower(),
                   tuple(findings))  # fmt: skip


def _collect(items: Any, name: str, length: int) -> Arrays:
    xs: list[NDArray[Any]] = []
    ys: list[Any] = []
    for number, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(
                f"item {number} of {name} is {type(item).__name__}"
                + (f" of {len(item)}" if isinstance(item, tuple | list) else "")
                + "; a pair (input, label) is wanted"
            )
        x = _input(item[0], number, name)
        if xs and x.shape != xs[0].shape:
            raise DataError(
                f"item {number} of {name} has shape {list(x.shape)}, and item 0 has {list(xs[0].shape)}; all must be alike",
                "resize them in the data set",
            )
        if not xs:
            guard(float(x.nbytes) * 2 * max(1, length), f"the data set {name}")
        elif number % 4096 == 0:
            guard(float(x.nbytes) * len(xs), f"the data set {name}")
        xs.append(x)
        ys.append(_label(item[1], number, name))
    if not xs:
        raise DataError(f"the data set {name} is empty; at least a few examples of each class are wanted")
    return Arrays(np.stack(xs), np.asarray(ys))


def _input(value: Any, number: int, name: str) -> NDArray[Any]:
    image = sys.modules.get("PIL.Image")
    if image is not None and isinstance(value, image.Image):
        value = np.asarray(value.convert("L" if value.mode in ("1", "L", "LA") else "RGB"))
        return value[None] if value.ndim == 2 else value.transpose(2, 0, 1)
    array = as_array(value, f"item {number} of {name}")
    return array[None] if array.ndim == 0 else array


def _label(value: Any, number: int, name: str) -> Any:
    if isinstance(value, str):
        return value
    array = as_array(value, f"the label of item {number} of {name}")
    if array.size == 1:
        return array.reshape(()).item()
    if array.ndim == 1:
        return array
    raise DataError(f"the label of item {number} of {name} has shape {list(array.shape)}; one number or word is wanted")
