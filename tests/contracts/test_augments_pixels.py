"""Values of pixels: what erase, cutout, colour, cutmix and the policies do, against their formulas by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tuneful.core.errors import RecipeError
from tuneful.techniques.augments import Colour, CutMix, Cutout, Erase, RandAugment, TrivialAugment
from tuneful.techniques.augments.colour import recoloured, saturated, turned
from tuneful.techniques.augments.policy import OPERATIONS, posterized, sharpened, solarized
from tuneful.techniques.interfaces import Augment


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 8, shape: tuple[int, int, int] = (3, 12, 10)) -> Tensor:
    return torch.randn(n, *shape, generator=dice(1))


def rectangles(changed_BHW: Tensor) -> list[tuple[int, int]]:
    """Height and width of what changed in each image, which must be a full rectangle."""
    found = []
    for mask in changed_BHW:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        height, width = (int(k[-1] - k[0]) + 1 if len(k) else 0 for k in (rows, columns))
        assert int(mask.sum()) == height * width
        found.append((height, width))
    return found


def test_erase_fills_whole_rectangles_of_the_areas_it_names_with_unit_noise():
    x = torch.full((600, 2, 40, 30), 9.0)
    changed, _ = Erase(share=0.5, area=0.2).apply(x, torch.ones(600, 1), dice())
    sizes = [(h, w) for h, w in rectangles((changed != x).all(1)) if h]
    assert len(sizes) / 600 == pytest.approx(0.5, abs=0.06)
    areas = torch.tensor([h * w / 1200 for h, w in sizes])
    assert areas.min() > 0.015
    assert areas.max() < 0.215
    assert areas.mean() == pytest.approx(0.11, abs=0.01)
    ratios = torch.tensor([h / w for h, w in sizes]).log()
    assert ratios.abs().max() < math.log(1 / 0.3) + 0.3  # sides are whole
    assert ratios.mean().abs() < 0.15
    noise = changed[(changed != x)]
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert noise.mean().abs() < 0.02


def test_erase_reaches_every_pixel_about_alike():
    x = torch.full((4000, 1, 8, 8), 9.0)
    often = (Erase(share=1.0).apply(x, torch.ones(4000, 1), dice())[0] != x).float().mean((0, 1))
    assert often.min() > 0.02
    torch.testing.assert_close(often, often.flip(0), rtol=0, atol=0.05)
    torch.testing.assert_close(often, often.T, rtol=0, atol=0.05)


@settings(max_examples=25)
@given(size=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_cutout_zeroes_one_rectangle_that_the_border_may_cut(size: float, seed: int):
    x = images() + 20
    changed, _ = Cutout(size=size).apply(x, torch.ones(8, 1), dice(seed))
    for height, width in rectangles((changed == 0).all(1)):
        assert height <= round(size * 12)
        assert width <= round(size * 10)
    assert bool(((changed == 0) | (changed == x)).all())


@settings(max_examples=40)
@given(alpha=st.floats(0.05, 5), seed=st.integers(0, 2**31))
def test_cutmix_mixes_the_targets_by_the_pixels_it_pastes(alpha: float, seed: int):
    n = 6
    x = torch.arange(float(n), dtype=torch.float64).reshape(n, 1, 1, 1).expand(n, 2, 9, 7).contiguous()
    changed, targets = CutMix(alpha=alpha).apply(x, torch.eye(n, dtype=torch.float64), dice(seed))
    for k in range(n):
        shares = torch.bincount(changed[k, 0].flatten().long(), minlength=n) / 63
        torch.testing.assert_close(targets[k], shares.double(), rtol=0, atol=1e-6)
    assert torch.equal(changed[:, 0], changed[:, 1])


def test_cutmix_with_alpha_one_keeps_every_share_alike():
    _, targets = CutMix(alpha=1.0).apply(images(3000, (1, 64, 64)), torch.eye(3000), dice())
    left = targets.diagonal()
    # 1 - lam is even in (0, 1), and the border cuts off 7/16 of a rectangle of half the side on average
    assert 0.55 < left.mean() < 0.75
    assert left.min() < 0.2
    assert left.max() > 0.99


def test_cutmix_refuses_targets_that_are_class_numbers():
    with pytest.raises(RecipeError, match=r"cutmix blends targets, and these are whole numbers \(int64\)"):
        CutMix().apply(images(), torch.arange(8), dice())


def test_a_turn_of_the_hue_by_120_degrees_exchanges_the_channels():
    x = images()
    third = recoloured(x, turned(torch.full((8,), 2 * math.pi / 3)), torch.ones(8), torch.zeros(8))
    torch.testing.assert_close(third, x[:, [2, 0, 1]], rtol=0, atol=1e-5)


@given(angle=st.floats(-3.2, 3.2))
def test_a_turn_of_the_hue_keeps_grey_and_lengths(angle: float):
    R = turned(torch.tensor([angle]))[0]
    torch.testing.assert_close(R @ R.T, torch.eye(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(R @ torch.ones(3), torch.ones(3), rtol=0, atol=1e-5)


def test_no_saturation_is_grey_and_no_contrast_is_flat():
    x = images()
    grey = recoloured(x, saturated(torch.zeros(8)), torch.ones(8), torch.zeros(8))
    torch.testing.assert_close(grey, x.mean(1, keepdim=True).expand_as(x), rtol=0, atol=1e-5)
    flat = recoloured(x, saturated(torch.ones(8)), torch.zeros(8), torch.full((8,), 0.5))
    torch.testing.assert_close(flat, (x.mean((1, 2, 3), keepdim=True) + 0.5).expand_as(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_contrast_and_brightness_act_on_any_channels_about_the_images_mean(channels: int):
    x = images(500, (channels, 6, 6))
    changed, _ = Colour(brightness=0.5, contrast=0.3, saturation=0, hue=0).apply(x, torch.ones(500, 1), dice())
    scale = changed.flatten(1).std(1) / x.flatten(1).std(1)
    moved = (changed - x).flatten(1).mean(1)
    torch.testing.assert_close(
        changed, (x - x.mean((1, 2, 3), keepdim=True)) * scale[:, None, None, None]
        + x.mean((1, 2, 3), keepdim=True) + moved[:, None, None, None], rtol=0, atol=1e-4,
    )  # fmt: skip
    assert scale.min() == pytest.approx(0.7, abs=0.02)
    assert scale.max() == pytest.approx(1.3, abs=0.02)
    assert moved.abs().max() == pytest.approx(0.5, abs=0.02)


def test_grey_images_keep_their_colours():
    x = images(4, (1, 5, 5))
    changed, _ = Colour(brightness=0, contrast=0, saturation=1, hue=180).apply(x, torch.ones(4, 1), dice())
    torch.testing.assert_close(changed, x)


def test_sharpness_posterize_and_solarize_by_hand():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(sharpened(x, torch.ones(1)), x)
    smooth = sharpened(x, torch.zeros(1))[0, 0]
    torch.testing.assert_close(smooth[1:3, 1:3], x[0, 0, 1:3, 1:3])  # a plane is smooth already
    two = posterized(x, torch.tensor([7.0]))
    assert torch.equal(two, torch.where(x < 7.5, 0.0, 7.5))
    assert torch.equal(solarized(x, torch.zeros(1)), x)
    assert torch.equal(solarized(x, torch.ones(1)), torch.where(x > 0, 15 - x, x))
    half = solarized(x, torch.tensor([0.5]))
    assert torch.equal(half, torch.where(x > 7.5, 15 - x, x))


@pytest.mark.parametrize("one", [RandAugment(strength=1.0, ops=1), TrivialAugment()])
def test_policies_draw_every_operation_about_alike(one: Augment):
    drawn = one.draw((6000, 3, 16, 16), dice())
    shares = {
        "moved": (drawn["matrix"] != torch.eye(2, 3)).flatten(1).any(1),
        "light": (drawn["contrast"] != 1) | (drawn["brightness"] != 0),
        "saturated": (drawn["turn"] != torch.eye(3)).flatten(1).any(1),
        "sharp": drawn["sharp"] != 1,
        "solar": drawn["solar"] > 0,
    }
    parts = {"moved": 5, "light": 2, "saturated": 1, "sharp": 1, "solar": 1}
    for name, share in shares.items():
        assert share.float().mean().item() == pytest.approx(parts[name] / len(OPERATIONS), abs=0.03), name


@pytest.mark.parametrize("one", [RandAugment(ops=1), TrivialAugment()])
def test_an_image_that_drew_nothing_keeps_its_values_to_the_last_bit(one: Augment):
    x = images(240)
    changed, _ = one.apply(x, torch.ones(240, 1), dice())
    same = (changed == x).flatten(1).all(1).float().mean()
    assert 0.03 < same < 0.3  # identity is one of twelve; a strength of nothing is some more


def test_randaugment_of_no_strength_changes_nothing_and_more_strength_changes_more():
    x, p = images(200), torch.ones(200, 1)
    assert torch.equal(RandAugment(strength=0).apply(x, p, dice())[0], x)
    far = [(RandAugment(strength=s).apply(x, p, dice())[0] - x).abs().mean() for s in (0.1, 0.4, 1.0)]
    assert far[0] < far[1] < far[2]
