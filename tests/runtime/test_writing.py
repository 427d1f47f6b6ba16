"""The search that writes: held to every text that there could be, on small languages whose probabilities are known."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tuneful.core.errors import DataError
from tuneful.runtime import writing
from tuneful.runtime.letters import spelled, texts_of
from tuneful.runtime.text import EDGE, Tokenizer

V = 6  # fills up, unknown, edge, and three letters


class Language:
    """p(next | source, what was written): random, different for each source and each beginning up to two tokens back."""

    def __init__(self, seed: int) -> None:
        self.table = np.random.default_rng(seed).normal(0, 2, (4, V, V, V)).astype(np.float32)

    def read(self, source: Any) -> tuple[list[Any], list[Any]]:
        return [source[:, 0]], [np.zeros(len(source), np.int64)]

    def step(self, token: Any, memory: list[Any], carried: list[Any]) -> tuple[Any, list[Any]]:
        return self.table[memory[0], carried[0], token], [token]

    def logs(self, source: int, text: tuple[int, ...]) -> float:
        """Mean of log p over the tokens of a text and its edge, of those that may be written."""
        total, before, last = 0.0, 0, EDGE
        for token in (*text, EDGE):
            z = self.table[source, before, last][EDGE:].astype(np.float64)
            total += z[token - EDGE] - np.log(np.exp(z).sum())
            before, last = last, token
        return total / (len(text) + 1)


def best(language: Language, source: int, length: int) -> tuple[int, ...]:
    every = (text for n in range(length) for text in product(range(EDGE + 1, V), repeat=n))
    return max(every, key=lambda text: language.logs(source, text))


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_as_wide_as_the_language_finds_the_best_of_all_texts(seed: int):
    language = Language(seed)
    source = np.arange(4)[:, None]
    found = writing.written(language.read, language.step, source, 4, beam=64)
    for row, tokens in enumerate(writing.ended(found)):
        assert tuple(tokens) == best(language, row, 4)


@pytest.mark.parametrize("seed", range(10))
def test_a_beam_finds_no_worse_than_a_greedy_walk_that_ends(seed: int):
    language = Language(seed)
    source = np.arange(4)[:, None]
    one, five = (writing.ended(writing.written(language.read, language.step, source, 9, beam=k)) for k in (1, 64))
    for row in range(4):
        if len(one[row]) < 9:
            assert language.logs(row, tuple(five[row])) >= language.logs(row, tuple(one[row])) - 1e-9


def test_greedy_takes_the_likeliest_token_and_stops_at_the_edge():
    language = Language(3)
    source = np.array([[2], [0], [2]])
    found = writing.written(language.read, language.step, source, 5)
    for row, which in enumerate((2, 0, 2)):
        before, last = 0, EDGE
        for token in found[row]:
            likely = int(language.table[which, before, last][EDGE:].argmax()) + EDGE
            if likely == EDGE:
                assert token == 0
                break
            assert token == likely
            before, last = last, likely


def test_sentences_do_not_depend_on_those_beside_them():
    language = Language(5)
    source = np.array([[0], [1], [2], [3]])
    for beam in (1, 3):
        together = writing.written(language.read, language.step, source, 7, beam)
        alone = [writing.written(language.read, language.step, source[k : k + 1], 7, beam)[0] for k in range(4)]
        assert np.array_equal(together, np.stack(alone))
    assert writing.written(language.read, language.step, source[:0], 7).shape == (0, 7)


def test_facts_of_all_places_are_those_of_one_after_the_other():
    language = Language(7)
    targets = np.array([[EDGE, 4, 3, 0], [EDGE, 0, 0, 0], [EDGE, 5, 5, 4]])
    source = np.array([[0], [1], [2]])
    logits = np.zeros((3, 4, V), np.float32)
    carried = np.zeros(3, np.int64)
    for at in range(4):
        logits[:, at] = language.table[source[:, 0], carried, targets[:, at]]
        carried = targets[:, at]
    told = writing.facts(logits, targets)
    np.testing.assert_allclose(told, writing.along(language.read, language.step, source, targets), rtol=1e-5)
    z = logits[1, 0].astype(np.float64)
    assert told[1].tolist() == pytest.approx([(np.log(np.exp(z).sum()) - z[EDGE]) / np.log(2), 1, float(z.argmax() == EDGE)])
    assert told[:, 1].tolist() == [3, 1, 3]  # the last one fills its room, so that nothing says it ends there


def test_letters_are_texts_and_texts_are_letters():
    texts = ["", "a b", "日本語。", "\U0001f600!"]
    assert texts_of(spelled(texts, 8)) == texts
    assert texts_of(spelled(texts, 2)) == ["", "a ", "日本", "\U0001f600!"]
    assert texts_of(spelled([], 3)) == []


def test_pairs_are_numbered_with_an_edge_between_and_must_be_equally_many():
    words = {"kind": "word", "items": ["a", "b"]}
    schema = {"kind": "pair", "tokenizer": words, "writes": words, "source": 2, "shape": [5], "letters": 9}
    assert writing.pairs(schema, ["a b a"], ["b"]).tolist() == [[3, 4, 2, 4, 0]]
    assert writing.sources(schema, "b c").tolist() == [[4, 1]]
    with pytest.raises(DataError, match="1 sources and 2 targets"):
        writing.pairs(schema, ["a"], ["a", "b"])
    told = writing.answers(np.zeros((1, 3)), np.array([[4, 3, 0]]), schema, Tokenizer(words))
    assert texts_of(told[:, 3:]) == ["b a"]
