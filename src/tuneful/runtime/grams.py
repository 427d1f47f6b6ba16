"""A text as the set of its n-grams, of words and of letters: numbers in rising order, each once. numpy alone, for training and serving.

A tokenizer of kind "grams" is plain data in the schema, fitted on train by `pipeline.grams`:

    {"kind": "grams", "views": [{"of": "words" or "letters", "from": n, "to": m, "kept": text}, ...], "lower", "digits"}

    words    runs of n to m words or signs
    letters  runs of n to m letters of the words joined by single spaces, one before the first and one behind the last too

An n-gram of the numbers c_1 .. c_n (Unicode numbers of letters; of a word the first eight bytes of its BLAKE2b) is known by 32 bits:

    h = sum_i c_i F^(n-i) + n G mod 2^64;   print = mix(h) >> 32

mix is the finalizer of SplitMix64. Of each view the prints that train holds often enough are `kept`, in rising order, as base64 of
little-endian 32-bit numbers; the k-th of all views' together is number k + 1, 0 fills up, and what is not kept is left out. Two
n-grams that share a print are one; of 10^5 kept prints an unknown n-gram meets one with probability 2e-5.

Source: Rabin 1981, "Fingerprinting by random polynomials"; mix: Steele, Lea & Flood, OOPSLA 2014. Letters across words: Cavnar & Trenkle 1994.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Prints = NDArray[np.uint32]
_FACTOR, _GOLDEN = np.uint64(0x5851F42D4C957F2D), 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_REMEMBERED = 100_000  # words whose numbers are not computed twice
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
_DIGIT = re.compile(r"\d")


class Grams:
    """A tokenizer of kind "grams", made of its data; without "kept", as it is before it has learned, it gives prints alone."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        views: Sequence[Mapping[str, Any]] = data["views"]
        self.views = [(str(view["of"]), int(view["from"]), int(view["to"])) for view in views]
        self.lower, self.digits = bool(data.get("lower", True)), bool(data.get("digits", True))
        self.kept = [unpacked(str(view.get("kept", ""))) for view in views]
        self.sizes = [len(kept) for kept in self.kept]
        self._words: dict[str, int] = {}

    def words(self, text: str) -> list[str]:
        """Words and signs of a text, as they count."""
        found = _WORD.findall(text.lower() if self.lower else text)
        return [_DIGIT.sub("0", word) for word in found] if self.digits else found

    def prints(self, text: str) -> list[Prints]:
        """Of each view the prints of all n-grams of a text, each once and in rising order."""
        words = self.words(text)
        numbers = {
            "words": lambda: np.array([self._number(word) for word in words], dtype=np.uint64),
            "letters": lambda: _letters(words),
        }
        return [_unique(numbers[of](), low, high) for of, low, high in self.views]

    def ids(self, text: str, most: int) -> list[int]:
        """The numbers of a text, the first `most` of them."""
        found: list[int] = []
        before = 1
        for kept, seen in zip(self.kept, self.prints(text), strict=True):
            at = np.searchsorted(kept, seen)
            at[at == len(kept)] = 0
            found += (at[kept[at] == seen] + before).tolist() if len(kept) else []
            before += len(kept)
        return found[:most]

    def _number(self, word: str) -> int:
        found = self._words.get(word)
        if found is None:
            found = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
            if len(self._words) < _REMEMBERED:
                self._words[word] = found
        return found


def _letters(words: Sequence[str]) -> NDArray[np.uint64]:
    """Unicode numbers of the words, with a space before, between and behind them."""
    if not words:
        return np.zeros(0, np.uint64)
    return np.frombuffer(f" {' '.join(words)} ".encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)


def _unique(numbers: NDArray[np.uint64], low: int, high: int) -> Prints:
    """The prints of all runs of low to high numbers, each once and in rising order."""
    found: list[Prints] = []
    h = np.zeros(len(numbers), np.uint64)
    for n in range(1, min(high, len(numbers)) + 1):
        h = h[: len(numbers) - n + 1] * _FACTOR + numbers[n - 1 :]
        if n >= low:
            found.append(_mixed(h + np.uint64(n * _GOLDEN % 2**64)))
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint32)


def _mixed(h: NDArray[np.uint64]) -> Prints:
    h = (h ^ (h >> np.uint64(30))) * _FIRST
    h = (h ^ (h >> np.uint64(27))) * _SECOND
    return ((h ^ (h >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32)


def packed(prints: Prints) -> str:
    """Prints as text.

    >>> packed(np.array([1, 2**32 - 1], np.uint32)), unpacked("AQAAAP////8=").tolist()
    ('AQAAAP////8=', [1, 4294967295])
    """
    return base64.b64encode(np.ascontiguousarray(prints, dtype="<u4").tobytes()).decode("ascii")


def unpacked(text: str) -> Prints:
    """What `packed` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<u4").astype(np.uint32)


__all__ = ["Grams", "Prints", "packed", "unpacked"]
