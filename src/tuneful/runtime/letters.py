"""Texts as arrays of numbers: a Unicode number a letter, 0 fills up. So they can stand where answers and targets stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def spelled(texts: Sequence[str], width: int) -> NDArray[np.uint32]:
    """Texts as rows [N, width]; what is longer is cut at the end.

    >>> spelled(["ab", "日"], 3).tolist()
    [[97, 98, 0], [26085, 0, 0]]
    """
    width = max(1, width)
    if not len(texts):
        return np.zeros((0, width), np.uint32)
    held = np.array([text.replace("\0", " ") for text in texts], dtype=f"U{width}")
    return np.frombuffer(held.tobytes(), dtype=np.uint32).reshape(-1, width).copy()


def texts_of(letters: NDArray[Any]) -> list[str]:
    """Rows of letters as texts again."""
    if not len(letters):
        return []
    plain = np.ascontiguousarray(letters, dtype=np.uint32)
    return [str(text) for text in plain.view(f"U{plain.shape[1]}")[:, 0]]
