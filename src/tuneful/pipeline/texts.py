"""Texts to numbers: how they are cut into tokens, learned from train alone; and when a table is text.

A table is text when its target is a class and one column is free text, and every other column either says nothing (an
identifier, one value throughout) or gives the target away. With other columns beside it, it stays a table and says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, MissingError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline import cleaning, columns, grams, outside, targets
from tuneful.pipeline.cells import Frame
from tuneful.pipeline.likeness import of_texts
from tuneful.pipeline.parts import Built, Options, Parts, divide, take
from tuneful.pipeline.tokenizer_file import KINDS, read
from tuneful.runtime.grams import Grams
from tuneful.runtime.text import FIRST, Tokenizer, encode, marked, shaped
from tuneful.techniques.sources import Raw, Texts, note

if TYPE_CHECKING:
    import polars as pl

LONGEST = 512  # tokens of a text that are looked at when nothing is said
MOST = {"char": 5_000, "word": 50_000, "bpe": 8_000}  # different tokens when nothing is said
MANY = 16_384  # n-grams of a text that are looked at when nothing is said
CLASSED = ("binary", "multiclass", "openset")  # kinds of task whose texts may be sets of n-grams
_SHARE = 0.99  # of the texts of train are not cut
_WORDY = 3  # words that free text has on average
_CHUNK = 20  # letters between two spaces, on average, from which text is taken to be written without spaces


def build(raw: Raw, options: Options, findings: list[Finding]) -> Built:
    """Texts with a class each, as a source gives them."""
    parts = cast("Mapping[str, Texts]", raw.parts)
    labels = {part: list(found.labels) for part, found in parts.items()}
    target = outside.decode(
        {part: [outside.LABEL if label is None else label for label in found] for part, found in labels.items()},
        outside.search(labels, options, findings),
        lambda known: targets.decode(known, options.kind or "classes", "label"),
    )
    return built({part: list(found.texts) for part, found in parts.items()}, target, options, findings)


def built(
    texts: Mapping[str, Sequence[str]], target: targets.Target, options: Options, findings: list[Finding], *,
    column: str = "", name: str = "label",
) -> Built:  # fmt: skip
    """Divided and encoded. column: of the table, that holds the text; name: of the target."""
    twins: Parts = {part: prints(found) for part, found in texts.items()}
    look = cleaning.Look(
        lambda part, _: twins[part],
        lambda part, _: np.array([not text.strip() for text in texts[part]], dtype=bool)[:, None],
        lambda part: of_texts(texts[part]),
    )
    divided = divide(target.y, twins, options, findings)
    cleaning.count_mended(options.ledger, divided, "texts")
    chosen, y = cleaning.sift(options.ledger, divided, target, look)
    given, indices = chosen["train"]
    schema = {
        "format": 1,
        "kind": "tokens",
        **fit(
            [texts[given][int(i)] for i in indices],
            options,
            findings,
            sets=sum(map(len, texts.values())) if target.kind in CLASSED else 0,
        ),
        "column": column,
    }
    tokenizer, (length,) = Tokenizer(schema["tokenizer"]), schema["shape"]
    encoded = {part: encode(tokenizer, found, length) for part, found in texts.items()}
    return Built(
        x={split: take(encoded[part], at) for split, (part, at) in chosen.items()}, target=target,
        y=y, schema=schema, column=name, what="text", origin=options.ledger.origin(indices),
        twins={split: twins[part][at] for split, (part, at) in chosen.items()},
    )  # fmt: skip


def prints(texts: Iterable[str]) -> NDArray[np.uint64]:
    """A number for each text that equal texts share; spaces at its ends and capitals do not count."""
    digest = (hashlib.blake2b(t.strip().lower().encode("utf-8", "replace"), digest_size=8).digest() for t in texts)
    return np.frombuffer(b"".join(digest), dtype=np.uint64)


# When is a table text?


def column(
    frame: Frame, y: NDArray[Any], options: Options, findings: list[Finding], free: Sequence[str] | None = None
) -> str:
    """The column of a table that is learned from as text, or "" when it is a table. frame: train without its target; free: the
    columns of free text, where they are known already (they need not be in the frame)."""
    if free is None:
        free = [name for name in frame.columns if name not in options.keep and is_free([frame[name]])]
    if not free:
        return ""
    rest = [name for name in frame.columns if name not in free]
    useful = columns.telling(frame, rest, y, options.missing, options.keep) if rest else []
    if len(free) == 1 and not useful:
        beside = (
            f"; {', '.join(rest[:4])} {'is' if len(rest) == 1 else 'are'} of no use or give the target away" if rest else ""
        )
        findings.append(
            note(
                f'the table is learned from as text, by its column "{free[0]}"{beside}',
                f"keep={free[0]} makes a category of it",
            )
        )
        return free[0]
    columns_ = len({*frame.columns, *free})
    why = f"{len(free)} columns are free text" if len(free) > 1 else f"{', '.join(useful[:4])} stand beside it"
    findings.append(
        Finding("warning", f'column "{free[0]}" is free text, which is not learned from in a table ({why})', 1, columns_,
                (), f"leave_out={','.join(n for n in [*free[1:], *useful] if n != free[0])} learns from the text alone")
    )  # fmt: skip
    return ""


def is_free(pieces: Iterable[pl.Series]) -> bool:
    """Is a column, given in pieces, text of several words that seldom repeats itself? Of each text 8 bytes are held."""
    import polars as pl

    prints_: list[NDArray[np.uint64]] = []
    words = letters = foreign = 0
    for series in pieces:
        if series.dtype != pl.String:
            return False
        known = series.drop_nulls().filter(series.drop_nulls() != "")
        prints_.append(known.hash(seed=0).to_numpy())
        words += int(known.str.count_matches(r"\S+").sum())
        letters += int(known.str.len_chars().sum())
        foreign += int(known.str.contains(r"[^\x00-\x7f]").sum())
    n = sum(map(len, prints_))
    if n < 10 or len(np.unique(np.concatenate(prints_))) < 0.5 * n:
        return False
    return words >= _WORDY * n or (letters >= _CHUNK * n and foreign > 0.5 * n)


# Tokenizers


def fit(
    texts: Sequence[str],
    options: Options,
    findings: list[Finding],
    *,
    usual: str = "",
    plain: bool = True,
    shapes: bool = False,
    sets: int = 0,
) -> dict[str, Any]:
    """{"tokenizer", "vocabulary", "shape"} learned from the texts of train; of sets of n-grams also what the network sees of them.

    usual: what "auto" means here; "" is words, or letters where text has hardly any spaces. plain: capitals and the values of
    digits do not count. shapes: an unknown word is known by its shape. sets: how many texts there are in all, where sets of n-grams
    would do; 0 where the order counts.
    """
    if options.tokens == "grams" and not sets:
        raise RecipeError(
            [
                Problem(
                    "tokens",
                    "tokens is grams, n-grams in no order; they tell of texts with one class each, and of nothing else",
                )
            ],
            "leave tokens out",
        )
    if options.tokens == "grams" or (options.unordered and sets and _fit_in(texts, sets, findings)):
        return _sets(texts, options, findings)
    kind, why = _kind(texts, usual) if options.tokens == "auto" else (options.tokens, "")
    if kind in KINDS:
        data = learn(kind, texts, options.vocabulary, lower=plain and kind in ("word", "bpe"), digits=plain, shapes=shapes)
    else:
        data, kind = read(kind), "library"
    tokenizer = Tokenizer(data)
    lengths = np.array([_length(tokenizer, text) for text in texts])
    usually = max(1, int(np.ceil(np.quantile(lengths, _SHARE)))) if len(lengths) else 1
    length = options.length or min(usually, LONGEST)
    cut = int((lengths > length).sum())
    named = {"byte": "bytes", "char": "letters", "word": "words and signs", "bpe": "pieces of words (byte pair encoding)",
             "library": f"tokens by the tokenizer of {options.tokens}"}[kind]  # fmt: skip
    findings.append(
        note(
            f"text is cut into {named}{why}, {tokenizer.vocabulary} different ones",
            "tokens=grams, byte, char, word or bpe takes others, and tokens=FOLDER those of a trained network",
        )
    )
    findings.append(
        Finding("note", f"a text is {length} tokens long; longer ones of train are cut at the end", cut, len(lengths),
                (f"the longest has {int(lengths.max(initial=0))}",), "length=NUMBER takes another")
    )  # fmt: skip
    empty = int((lengths == 0).sum())
    if empty:
        findings.append(Finding("warning", "texts of train have no token at all", empty, len(lengths)))
    return {"tokenizer": data, "vocabulary": tokenizer.vocabulary, "shape": [length]}


def _fit_in(texts: Sequence[str], n: int, findings: list[Finding]) -> bool:
    """Do their n-grams fit into memory? A note where they do not."""
    there = grams.room(texts, n)
    if not there:
        findings.append(note(f"n-grams of {n} texts of this length would not fit into memory; they are read as words", n=n))
    return there


def _sets(texts: Sequence[str], options: Options, findings: list[Finding]) -> dict[str, Any]:
    """What `fit` gives where a text is the set of its n-grams."""
    data = grams.learn(texts, options.vocabulary)
    tokenizer = Grams(data)
    held = np.array([len(tokenizer.ids(text, MANY)) for text in texts])
    length = options.length or int(min(MANY, max(1, held.max(initial=1))))
    findings.append(
        note(
            f"a text is the set of its {grams.said()}, of which {sum(tokenizer.sizes)} are known: those that two texts of train hold",
            "tokens=word (byte, char, bpe) keeps the order, for model=gru and others that read it",
        )
    )
    empty = int((held == 0).sum())
    if empty:
        findings.append(Finding("warning", "texts of train have no known n-gram at all", empty, len(held)))
    return {
        "tokenizer": data,
        "vocabulary": 1 + sum(tokenizer.sizes),
        "shape": [length],
        "groups": tokenizer.sizes,
        "seen": {"kind": "grams", "shape": [length]},
    }


def learn(
    kind: str, texts: Sequence[str], most: int | None, *, lower: bool = False, digits: bool = False, shapes: bool = False
) -> dict[str, Any]:
    """A tokenizer's data (see `runtime.text`) from the texts of train.

    Raises: DataError when there is no token to learn from; MissingError for "bpe" without the tokenizers library.
    """
    if kind == "byte":
        return {"kind": "byte"}
    size = max(1, (most or MOST[kind]) - FIRST)
    if kind == "bpe":
        return {"kind": "bpe", "lower": lower, **_merges(texts, size, lower)}
    empty = Tokenizer({"kind": kind, "lower": lower, "digits": digits})
    counts = Counter(piece for text in texts for piece in empty.pieces(text))
    if not counts:
        raise DataError("the texts of train hold no words at all", "is this the right column, or the right file?")
    if kind == "char":
        return {"kind": "char", "items": [letter for letter, _ in _frequent(counts, size)]}
    # What occurs once cannot be learned from; and that it is unknown is what teaches the network about unknown words.
    kept = [word for word, count in _frequent(counts, size) if count > 1] or [word for word, _ in _frequent(counts, size)]
    data = {"kind": "word", "items": kept, "lower": lower, "digits": digits, "shapes": shapes}
    if shapes:
        rare = Counter({word: count for word, count in counts.items() if count == 1})
        forms = Counter(shaped(word) for word in rare)
        data["items"] = kept + [form for form, count in _frequent(forms, 200) if count > 4]
    return data


def _frequent(counts: Counter[str], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]


def _merges(texts: Sequence[str], size: int, lower: bool) -> dict[str, Any]:
    """{"items", "merges"} of byte pair encoding, learned by the tokenizers library from marked words."""
    import json

    try:
        from tokenizers import Tokenizer as Library
        from tokenizers import models, pre_tokenizers, trainers
    except ImportError:
        raise MissingError("tokenizers", "text", "tokens=bpe") from None
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, limit_alphabet=min(size, 5_000), show_progress=False)
    library.train_from_iterator((" ".join(marked(text.lower() if lower else text)) for text in texts), trainer)
    model = json.loads(library.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    if not vocabulary:
        raise DataError("the texts of train hold no words at all", "is this the right column, or the right file?")
    return {
        "items": sorted(vocabulary, key=lambda piece: vocabulary[piece]),
        "merges": [list(pair) for pair in model["merges"]],
    }


def _kind(texts: Sequence[str], usual: str) -> tuple[str, str]:
    if usual:
        return usual, ""
    some = texts[:2000]
    letters, chunks = sum(map(len, some)), sum(len(text.split()) for text in some)
    if letters > _CHUNK * max(1, chunks):
        return "char", " (it is written without spaces)"
    return "word", ""


def _length(tokenizer: Tokenizer, text: str) -> int:
    return len(text.encode("utf-8", "replace")) if tokenizer.kind == "byte" else sum(1 for _ in tokenizer.pieces(text))


__all__ = ["build", "built", "column", "fit", "learn", "prints"]
