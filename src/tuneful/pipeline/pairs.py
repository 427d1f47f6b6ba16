"""Pairs of texts to numbers: which side becomes the other, how both are cut into tokens, what is too long or empty.

A table is pairs when two columns of text are all that it has (but for what is left out) and the second is no class: more than half
of its values differ. Lists of two texts, two lists from Python, parallel files and lines with a tab between two texts are pairs, too.
`kind=sequence_to_sequence` (or translation) says so where it is not found, and a target column or side is named by target=.

Both tokenizers are learned from train: pieces of words by byte pair encoding where the `tokenizers` library is there, else letters
of texts that are written without blanks, and words of others. Capitals count, as the target must be written as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline import targets
from tuneful.pipeline.metrics.texts import parted_by
from tuneful.pipeline.parts import Built, Options, Parts, divide, take
from tuneful.pipeline.texts import learn, prints
from tuneful.runtime import writing
from tuneful.runtime.letters import spelled
from tuneful.runtime.text import FIRST, Tokenizer
from tuneful.techniques.sources import Arrays, Pairs, Raw, Table, Texts, guard, note

if TYPE_CHECKING:
    import polars as pl

KIND = "sequence_to_sequence"
WORDS = (KIND, "translation", "seq2seq")  # what users call it
LONGEST = 256  # tokens of a side when nothing is said
PIECES = 2_000  # different tokens of a side when nothing is said: each place of the target has as many scores
_SHARE = 0.995  # of the pairs of train are no longer than what is learned from
_VARIED = 0.5  # of the values of a column differ where it is no class


# Which data is pairs?


def found(raw: Raw, options: Options, findings: list[Finding]) -> dict[str, Pairs] | None:
    """The pairs that the data holds, the side first that is read; None when it is something else.

    Raises DataError where pairs are asked for by kind and cannot be had; RecipeError for a target that there is not.
    """
    asked, first = options.kind in WORDS, raw.parts["train"]
    if options.kind is not None and not asked:
        return None
    if isinstance(first, Pairs):
        return _turned(cast("Mapping[str, Pairs]", raw.parts), options, findings)
    if isinstance(first, Table):
        return _of_table(cast("Mapping[str, Table]", raw.parts), options, findings, asked)
    texts: dict[str, tuple[list[Any], list[Any]]] = {}
    if isinstance(first, Texts):
        texts = {part: (list(one.texts), list(one.labels)) for part, one in cast("Mapping[str, Texts]", raw.parts).items()}
    elif isinstance(first, Arrays) and _words(first.x):
        texts = {part: (list(one.x), list(one.y)) for part, one in cast("Mapping[str, Arrays]", raw.parts).items()}
    if texts and (asked or _free(texts["train"][1])):
        return {part: Pairs(_plain(a, part, "source"), _plain(b, part, "target")) for part, (a, b) in texts.items()}
    if asked:
        raise DataError(
            f"kind is {options.kind}, and the data is {raw.what}; two texts an example are wanted",
            "such as a table with two columns of text, train.en beside train.ja, or two lists of strings",
        )
    return None


def _words(x: NDArray[Any]) -> bool:
    return x.ndim == 1 and (x.dtype.kind in "US" or (x.dtype == object and all(isinstance(one, str) for one in x)))


def _free(values: Sequence[Any]) -> bool:
    """Are these texts of their own rather than names of classes?"""
    told = [value for value in values if isinstance(value, str) and value.strip()]
    return len(told) >= max(20, 0.9 * len(values)) and len(set(told)) > _VARIED * len(told) and not _numeric(told)


def _numeric(values: Sequence[str]) -> bool:
    try:
        return all(float(value) == float(value) for value in values[:200])
    except ValueError:
        return False


def _plain(values: Sequence[Any], part: str, side: str) -> tuple[str, ...]:
    for at, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise DataError(f"{side} {at + 1} of {part} is {value!r}; it must be text", "give strings")
    return tuple("" if value is None else str(value).strip() for value in values)


def _turned(parts: Mapping[str, Pairs], options: Options, findings: list[Finding]) -> dict[str, Pairs]:
    """The sides in the order that target= asks for."""
    names = parts["train"].names
    target = options.target if isinstance(options.target, str) or options.target is None else ",".join(options.target)
    if target is not None and target not in names:
        problem = f"target is {target!r}; the sides of this data are {names[0]} and {names[1]}"
        raise RecipeError([Problem("target", problem, nearest=nearest(target, names))])
    if target == names[0]:
        return {part: Pairs(one.targets, one.sources, (names[1], names[0])) for part, one in parts.items()}
    if target is None:
        findings.append(note(f"{names[0]} becomes {names[1]}", f"target={names[0]} turns it round"))
    return dict(parts)


def _of_table(parts: Mapping[str, Table], options: Options, findings: list[Finding], asked: bool) -> dict[str, Pairs] | None:
    import polars as pl

    frame, where = parts["train"].frame, parts["train"].where
    names = [name for name in frame.columns if name not in options.leave_out]
    text = [name for name in names if frame.schema[name] == pl.String and not _all_numbers(frame[name])]
    if not asked and (len(names) != 2 or len(text) != 2 or not isinstance(options.target, str | None)):
        return None
    target = options.target if isinstance(options.target, str) else None
    if target is not None and target not in frame.columns:
        if not asked:
            return None
        raise RecipeError(
            [Problem("target", f"target is {target!r}, which {where} has not", nearest=nearest(target, frame.columns))]
        )
    if not asked and not all(_free(_cells(frame[name])[:2000]) for name in names):
        return None
    target = target or _named(text)
    others = [name for name in text if name != target]
    if target is None or len(others) != 1:
        met = f"{len(text)} column{'s' if len(text) != 1 else ''} of text ({', '.join(text[:8]) or 'none'})"
        raise DataError(
            f"{where} has {met}; two are wanted, one that is read and one that is written",
            "say target=COLUMN, and leave the others out with leave_out=NAME,NAME" if len(text) > 2
            else "each line needs a source and a target",
        )  # fmt: skip
    if options.target is None:
        findings.append(note(f'"{others[0]}" becomes "{target}"', f"target={others[0]} turns it round"))
    aside = [name for name in names if name not in (target, others[0])]
    if aside:
        findings.append(
            Finding(
                "warning",
                f"columns beside the two texts are not learned from: {', '.join(aside[:6])}",
                len(aside),
                len(names),
            )
        )
    return {
        part: Pairs(tuple(_cells(one.frame[others[0]])), tuple(_cells(one.frame[target])), (others[0], target))
        for part, one in parts.items()
    }


def _all_numbers(column: pl.Series) -> bool:
    known = [text for text in column.drop_nulls().head(200).to_list() if text]
    return bool(known) and _numeric(known)


def _cells(column: pl.Series) -> list[str]:
    return [str(text).strip() for text in column.fill_null("").to_list()]


def _named(text: Sequence[str]) -> str | None:
    """Of two columns the one that is named as a target, else the second."""
    told = [name for name in text if name.lower() in ("target", "tgt", "trg", "output", "answer", "translation", "summary")]
    return told[0] if len(told) == 1 else text[1] if len(text) == 2 else None


# Encoding


def build(parts: Mapping[str, Pairs], options: Options, findings: list[Finding]) -> Built:
    """Divided, cut into tokens, numbered."""
    parts = {part: _whole(one, part, findings) for part, one in parts.items()}
    names = parts["train"].names
    twins: Parts = {part: prints(one.sources) for part, one in parts.items()}
    chosen = divide({part: np.zeros(len(one.sources), np.int64) for part, one in parts.items()}, twins, options, findings)
    given, indices = chosen["train"]
    first, second = ([side[int(i)] for i in indices] for side in (parts[given].sources, parts[given].targets))
    reads, writes = (_tokenizer(side, name, options, findings) for side, name in ((first, names[0]), (second, names[1])))
    lengths = [np.array([len(one.ids(text, 1 << 20)) for text in side]) for one, side in ((reads, first), (writes, second))]
    sizes = [options.length or min(LONGEST, max(1, int(np.quantile(each, _SHARE, method="higher")))) for each in lengths]
    fits = (lengths[0] <= sizes[0]) & (lengths[1] <= sizes[1])
    if not fits.any():
        raise DataError(f"no pair of train fits into length={options.length} tokens a side", "give a larger length")
    findings.append(
        Finding("note", f"{names[0]} is {sizes[0]} tokens long and {names[1]} {sizes[1]}; longer pairs of train are left out",
                int((~fits).sum()), len(fits), (f"the longest have {lengths[0].max()} and {lengths[1].max()}",),
                "length=NUMBER takes another")
    )  # fmt: skip
    chosen["train"] = (given, indices[fits])
    wide = max(map(len, second))
    # Beside its tokens a target has an edge, and one place more: where that is taken, it was cut, and does not end there.
    schema: dict[str, Any] = {
        "format": 1, "kind": "pair", "tokenizer": _data(reads), "writes": _data(writes), "vocabulary": reads.vocabulary,
        "outputs": writes.vocabulary, "source": sizes[0], "shape": [sizes[0] + sizes[1] + 2], "column": _column(parts), "names": list(names),
        "letters": min(_most(writes, sizes[1] + 2), 4 * wide + 64), "beam": options.beam,
    }  # fmt: skip
    guard(4.0 * sum(len(one.sources) * schema["shape"][0] for one in parts.values()), "the numbered pairs")
    x = {part: writing.pairs(schema, one.sources, one.targets) for part, one in parts.items()}
    # The texts of train are never compared with anything whole; where one is far longer than all others it would cost much.
    width = {part: max((len(t) for t in one.targets), default=1) if part != given else wide for part, one in parts.items()}
    width[given] = max((len(parts[given].targets[int(i)]) for p, at in chosen.values() if p == given for i in at), default=1)
    guard(4.0 * sum(len(parts[part].sources) * width[part] for part in parts), "the wanted texts")
    y = {part: spelled(one.targets, width[part]) for part, one in parts.items()}
    _told(parts, y, writes, findings)
    return Built(
        x={split: take(x[part], at) for split, (part, at) in chosen.items()}, target=targets.Target(KIND, (), y),
        y={split: y[part][at] for split, (part, at) in chosen.items()}, schema=schema, column=names[1], what="pair",
        twins={split: prints(_both(parts[part], at)) for split, (part, at) in chosen.items()},
    )  # fmt: skip


def _both(part: Pairs, at: NDArray[np.int64]) -> list[str]:
    return [f"{part.sources[int(i)]}\t{part.targets[int(i)]}" for i in at]


def _column(parts: Mapping[str, Pairs]) -> str:
    """The column of a table by which the source is found again; any data that names its sides may be given as a table."""
    return parts["train"].names[0]


def _whole(part: Pairs, name: str, findings: list[Finding]) -> Pairs:
    """The pairs with two sides. Raises DataError where a side is empty throughout."""
    if len(part.sources) != len(part.targets):
        raise DataError(
            f"{name} has {len(part.sources)} sources and {len(part.targets)} targets; both must be equally many",
            "each line, or row, is one pair",
        )
    for side, texts in zip(part.names, (part.sources, part.targets)):
        if not any(texts):
            raise DataError(f"the side {side} of {name} is empty in all of {len(texts)} pairs; text is wanted on both sides")
    kept = [at for at, (a, b) in enumerate(zip(part.sources, part.targets)) if a and b]
    if len(kept) == len(part.sources):
        return part
    missing = len(part.sources) - len(kept)
    findings.append(Finding("warning", f"pairs of {name} with an empty side are left out", missing, len(part.sources)))
    return Pairs(tuple(part.sources[at] for at in kept), tuple(part.targets[at] for at in kept), part.names)


def _tokenizer(texts: Sequence[str], name: str, options: Options, findings: list[Finding]) -> Tokenizer:
    kind, why = options.tokens, ""
    if kind == "auto":
        kind, why = _usual(texts)
    if kind == "grams":
        raise DataError(
            "tokens is grams, n-grams in no order; what is written token by token needs an order", "leave tokens out"
        )
    tokenizer = Tokenizer(learn(kind, texts, options.vocabulary or (PIECES if kind == "bpe" else None)))
    said = {"byte": "bytes", "char": "letters", "word": "words and signs", "bpe": "pieces of words (byte pair encoding)"}
    findings.append(note(f"{name} is cut into {said[kind]}{why}, {tokenizer.vocabulary} different ones",
                         "tokens=byte, char, word or bpe takes others, vocabulary=NUMBER more or fewer"))  # fmt: skip
    return tokenizer


def _usual(texts: Sequence[str]) -> tuple[str, str]:
    try:
        import tokenizers  # noqa: F401
    except ImportError:
        kind = "char" if parted_by(texts[:2000]) == "char" else "word"
        return kind, " (the tokenizers library would cut words into pieces: pip install 'tuneful[text]')"
    few = (
        len(set("".join(texts[:2000]).replace(" ", ""))) <= 40
        and max(map(len, " ".join(texts[:2000]).split()), default=1) <= 2
    )
    return ("word", "") if few else ("bpe", "")


def _data(tokenizer: Tokenizer) -> dict[str, Any]:
    return dict(tokenizer.data)


def _most(tokenizer: Tokenizer, tokens: int) -> int:
    """Letters that so many tokens may spell."""
    return tokens * (1 if tokenizer.kind == "byte" else max(map(len, tokenizer.items), default=1) + 1)


def _told(parts: Mapping[str, Pairs], y: Mapping[str, Any], writes: Tokenizer, findings: list[Finding]) -> None:
    for part, one in parts.items():
        if part == "train":
            continue
        numbers = [number for text in one.targets for number in writes.ids(text, 1 << 20)]
        unknown = sum(number < FIRST for number in numbers)
        if unknown:
            what = f"tokens of {part} that train does not have cannot be written"
            findings.append(Finding("note", what, unknown, len(numbers)))


__all__ = ["KIND", "WORDS", "build", "found"]
