"""The log-mel front: what it computes held against numpy's transform, and that it is exported whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuneful.pipeline.fronts import SILENCE, LogMel, frames, triangles
from tuneful.pipeline.sounds import fit

RATE, WINDOW, HOP, BANDS = 8000, 256, 80, 40


def noise(n: int = 3, length: int = 1200) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3000, (n, 1, length)).round().astype(np.int16)


def by_numpy(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x / 32768, WINDOW // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    parts = [padded[i : i + WINDOW] * hann for i in range(0, len(padded) - WINDOW + 1, HOP)]
    power = np.abs(np.fft.rfft(parts, axis=1) / hann.sum()) ** 2
    return np.log(triangles(RATE, WINDOW, BANDS) @ power.T + SILENCE)


def test_is_the_fourier_transform_of_windows():
    x = noise()
    found = LogMel(RATE, WINDOW, HOP, BANDS)(torch.from_numpy(x).float())
    assert found.shape == (3, 1, BANDS, frames(x.shape[-1], WINDOW, HOP))
    for n in range(3):
        np.testing.assert_allclose(found[n, 0], by_numpy(x[n, 0].astype(np.float64)), atol=2e-3)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_its_own_band(hertz: float):
    x = (20000 * np.sin(2 * np.pi * hertz * np.arange(4000) / RATE)).astype(np.int16)[None, None]
    found = LogMel(RATE, WINDOW, HOP, BANDS)(torch.from_numpy(x).float())[0, 0].mean(dim=1)
    weights = triangles(RATE, WINDOW, BANDS)
    lines = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    assert abs(int(found.argmax()) - int(weights[:, np.abs(lines - hertz).argmin()].argmax())) <= 1


def test_bands_touch_and_cover_everything_between_the_ends():
    total = triangles(RATE, WINDOW, BANDS).sum(axis=0)
    lines = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    inside = (lines > 100) & (lines < 3700)
    np.testing.assert_allclose(total[inside], 1.0, atol=1e-9)


@pytest.mark.parametrize("rate", [4000, 8000, 16000])
def test_what_is_fitted_on_train_has_mean_0_and_deviation_1_in_every_band(rate: int):
    x = noise(20, 2 * rate)
    told = fit(x, rate, True)
    mel = told["mel"]
    front = LogMel(rate, mel["window"], mel["hop"], mel["bands"], mel["mean"], mel["std"], mel["level"])
    seen = front(torch.from_numpy(x).float())
    assert list(seen.shape[1:]) == told["seen"]["shape"]
    torch.testing.assert_close(seen.mean(dim=(0, 1, 3)), torch.zeros(mel["bands"]), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.std(dim=(0, 1, 3)), torch.ones(mel["bands"]), atol=1e-2, rtol=0)


@pytest.mark.parametrize("level", [True, False])
def test_silence_is_finite_and_constant_bands_stay(level: bool):
    told = fit(np.zeros((4, 1, 4000), np.int16), 8000, level)
    assert set(told["mel"]["std"]) == {1.0}
    assert np.isfinite(told["mel"]["mean"]).all()


def test_at_one_loudness_a_recording_is_the_same_however_loud_and_however_much_silence_fills_it_up():
    loud = noise(2, 1200)
    quiet, filled = loud // 8, np.pad(loud, ((0, 0), (0, 0), (0, 2000)))
    front = LogMel(RATE, WINDOW, HOP, BANDS, level=True)
    a, b, c = (front(torch.from_numpy(x).float()) for x in (loud, quiet, filled))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0)  # an eighth as loud, rounded to 16 bits
    torch.testing.assert_close(a[..., :14], c[..., :14])
    assert float((LogMel(RATE, WINDOW, HOP, BANDS)(torch.from_numpy(quiet).float()) - a).abs().mean()) > 1
    scaled = loud.astype(np.float64) / 32768
    scaled *= 0.1 / np.sqrt((scaled**2).mean(axis=-1, keepdims=True))
    np.testing.assert_allclose(a[0, 0], by_numpy(scaled[0, 0] * 32768), atol=5e-3)
