"""Pictures for the evidence: images beside their true masks and the answers, as PNG in text.

The images are taken evenly from the worst to the best by their own Dice, so that the reader sees failures too.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Task
from tuneful.pipeline.metrics import Array, pixels
from tuneful.runtime.pixels import palette

_MOST = 6
_UNKNOWN = 255  # the palette's place for pixels that no one knows


def pictures(task: Task, x: Array, p: Array, y: Array) -> list[dict[str, Any]]:
    """[{"example", "dice", "image", "truth", "answer"}], the worst first; pictures are data URIs."""
    counts = pixels.rows("dice", p, y)
    each = pixels.finish("dice", counts)
    known = np.flatnonzero(np.isfinite(each))
    if not len(known):
        return []
    ranked = known[np.argsort(each[known], kind="stable")]
    chosen = ranked[np.unique(np.linspace(0, len(ranked) - 1, _MOST).round().astype(int))]
    shown = x[chosen]  # images may lie in files
    low, high = (0.0, 255.0) if x.dtype == np.uint8 else (float(np.min(shown)), float(np.max(shown)))
    found: list[dict[str, Any]] = []
    for at, one in zip(chosen.tolist(), shown, strict=True):
        grey = ((np.asarray(one, dtype=np.float64) - low) / max(high - low, 1e-12) * 255).clip(0, 255).astype(np.uint8)
        image = grey[:3].transpose(1, 2, 0) if len(grey) >= 3 else grey[0]
        found.append(
            {"example": at, "dice": float(each[at]), "image": _png(image), "truth": _png(y[at], task.outputs),
             "answer": _png(p[at].argmax(axis=-1), task.outputs)}
        )  # fmt: skip
    return found


def _png(array: NDArray[Any], classes: int = 0) -> str:
    """A picture as a data URI; a mask in the colours of its classes."""
    from PIL import Image

    if classes:
        image = Image.fromarray(np.where(array < 0, _UNKNOWN, array).clip(0, _UNKNOWN).astype(np.uint8), "P")
        image.putpalette(palette(classes))
    else:
        image = Image.fromarray(array)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
