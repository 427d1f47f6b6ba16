"""Texts that do not fit into memory: a column of a table on disk, gone through again whenever it is asked for, and its tokens in a file.

    tokens     of all texts one after another, as small as the vocabulary allows, in a file that is mapped into memory
    offsets    [N + 1], in memory: those of text i are tokens[offsets[i] : offsets[i + 1]]

A batch of any texts is cut out of it and filled up with 0: the numbers are those that `runtime.text.encode` gives. The tokenizer
is learned from all texts of train, as in memory; of it counts of different words are held, and 8 bytes a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Finding
from tuneful.pipeline import flat, targets, texts
from tuneful.pipeline.lazy import Lazy, Reader, Rows
from tuneful.pipeline.parts import Built, Options, Parts, divide
from tuneful.runtime.text import Tokenizer
from tuneful.techniques.sources import Stored, fits, gigabytes, note, stored

if TYPE_CHECKING:
    import polars as pl


class Column(Sequence[str]):
    """A column of text of some rows of a table on disk, in the face of a list of texts. Best gone through from its beginning."""

    def __init__(self, table: Stored, name: str, rows: Rows | None = None) -> None:
        """rows: in rising order; all when None."""
        self.table, self.name, self.rows = table, name, rows

    def __len__(self) -> int:
        return self.table.height if self.rows is None else len(self.rows)

    def pieces(self) -> Iterator[pl.Series]:
        """The texts, some after others."""
        start = 0
        for frame in stored.stretches(self.table, [self.name]):
            series, end = frame[self.name], start + frame.height
            if self.rows is not None:
                low, high = np.searchsorted(self.rows, (start, end))
                series = series.gather(self.rows[low:high] - start)
            yield series
            start = end

    def __iter__(self) -> Iterator[str]:
        for series in self.pieces():
            yield from series.fill_null("").to_list()

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        wanted = np.arange(len(self))[at]
        if isinstance(wanted, np.integer):
            return self[int(wanted) : int(wanted) + 1][0]
        rows = wanted if self.rows is None else self.rows[wanted]
        order = np.argsort(rows, kind="stable")
        found = np.empty(len(rows), dtype=object)
        found[order] = list(Column(self.table, self.name, rows[order]))
        return found.tolist()


class TokenReader(Reader):
    """Texts as rows of numbers, cut out of all tokens."""

    def __init__(self, tokens: NDArray[Any], offsets: NDArray[np.int64], length: int) -> None:
        self.tokens, self.offsets = tokens, offsets
        self.shape, self.dtype = (length,), np.dtype(np.int32)

    def read(self, rows: Rows) -> NDArray[np.int32]:
        """See `Reader.read`."""
        starts, counts = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        out = np.zeros((len(rows), *self.shape), np.int32)
        line = np.repeat(np.arange(len(rows)), counts)
        place = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
        out[line, place] = self.tokens[np.repeat(starts, counts) + place]
        return out


def built(
    tables: Mapping[str, Stored], rows: Mapping[str, Rows | None], target: targets.Target, options: Options,
    findings: list[Finding], column: str, name: str,
) -> Built:  # fmt: skip
    """What `texts.built` makes of the same texts in memory. rows: those that have a target; column: that holds the text."""
    all_of = {part: Column(table, column, rows[part]) for part, table in tables.items()}
    twins: Parts = {part: texts.prints(found) for part, found in all_of.items()}
    chosen = divide(target.y, twins, options, findings)
    y = {split: target.y[part][indices] for split, (part, indices) in chosen.items()}
    given, indices = chosen["train"]
    kept = rows[given]
    learned = Column(tables[given], column, indices if kept is None else kept[indices])
    schema = {"format": 1, "kind": "tokens", **texts.fit(learned, options, findings), "column": column}
    tokenizer, (length,) = Tokenizer(schema["tokenizer"]), schema["shape"]
    x = {part: _encoded(tokenizer, found, length, twins[part], part) for part, found in all_of.items()}
    height, size = sum(map(len, x.values())), sum(cast("Any", one.reader).tokens.nbytes for one in x.values())
    why = fits(stored.needed(next(stored.stretches(tables[given], tables[given].schema.names())), height))[1]
    findings.append(note(f"the texts stay on disk, their tokens in one file that is read by threads at every step ({why})",
                         f"{gigabytes(size)} in {stored.place()}, which TMPDIR=FOLDER changes", height))  # fmt: skip
    return Built(
        x={split: cast("Any", x[part].take(at)) for split, (part, at) in chosen.items()}, target=target, y=y, schema=schema,
        column=name, what="text", twins={split: twins[part][at] for split, (part, at) in chosen.items()},
        origin=options.ledger.origin(indices),
    )  # fmt: skip


def _encoded(tokenizer: Tokenizer, found: Column, length: int, prints: NDArray[np.uint64], part: str) -> Lazy:
    """All texts of a part, cut into tokens."""
    counts: list[NDArray[np.int64]] = []
    small = np.uint16 if tokenizer.vocabulary <= 1 << 16 else np.int32

    def pieces() -> Iterator[NDArray[Any]]:
        for series in found.pieces():
            told = [tokenizer.ids(text, length) for text in series.fill_null("").to_list()]
            counts.append(np.array([len(ids) for ids in told], np.int64))
            yield np.array([number for ids in told for number in ids], small)

    tokens = flat.array(pieces(), (), small, f"the tokens of {part}")
    offsets = np.concatenate([np.zeros(1, np.int64), *counts]).cumsum()
    reader = TokenReader(tokens, offsets, length)
    return Lazy(reader, np.arange(len(prints)), prints, np.zeros((len(prints), 2, 0), np.int64))
