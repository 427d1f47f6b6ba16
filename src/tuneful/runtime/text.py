"""Text to numbers and back: the same code for training and serving. Plain Python; the `tokenizers` library only learns merges.

A tokenizer is plain data in the schema, fitted on train by `pipeline.texts`:

    {"kind": "byte"}                                                     a byte of UTF-8 is a token
    {"kind": "char", "items": [letter, ...]}                             a character is a token
    {"kind": "word", "items": [word, ...], "lower", "digits", "shapes"}  a word or a sign is one
    {"kind": "bpe",  "items": [piece, ...], "merges": [[a, b], ...], "lower"}   a word is cut into pieces
    {"kind": "library", "json", "pad"}                                   as a trained network came with it (`runtime.library`)
    {"kind": "grams", "views", "lower", "digits"}                        the set of its n-grams, in no order (`runtime.grams`)

Numbers: 0 fills up, 1 is anything unknown, 2 stands before and after a sentence, items follow from 3. lower: capitals do not
count; digits: every digit is 0; shapes: an unknown word is looked up without its capitals, then by its shape ("Xx", "x0"); spaces: words are
what stands between spaces.

Source of byte pair encoding: Sennrich et al., ACL 2016, arXiv:1508.07909: of all neighbours in a word, the pair that was merged
first in training is merged, until none is left. The mark at the beginning of a word: Kudo & Richardson 2018, arXiv:1808.06226.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.mojibake import mended
from tuneful.runtime.grams import Grams
from tuneful.runtime.library import Library

PAD, UNKNOWN, EDGE, FIRST = 0, 1, 2, 3
MARK = "\u2581"  # stands before the first piece of a word
_KEPT = 16  # tokenizers of models in use
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
_DIGIT = re.compile(r"\d")
_SHAPE = "\0"  # stands before a shape among the items, so that no word is taken for one


class Tokenizer:
    """A tokenizer made of its data. `pieces` cuts a text, `ids` numbers it, `text` writes numbers as text again."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.kind = str(data["kind"])
        self.lower = bool(data.get("lower", False))
        self.digits = bool(data.get("digits", False))
        self.shapes = bool(data.get("shapes", False))
        self.spaces = bool(data.get("spaces", False))
        self.items: list[str] = list(data.get("items", ()))
        self._number = {item: at for at, item in enumerate(self.items, start=FIRST)}
        self._rank = {(a, b): at for at, (a, b) in enumerate(data.get("merges", ()))}
        self._known: dict[str, list[str]] = {}  # words that were cut before
        self._library = Library(data) if self.kind == "library" else None
        self._grams = Grams(data) if self.kind == "grams" else None

    @property
    def vocabulary(self) -> int:
        """How many different numbers there are."""
        if self._library:
            return self._library.size
        if self._grams:
            return 1 + sum(self._grams.sizes)
        return FIRST + (256 if self.kind == "byte" else len(self.items))

    def pieces(self, text: str) -> Iterator[str]:
        """The tokens of a text as text, one after the other."""
        text = text.lower() if self.lower else text
        if self._library:
            yield from self._library.pieces(text)
        elif self.kind == "char":
            yield from text
        elif self.spaces:
            yield from text.split()
        elif self.kind in ("word", "grams"):
            for found in _WORD.finditer(text):
                yield _DIGIT.sub("0", found[0]) if self.digits else found[0]
        else:
            for word in marked(text):
                yield from self._cut(word)

    def ids(self, text: str, most: int) -> list[int]:
        """The numbers of a text, the first `most` of them."""
        if self._library:
            return self._library.ids(text, most)
        if self._grams:
            return self._grams.ids(text, most)
        if self.kind == "byte":
            return [FIRST + byte for byte in text[:most].encode("utf-8", "replace")[:most]]
        return [self.number(piece) for piece in islice(self.pieces(text), most)]

    def number(self, piece: str) -> int:
        """The number of one token."""
        if self._library:
            return self._library.number(piece)
        found = self._number.get(piece)
        if found is None and self.shapes:
            found = self._number.get(piece.lower()) or self._number.get(_SHAPE + shape(piece))
        return UNKNOWN if found is None else found

    def text(self, ids: Sequence[int]) -> str:
        """Numbers as text, up to the first edge; what fills up is left out, what is unknown is shown as \ufffd."""
        if self._library:
            return self._library.text([int(number) for number in ids if number != PAD])
        kept: list[int] = []
        for number in ids:
            if number == EDGE:
                break
            if number != PAD:
                kept.append(int(number))
        if self.kind == "byte":
            return bytes(n - FIRST for n in kept if n >= FIRST).decode("utf-8", "replace")
        written = [self.items[n - FIRST] if FIRST <= n < self.vocabulary else "\ufffd" for n in kept]
        if self.kind == "word":
            return " ".join(word.replace(_SHAPE, "") for word in written)
        return "".join(written).replace(MARK, " ").strip() if self.kind == "bpe" else "".join(written)

    def _cut(self, word: str) -> list[str]:
        found = self._known.get(word)
        if found is None:
            found = merged(list(word), self._rank)
            if len(self._known) < 100_000:
                self._known[word] = found
        return found


_MADE: list[Tokenizer] = []  # the last ones, the newest first


def tokenizer_of(data: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of these very data, made when it is first asked for: a server asks for the same one with each request.

    The data must not change afterwards. Some of the newest are kept.
    """
    found = next((one for one in list(_MADE) if one.data is data), None)
    if found is None:
        found = Tokenizer(data)
        _MADE.insert(0, found)
        del _MADE[_KEPT:]
    return found


def marked(text: str) -> Iterator[str]:
    """Words with a mark in front; signs that follow a word without a space have none.

    >>> list(marked("so it's over, now."))
    ['▁so', '▁it', "'", 's', '▁over', ',', '▁now', '.']
    """
    for chunk in text.split():
        for at, part in enumerate(re.findall(r"\w+|[^\w\s]", chunk)):
            yield (MARK + part) if at == 0 else part


def merged(pieces: list[str], rank: Mapping[tuple[str, str], int]) -> list[str]:
    """Neighbours merged, the pair that was learned first before all others and from left to right, until none is known."""
    while len(pieces) > 1:
        best, at = min((rank.get(pair, len(rank)), at) for at, pair in enumerate(pairwise(pieces)))
        if best == len(rank):
            break
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def shape(word: str) -> str:
    """How a word looks: letters, capitals, digits and signs, without repetitions.

    >>> shape("McDonald's"), shape("B2B"), shape("#London"), shape("2017-11")
    ("XxXx'x", 'X0X', '#Xx', '0-0')
    """
    looks = "".join("0" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in word[:40])
    return re.sub(r"(.)\1+", r"\1", looks)[:8]


def shaped(word: str) -> str:
    """The item that stands for all unknown words of this word's shape."""
    return _SHAPE + shape(word)


def encode(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> NDArray[np.int32]:
    """Texts as rows of numbers [N, length], cut at the end or filled up with 0."""
    out = np.zeros((len(texts), length), dtype=np.int32)
    for row, text in enumerate(texts):
        found = tokenizer.ids(text, length)
        out[row, : len(found)] = found
    return out


def apply(schema: Mapping[str, Any], data: Any) -> NDArray[np.int32]:
    """Raw text as the network takes it: [N, T] numbers.

    data: a list of texts, or of a table that names the text's column, {column: texts} or a list of rows.
    Raises: DataError that names what is no text.
    """
    (length,) = schema["shape"]
    tokenizer, texts = tokenizer_of(schema["tokenizer"]), texts_of(schema, data)
    if schema.get("keep") == "end":
        out = np.zeros((len(texts), int(length)), dtype=np.int32)
        for row, text in enumerate(texts):
            found = tokenizer.ids(text, len(text.encode("utf-8", "replace")) + 1)[-int(length) :]
            out[row, : len(found)] = found
        return out
    return encode(tokenizer, texts, int(length))


def _column(schema: Mapping[str, Any], given: Sequence[str]) -> str:
    """The column that holds the texts: that of training; for a model that was trained on texts alone "text", or the only one."""
    column = str(schema.get("column", ""))
    found = column or ("text" if "text" in given or len(given) != 1 else given[0])
    if found not in given:
        said = "this model was trained on texts without a column, so theirs must be called text, or be the only one"
        raise DataError(
            f'column "{column}" is missing' if column else said,
            f"the columns given are {', '.join(map(str, given[:20])) or 'none'}",
        )
    return found


def texts_of(schema: Mapping[str, Any], data: Any) -> list[str]:
    """The texts in whatever was given. Raises DataError."""
    if isinstance(data, str):
        data = [data]
    if isinstance(data, Mapping):
        given = cast("Mapping[str, Any]", data)
        data = given[_column(schema, list(given))]
    rows: list[Any] = list(data)
    if rows and all(isinstance(row, Mapping) for row in rows):
        column = str(schema.get("column", "")) or _column(schema, list(cast("Mapping[str, Any]", rows[0])))
        rows = [row.get(column) for row in rows]
    if schema["tokenizer"].get("spaces"):
        rows = [" ".join(cast("list[str]", row)) if isinstance(row, list | tuple) else row for row in rows]
    for at, text in enumerate(rows):
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"example {at + 1} is {type(cast('object', text)).__name__}; it must be text", "give a list of strings"
            )
    found = ["" if text is None else str(text) for text in rows]
    return [mended(text, **schema["mend"]) for text in found] if "mend" in schema else found


__all__ = [
    "EDGE",
    "FIRST",
    "MARK",
    "PAD",
    "UNKNOWN",
    "Tokenizer",
    "apply",
    "encode",
    "marked",
    "merged",
    "shape",
    "shaped",
    "texts_of",
    "tokenizer_of",
]
