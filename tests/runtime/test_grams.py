"""N-grams of texts: their prints against a reference in plain Python's whole numbers, their sets against scikit-learn's."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from tuneful.core.errors import DataError
from tuneful.pipeline.grams import learn
from tuneful.runtime.grams import Grams, packed, unpacked
from tuneful.runtime.text import Tokenizer, encode

BARE = {"views": [{"of": "words", "from": 1, "to": 2}, {"of": "letters", "from": 3, "to": 5}]}
TEXTS = [
    "A good film, isn't it?",
    "a bad film",
    "not a good film at all",
    "good",
    "",
    "été 日本語 good film 1999",
    "bad bad bad film",
] * 3


def reference(numbers: list[int], low: int, high: int) -> set[int]:
    """The formula of the module's docstring, by Python's whole numbers."""
    found: set[int] = set()
    for n in range(low, high + 1):
        for start in range(len(numbers) - n + 1):
            h = sum(c * pow(0x5851F42D4C957F2D, n - 1 - i, 2**64) for i, c in enumerate(numbers[start : start + n]))
            h = (h + n * 0x9E3779B97F4A7C15) % 2**64
            h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            h = (h ^ (h >> 27)) * 0x94D049BB133111EB % 2**64
            found.add((h ^ (h >> 31)) >> 32)
    return found


@given(st.text(max_size=40))
def test_prints_are_those_of_the_formula(text: str):
    grams = Grams(BARE)
    words = grams.words(text)
    spelled = [
        int.from_bytes(hashlib.blake2b(w.encode("utf-8", "replace"), digest_size=8).digest(), "little") for w in words
    ]
    letters = [ord(c) if not 0xD800 <= ord(c) < 0xE000 else ord("?") for c in f" {' '.join(words)} "] if words else []
    first, second = grams.prints(text)
    assert set(first.tolist()) == reference(spelled, 1, 2)
    assert set(second.tolist()) == reference(letters, 3, 5)
    assert all((np.diff(one.astype(np.int64)) > 0).all() for one in (first, second))


@given(st.lists(st.text(st.sampled_from("ab ,1é"), max_size=12), min_size=1, max_size=12))
def test_what_is_served_is_what_was_trained(texts: list[str]):
    """A tokenizer that went through its data gives each text of train the numbers of the n-grams that were learned from it."""
    try:
        data = learn(texts)
    except DataError:
        assert not any(Grams(BARE).words(text) for text in texts)
        return
    tokenizer, known = Tokenizer(data), [unpacked(view["kept"]) for view in data["views"]]
    for text in texts:
        wanted, before = [], 1
        for kept, seen in zip(known, Grams(BARE).prints(text), strict=True):
            wanted += [before + kept.tolist().index(p) for p in seen.tolist() if p in set(kept.tolist())]
            before += len(kept)
        assert tokenizer.ids(text, 10_000) == wanted
        assert max(wanted, default=0) < tokenizer.vocabulary


def test_sets_are_those_of_scikit_learn():
    """As many different n-grams of words and letters, in as many texts, as CountVectorizer finds."""
    bare, data = Grams(BARE), learn(TEXTS)
    theirs = (
        CountVectorizer(analyzer=lambda t: [" ".join(w[i : i + n]) for w in [bare.words(t)] for n in (1, 2) for i in range(len(w) - n + 1)],
                        binary=True, min_df=2),
        CountVectorizer(analyzer=lambda t: [s[i : i + n] for s in [f" {' '.join(bare.words(t))} "] if s.strip() for n in (3, 4, 5)
                                            for i in range(len(s) - n + 1)], binary=True, min_df=2),
    )  # fmt: skip
    tokenizer = Grams(data)
    rows = encode(Tokenizer(data), TEXTS, 1000)
    for k, vectorizer in enumerate(theirs):
        held = vectorizer.fit_transform(TEXTS)
        low = 1 + sum(tokenizer.sizes[:k])
        assert held.shape[1] == tokenizer.sizes[k]
        ours = ((rows >= low) & (rows < low + tokenizer.sizes[k])).sum(1)
        np.testing.assert_array_equal(ours, np.asarray(held.sum(1)).ravel())
        counts = np.bincount(rows.ravel(), minlength=low + tokenizer.sizes[k])[low : low + tokenizer.sizes[k]]
        np.testing.assert_array_equal(np.sort(counts), np.sort(np.asarray(held.sum(0)).ravel()))


def test_what_is_unknown_is_left_out_and_prints_survive_being_packed():
    tokenizer = Tokenizer(learn(["red green", "red green", "red blue", "red green"] * 4))
    assert tokenizer.ids("zzz qqq", 100) == []
    assert tokenizer.ids("red zzz", 100) != []
    prints = np.array([0, 5, 2**32 - 1], np.uint32)
    np.testing.assert_array_equal(unpacked(packed(prints)), prints)


def test_texts_without_a_word_are_refused():
    with pytest.raises(DataError, match="no words at all"):
        learn(["", " \n"])
