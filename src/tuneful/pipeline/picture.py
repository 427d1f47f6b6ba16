"""What the network sees: rows of training images, the original first, then as the augments of a recipe change it step by step.

Where each pixel has a class, a second row below each image shows it with its classes laid over it in colours, as both were moved
together; what no one knows is grey.

The draws are those of the run itself, keyed by its seed and its steps, and the same code changes the images; only the
normalization is undone, so that an eye can judge whether a changed image still is what its label says.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuneful.core.errors import DataError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.candidate import as_input, ends
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.step import augmented
from tuneful.runtime.pixels import palette
from tuneful.techniques.augments import fit

SIDE, GAP, WHITE = 96, 4, 255  # pixels: the least side of an image in the picture, and what lies between two
COVER, UNKNOWN = 0.55, 255  # how much of a pixel is the colour of its class; the palette's place where there is none


def picture(task: Task, recipe: Recipe, rows: int = 6, draws: int = 8) -> NDArray[np.uint8]:
    """A picture [height, width, 3], 0 to 255: `rows` images of the training split, evenly from its whole length, and behind the
    gap each of them as the network sees it in `draws` steps; with classes of pixels two rows each, the second under them.

    Augments that mix examples mix those of the picture. Raises DataError for data that are no images, RecipeError for augments
    that do not fit. Cost: milliseconds.
    """
    seen = form(task)
    if seen.kind != "image":
        raise DataError(
            f"{task.name} holds no images but {seen}, of which no picture is drawn",
            "`tuneful check` says what these data are and what would be trained on them",
        )
    recipe = resolve(recipe, task)
    plan: Any = recipe.replace(augments=fit(recipe.augments, seen))  # pyright: ignore[reportArgumentType]
    front, _ = ends(task)
    n = len(task.train)
    chosen = np.unique(np.linspace(0, n - 1, min(rows, n)).round().astype(int))
    x = as_input(torch.from_numpy(task.train.x[chosen]))
    y = goal(task).encode(task, torch.from_numpy(task.train.y[chosen]))
    columns, masks = [x], [y]
    with torch.no_grad():
        for step in range(draws):
            changed, targets = augmented(x, y, task, plan, step, front)
            columns.append(_as_stored(changed, task))
            masks.append(targets)
    low, high = (0.0, 255.0) if task.train.x.dtype == np.uint8 else (float(x.min()), float(x.max()))
    tiles = [((one - low) / max(high - low, 1e-12)).clamp(0, 1) for one in columns]
    if seen.each == "place":
        tiles = [_with_classes(one, mask, task.outputs) for one, mask in zip(tiles, masks, strict=True)]
    return _laid_out(tiles)


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """The picture as a PNG file."""
    from PIL import Image

    Image.fromarray(pixels).save(path, format="PNG")


def _as_stored(x: Tensor, task: Task) -> Tensor:
    """Without the normalization, where the task has one."""
    if not task.normalize:
        return x
    mean, std = (torch.tensor(task.normalize[k], dtype=x.dtype).reshape(-1, 1, 1) for k in ("mean", "std"))
    return x * std + mean


def _with_classes(x_BCHW: Tensor, y_BHW: Tensor, classes: int) -> Tensor:
    """Images [B, C, H, W] in [0, 1], and behind each the same under the colours of its classes: [2 B, 3, H, W]. The first class
    is left as it is; classes above 255 share a colour."""
    colours = torch.tensor(palette(classes), dtype=x_BCHW.dtype).reshape(256, 3) / 255
    known = torch.where(y_BHW < 0, UNKNOWN, y_BHW.clamp(max=UNKNOWN - 1)).long()
    under = _coloured(x_BCHW)
    over = torch.where((known == 0)[:, None], under, (1 - COVER) * under + COVER * colours[known].permute(0, 3, 1, 2))
    return torch.stack([under, over], dim=1).flatten(0, 1)


def _coloured(x_BCHW: Tensor) -> Tensor:
    B, C, H, W = x_BCHW.shape
    return x_BCHW[:, :3] if C >= 3 else x_BCHW[:, :1].expand(B, 3, H, W)


def _laid_out(columns: list[Tensor]) -> NDArray[np.uint8]:
    """Columns [B, C, H, W] in [0, 1] beside each other, each pixel enlarged until an image is large enough to be seen."""
    B, _, H, W = columns[0].shape
    scale = max(1, math.ceil(SIDE / max(H, W)))
    height, width = H * scale, W * scale
    sheet = np.full((B * (height + GAP) + GAP, len(columns) * (width + GAP) + 5 * GAP, 3), WHITE, dtype=np.uint8)
    for k, column in enumerate(columns):
        big = _coloured(column).repeat_interleave(scale, 2).repeat_interleave(scale, 3).permute(0, 2, 3, 1)
        left = GAP + k * (width + GAP) + (4 * GAP if k else 0)
        for row, image in enumerate((big * 255).round().to(torch.uint8).numpy()):
            top = GAP + row * (height + GAP)
            sheet[top : top + height, left : left + width] = image
    return sheet


__all__ = ["picture", "write"]
