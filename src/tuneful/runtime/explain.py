"""Which places of an example spoke for the answer: the class-activation map that a graph gives besides, and a picture of it.

    model.maps(x)               [N, L, *sides]: how much each place speaks for each class, as logits (`pipeline.explain`)
    model.explain(x)            [N, *sides]: for the class that is predicted, or another one
    picture(example, map)       the map laid over an image, as a PNG file; dark is least, yellow most

A map tells where a network looked, not why, and is as coarse as its last layer (a few places a side).
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime import answers

MAP = "map"  # the name of the output
SHOWN = 256  # pixels that the shorter side of a picture has at least
_RAMP = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], dtype=np.float64)
"""Black, purple, red, orange, yellow: five colours of matplotlib's inferno, whose lightness rises evenly."""


def apart(kind: str, told: NDArray[Any], maps: NDArray[Any]) -> float:
    """The largest difference between answers and what their maps [N, L, *sides] add up to; 0 but for rounding."""
    logits = maps.reshape(*maps.shape[:2], -1).astype(np.float64).mean(axis=2)
    if kind in answers.VALUES:
        again = logits.reshape(told.shape)
    elif kind == "multilabel":
        again = 1 / (1 + np.exp(-logits))
    else:
        risen = np.exp(logits - logits.max(axis=1, keepdims=True))
        again = risen / risen.sum(axis=1, keepdims=True)
    return float(np.max(np.abs(again - told), initial=0.0))


def chosen(kind: str, told: NDArray[Any], maps: NDArray[Any], label: int | None = None) -> NDArray[Any]:
    """The maps [N, *sides] of the class that each answer names first, or of one and the same."""
    if label is None:
        label_N = np.zeros(len(maps), dtype=int) if kind in answers.VALUES else told.argmax(axis=1)
    else:
        label_N = np.full(len(maps), label)
    return maps[np.arange(len(maps)), label_N]


def picture(example_CHW: NDArray[Any], map_HW: NDArray[Any]) -> bytes:
    """A PNG file: the image in grey, coloured by how much each of its places speaks for the class. Blends between places."""
    from PIL import Image

    image = np.asarray(example_CHW, dtype=np.float64).mean(axis=0)
    if example_CHW.dtype != np.uint8:
        image = 255 * _unit(image)
    scale = max(1, -(-SHOWN // min(image.shape)))
    width, height = image.shape[1] * scale, image.shape[0] * scale
    grey = np.asarray(Image.fromarray(image.round().astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))
    heat = Image.fromarray(_unit(map_HW).astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    at = np.clip(np.asarray(heat, dtype=np.float64), 0, 1) * (len(_RAMP) - 1)
    low = np.minimum(at.astype(int), len(_RAMP) - 2)
    colour = _RAMP[low] + (at - low)[..., None] * (_RAMP[low + 1] - _RAMP[low])
    out = io.BytesIO()
    Image.fromarray((0.5 * grey[..., None] + 0.5 * colour).round().astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()


def _unit(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values from 0 (the least) to 1 (the largest); 0 where all are alike."""
    values = np.asarray(values, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


__all__ = ["MAP", "apart", "chosen", "picture"]
