"""Sounds become arrays the same way in training and serving: read, resampled, cut, refused in a sentence."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from tuneful.core.errors import DataError
from tuneful.runtime import sounds
from tuneful.runtime.sounds import fitted, read_heading, read_sound, resample


def tone(rate: int = 8000, seconds: float = 0.25, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def wav(path: Path, samples: np.ndarray, rate: int = 8000, width: int = 2, channels: int = 1) -> Path:
    scale = {1: 127, 2: 32767, 3: 8388607, 4: 2147483647}[width]
    whole = np.round(samples.astype(np.float64) * scale).astype(np.int64)
    if width == 1:
        raw = (whole + 128).astype(np.uint8).tobytes()
    else:
        raw = b"".join(int(v).to_bytes(width, "little", signed=True) for v in whole)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(raw)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_reads_whole_number_wav_of_every_width(tmp_path, width):
    x = tone()
    read = read_sound(wav(tmp_path / "a.wav", x, width=width), 8000, len(x))
    assert read.shape == (1, len(x))
    assert read.dtype == np.int16
    np.testing.assert_allclose(read[0] / 32768, x, atol=1 / 100 if width == 1 else 1e-4)


@pytest.mark.parametrize(
    ("given_rate", "wanted"), [(8000, 16000), (16000, 8000), (44100, 16000), (22050, 8000), (8000, 11025)]
)
def test_resamples_as_scipy_does(given_rate, wanted):
    x = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    common = math.gcd(given_rate, wanted)
    reference = resample_poly(x.astype(np.float64), wanted // common, given_rate // common)
    np.testing.assert_allclose(resample(x, given_rate, wanted), reference, atol=1e-6)


def test_a_tone_keeps_its_pitch_and_what_lies_above_half_the_rate_is_gone():
    low, high = tone(16000, 0.5, 1000.0), tone(16000, 0.5, 7000.0)
    found = resample(low + high, 16000, 8000)
    lines = np.abs(np.fft.rfft(found * np.hanning(len(found))))
    assert abs(np.argmax(lines) * 8000 / len(found) - 1000) < 5
    assert np.abs(resample(high, 16000, 8000)[50:-50]).max() < 0.01


def test_channels_are_averaged_short_ones_end_in_silence_and_of_long_ones_the_middle_is_kept():
    both = np.stack([tone(), -tone()], axis=1)
    assert np.abs(fitted(both, 8000, 8000, 2000)).max() == 0
    short = fitted(tone(seconds=0.1), 8000, 8000, 1000)
    assert short[0, 800:].any() == False  # noqa: E712
    ramp = np.linspace(-1, 1, 1001, dtype=np.float32)
    assert abs(int(fitted(ramp, 8000, 8000, 101)[0, 50])) <= 40


def test_flac_and_float_wav_are_read_by_soundfile(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    x = tone()
    soundfile.write(tmp_path / "a.flac", x, 8000)
    soundfile.write(tmp_path / "a.wav", x, 8000, subtype="FLOAT")
    for name in ("a.flac", "a.wav"):
        heading = read_heading(tmp_path / name)
        assert (heading.rate, heading.frames, heading.channels, heading.trouble) == (8000, len(x), 1, "")
        np.testing.assert_allclose(read_sound(tmp_path / name, 8000, len(x))[0] / 32768, x, atol=1e-4)


@pytest.mark.parametrize("form", ["wav", "flac"])
@pytest.mark.parametrize(("given_rate", "wanted"), [(8000, 8000), (44100, 16000), (16000, 8000), (8000, 11025)])
def test_of_a_long_sound_only_the_middle_is_decoded_and_it_is_the_same(tmp_path, monkeypatch, form, given_rate, wanted):
    soundfile = pytest.importorskip("soundfile")
    both = np.random.default_rng(0).integers(-9000, 9000, (40_011, 2), dtype=np.int16)
    path = tmp_path / f"a.{form}"
    soundfile.write(path, both, given_rate, subtype="PCM_16")
    at_once = read_sound(path, wanted, 1000)
    decoded = []
    monkeypatch.setattr(sounds, "WHOLE", 80_000)
    monkeypatch.setattr(sounds, "resample", lambda x, *rates: (decoded.append(len(x)), resample(x, *rates))[1])
    in_part = read_sound(path, wanted, 1000)
    assert decoded[0] < 4000
    assert np.abs(in_part.astype(int) - at_once).max() <= 1  # sums of other pieces round otherwise
    assert (in_part == at_once).mean() > 0.99
    assert np.array_equal(
        read_sound(path, wanted, 60_000 * 2), fitted(both / np.float32(32768), given_rate, wanted, 120_000)
    )


def test_bad_files_are_told_in_a_sentence(tmp_path):
    good = wav(tmp_path / "good.wav", tone()).read_bytes()
    cases = {
        "empty": (b"", "the file is empty"),
        "cut in its header": (good[:20], "cut in its header.wav cannot be read"),
        "no sound": (b"not a sound at all, only words", "no sound.wav cannot be read"),
        "no samples": (good[:40] + struct.pack("<I", 0), "it holds no samples"),
    }
    for name, (content, said) in cases.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_sound(path, 8000, 100)
    with pytest.raises(DataError, match="no regular file"):
        read_sound(tmp_path / "nowhere.wav", 8000, 100)
    wav(tmp_path / "slow.wav", tone(), rate=100)
    with pytest.raises(DataError, match="it has 100 samples a second; 1000 to 384000 are read"):
        read_sound(tmp_path / "slow.wav", 8000, 100)


def test_a_header_that_promises_hours_is_not_believed(tmp_path):
    raw = bytearray(wav(tmp_path / "a.wav", tone()).read_bytes())
    raw[40:44] = struct.pack("<I", 0xFFFFFFF0)
    raw[4:8] = struct.pack("<I", 0xFFFFFFF8)
    (tmp_path / "huge.wav").write_bytes(raw)
    with pytest.raises(DataError, match="samples, more than"):
        read_sound(tmp_path / "huge.wav", 8000, 100)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 60), value=st.integers(0, 255), cut=st.integers(0, 2100))
def test_no_flipped_byte_and_no_cut_is_worse_than_a_sentence(tmp_path, where, value, cut):
    raw = bytearray(wav(tmp_path / "a.wav", tone()).read_bytes())
    raw[where] = value
    path = tmp_path / "b.wav"
    path.write_bytes(raw[: len(raw) - cut])
    try:
        assert read_sound(path, 8000, 500).shape == (1, 500)
    except DataError as error:
        assert "b.wav" in error.message  # noqa: PT017
