"""Moves of pixels: held against torch's own rot90, flip, roll and grids, and composed into one resampling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.augments import TABLE, Crop, Flip, Rotate, Shear, Shift, Zoom, apply
from tuneful.techniques.augments.affine import Geometric, compose, identity, resampled
from tuneful.techniques.augments.rotate import rotation

MOVES = [cls for cls in TABLE.values() if issubclass(cls, Geometric)]


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 8, shape: tuple[int, int, int] = (2, 9, 7)) -> Tensor:
    return torch.randn(n, *shape, generator=dice(1))


def smooth(n: int, side: int = 33) -> Tensor:
    """A low hill off the middle: nearly the same whether it is resampled once or twice."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    return torch.exp(-4 * ((u - 0.2) ** 2 + (v + 0.1) ** 2)).expand(n, 1, side, side)


def drawn(one: Geometric, x: Tensor, seed: int = 0) -> Tensor:
    return one.draw(x.shape, dice(seed))["matrix"]


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("side", [6, 7])
def test_rotation_by_quarters_is_torchs_rot90(quarters: int, side: int):
    x = images(3, (2, side, side))
    turned = resampled(x, rotation(torch.full((3,), quarters * math.pi / 2)), exact=False)
    torch.testing.assert_close(turned, x.rot90(quarters, (2, 3)), rtol=0, atol=1e-5)


@settings(max_examples=30)
@given(down=st.integers(-12, 12), right=st.integers(-12, 12), exact=st.booleans())
def test_a_move_by_whole_pixels_is_a_roll_whose_gap_holds_the_border(down: int, right: int, exact: bool):
    x = images()
    matrix = identity(len(x))
    matrix[:, 0, 2], matrix[:, 1, 2] = -right, -down
    moved = resampled(x, matrix, exact)
    padded = F.pad(x, (12, 12, 12, 12), mode="replicate").roll((down, right), (2, 3))[:, :, 12:-12, 12:-12]
    if exact:
        assert torch.equal(moved, padded)
    torch.testing.assert_close(moved, padded, rtol=0, atol=2e-5)


@settings(max_examples=30)
@given(numbers=st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6))
def test_any_map_reads_the_places_that_torchs_affine_grid_names(numbers: list[float]):
    x = images().double()
    H, W = x.shape[2:]
    theta = torch.tensor(numbers, dtype=torch.float64).reshape(1, 2, 3).repeat(len(x), 1, 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    wanted = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # torch's maps run over [-1, 1] along either axis, ours over pixels
    size = torch.tensor([W / 2, H / 2], dtype=torch.float64)
    matrix = theta.clone()
    matrix[:, :, :2] = theta[:, :, :2] * size[:, None] / size[None, :]
    matrix[:, :, 2] = theta[:, :, 2] * size
    torch.testing.assert_close(resampled(x, matrix, exact=False), wanted)


def test_zooming_by_two_repeats_each_pixel_where_it_samples_between_none():
    x = torch.arange(5.0).expand(1, 1, 5, 5)
    zoomed = resampled(x, identity(1) * 0.5, exact=False)
    torch.testing.assert_close(zoomed[0, 0, 2], torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]))


def test_zoom_is_as_often_in_as_out_and_never_beyond_its_amount():
    scale = drawn(Zoom(amount=0.5), images(4000))[:, 0, 0].log()
    assert scale.abs().max() <= math.log(1.5) + 1e-6
    assert scale.mean().abs() < 0.02
    assert scale.std() == pytest.approx(math.log(1.5) / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("degrees", [0.0, 5.0, 180.0])
def test_rotate_draws_its_angles_evenly(degrees: float):
    matrix = drawn(Rotate(degrees=degrees), images(4000))
    angles = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]).rad2deg()
    assert angles.abs().max() <= degrees + 1e-3
    assert angles.std() == pytest.approx(degrees / math.sqrt(3), rel=0.05, abs=1e-6)
    torch.testing.assert_close(torch.linalg.det(matrix[:, :, :2]), torch.ones(4000))


def test_shear_slants_one_axis_and_keeps_the_area():
    matrix = drawn(Shear(amount=0.3), images(2000))
    across, along = matrix[:, 0, 1], matrix[:, 1, 0]
    assert bool(((across == 0) | (along == 0)).all())
    assert (across != 0).float().mean() == pytest.approx(0.5, abs=0.04)
    assert torch.maximum(across.abs(), along.abs()).max() <= 0.3
    torch.testing.assert_close(torch.linalg.det(matrix[:, :, :2]), torch.ones(2000))


def test_shift_moves_a_ramp_by_no_more_than_its_amount():
    ramp = torch.linspace(0, 1, 20).repeat(64, 1, 20, 1)  # rises from left to right, one pixel is 1/19
    changed, _ = Shift(amount=0.1).apply(ramp, torch.ones(64, 1), dice())
    middle = (changed - ramp)[:, 0, 10, 5:15]
    moved = middle.mean(1) * 19  # in pixels
    torch.testing.assert_close(middle, middle[:, :1].expand_as(middle), rtol=0, atol=1e-5)
    assert moved.abs().max() <= 2 + 1e-4
    assert moved.abs().max() > 1.5
    assert moved.std() > 0.8
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_crop_cuts_a_window_from_each_image_padded_with_its_border():
    x = images(40)
    changed, _ = Crop(padding=2).apply(x, torch.ones(40, 1), dice())
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    seen = set()
    for image, whole in zip(changed, padded):
        windows = {(i, j): whole[:, i : i + 9, j : j + 7] for i in range(5) for j in range(5)}
        places = [place for place, window in windows.items() if torch.equal(window, image)]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 12  # each image has a place of its own


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_flip_mirrors_the_share_of_images_it_names(share: float):
    x = images(2000, (1, 2, 3))
    changed, _ = Flip(share=share).apply(x, torch.ones(2000, 1), dice())
    mirrored = (changed == x.flip(-1)).flatten(1).all(1)
    kept = (changed == x).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert mirrored.float().mean().item() == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("still", [Rotate(degrees=0), Shift(amount=0), Shear(amount=0), Zoom(amount=0)])
def test_a_move_of_no_strength_changes_nothing(still: Geometric):
    x = images()
    torch.testing.assert_close(still.apply(x, torch.ones(8, 1), dice())[0], x, rtol=1e-5, atol=1e-5)


def test_exact_moves_together_are_the_same_moves_one_by_one():
    x, p = images(64), torch.ones(64, 1)
    one = Crop(padding=2).apply(Flip().apply(x, p, dice(1))[0], p, dice(2))[0]
    assert torch.equal(apply([Flip(), Crop(padding=2)], x, p, [dice(1), dice(2)])[0], one)
    other = Flip().apply(Crop(padding=2).apply(x, p, dice(2))[0], p, dice(1))[0]
    assert torch.equal(apply([Crop(padding=2), Flip()], x, p, [dice(2), dice(1)])[0], other)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_blending_moves_together_blur_less_but_lead_to_the_same_places(order: tuple[int, ...]):
    x, p = smooth(16), torch.ones(16, 1)
    all_of_them = [Rotate(degrees=20), Shift(amount=0.05), Shear(amount=0.2), Zoom(amount=0.2)]
    chain = [all_of_them[at] for at in order]
    together = apply(chain, x, p, [dice(at) for at in order])[0]
    alone = x
    for at, one in zip(order, chain):
        alone, _ = one.apply(alone, p, dice(at))
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))  # away from the border, whose pixels are repeated
    torch.testing.assert_close(together[inner], alone[inner], rtol=0, atol=0.03)
    assert (together - x).abs().max() > 0.1


def test_four_moves_cost_one_reading_of_the_pixels(monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    real = F.grid_sample
    monkeypatch.setattr(F, "grid_sample", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    x = images()
    apply([Flip(), Rotate(), Shift(), Zoom()], x, torch.ones(8, 1), [dice(k) for k in range(4)])
    assert len(calls) == 1


def test_maps_compose_in_the_order_of_their_images():
    first, then = rotation(torch.tensor([0.3])), identity(1)
    then[0, 0, 2] = 2.0
    q = torch.tensor([1.0, -2.0, 1.0])
    by_hand = first[0] @ torch.cat([then[0] @ q, torch.ones(1)])
    torch.testing.assert_close(compose(first, then)[0] @ q, by_hand)


@pytest.mark.parametrize("cls", MOVES)
def test_every_move_says_in_its_cost_that_it_joins_others(cls: type[Geometric]):
    assert "beside other moves of pixels" in cls.cost
