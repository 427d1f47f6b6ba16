"""A tokenizer of a trained network: what is wrong with its file is told by name, and nothing else of it is asked of the user."""

from __future__ import annotations

import json

import pytest

from tuneful.core.errors import DataError, RecipeError
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.tokenizer_file import LARGEST, NAME, read
from tuneful.pipeline.words import from_words
from tuneful.runtime.text import Tokenizer, apply

tokenizers = pytest.importorskip("tokenizers")
TEXTS = ["good film today", "bad film never", "great fun", "awful bore", "nice and good", "bad bad thing"] * 10
LABELS = ["good", "bad", "good", "bad", "good", "bad"] * 10


@pytest.fixture
def folder(tmp_path):
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "<pad>": 1, "bad": 2, "film": 3}, unk_token="<s>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / NAME))
    return tmp_path


def test_the_number_that_fills_up_is_0_whatever_it_was(folder):
    task = prepare((TEXTS, LABELS), tokens=str(folder), length=4)
    assert apply(task.schema, ["bad film", "bad other bad"]).tolist() == [[2, 3, 0, 0], [2, 1, 2, 0]]
    assert Tokenizer(task.schema["tokenizer"]).number("film") == 3
    assert Tokenizer(task.schema["tokenizer"]).text([2, 3, 0, 0]) == "bad film"


@pytest.mark.parametrize("damage", [b"", b"{", b"[1, 2]", b"\xff\xfe", b'{"version": "1.0", "model": {}}', b"null"])
def test_a_damaged_file_is_one_sentence(folder, damage):
    (folder / NAME).write_bytes(damage)
    with pytest.raises(DataError, match=NAME):
        read(str(folder))


def test_a_file_without_padding_and_one_that_is_too_large_are_refused(folder):
    data = json.loads((folder / NAME).read_text())
    data["model"]["vocab"] = {"<s>": 0, "bad": 1}
    (folder / NAME).write_text(json.dumps(data))
    with pytest.raises(DataError, match="no token for padding"):
        read(str(folder))
    with (folder / NAME).open("ab") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(DataError, match="bytes; a tokenizer may have"):
        read(str(folder))


def test_a_wrong_word_is_told_before_the_data_is_read():
    with pytest.raises(RecipeError, match="tokens is 'words'; it must be grams, byte, char, word, bpe, or a folder"):
        prepare((TEXTS, LABELS), tokens="words")


def test_only_a_pretrained_network_brings_its_tokenizer(folder):
    assert from_words("train", "x", ["model=bag"]).reading["tokens"] == "auto"
    assert from_words("train", "x", ["model=pretrained", f"name={folder}"]).reading["tokens"] == str(folder)
    assert from_words("train", "x", ["model=pretrained", f"name={folder}", "tokens=word"]).reading["tokens"] == "word"
    assert from_words("train", "x", ["model=pretrained", f"name={folder / 'no'}"]).reading["tokens"] == "auto"


def test_lists_of_texts_with_labels_are_texts():
    task = prepare({"train": (TEXTS, LABELS), "test": (TEXTS[:6], LABELS[:6])})
    assert task.kind == "binary"
    assert task.schema["kind"] == "tokens"
    with pytest.raises(DataError, match="3 examples and 2 labels"):
        prepare((["a b", "c", "d"], ["x", "y"]))
