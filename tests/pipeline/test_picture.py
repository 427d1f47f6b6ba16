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
from tuneful.pipeline.prepare import prepare
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


def test_masks_lie_over_their_pictures_moved_alike():
    """Bright squares are the foreground: wherever an augment takes one, the colour of its class must lie on it."""
    dice = np.random.default_rng(0)
    x, y = np.zeros((20, 32, 32), np.uint8), np.zeros((20, 32, 32), np.int64)
    for image, mask in zip(x, y):
        top, left = dice.integers(4, 20, 2)
        image[top : top + 8, left : left + 8], mask[top : top + 8, left : left + 8] = 200, 2
    y[:, 0] = 1  # so that there are three classes, told by colours
    y[:, 31] = -1
    task = prepare((x, y), masks="classes")
    assert task.kind == "segmentation"
    recipe, _ = decode([Entry("augments", "flip,rotate,shift"), Entry("rotate", "30")], task)
    sheet = picture(task, recipe, rows=3, draws=4).astype(int)
    scale, side = 3, 96
    moved = 0
    for column in range(5):
        for row in range(3):
            image, over = (tile(sheet, side, 2 * row + k, column)[::scale, ::scale] for k in (0, 1))
            assert (image[..., 0] == image[..., 2]).all()
            green = over[..., 1] - image[..., 1] - (over[..., 0] - image[..., 0]) > 20  # class 2 of the palette is green
            bright = image[..., 0] > 100
            assert bright.sum() > 30
            assert (green & bright).sum() > 0.85 * (green | bright).sum()
            moved += column > 0 and not np.array_equal(image, tile(sheet, side, 2 * row, 0)[::scale, ::scale])
    assert moved > 8
    first = tile(sheet, side, 1, 0)[::scale, ::scale]
    assert first[0, 5].tolist() == [round(0.55 * 128), 0, 0]  # class 1 is dark red, on black
    assert first[31, 5].tolist() == [round(0.55 * 128)] * 3  # unknown is grey


def test_the_picture_is_a_png_file(stripes: Task, tmp_path: Path):
    sheet = picture(stripes, decode([], stripes)[0])
    write(tmp_path / "seen.png", sheet)
    with Image.open(tmp_path / "seen.png") as again:
        assert again.format == "PNG"
        assert np.array_equal(np.asarray(again), sheet)


def test_data_that_are_no_images_are_answered_in_a_sentence(flowers: Task):
    with pytest.raises(DataError, match="holds no images but vector of 5, of which no picture is drawn"):
        picture(flowers, decode([], flowers)[0])
