"""Text to numbers and back, without the tokenizers library; byte pair encoding is held against it where it is installed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tuneful.core.errors import DataError
from tuneful.pipeline.texts import learn
from tuneful.runtime.text import EDGE, FIRST, PAD, UNKNOWN, Tokenizer, apply, encode, marked, merged, tokenizer_of

POEM = [
    "The cat sat on the mat.",
    "the Cat's hat -- sat?",
    "Zwölf Boxkämpfer jagen Viktor",
    "日本語のテキスト",
    "a  b\tc\u00a0d",
]


@pytest.mark.parametrize("kind", ["byte", "char"])
def test_bytes_and_letters_give_the_text_back(kind: str):
    tokenizer = Tokenizer(learn(kind, POEM, None))
    for text in POEM:
        assert tokenizer.text(tokenizer.ids(text, 1000)) == text


def test_words_are_numbered_from_three_by_how_often_they_occur():
    tokenizer = Tokenizer(learn("word", ["b a b", "b a", "c"], None))
    assert tokenizer.items == ["b", "a"]  # c occurs once and stays unknown
    assert tokenizer.ids("a b c", 10) == [FIRST + 1, FIRST, UNKNOWN]
    assert tokenizer.text([FIRST, UNKNOWN, EDGE, FIRST]) == "b \ufffd"


def test_an_unknown_word_is_looked_up_without_capitals_and_then_by_its_shape():
    texts = ["see Anna", "see Berta", "see Carla", "see Doris", "see Emmy"] * 1
    tokenizer = Tokenizer(learn("word", texts, None, shapes=True))
    assert tokenizer.ids("SEE", 1) == tokenizer.ids("see", 1)
    assert tokenizer.ids("Frieda", 1) == tokenizer.ids("Anna", 1) != [UNKNOWN]
    assert tokenizer.ids("42", 1) == [UNKNOWN]


def test_short_texts_are_filled_up_and_long_ones_cut():
    tokenizer = Tokenizer(learn("char", ["abc"], None))
    assert encode(tokenizer, ["abcabc", "", "z"], 4).tolist() == [[3, 4, 5, 3], [PAD] * 4, [UNKNOWN, PAD, PAD, PAD]]
    assert encode(tokenizer, [], 4).shape == (0, 4)


@pytest.mark.parametrize("seed", range(3))
def test_byte_pair_encoding_is_the_librarys(seed: int):
    library = pytest.importorskip("tokenizers", reason="the tokenizers library is not installed")
    dice = random.Random(seed)
    words = ["".join(dice.choices("abcdeñ日", k=dice.randint(1, 9))) for _ in range(60)]
    texts = [" ".join(dice.choices(words, k=8)) for _ in range(200)] + POEM
    data = learn("bpe", texts, 120)
    theirs = library.Tokenizer(
        library.models.BPE(
            vocab={piece: i for i, piece in enumerate(data["items"])}, merges=[tuple(m) for m in data["merges"]]
        )
    )
    theirs.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    ours = Tokenizer(data)
    assert data["merges"]
    for text in [*texts[:50], *POEM, *("".join(dice.choices("abcdeñ日", k=30)) for _ in range(50))]:
        assert list(ours.pieces(text)) == theirs.encode(" ".join(marked(text))).tokens
    assert ours.text(ours.ids(" ".join(words[:5]), 1000)) == " ".join(words[:5])


def test_merges_follow_the_order_in_which_they_were_learned():
    rank = {("a", "b"): 0, ("b", "c"): 1, ("ab", "c"): 2}
    assert merged(list("abcbc"), rank) == ["abc", "bc"]
    assert merged(list("aaa"), {("a", "a"): 0}) == ["aa", "a"]  # from left to right


def test_a_tables_column_and_a_plain_list_give_the_same():
    schema = {"shape": [3], "tokenizer": learn("word", ["a b", "a b"], None), "column": "review"}
    rows = apply(schema, ["a b", "b"])
    assert np.array_equal(apply(schema, {"review": ["a b", "b"], "other": [1, 2]}), rows)
    assert np.array_equal(apply(schema, [{"review": "a b"}, {"review": "b"}]), rows)
    with pytest.raises(DataError, match=r'column "review" is missing'):
        apply(schema, {"text": ["a"]})
    with pytest.raises(DataError, match=r"example 2 is int; it must be text"):
        apply(schema, ["a", 3])


def test_a_huge_text_costs_no_more_than_its_first_tokens():
    tokenizer = Tokenizer(learn("word", ["a b", "a b"], None))
    assert encode(tokenizer, ["a b " * 2_000_000], 5).tolist() == [[FIRST, FIRST + 1, FIRST, FIRST + 1, FIRST]]


def test_a_tokenizer_is_made_once_for_the_same_data():
    data = {"kind": "word", "items": ["a", "b"]}
    assert tokenizer_of(data) is tokenizer_of(data)
    assert tokenizer_of(dict(data)) is not tokenizer_of(data)
    others = [{"kind": "word", "items": [str(at)]} for at in range(40)]
    assert [tokenizer_of(one).items for one in others] == [one["items"] for one in others]
    assert tokenizer_of(data).ids("a c b", 3) == [3, 1, 4]
