"""Sounds of any kind -> int16 [N, 1, S] of one rate and length, and the log-mel front that is fitted on train.

The rate is the most common one (at most 16 000 a second: speech and most events lie below 8 kHz). The length holds the whole
of 19 sounds in 20, up to 10 seconds. Windows last 32 ms and begin every 10 ms; there are 64 bands (40 below 12 kHz). All are
brought to one loudness, which tells more of the microphone than of what is heard, unless `standardize=false`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline.fronts import LogMel, frames
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.ledger import Ledger
from tuneful.pipeline.soundfiles import unread
from tuneful.runtime.pixels import show_path
from tuneful.runtime.sounds import Sound, read_heading, read_sound
from tuneful.techniques.sources import Files, fits, note

HIGHEST = 16_000  # samples a second; more are resampled
LONGEST = 10.0  # seconds; of longer sounds the middle is kept
WINDOW, HOP = 0.032, 0.010  # seconds
_WHOLE = 0.95  # share of the sounds that are not cut
_MOST_FRAMES = 1000
_THREADS = 4

Loaded = dict[str, tuple[NDArray[np.int16] | Lazy, NDArray[Any]]]


def load(parts: Mapping[str, Files], findings: list[Finding], ledger: Ledger) -> tuple[Loaded, dict[str, Any]]:
    """All sounds of all parts, with their labels, and the schema without the bands' statistics (see `fit`).

    Unreadable files are left out and told. Raises DataError when a part, or a class of train, has no readable sound.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        heads = {split: list(pool.map(read_heading, part.paths)) for split, part in parts.items()}
        good = [head for found in heads.values() for head in found if not head.trouble]
        if not good:
            split, part = next(iter(parts.items()))
            raise DataError(f"no sound can be read (first: {show_path(part.paths[0])}: {heads[split][0].trouble})")
        rate = _rate(good, findings)
        length = _length([head for head in heads["train"] if not head.trouble] or good, rate, findings)
        kept_here, why = fits(4.0 * len(good) * length)  # what is left out is cut out of a copy
        where = "are kept in memory" if kept_here else "stay in their files and are read by threads at every step"
        findings.append(Finding("note", f"sounds of {length / rate:.3g} s {where} ({why})", len(good), len(good)))
        troubles: list[str] = []
        loaded: Loaded = {}
        for split, part in parts.items():
            jobs = [(path, label) for path, label, head in zip(part.paths, part.labels, heads[split]) if not head.trouble]
            troubles += [_told(path, head) for path, head in zip(part.paths, heads[split]) if head.trouble]
            readable = np.array([at for at, head in enumerate(heads[split]) if not head.trouble], dtype=np.int64)
            if not kept_here:
                unseen, wrong = unread([path for path, _ in jobs], rate, length)
                troubles += [_told(jobs[i][0], Sound(0, 0, 0, trouble)) for i, trouble in wrong.items()]
                ledger.left(split, readable[unseen.rows], "drop_unreadable", "sounds that cannot be read are left out")
                loaded[split] = (unseen, np.array([jobs[i][1] for i in unseen.rows], dtype=object))
                continue
            x = np.zeros((len(jobs), 1, length), dtype=np.int16)

            def fill(number: int, x: NDArray[np.int16] = x, jobs: list[tuple[bytes, str]] = jobs) -> str:
                try:
                    x[number] = read_sound(jobs[number][0], rate, length)
                except DataError as error:
                    return error.message.rpartition(": ")[2]
                return ""

            failed = list(pool.map(fill, range(len(jobs))))
            troubles += [_told(jobs[i][0], Sound(0, 0, 0, why)) for i, why in enumerate(failed) if why]
            kept = [i for i, why in enumerate(failed) if not why]
            ledger.left(split, readable[kept], "drop_unreadable", "sounds that cannot be read are left out")
            loaded[split] = (x if len(kept) == len(jobs) else x[kept], np.array([jobs[i][1] for i in kept], dtype=object))
    if troubles:
        everything = sum(len(part.paths) for part in parts.values())
        findings.append(Finding("warning", "sounds cannot be read and are left out", len(troubles), everything,
                                tuple(troubles[:20]), "replace or remove these files"))  # fmt: skip
    _none_lost(parts, loaded, troubles)
    schema = {"format": 1, "kind": "audio", "shape": [1, length], "dtype": "int16", "rate": rate}
    return loaded, schema


def levelled(asked: bool | str, findings: list[Finding]) -> bool:
    """Are all sounds brought to one loudness? What is chosen is told."""
    level = asked is not False
    hint = "standardize=false keeps their own" if asked == "auto" else ""
    findings.append(
        note("all sounds are brought to one loudness" if level else "sounds keep their loudness, as asked", hint)
    )
    return level


def fit(x: NDArray[np.int16] | Lazy, rate: int, level: bool) -> dict[str, Any]:
    """The log-mel front fitted on train: {"mel": ..., "seen": ...}, to be added to the schema. level: is loudness taken off?"""
    window = 1 << max(4, round(rate * WINDOW - 1).bit_length())  # a power of two near 32 ms
    hop = max(1, round(rate * HOP), -(-x.shape[-1] // _MOST_FRAMES))
    bands = 64 if rate >= 12_000 else 40
    bands = min(bands, window // 4)
    front = LogMel(rate, window, hop, bands, level=level)
    total = torch.zeros(bands, dtype=torch.float64)
    squares = torch.zeros(bands, dtype=torch.float64)
    count = 0
    with torch.inference_mode():
        for start in range(0, len(x), 256):
            seen = front(torch.from_numpy(np.array(x[start : start + 256])).float()).double()
            total += seen.sum(dim=(0, 1, 3))
            squares += seen.square().sum(dim=(0, 1, 3))
            count += seen.shape[0] * seen.shape[3]
    mean = total / count
    std = (squares / count - mean**2).clamp(min=0).sqrt()
    std = torch.where(std > 1e-4, std, 1.0)
    mel = {"window": window, "hop": hop, "bands": bands, "mean": mean.tolist(), "std": std.tolist(), "level": level}
    return {"mel": mel, "seen": {"kind": "spectrogram", "shape": [1, bands, frames(x.shape[-1], window, hop)]}}


def _rate(good: list[Sound], findings: list[Finding]) -> int:
    rates = Counter(head.rate for head in good)
    common, count = rates.most_common(1)[0]
    rate = min(common, HIGHEST)
    if count < len(good):
        seen = tuple(f"{r}: {k}" for r, k in rates.most_common(5))
        text = f"sounds have another rate and are resampled to {rate} samples a second"
        findings.append(Finding("warning", text, len(good) - count, len(good), seen))
    if common > HIGHEST:
        findings.append(Finding("note", f"sounds of {common} samples a second are resampled to {HIGHEST}", count, len(good)))
    several = sum(head.channels > 1 for head in good)
    if several:
        findings.append(Finding("note", "sounds have several channels, which are averaged to one", several, len(good)))
    return rate


def _length(train: list[Sound], rate: int, findings: list[Finding]) -> int:
    seconds = np.array([head.frames / head.rate for head in train])
    wanted = min(LONGEST, float(np.quantile(seconds, _WHOLE)))
    if seconds.max() <= min(LONGEST, 1.25 * wanted):
        wanted = float(seconds.max())
    length = max(1, int(np.ceil(wanted * rate)))
    cut = int((seconds > length / rate + 1e-9).sum())
    text = f"sounds are brought to {length / rate:.3g} s: shorter ones end in silence, of longer ones the middle is kept"
    findings.append(Finding("note", text, cut, len(train)))
    return length


def _told(path: bytes, head: Sound) -> str:
    return f"{show_path(path).rpartition('/')[2]}: {head.trouble}"


def _none_lost(parts: Mapping[str, Files], loaded: Loaded, troubles: list[str]) -> None:
    for split, (_, labels) in loaded.items():
        if not len(labels):
            raise DataError(f"no sound of {split} can be read ({'; '.join(troubles[:3])})", "replace these files")
    lost = sorted(set(parts["train"].labels) - set(loaded["train"][1]))
    if lost:
        raise DataError(
            f'class "{lost[0]}" has no sound that can be read ({"; ".join(troubles[:3])})', "replace these files"
        )
