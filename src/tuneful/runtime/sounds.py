"""Sound files to arrays of one rate and length: the same code for training and serving.

WAV with whole-number samples is read by Python itself; FLAC, OGG and WAV with floats by soundfile, imported when such a file
is met. Channels are averaged to one. Another rate is resampled by a windowed sinc; a shorter sound is filled up with silence
behind it, of a longer one the middle is kept. Only headers are looked at before a file is known to be of sane length, so
that a small file cannot fill the memory.

    y[n] = sum_k x[k] h(n down - k up),   h: low-pass at the lower of both rates, Kaiser window (beta 5), 10 zero crossings

Source of the filter: Crochiere & Rabiner, Multirate Digital Signal Processing, 1983, ch. 2 (as scipy.signal.resample_poly).
"""

from __future__ import annotations

import io
import math
import os
import wave
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, MissingError
from tuneful.runtime.pixels import show_path

Floats = NDArray[np.float32]
SAMPLE_LIMIT = 192_000 * 600
"""No sound with more samples (ten minutes at the highest usual rate) is decoded."""

RATES = (1_000, 384_000)
"""Samples a second that a file may have."""


class Sound(NamedTuple):
    """What a file says of itself: samples a second and a channel, and why it cannot be read."""

    rate: int
    frames: int
    channels: int
    trouble: str = ""


def read_heading(path: str | bytes | Path) -> Sound:
    """Rate and length of a sound without decoding it. Never raises for a bad file: `trouble` says what is wrong."""
    try:
        if not os.path.isfile(path):
            return Sound(0, 0, 0, "it is no regular file")  # never wait on a pipe
        if os.path.getsize(path) == 0:
            return Sound(0, 0, 0, "the file is empty (0 bytes)")
        with open(path, "rb") as file:
            found = _wave_heading(file) or _other_heading(path)
    except OSError as error:
        return Sound(0, 0, 0, error.strerror or str(error))
    if found.trouble:
        return found
    if not RATES[0] <= found.rate <= RATES[1]:
        return found._replace(trouble=f"it has {found.rate} samples a second; {RATES[0]} to {RATES[1]} are read")
    if found.frames < 1:
        return found._replace(trouble="it holds no samples")
    if found.frames * max(1, found.channels) > SAMPLE_LIMIT:
        return found._replace(trouble=f"it has {found.frames} samples, more than {SAMPLE_LIMIT}")
    return found


def read_sound(path: str | bytes | Path, rate: int, length: int) -> NDArray[np.int16]:
    """One sound as [1, length] int16 at `rate` samples a second.

    Raises: DataError that names the file and what is wrong with it; MissingError when it takes soundfile to read it.
    """
    heading = read_heading(path)
    if heading.trouble:
        raise DataError(f"{show_path(path)} cannot be read: {heading.trouble}", "replace or remove this file")
    try:
        with open(path, "rb") as file:
            content = file.read()
        samples = _wave_samples(content)
        if samples is None:
            samples = _other_samples(content)
    except (OSError, wave.Error, EOFError, ValueError, RuntimeError) as error:
        raise DataError(f"{show_path(path)} cannot be read: {_why(error)}", "replace or remove this file") from None
    return fitted(samples, heading.rate, rate, length)


def fitted(samples: Floats, given: int, rate: int, length: int) -> NDArray[np.int16]:
    """Samples in [-1, 1], [n] or [n, channels], at the rate and of the length wanted: [1, length] int16."""
    one = samples.mean(axis=1) if samples.ndim == 2 else samples
    one = resample(np.nan_to_num(one.astype(np.float32)), given, rate)
    if len(one) > length:
        start = (len(one) - length) // 2
        one = one[start : start + length]
    out = np.zeros((1, length), dtype=np.int16)
    out[0, : len(one)] = np.round(np.clip(one, -1, 32767 / 32768) * 32768).astype(np.int16)
    return out


def resample(x: Floats, given: int, wanted: int) -> Floats:
    """Samples [n] at another rate: [ceil(n * wanted / given)]. Cost: n * 20 * max(given, wanted) / given multiply-adds."""
    if given == wanted or not len(x):
        return x
    common = math.gcd(given, wanted)
    up, down = wanted // common, given // common
    slower = max(up, down)
    half = 10 * slower
    taps = np.arange(-half, half + 1) / slower
    kernel = np.sinc(taps) * np.kaiser(2 * half + 1, 5.0)
    kernel *= up / kernel.sum()
    n = -(-len(x) * up // down)
    out = np.empty(n, dtype=np.float32)
    # Output i sits at i * down on the fine grid; only every up-th tap meets a sample that is not a stuffed zero.
    padded = np.concatenate([np.zeros(half // up + 1), x, np.zeros(half // up + 2)])
    places = np.arange(n) * down
    for phase in range(up):
        mine = np.flatnonzero(places % up == phase)
        if not len(mine):
            continue
        first = -((half - phase) // up)
        reach = np.arange(first, (half + phase) // up + 1)
        weights = kernel[half + phase - reach * up]
        at = places[mine] // up + half // up + 1
        for piece in np.array_split(np.arange(len(mine)), max(1, len(mine) * len(reach) // 4_000_000)):
            out[mine[piece]] = padded[at[piece][:, None] + reach[None, :]] @ weights
    return out


def _wave_heading(file: Any) -> Sound | None:
    try:
        with wave.open(file, "rb") as sound:
            return Sound(sound.getframerate(), sound.getnframes(), sound.getnchannels())
    except (wave.Error, EOFError, RuntimeError):  # the last where a part says that it is longer than the file
        return None  # no RIFF file, or one with floats: soundfile may know it


def _wave_samples(content: bytes) -> Floats | None:
    """Samples [n, channels] in [-1, 1) of a WAV with whole-number samples, None of anything else."""
    try:
        with wave.open(io.BytesIO(content), "rb") as sound:
            width, channels = sound.getsampwidth(), sound.getnchannels()
            raw = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError, RuntimeError):  # the last where a part says that it is longer than the file
        return None
    whole = len(raw) // (width * channels) * width * channels
    raw = raw[:whole]
    if not raw:
        raise ValueError("it holds no samples")
    if width == 1:
        found = np.frombuffer(raw, np.uint8).astype(np.float32) / np.float32(128) - np.float32(1)
    elif width == 2:
        found = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
    elif width == 3:
        bytes_ = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
        signed = (bytes_[:, 0] << 8 | bytes_[:, 1] << 16 | bytes_[:, 2] << 24) >> 8
        found = signed.astype(np.float32) / (1 << 23)
    else:
        found = np.frombuffer(raw, "<i4").astype(np.float32) / float(1 << 31)
    return found.reshape(-1, channels)


def _soundfile() -> Any:
    try:
        import soundfile  # pyright: ignore[reportMissingTypeStubs, reportMissingImports]
    except (ImportError, OSError):  # the package, or the C library that it loads
        raise MissingError("soundfile", "audio", "reading FLAC, OGG and floating-point WAV files") from None
    found: Any = soundfile
    return found


def _other_heading(path: str | bytes | Path) -> Sound:
    soundfile = _soundfile()
    try:
        told = soundfile.info(os.fsdecode(path))
    except (RuntimeError, ValueError) as error:
        return Sound(0, 0, 0, _why(error))
    return Sound(int(told.samplerate), int(told.frames), int(told.channels))


def _other_samples(content: bytes) -> Floats:
    samples, _ = _soundfile().read(io.BytesIO(content), dtype="float32", always_2d=True)
    return samples


def _why(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rpartition(": ")[2].rstrip(".")[:120] or "it is no sound file"
