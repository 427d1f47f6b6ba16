"""A table that does not fit into memory -> the same task, down to its fingerprint, as if it did.

The target of all rows is held in memory, and one column at a time while its meaning is learned from train: medians, ranks,
levels and their counts are exact, not sketched. Then all rows are encoded once, some after others, into a file whose rows can
be read in any order (see `packed`): splits, shuffling, batches and resuming are those of data in memory, to the last bit.

A table that is learned from as text is cut into tokens, which lie in a file (see `textfiles`).

Cost: three passes over the columns, one over the rows; about 120 bytes of memory a row, and twice the largest column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline import aims, columns, filled, order, textfiles, texts
from tuneful.pipeline import outside as apart
from tuneful.pipeline.cells import values
from tuneful.pipeline.lazy import Lazy, Rows
from tuneful.pipeline.packed import Mapped, TableReader, packing
from tuneful.pipeline.parts import Built, Options, Parts, divide
from tuneful.runtime.preprocess import apply
from tuneful.techniques.sources import Raw, Stored, Table, fits, gigabytes, guard, note, stored

if TYPE_CHECKING:
    import polars as pl

_WIDE = 2  # times its size, that a column of text takes while it is looked at


class View:
    """Some columns and rows of a table on disk, in the face of a data frame: `Frame`, one column at a time."""

    def __init__(self, table: Stored, names: Sequence[str], rows: Rows | None = None) -> None:
        """rows: in rising order; all when None."""
        self.table, self.columns, self.rows = table, list(names), rows
        self._last: tuple[str, pl.Series] | None = None  # it is often asked for again

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self.table.height if self.rows is None else len(self.rows)

    def __getitem__(self, key: str, /) -> pl.Series:
        """A whole column, read now."""
        if self._last is None or self._last[0] != key:
            self._last = None
            series = stored.column(self.table, key)
            self._last = (key, series if self.rows is None else series.gather(self.rows))
        return self._last[1]


def build(raw: Raw, options: Options, findings: list[Finding]) -> Built:
    """The splits of a table on disk. Raises DataError where not even what is kept of each row fits."""
    import polars as pl

    tables = cast("Mapping[str, Stored]", raw.parts)
    train = tables["train"]
    names = train.schema.names()
    height = sum(table.height for table in tables.values())
    guard(float(stored.KEPT * height), f"what is kept of each of {height} rows, whatever they hold,")
    named = aims.columns(View(train, names), train.where, options.target, findings)
    _known(names, train.where, options)
    frames, rows = _targets(tables, named, options, findings)
    known = apart.of_table(frames, named, options, findings)
    target, about = (known, {}) if known else aims.of_table(frames, named, options.kind, options.levels)
    del frames
    hidden = {*named, *options.leave_out}
    when = None
    if options.order not in (None, order.ROWS):
        when = {
            p: order.moments_of(View(table, names, rows[p]), str(options.order), table.where) for p, table in tables.items()
        }
        hidden |= {options.order} - {*options.keep}
    inputs = [name for name in names if name not in hidden]
    if holds := [name for name in inputs if isinstance(train.schema[name], pl.List)]:
        raise DataError(
            f'{train.where}: column "{holds[0]}" holds lists; numbers, text, dates or true/false are wanted of an input',
            f"leave it out with leave_out={holds[0]}, or make it the target",
        )
    if not inputs:
        raise DataError(f'{train.where} has no column beside the target "{", ".join(named)}"; at least one input is wanted')
    wide = _wide(train, inputs)
    narrow = [name for name in inputs if name not in wide]
    if target.kind in ("binary", "multiclass", "openset"):
        asked = [name for name in inputs if train.schema[name] == pl.String and name not in options.keep]
        free = [name for name in asked if texts.is_free(textfiles.Column(train, name, rows["train"]).pieces())]
        told = texts.column(View(train, narrow, rows["train"]), target.y["train"], options, findings, free) if free else ""
        if told:
            return textfiles.built(tables, rows, target, options, findings, told, ", ".join(named))
    for name, size in wide.items():
        text = f'column "{name}" holds {gigabytes(size)} of text, too much to look at in memory, and is left out'
        findings.append(Finding("warning", text, train.height, train.height))
    twins: Parts = {part: _prints(table, inputs, rows[part]) for part, table in tables.items()}
    chosen = divide(target.y, twins, options, findings, when)
    y = {name: target.y[part][indices] for name, (part, indices) in chosen.items()}
    part, indices = chosen["train"]
    kept = rows[part]
    ranks = options.scale == "ranks" or (options.scale == "auto" and y["train"].dtype.kind != "f")
    seen = View(tables[part], narrow, indices if kept is None else kept[indices])
    schema, found = columns.fit(seen, y["train"], options.missing, options.keep, train.semicolons, ranks)
    findings += found
    views = {
        name: View(tables[p], narrow, i if rows[p] is None else cast("Any", rows[p])[i]) for name, (p, i) in chosen.items()
    }
    findings += filled.count(options.ledger, schema, views, ranks)
    x = {part: _encoded(schema, table, rows[part], twins[part], part) for part, table in tables.items()}
    size = sum(len(one) for one in x.values()) * packing(schema).size
    why = fits(stored.needed(_sample(train), height))[1]
    text = f"the table stays on disk, {packing(schema).size} bytes a row, and is read by threads at every step ({why})"
    findings.append(note(text, f"{gigabytes(size)} in {stored.place()}, which TMPDIR=FOLDER changes", height))
    return Built(
        x={name: cast("Any", x[part].take(i)) for name, (part, i) in chosen.items()}, target=target, y=y, schema=schema,
        column=", ".join(named), what="row", twins={name: twins[p][i] for name, (p, i) in chosen.items()}, about=about,
        origin=options.ledger.origin(indices),
    )  # fmt: skip


def _known(names: Sequence[str], where: str, options: Options) -> None:
    """Raises RecipeError for columns that are not there."""
    for word, given in (("keep", options.keep), ("leave_out", options.leave_out)):
        for name in given:
            if name not in names:
                problem = f"{word} names column {name!r}, which {where} has not"
                raise RecipeError([Problem(word, problem, nearest=nearest(name, names))])


def _sample(table: Stored) -> pl.DataFrame:
    return next(stored.stretches(table, table.schema.names()))


def _targets(
    tables: Mapping[str, Stored], named: Sequence[str], options: Options, findings: list[Finding]
) -> tuple[dict[str, pl.DataFrame], dict[str, Rows | None]]:
    """The target columns of the rows that have a value of them, and which rows these are (None: all)."""
    number = next(name for name in ("row", "row number", "number of the row") if name not in named)
    small = {part: Table(stored.columns(table, named).with_row_index(number), table.where) for part, table in tables.items()}
    frames = aims.rows(small, named, options.kind, options.missing, findings, options.ledger)
    rows: dict[str, Rows | None] = {
        part: None if frame.height == tables[part].height else frame[number].to_numpy().astype(np.int64)
        for part, frame in frames.items()
    }
    return {part: frame.drop(number) for part, frame in frames.items()}, rows


def _wide(table: Stored, names: Sequence[str]) -> dict[str, float]:
    """The columns that cannot be held in memory one by one, long texts, with their sizes."""
    import polars as pl

    text = [name for name in names if table.schema[name] == pl.String]
    sizes = dict.fromkeys(text, 16.0 * table.height)
    for frame in stored.stretches(table, text) if text else ():
        for name in text:
            sizes[name] += float(frame[name].str.len_bytes().sum())
    return {name: size for name, size in sizes.items() if not fits(_WIDE * size)[0]}


def _pieces(table: Stored, names: Sequence[str], rows: Rows | None) -> Any:
    """Frames of the rows that count, in their order."""
    start = 0
    for frame in stored.stretches(table, names):
        end = start + frame.height
        if rows is not None:
            low, high = np.searchsorted(rows, (start, end))
            yield frame[rows[low:high] - start]
        else:
            yield frame
        start = end


def _prints(table: Stored, names: Sequence[str], rows: Rows | None) -> NDArray[np.uint64]:
    """A number for each row that equal rows share."""
    return np.concatenate([frame.hash_rows(seed=0).to_numpy() for frame in _pieces(table, names, rows)])


def _encoded(schema: Mapping[str, Any], table: Stored, rows: Rows | None, prints: NDArray[np.uint64], part: str) -> Lazy:
    """All rows of a part that count, in a file."""
    packed = packing(schema)
    file = Mapped(packed.size, f"the encoded table ({len(prints)} rows of {packed.size} bytes)")
    names = [str(column["name"]) for column in schema["columns"]]
    for frame in _pieces(table, names, rows):
        try:
            file.add(packed.pack(apply(schema, {name: values(frame[name]) for name in names})))
        except DataError as error:
            raise DataError(
                f"{part}, in the rows from {file.rows + 1} on: {error.message}",
                "name the word with missing=WORD when it means that there is no value",
            ) from None
    nothing = np.zeros((len(prints), 2, 0), np.int64)
    return Lazy(TableReader(packed, file), np.arange(len(prints)), prints, nothing)
