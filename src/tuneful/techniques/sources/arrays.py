"""Arrays from Python: (x, y), {"train": (x, y), "test": (x, y)}, {"x_train": ..., "y_train": ...}; numpy or torch tensors."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.sources.npz import pair
from tuneful.techniques.sources.raw import SPLITS, Arrays, Raw, Source, Texts


class InMemory(Source):
    kind: Literal["arrays"] = "arrays"
    source: ClassVar[str] = "the user's own"
    cost: ClassVar[str] = "none: the arrays are used as they are"

    def accepts(self, given: object) -> bool:
        if isinstance(given, tuple | list):
            return len(given) == 2 and all(is_array(item) for item in given)
        if isinstance(given, Mapping):
            return bool(given) and all(
                is_array(v) or (isinstance(v, tuple | list) and self.accepts(v)) for v in given.values()
            )
        return False

    def read(self, given: Any) -> Raw:
        if not isinstance(given, Mapping):
            x, y = given
            parts = {"train": _examples(x, y, "")}
        elif all(is_array(value) for value in given.values()):
            parts = pair({str(name): as_array(value, str(name)) for name, value in given.items()}, "the mapping")
        else:
            parts: dict[str, Any] = {}
            for name, (x, y) in given.items():
                if str(name).lower() not in SPLITS:
                    raise DataError(f"split {name!r} is not known; it must be train, valid or test")
                parts[SPLITS[str(name).lower()]] = _examples(x, y, f" of {name}")
            if "train" not in parts:
                raise DataError(f"the mapping holds {', '.join(map(str, given))}; train is missing")
        if any(isinstance(part, Texts) for part in parts.values()):
            if not all(isinstance(part, Texts) for part in parts.values()):
                raise DataError("some splits hold texts and others numbers", "give the same kind in every split")
            return Raw(parts, f"{', '.join(f'{len(p.labels)} {s}' for s, p in parts.items())} texts", "texts")
        shape = list(parts["train"].x.shape[1:])
        return Raw(
            parts,
            f"arrays with {', '.join(f'{len(p.y)} {s}' for s, p in parts.items())} examples of shape {shape}",
            "arrays",
        )


def _examples(x: Any, y: Any, which: str) -> Any:
    """Arrays; or Texts, where x is text and y has a label for each."""
    given = x if isinstance(x, list) and all(isinstance(one, str) for one in x) else as_array(x, f"x{which}")
    if not isinstance(given, list) and not _is_text(given):
        return Arrays(given, as_array(y, f"y{which}"))
    labels = as_array(y, f"y{which}")
    if len(labels) != len(given):
        raise DataError(f"{len(given)} examples and {len(labels)} labels were given{which}; there must be one for each")
    if labels.ndim != 1:
        raise DataError(f"y{which} has the shape {list(labels.shape)}; texts have one label each", "give a list of labels")
    if labels.dtype.kind == "f":
        raise DataError(
            f"target 1{which or ' of train'} is {float(labels[0])}; it must be text, or a whole number for a class",
            "give texts that tell a number as a table with a column for it",
        )
    return Texts(
        tuple(str(text) for text in given), tuple(None if label is None else str(label) for label in labels.tolist())
    )


def _is_text(given: NDArray[Any]) -> bool:
    words = given.dtype.kind == "U" or (given.dtype == object and all(isinstance(one, str) for one in given))
    return given.ndim == 1 and len(given) > 0 and words


def is_array(value: object) -> bool:
    """Is it an array, a tensor, or a list of numbers, rows or words?"""
    if isinstance(value, np.ndarray) or _is_tensor(value):
        return True
    kinds = int | float | str | list | tuple | set | frozenset | np.ndarray | np.generic
    return isinstance(value, list) and bool(value) and isinstance(value[0], kinds)


def as_array(value: Any, name: str) -> NDArray[Any]:
    """A numpy array of numbers or text. Raises DataError for ragged or other contents."""
    if _is_tensor(value):
        value = value.detach().cpu()
        return value.float().numpy() if "bfloat16" in str(value.dtype) else value.numpy()
    if isinstance(value, list) and _lists_of_words(value):
        array = np.empty(len(value), dtype=object)
        array[:] = [tuple(row) for row in value]
        return array
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(f"the rows of {name} differ in length or shape; all must have the shape of the first") from None
    if array.dtype == object and array.ndim == 1 and all(isinstance(v, str | int | float | bool | None) for v in array):
        return array
    if array.dtype.kind not in "biufUS":
        raise DataError(
            f"{name} is of type {array.dtype}; it must be numbers (labels may be text)",
            f"convert it, such as with np.asarray({name.split()[0]}, dtype=float)",
        )
    return array


def _lists_of_words(value: list[Any]) -> bool:
    """Is it a list of labels for each example, such as [["a", "b"], [], ["c"]]?"""
    lists = all(isinstance(row, list | tuple | set | frozenset) for row in value)
    return lists and any(value) and all(isinstance(word, str) for row in value for word in row)


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
