"""Sequences with an answer at each place: sentences with tags, and running text of which each token is told by those before it.

Tags that are B-x, I-x and O make a task of entities, any others one of tagging. Sentences longer than what the network sees are cut
into several. Running text is cut into windows; valid and test are its last parts, as what comes later must not be learned from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline import split, targets
from tuneful.pipeline.parts import Built, Options, Parts, divide, take
from tuneful.pipeline.texts import learn, prints
from tuneful.pipeline.tokenizer_file import KINDS
from tuneful.runtime.text import Tokenizer, encode
from tuneful.techniques.sources import Prose, Raw, Sentences, Stored, Table, guard, note, stored

WINDOW, LONGEST = 128, 256  # tokens that are seen of running text, and at most of a sentence, when nothing is said
MOST = 2_000  # different tokens of running text, when nothing is said: each place has as many probabilities
_TAG = re.compile(r"([BI])-(.+)")


def build(raw: Raw, options: Options, findings: list[Finding]) -> Built:
    """Sentences or running text, as a source gives them."""
    if isinstance(raw.parts["train"], Prose):
        return _prose(cast("Mapping[str, Prose]", raw.parts), options, findings)
    return _sentences(cast("Mapping[str, Sentences]", raw.parts), options, findings)


# Sentences


def _sentences(parts: Mapping[str, Sentences], options: Options, findings: list[Finding]) -> Built:
    kind, labels = named(sorted({tag for row in parts["train"].tags for tag in row}))
    lengths = np.array([len(row) for row in parts["train"].words])
    length = options.length or int(min(LONGEST, lengths.max()))
    pieces = {part: cut(found, length) for part, found in parts.items()}
    longer = sum(len(row) > length for found in parts.values() for row in found.words)
    number = {label: at for at, label in enumerate(labels)}
    texts = {part: [" ".join(row) for row in found.words] for part, found in pieces.items()}
    y: Parts = {part: numbered(found.tags, number, length, part) for part, found in pieces.items()}
    twins: Parts = {part: prints(found) for part, found in texts.items()}
    chosen = divide({part: found[:, 0] for part, found in y.items()}, twins, options, findings)
    given, indices = chosen["train"]
    kindly = "word" if options.tokens == "auto" else options.tokens
    if kindly != "word":
        raise DataError(
            f"tokens is {options.tokens}; sentences with a tag at each word are read word by word", "leave tokens out"
        )
    data = {**learn("word", [texts[given][int(i)] for i in indices], options.vocabulary, shapes=True), "spaces": True}
    tokenizer = Tokenizer(data)
    findings += [
        note(f"a word is known as it is, else without its capitals, else by its shape; {tokenizer.vocabulary} different ones"),
        Finding("note", f"sentences longer than {length} words are cut into several", longer,
                sum(len(found.words) for found in parts.values()), (), "length=NUMBER takes another"),
    ]  # fmt: skip
    encoded = {part: encode(tokenizer, found, length) for part, found in texts.items()}
    schema: dict[str, Any] = {
        "format": 1, "kind": "tokens", "tokenizer": data, "vocabulary": tokenizer.vocabulary, "shape": [length], "column": "",
    }  # fmt: skip
    return _built(kind, labels, schema, encoded, y, twins, chosen, "tag", "sentence")


def named(tags: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The kind of task that these tags make, and their order: of entities O, then B and I of each type.

    >>> named(["B-loc", "I-per", "O"])
    ('entities', ('O', 'B-loc', 'I-loc', 'B-per', 'I-per'))
    """
    found = [_TAG.fullmatch(tag) for tag in tags if tag != "O"]
    if "O" not in tags or not found or not all(found):
        return "tagging", tuple(tags)
    types = sorted({one[2] for one in found if one})
    return "entities", ("O", *(f"{way}-{kind}" for kind in types for way in "BI"))


def cut(part: Sentences, length: int) -> Sentences:
    pieces = [
        (w[at : at + length], t[at : at + length]) for w, t in zip(part.words, part.tags) for at in range(0, len(w), length)
    ]
    return Sentences(tuple(w for w, _ in pieces), tuple(t for _, t in pieces))


def numbered(tags: Sequence[Sequence[str]], number: Mapping[str, int], length: int, part: str) -> NDArray[np.int64]:
    y = np.full((len(tags), length), -1, dtype=np.int64)
    for row, found in enumerate(tags):
        for at, tag in enumerate(found):
            if tag not in number:
                raise DataError(f'tag "{tag}" is in {part} and never in train', f"the tags of train are {', '.join(number)}")
            y[row, at] = number[tag]
    return y


# Running text


def running(raw: Raw) -> Raw:
    """A table of one column of text as running text, a row a line; what is running text already as it is. Raises DataError for
    anything else."""
    import polars as pl

    parts = {part: stored.whole(found) if isinstance(found, Stored) else found for part, found in raw.parts.items()}
    train = parts["train"]
    if isinstance(train, Prose):
        return raw
    if not isinstance(train, Table) or train.frame.width != 1 or train.frame.dtypes != [pl.String]:
        raise DataError(
            f"kind is language, which tells what comes next in running text; this data is {raw.what}",
            "give a .txt file, or a table of one column of text",
        )
    found = {part: Prose("\n".join(cell or "" for cell in table.frame.to_series().to_list()))
             for part, table in parts.items() if isinstance(table, Table)}  # fmt: skip
    return replace(raw, parts=found)


def _prose(parts: Mapping[str, Prose], options: Options, findings: list[Finding]) -> Built:
    text = parts["train"].text
    shares = {
        name: 0.1 if share == "auto" else float(share) for name, share in (("valid", options.valid), ("test", options.test))
    }
    for name, share in shares.items():
        split.check_share(name, share)
    ends = [int(len(text) * (1 - shares["valid"] - shares["test"])), int(len(text) * (1 - shares["test"])), len(text)]
    pieces = {"train": text[: ends[0]], "valid": text[ends[0] : ends[1]], "test": text[ends[1] : ends[2]]}
    kind = "char" if options.tokens == "auto" else options.tokens
    if kind not in KINDS:
        raise DataError(f"tokens is {kind}; what comes next is told of {', '.join(KINDS)}", "leave tokens out")
    data = learn(kind, [pieces["train"]], options.vocabulary or MOST)
    tokenizer, length = Tokenizer(data), options.length or WINDOW
    guard(8.0 * max(len(p) for p in (pieces["valid"], pieces["test"])) * tokenizer.vocabulary,
          "what is said of each place of valid and test")  # fmt: skip
    x: Parts = {}
    y: Parts = {}
    for name, piece in pieces.items():
        x[name], y[name] = (found[: options.limit] for found in windows(tokenizer, piece, length, name))
    unknown = int((y["test"] == 1).sum()) + int((y["valid"] == 1).sum())
    findings += [
        note(f"text is cut into {kind}s, {tokenizer.vocabulary} different ones", "tokens=byte, char, word or bpe takes others"),
        note(f"windows of {length} tokens, each of which is told by those before it", "length=NUMBER takes others"),
        note(f"valid and test are the last {shares['valid']:.0%} and {shares['test']:.0%} of the text, in its order"),
    ]  # fmt: skip
    if unknown:
        findings.append(Finding("note", "tokens of valid and test that train does not have count as one, unknown", unknown,
                                y["test"].size + y["valid"].size))  # fmt: skip
    names = ["<fill>", "<unknown>", "<edge>", *([f"<{n:02x}>" for n in range(256)] if kind == "byte" else tokenizer.items)]
    schema: dict[str, Any] = {
        "format": 1, "kind": "tokens", "tokenizer": data, "vocabulary": tokenizer.vocabulary, "shape": [length], "column": "",
        "keep": "end",
    }  # fmt: skip
    twins: Parts = {name: prints([" ".join(map(str, row)) for row in found.tolist()]) for name, found in x.items()}
    chosen = {name: (name, np.arange(len(x[name]))) for name in x}
    return _built("language", tuple(names), schema, x, y, twins, chosen, "next token", "window")


def windows(tokenizer: Tokenizer, text: str, length: int, name: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(tokens [N, length], for each the one that follows) of running text, in its order; what fills no window is left out."""
    ids = np.array(tokenizer.ids(text, len(text.encode("utf-8", "replace")) + 1), dtype=np.int32)
    count = (len(ids) - 1) // length
    if count < 2:
        raise DataError(
            f"{name} is {len(ids)} tokens of text; at least {2 * length + 1} (two windows of {length}) are wanted",
            "give more text, or length=NUMBER for shorter windows",
        )
    return ids[: count * length].reshape(count, length), ids[1 : count * length + 1].reshape(count, length).astype(np.int64)


def _built(
    kind: Any, labels: tuple[str, ...], schema: dict[str, Any], x: Parts, y: Parts, twins: Parts, chosen: Mapping[str, Any],
    column: str, what: str,
) -> Built:  # fmt: skip
    return Built(
        x={split: take(x[part], at) for split, (part, at) in chosen.items()}, target=targets.Target(kind, labels, y),
        y={split: take(y[part], at) for split, (part, at) in chosen.items()}, schema=schema, column=column, what=what,
        twins={split: take(twins[part], at) for split, (part, at) in chosen.items()},
        about={"places": schema["shape"][0]},
    )  # fmt: skip


__all__ = ["build", "cut", "named", "numbered", "windows"]
