"""Every augment: leaves its input alone, gives the same for the same dice, and does what its formula says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tuneful.core.config import comments
from tuneful.core.errors import RecipeError
from tuneful.techniques.augments import TABLE, Crop, Flip, Mixup, Noise, Shift, mixup


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 16, shape: tuple[int, ...] = (2, 9, 7)) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, *shape, generator=dice(1))
    return x, torch.nn.functional.one_hot(torch.arange(n) % 5, 5).float()


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert cls.needs in ("any", "image")
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", TABLE)
def test_leaves_its_input_alone_and_keeps_shape_and_type(kind: str, dtype: torch.dtype, layout: torch.memory_format):
    x, p = batch()
    x = x.to(dtype=dtype, memory_format=layout)
    x_before, p_before = x.clone(), p.clone()
    changed, targets = TABLE[kind]().apply(x, p, dice())
    assert torch.equal(x, x_before)
    assert torch.equal(p, p_before)
    assert (changed.shape, changed.dtype, changed.device) == (x.shape, x.dtype, x.device)
    assert (targets.shape, targets.dtype) == (p.shape, p.dtype)
    assert not torch.equal(changed, x)
    assert changed.isfinite().all()
    torch.testing.assert_close(targets.sum(1), torch.ones(len(p)))


@pytest.mark.parametrize("kind", TABLE)
def test_the_same_dice_give_the_same_batch_whatever_the_global_dice(kind: str):
    x, p = batch()
    torch.manual_seed(1)
    one = TABLE[kind]().apply(x, p, dice(3))
    torch.manual_seed(2)
    two = TABLE[kind]().apply(x, p, dice(3))
    other = TABLE[kind]().apply(x, p, dice(4))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize("kind", [kind for kind, cls in TABLE.items() if cls.needs == "any"])
def test_serves_tables_and_regression_where_it_says_any(kind: str):
    x, y = torch.randn(8, 3, generator=dice()), torch.randn(8, 1, generator=dice())
    changed, targets = TABLE[kind]().apply(x, y, dice())
    assert changed.shape == x.shape
    assert targets.shape == y.shape


@pytest.mark.parametrize("kind", [kind for kind, cls in TABLE.items() if cls.needs == "image"])
def test_refuses_a_table_where_it_needs_images(kind: str):
    with pytest.raises(RecipeError, match=rf"{kind} moves pixels; it was given a batch of shape \[8, 3\]"):
        TABLE[kind]().apply(torch.zeros(8, 3), torch.zeros(8, 1), dice())


def test_crop_cuts_a_window_from_each_image_padded_with_its_border():
    x, p = batch(40)
    changed, _ = Crop(padding=2).apply(x, p, dice())
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    seen = set()
    for image, whole in zip(changed, padded):
        windows = {(i, j): whole[:, i : i + 9, j : j + 7] for i in range(5) for j in range(5)}
        places = [place for place, window in windows.items() if torch.equal(window, image)]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 12  # each image has a place of its own


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_flip_mirrors_the_share_of_images_it_names(share: float):
    x, p = batch(2000, (1, 2, 3))
    changed, _ = Flip(share=share).apply(x, p, dice())
    mirrored = (changed == x.flip(-1)).flatten(1).all(1)
    kept = (changed == x).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert mirrored.float().mean().item() == pytest.approx(share, abs=0.04)


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


def test_shift_by_nothing_changes_nothing():
    x, p = batch()
    torch.testing.assert_close(Shift(amount=0.0).apply(x, p, dice())[0], x, rtol=1e-5, atol=1e-5)


def test_noise_has_the_deviation_it_names():
    x, p = batch(500)
    added = Noise(std=0.3).apply(x, p, dice())[0] - x
    assert added.std().item() == pytest.approx(0.3, rel=0.02)
    assert abs(added.mean().item()) < 0.01


@settings(max_examples=40)
@given(alpha=st.floats(0.01, 10), seed=st.integers(0, 2**31))
def test_mixup_blends_examples_and_targets_alike(alpha: float, seed: int):
    p = torch.eye(6, dtype=torch.float64)  # one class an example: the targets tell lam and the partner
    x = torch.randn(6, 4, dtype=torch.float64, generator=dice(1))
    changed, targets = mixup(x, p, alpha, dice(seed))
    torch.testing.assert_close(changed, targets @ x)
    torch.testing.assert_close(targets.sum(0), torch.ones(6, dtype=torch.float64))  # partners are a permutation


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixups_lam_is_spread_as_beta(alpha: float):
    x, p = torch.arange(2.0)[:, None], torch.eye(2)
    stream, away = dice(0), []
    for _ in range(1500):
        changed, _ = mixup(x, p, alpha, stream)
        if changed[0] != 0:  # the partner is the other one: x'_0 is 1 - lam
            away.append(changed[0].item())
    values = torch.tensor(away)
    assert values.mean().item() == pytest.approx(0.5, abs=0.05)
    assert values.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


def test_mixup_refuses_what_cannot_be_blended():
    x, p = batch()
    with pytest.raises(RecipeError, match="alpha is 0; it must be > 0"):
        mixup(x, p, 0.0, dice())
    with pytest.raises(RecipeError, match="16 examples and 3 targets"):
        Mixup().apply(x, p[:3], dice())
