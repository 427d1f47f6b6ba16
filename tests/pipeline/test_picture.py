"""The picture of what the network sees: originals first, un-normalized, and the very batches that a run trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tuneful.core.errors import DataError
from tuneful.core.task import Task
from tuneful.pipeline.candidate import ends
from tuneful.pipeline.codec import Entry, decode
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.picture import GAP, picture, write
from tuneful.pipeline.step import augmented


def tile(sheet: np.ndarray, side: int, row: int, column: int) -> np.ndarray:
    left = GAP + column * (side + GAP) + (4 * GAP if column else 0)
    top = GAP + row * (side + GAP)
    return sheet[top : top + side, left : left + side]


def test_the_first_column_is_the_data_and_the_others_what_a_step_trains_on(stripes: Task):
    recipe, _ = decode([Entry("augments", "flip,rotate"), Entry("rotate", "30")], stripes)
    sheet = picture(stripes, recipe, rows=3, draws=2)
    C, H, W = stripes.shape
    scale = -(-96 // max(H, W))
    assert H == W
    chosen = np.unique(np.linspace(0, len(stripes.train) - 1, 3).round().astype(int))
    x = torch.from_numpy(stripes.train.x[chosen]).float()
    whole = stripes.train.x.dtype == np.uint8
    low, high = (0.0, 255.0) if whole else (float(x.min()), float(x.max()))
    plan = resolve(recipe, stripes)
    y = torch.from_numpy(stripes.train.y[chosen])
    seen, _ = augmented(x, y, stripes, plan, 1, ends(stripes)[0])
    mean, std = (torch.tensor(stripes.normalize.get(k, [d] * C)).reshape(-1, 1, 1) for k, d in (("mean", 0.0), ("std", 1.0)))
    for column, wanted in ((0, x), (2, seen * std + mean)):
        for row in range(3):
            drawn = tile(sheet, H * scale, row, column)[::scale, ::scale, 0] / 255
            by_hand = ((wanted[row, 0] - low) / (high - low)).clamp(0, 1)
            np.testing.assert_allclose(drawn, by_hand, atol=1 / 255)
    assert sheet.shape == (3 * (H * scale + GAP) + GAP, 3 * (W * scale + GAP) + 5 * GAP, 3)
    assert np.array_equal(sheet, picture(stripes, recipe, rows=3, draws=2))


def test_the_picture_is_a_png_file(stripes: Task, tmp_path: Path):
    sheet = picture(stripes, decode([], stripes)[0])
    write(tmp_path / "seen.png", sheet)
    with Image.open(tmp_path / "seen.png") as again:
        assert again.format == "PNG"
        assert np.array_equal(np.asarray(again), sheet)


def test_data_that_are_no_images_are_answered_in_a_sentence(flowers: Task):
    with pytest.raises(DataError, match="holds no images but vector of 5, of which no picture is drawn"):
        picture(flowers, decode([], flowers)[0])
