"""Every augment: leaves its input alone, gives the same for the same dice, and does what its formula says."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tuneful.core.config import comments
from tuneful.core.errors import RecipeError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.augments import TABLE, Mixup, Noise, fit, mixup


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


SHAPES = {"image": (2, 9, 7), "spectrogram": (1, 12, 20), "vector": (11,), "series": (2, 30), "tokens": (15,)}


def batch(kind: str = "image", n: int = 16, shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Examples of a kind, and one-hot targets of five classes."""
    x = torch.randn(n, *(shape or SHAPES[kind]), generator=dice(1))
    if kind == "tokens":
        x = ((x * 1000).abs().long() + 2) * (torch.arange(15) < 12)  # the last three are filling
    return x, torch.nn.functional.one_hot(torch.arange(n) % 5, 5).float()


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(cls.serves) <= set(get_args(FormKind))
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


SERVED = [(kind, form) for kind, cls in TABLE.items() for form in cls.serves if not (cls.raw and form == "spectrogram")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "form"), SERVED)
def test_leaves_its_input_alone_and_keeps_shape_and_type(kind: str, form: str, dtype: torch.dtype):
    x, p = batch(form)
    x = x.to(dtype) if x.is_floating_point() else x
    layouts = (torch.contiguous_format, torch.channels_last) if x.ndim == 4 else (torch.contiguous_format,)
    given = [x.to(memory_format=layout) for layout in layouts]
    before, p_before = x.clone(), p.clone()
    for one in given:
        changed, targets = TABLE[kind]().apply(one, p, dice())
        assert torch.equal(one, before)
        assert torch.equal(p, p_before)
        assert (changed.shape, changed.dtype, changed.device) == (x.shape, x.dtype, x.device)
        assert (targets.shape, targets.dtype) == (p.shape, p.dtype)
        assert not torch.equal(changed, x)
        assert changed.isfinite().all()
        torch.testing.assert_close(targets.sum(1), torch.ones(len(p)))


@pytest.mark.parametrize(("kind", "form"), SERVED)
def test_the_same_dice_give_the_same_batch_whatever_the_global_dice(kind: str, form: str):
    x, p = batch(form)
    torch.manual_seed(1)
    one = TABLE[kind]().apply(x, p, dice(3))
    torch.manual_seed(2)
    two = TABLE[kind]().apply(x, p, dice(3))
    other = TABLE[kind]().apply(x, p, dice(4))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize(("kind", "form"), SERVED)
def test_every_draw_lies_on_the_cpu_with_a_row_for_each_example(kind: str, form: str):
    x, _ = batch(form)
    drawn = TABLE[kind]().draw(x.shape, dice())
    assert drawn
    assert all(len(one) == len(x) and one.device.type == "cpu" for one in drawn.values())
    assert set(TABLE[kind].partners) <= set(drawn)


@pytest.mark.parametrize("kind", TABLE)
def test_other_forms_of_data_are_refused_by_name(kind: str):
    for form in get_args(FormKind):
        shape = SHAPES.get(form, (9,))
        given = Form(form, shape, 2)
        if form in TABLE[kind].serves:
            assert fit([TABLE[kind]()], given) == (TABLE[kind](),)
        else:
            with pytest.raises(RecipeError, match=rf"augments.{kind} takes .* data; these are {form} of "):
                fit([TABLE[kind]()], given)


def test_all_augments_that_do_not_fit_are_told_at_once_and_moves_are_refused_where_places_have_targets():
    with pytest.raises(RecipeError, match=r"(?s)augments.flip takes image data.*augments.swap takes vector data"):
        fit([TABLE["flip"](), TABLE["swap"](), TABLE["noise"]()], Form("series", (2, 30), 2))
    with pytest.raises(
        RecipeError, match=r"augments.time_shift moves what is at a place elsewhere, and the targets of each"
    ):
        fit([TABLE["time_shift"]()], Form("series", (2, 30), 2, "place"))


@pytest.mark.parametrize("kind", [kind for kind, cls in TABLE.items() if {"image", "vector"} <= set(cls.serves)])
def test_serves_tables_and_regression_where_it_says_so(kind: str):
    x, y = torch.randn(8, 3, generator=dice()), torch.randn(8, 1, generator=dice())
    changed, targets = TABLE[kind]().apply(x, y, dice())
    assert changed.shape == x.shape
    assert targets.shape == y.shape


@pytest.mark.parametrize("kind", [kind for kind, cls in TABLE.items() if cls.serves == ("image",)])
def test_refuses_a_table_where_it_needs_images(kind: str):
    with pytest.raises(RecipeError, match=rf"{kind} moves pixels; it was given a batch of shape \[8, 3\]"):
        TABLE[kind]().apply(torch.zeros(8, 3), torch.zeros(8, 1), dice())


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [
        ("specaugment", (8, 3), r"specaugment hides parts of spectrograms; it was given a batch of shape \[8, 3\]"),
        ("time_shift", (8, 3), r"time_shift moves along time; it was given a batch of shape \[8, 3\]"),
        ("background", (8, 3), r"background mixes recordings and series; it was given a batch of shape \[8, 3\]"),
        ("swap", (8, 3, 3), r"swap exchanges cells of tables; it was given a batch of shape \[8, 3, 3\]"),
        ("token_drop", (8, 3), r"token_drop changes tokens; it was given float32 of shape \[8, 3\], not whole numbers"),
        ("token_mask", (8, 3), r"token_mask changes tokens; it was given float32 of shape \[8, 3\], not whole numbers"),
    ],
)
def test_refuses_other_shapes_in_a_sentence(kind: str, shape: tuple[int, ...], said: str):
    with pytest.raises(RecipeError, match=said):
        TABLE[kind]().apply(torch.zeros(shape), torch.zeros(8, 1), dice())


def test_noise_has_the_deviation_it_names():
    x, p = batch(n=500)
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
