"""The target of a task as it is given: which columns of a table, which rows have it, and what kind of thing it is."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline import several, targets
from tuneful.pipeline.cells import PIECE, Frame
from tuneful.runtime.preprocess import MISSING
from tuneful.techniques.sources import Stored

if TYPE_CHECKING:
    import polars as pl

    from tuneful.pipeline.ledger import Ledger
    from tuneful.techniques.sources import Table

# Arrays


def of_arrays(y: Mapping[str, NDArray[Any]], kind: str | None, levels: Sequence[str] = ()) -> targets.Target:
    """What `flat` gave for each part, as classes, labels or values."""
    if several.listed(y["train"]):
        return several.lists(y, "y")
    if y["train"].ndim == 2:
        columns = {s: {f"y{k}": part[:, k] for k in range(part.shape[1])} for s, part in y.items()}
        return several.decode(columns, kind, f"y has {y['train'].shape[1]} columns")
    return targets.decode(y, kind, "y", levels)


def flat(y: NDArray[Any], n: int, part: str, kind: str | None) -> NDArray[Any]:
    """Labels as [N], or [N, L] for several: one-hot rows become numbers, a second axis of length 1 goes."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif kind not in ("multilabel", "multiregression", "regression") and y.ndim == 2 and _one_hot(y):
        y = y.argmax(axis=1)
    if y.ndim not in (1, 2):
        raise DataError(
            f"the labels of {part} have shape {list(y.shape)}; [{n}], or [{n}, L] for several labels or targets, is wanted",
            "reshape them",
        )
    if len(y) != n:
        raise DataError(
            f"{part} has {n} examples and {len(y)} labels; both must be equally many",
            "give one label for each, in the same order",
        )
    return y


def _one_hot(y: NDArray[Any]) -> bool:
    return y.dtype.kind in "biuf" and len(y) > 0 and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


# Tables


def beside(table: Table | Stored) -> None:
    """Raises DataError where nothing stands beside a target: the table has one column."""
    names = table.schema.names() if isinstance(table, Stored) else table.frame.columns
    if len(names) == 1:
        raise DataError(
            f'{table.where} has one column only ("{names[0]}"); a table needs a target and at least one other column',
            "part the cells by comma, semicolon, tab or |; of one column, horizon=STEPS forecasts numbers, and kind=language tells "
            "what comes next in text",
        )


def columns(frame: Frame, where: str, given: str | tuple[str, ...] | None, findings: list[Finding]) -> tuple[str, ...]:
    """The target's column, or several: "a,b" where no column is called so."""
    if isinstance(given, str) and "," in given and given not in frame.columns:
        given = tuple(name.strip() for name in given.split(",") if name.strip())
    if given is None or isinstance(given, str):
        name, told = targets.choose(frame, where, given)
        findings += [told] if told else []
        return (name,)
    return tuple(dict.fromkeys(targets.choose(frame, where, name)[0] for name in given))


def rows(
    tables: Mapping[str, Table], names: Sequence[str], kind: str | None, missing: Sequence[str], findings: list[Finding],
    ledger: Ledger,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """The rows of each part that have a value of the target; of labels one at least, of numbers all. The ledger tells the others."""
    empty = {word.casefold() for word in (*MISSING, *missing)}
    column = ", ".join(names)
    frames: dict[str, pl.DataFrame] = {}
    for part, table in tables.items():
        valued = [_valued(table.frame[name], empty) for name in names]
        there = reduce(operator.or_ if kind == "multilabel" else operator.and_, valued)
        frames[part] = table.frame if there.all() else table.frame.filter(there)
        lost = table.frame.height - frames[part].height
        if lost == table.frame.height:
            raise DataError(
                f'{table.where}: target "{column}" has no value in any of {lost} rows', "give another with target=COLUMN"
            )
        if lost:
            what = "rows without a value of the target are left out, as nothing can be learned or measured by them"
            ledger.left(part, there.to_numpy(), "drop_missing", what, {"columns": list(names)})
            findings.append(Finding("warning", f'rows of {part} without a value of the target "{column}" are left out', lost,
                                    table.frame.height))  # fmt: skip
    return frames


def of_table(
    frames: Mapping[str, pl.DataFrame], names: Sequence[str], kind: str | None, levels: Sequence[str] = ()
) -> tuple[targets.Target, dict[str, Any]]:
    """The target of each part, and what else is to be known of it: {"lists": what parts the words of a cell, or ""}."""
    import polars as pl

    if len(names) > 1:
        goals = {part: {name: _goal(frame[name], kind) for name in names} for part, frame in frames.items()}
        return several.decode(goals, kind, ", ".join(names)), {}
    (name,) = names
    lists = isinstance(frames["train"].schema[name], pl.List)
    if not lists and kind != "multilabel":
        return targets.decode({part: _goal(frame[name], kind) for part, frame in frames.items()}, kind, name, levels), {}
    by = "" if lists else several.parter(frames["train"][name].to_list())
    found = {part: frame[name].to_list() for part, frame in frames.items()}
    return several.lists({p: several.parted(cells, by) if by else cells for p, cells in found.items()}, name), {"lists": by}


def _valued(goal: pl.Series, empty: set[str]) -> pl.Series:
    """Which rows have a value of a target."""
    import polars as pl

    if isinstance(goal.dtype, pl.List):
        return goal.is_not_null()
    there = goal.is_not_null() & ~goal.cast(pl.String).str.to_lowercase().is_in(list(empty))
    return there & goal.is_not_nan() if goal.dtype.is_float() else there


def _goal(series: pl.Series, kind: str | None) -> Any:
    """A target column as targets.decode takes it: numbers where every value is one, else text."""
    if series.dtype.is_numeric():
        return series.to_numpy()
    numeric = series.cast(float, strict=False)
    share = 1 - numeric.null_count() / max(1, len(series))
    if share == 1:
        return numeric.to_numpy()
    if kind is None and share > 0.9 and numeric.n_unique() > 20:
        odd = series.filter(numeric.is_null())
        row = int(numeric.is_null().arg_max() or 0)
        raise DataError(
            f'target "{series.name}" has {len(odd)} of {len(series)} values that are not numbers (first: row {row + 1}, "{odd[0]}")',
            f"name them missing with missing={odd[0]}, say kind=multiclass, or give another target with target=COLUMN",
        )
    return _shared(series)


def _shared(series: pl.Series) -> list[Any]:
    """A column as a list whose equal cells are one object: a word for each row would fill the memory."""
    seen: dict[Any, Any] = {}
    pieces = (series.slice(start, PIECE).to_list() for start in range(0, len(series), PIECE))
    return [seen.setdefault(cell, cell) for piece in pieces for cell in piece]
