"""Sound files to arrays of one rate and length: the same code for training and serving.

WAV with whole-number samples is read by Python itself; FLAC, OGG and WAV with floats by soundfile, imported when such a file
is met. Channels are averaged to one. Another rate is resampled by a windowed sinc; a shorter sound is filled up with silence
behind it, of a longer one the middle is kept. Only headers are looked at before a file is known to be of sane length, and of
long files only what is kept is decoded, so that a small file cannot fill the memory.

    y[n] = sum_k x[k] h(n down - k up),   h: low-pass at the lower of both rates, Kaiser window (beta 5), 10 zero crossings

Source of the filter: Crochiere & Rabiner, Multirate Digital Signal Processing, 1983, ch. 2 (as scipy.signal.resample_poly).
"""

from __future__ import annotations

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

WHOLE = 1 << 22
"""Sounds with more samples are decoded around their middle only: the other numbers would be thrown away."""

RATES = (1_000, 384_000)
"""Samples a second that a file may have."""


_ZEROS = 10  # zero crossings of the filter to either side


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
    start, first, count = _middle(heading, rate, length)
    try:
        with open(path, "rb") as file:
            samples = _samples(file, first, count)
            if len(samples) < count and first:  # the heading has promised too much
                start, samples = None, _samples(file, 0, heading.frames)
    except (OSError, wave.Error, EOFError, ValueError, RuntimeError) as error:
        raise DataError(f"{show_path(path)} cannot be read: {_why(error)}", "replace or remove this file") from None
    return fitted(samples, heading.rate, rate, length, start)


def _middle(heading: Sound, rate: int, length: int) -> tuple[int | None, int, int]:
    """Which frames the middle is made of: the first and how many; before them, where in what they give it begins (None: amid)."""
    common = math.gcd(heading.rate, rate)
    up, down = rate // common, heading.rate // common
    n = -(-heading.frames * up // down)
    if heading.frames * heading.channels <= WHOLE or n <= length:
        return None, 0, heading.frames
    start = (n - length) // 2
    reach = _ZEROS * max(up, down) // up + 2  # frames to either side that a number is made of
    blocks = max(0, (start * down // up - reach) // down)  # of `down` frames, which give `up` numbers each
    end = min(heading.frames, (start + length) * down // up + reach)
    return start - blocks * up, blocks * down, end - blocks * down


def _samples(file: Any, first: int, count: int) -> Floats:
    """So many samples [count, channels] of an open sound file, from one on; fewer where it ends before."""
    file.seek(0)
    samples = _wave_samples(file, first, count)
    if samples is None:
        file.seek(0)
        samples = _other_samples(file, first, count)
    return samples


def fitted(samples: Floats, given: int, rate: int, length: int, start: int | None = None) -> NDArray[np.int16]:
    """Samples in [-1, 1], [n] or [n, channels], at the rate and of the length wanted: [1, length] int16. start: where what is kept
    of a longer sound begins, at the new rate; in the middle when None."""
    one = samples.mean(axis=1) if samples.ndim == 2 else samples
    one = resample(np.nan_to_num(one.astype(np.float32)), given, rate)
    if len(one) > length:
        start = (len(one) - length) // 2 if start is None else start
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
    half = _ZEROS * slower
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


def _wave_samples(file: Any, first: int, count: int) -> Floats | None:
    """Samples [n, channels] in [-1, 1) of a WAV with whole-number samples, None of anything else."""
    try:
        with wave.open(file, "rb") as sound:
            width, channels = sound.getsampwidth(), sound.getnchannels()
            if first:
                sound.setpos(first)
            raw = sound.readframes(count)
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


def _other_samples(file: Any, first: int, count: int) -> Floats:
    with _soundfile().SoundFile(file) as sound:
        if first:
            sound.seek(first)
        return sound.read(count, dtype="float32", always_2d=True)


def _why(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rpartition(": ")[2].rstrip(".")[:120] or "it is no sound file"
