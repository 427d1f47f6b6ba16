"""Sounds, series, tokens and tables: what their augments change, counted and measured by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tuneful.core.errors import RecipeError
from tuneful.core.form import Form
from tuneful.techniques.augments import Background, SpecAugment, Speed, Swap, TimeShift, TokenDrop, TokenMask, fit
from tuneful.techniques.augments.background import coloured


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def runs(mask: Tensor) -> int:
    """How many separate runs of True a row holds."""
    return int((mask.int().diff(prepend=torch.zeros(1, dtype=torch.int32)) == 1).sum())


@settings(max_examples=25)
@given(height=st.floats(0, 1), width=st.floats(0, 1), bands=st.integers(0, 3), stretches=st.integers(0, 3))
def test_specaugment_hides_whole_bands_and_stretches_of_the_sizes_it_names(
    height: float, width: float, bands: int, stretches: int
):
    x = torch.ones(40, 2, 20, 30)
    one = SpecAugment(height=height, width=width, bands=bands, stretches=stretches)
    changed, _ = one.apply(x, torch.ones(40, 1), dice())
    assert torch.equal(changed[:, 0], changed[:, 1])
    drawn = one.draw(x.shape, dice())
    for k in range(40):
        rows, frames = drawn["rows"][k], drawn["frames"][k]
        assert torch.equal(changed[k, 0] == 0, rows[:, None] | frames[None, :])
        assert runs(rows) <= bands
        assert runs(frames) <= stretches
        assert rows.sum() <= bands * (height * 20 + 1)
        assert frames.sum() <= stretches * (width * 30 + 1)
    flat, _ = one.apply(x[:, 0], torch.ones(40, 1), dice())  # [B, F, T] as well
    assert torch.equal(flat, changed[:, 0])


def test_specaugment_hides_half_of_its_widest_on_average_and_every_place_alike():
    rows = SpecAugment(height=0.5, bands=1).draw((8000, 1, 21, 10), dice())["rows"]
    assert rows.sum(1).float().mean().item() == pytest.approx(5.0, abs=0.1)  # even over 0 to 10 of 21
    often = rows.float().mean(0)
    torch.testing.assert_close(often, often.flip(0), rtol=0, atol=0.03)


@settings(max_examples=25)
@given(amount=st.floats(0, 0.9), seed=st.integers(0, 2**31))
def test_time_shift_is_a_roll_whose_gap_holds_the_nearest_value(amount: float, seed: int):
    x = torch.randn(6, 2, 10, generator=dice(1))
    changed, _ = TimeShift(amount=amount).apply(x, torch.ones(6, 1), dice(seed))
    later = TimeShift(amount=amount).draw(x.shape, dice(seed))["later"]
    assert later.abs().max() <= amount * 10
    for k, move in enumerate(later.tolist()):
        padded = torch.nn.functional.pad(x[k : k + 1], (10, 10), mode="replicate").roll(move, -1)[0, :, 10:-10]
        assert torch.equal(changed[k], padded)
    spectrogram = x[:, :, None].expand(6, 2, 4, 10)
    assert torch.equal(TimeShift(amount=amount).apply(spectrogram, torch.ones(6, 1), dice(seed))[0][:, :, 3], changed)


@settings(max_examples=25)
@given(amount=st.floats(0.01, 1), seed=st.integers(0, 2**31))
def test_speed_stretches_around_the_middle_as_numpy_interpolates(amount: float, seed: int):
    x = torch.randn(5, 2, 31, generator=dice(1), dtype=torch.float64)
    changed, p = Speed(amount=amount).apply(x, torch.eye(5), dice(seed))
    rates = Speed(amount=amount).draw(x.shape, dice(seed))["rate"]
    assert torch.equal(p, torch.eye(5))
    assert ((rates >= 1 / (1 + amount)) & (rates <= 1 + amount)).all()
    for k, rate in enumerate(rates.tolist()):
        for channel in range(2):
            wanted = np.interp(15 + rate * (np.arange(31) - 15), np.arange(31), x[k, channel].numpy())
            np.testing.assert_allclose(changed[k, channel].numpy(), wanted, atol=1e-12)


def test_a_tone_played_faster_is_higher():
    t = torch.arange(8000)
    tone = torch.sin(2 * torch.pi * 200 * t / 8000)[None, None].expand(40, 1, 8000)
    changed, _ = Speed(amount=0.5).apply(tone, torch.ones(40, 1), dice(3))
    rates = Speed(amount=0.5).draw(tone.shape, dice(3))["rate"]
    heard = torch.fft.rfft(changed[:, 0, 2000:6000] * torch.hann_window(4000)).abs().argmax(-1) * 2.0
    assert (heard - 200 * rates).abs().max() <= 2


@pytest.mark.parametrize("of", ["white", "pink", "brown", "batch"])
def test_background_is_as_far_below_the_signal_as_it_says_whatever_the_scale(of: str):
    x = torch.randn(200, 1, 400, generator=dice(1)) * torch.logspace(-3, 3, 200)[:, None, None]
    changed, p = Background(snr=-5.0, spread=10.0, of=of).apply(x, torch.eye(200), dice())
    assert torch.equal(p, torch.eye(200))
    powers = [one.square().mean((1, 2)) for one in (x.double(), (changed.double() - x.double()))]
    decibels = 10 * (powers[0] / powers[1]).log10()
    heard = decibels[decibels.isfinite()]  # an example that is its own partner is heard at a distance too
    assert heard.min() > -5.01
    assert heard.max() < 5.01
    assert heard.std() == pytest.approx(10 / math.sqrt(12), rel=0.12)


def test_silence_stays_silent_and_silence_behind_adds_nothing():
    x = torch.zeros(4, 1, 50)
    assert torch.equal(Background().apply(x, torch.ones(4, 1), dice())[0], x)
    x[0] = 1.0
    changed, _ = Background(of="batch").apply(x, torch.ones(4, 1), dice())
    assert changed.isfinite().all()


@pytest.mark.parametrize(("exponent", "slope"), [(0.0, 0.0), (1.0, -1.0), (2.0, -2.0)])
def test_coloured_noise_falls_with_frequency_as_named(exponent: float, slope: float):
    noise = coloured(torch.randn(300, 1024, generator=dice()), exponent)
    power = torch.fft.rfft(noise).abs().square().mean(0)[1:-1]
    f = torch.arange(1, 512).float().log()
    line = torch.linalg.lstsq(torch.stack([f, torch.ones(511)], 1), power.log()[:, None]).solution
    assert line[0].item() == pytest.approx(slope, abs=0.05)


@settings(max_examples=30)
@given(rows=st.lists(st.lists(st.integers(2, 9), max_size=8), min_size=1, max_size=6), share=st.floats(0, 1))
def test_token_drop_keeps_the_order_of_what_stays_and_fills_the_end(rows: list[list[int]], share: float):
    x = torch.tensor([row + [0] * (8 - len(row)) for row in rows])
    changed, _ = TokenDrop(share=share).apply(x, torch.ones(len(x), 1), dice())
    gone = TokenDrop(share=share).draw(x.shape, dice())["gone"]
    for k, row in enumerate(rows):
        kept = [word for word, lost in zip(row, gone[k].tolist()) if not lost] or row[:1]
        assert changed[k].tolist() == kept + [0] * (8 - len(kept))


def test_token_mask_hides_the_share_it_names_and_never_the_filling():
    x = torch.randint(2, 50, (400, 60), generator=dice(1)) * (torch.arange(60) < 50)
    changed, _ = TokenMask(share=0.2).apply(x, torch.ones(400, 1), dice())
    assert bool(((changed == x) | (changed == 1)).all())
    assert bool((changed[:, 50:] == 0).all())
    assert (changed[:, :50] == 1).float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_swap_takes_its_share_of_cells_from_other_rows_of_the_same_column():
    x = torch.arange(1000.0)[:, None] * 10 + torch.arange(6.0)  # the unit tells the column, the rest the row
    changed, _ = Swap(share=0.3).apply(x, torch.ones(1000, 1), dice())
    assert torch.equal(changed % 10, x % 10)
    assert (changed != x).float().mean().item() == pytest.approx(0.3, abs=0.03)
    from_rows = torch.where(changed != x, changed // 10, torch.nan)
    spread = from_rows.nan_to_num(-1).amax(1) - from_rows.nan_to_num(1e9).amin(1)
    assert bool(((spread == 0) | (changed == x).all(1)).all())  # one partner a row
    assert torch.equal(Swap(share=1.0).apply(x, torch.ones(1000, 1), dice())[0].sort(0).values, x.sort(0).values)


def test_swap_moves_the_columns_of_a_category_together():
    x = torch.nn.functional.one_hot(torch.arange(300) % 3, 3).float()
    x = torch.cat([torch.randn(300, 1, generator=dice(1)), x], 1)
    (one,) = fit([Swap(share=0.5)], Form("vector", (4,), 2, groups=(1, 3)))
    changed, _ = one.apply(x, torch.ones(300, 1), dice())
    torch.testing.assert_close(changed[:, 1:].sum(1), torch.ones(300))
    assert not torch.equal(changed[:, 1:], x[:, 1:])
    alone, _ = Swap(share=0.5).apply(x, torch.ones(300, 1), dice())
    assert not torch.equal(alone[:, 1:].sum(1), torch.ones(300))
    with pytest.raises(RecipeError, match="columns adds up to 5; the rows have 4 columns"):
        Swap(columns=(2, 3)).apply(x, torch.ones(300, 1), dice())
