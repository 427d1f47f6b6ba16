"""A table with a column of times -> windows of the past and what followed: a task of forecasting.

Splits are stretches of time, the oldest to train on. A window belongs to a split when all that it forecasts lies in it: none of
train knows anything of the time that valid or test ask for. What was missing lies on a line between its neighbours; windows whose
newest row was filled so (it would know what comes next), or that would forecast such a row, are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding, Objective, Sealed, Split, Task
from tuneful.pipeline.goals import GOALS
from tuneful.pipeline.metrics import METRICS
from tuneful.pipeline.options import unfit
from tuneful.runtime import moments, windows
from tuneful.runtime.preprocess import cell
from tuneful.techniques.sources import Raw, Stored, Table, guard, note, stored

if TYPE_CHECKING:
    import polars as pl

SHARE = 0.2  # of all moments, for valid and for test
FEWEST = 8  # windows that train must have


ORDER = "order"  # instead of a column of times: the rows follow one another evenly


@dataclass(frozen=True)
class Wanted:
    """What the user said of a forecast. time: the column of times, or "order"; *_from: the first moment that a split asks for."""

    target: str | Sequence[str] | None
    horizon: int | None
    window: int | Literal["auto"]
    time: str | None
    valid_from: str | None
    test_from: str | None
    valid: float | Literal["auto"]
    test: float | Literal["auto"]
    missing: tuple[str, ...]
    leave_out: tuple[str, ...]
    metric: str | None
    limit: int | None


def task(raw: Raw, wanted: Wanted, name: str, limits: Mapping[str, float], source: str) -> Task:
    """The task of a table. Raises DataError where it is no series, RecipeError for options that do not serve."""
    findings = [note(f"the data is {raw.what}"), *raw.findings]
    frame, ends, where = _joined(raw)
    if frame.width == 1 and wanted.time is None:
        findings.append(note("the rows are taken as evenly spaced, in the order of the table, which has one column alone"))
        wanted = replace(wanted, time=ORDER)
    schema = _schema(frame, where, wanted, findings)
    series = windows.laid(schema, _columns(frame, schema))
    _told(series, schema, findings)
    rows = len(series.values)
    cuts = _cuts(series, schema, wanted, ends, rows)
    schema |= _sizes(schema, wanted, cuts[0], findings)
    _without_constant(schema, series.values[: cuts[0]], findings)
    series = windows.laid(schema, _columns(frame, schema))
    schema["cycles"] = moments.cycles(schema["step"], cuts[0])
    if schema["cycles"]:
        findings.append(note(f"the calendar of what is forecast is an input: the time of {', '.join(schema['cycles'])}"))
    channels = windows.channels(schema, series)
    window, horizon = int(schema["window"]), int(schema["horizon"])
    schema["shape"] = [len(channels), window]
    targets = [schema["columns"].index(one) for one in schema["targets"]]
    splits = _splits(channels, series.filled, targets, window, horizon, cuts, rows, wanted.limit, findings)
    mean, std = channels[:, : cuts[0]].mean(axis=1, dtype=np.float64), channels[:, : cuts[0]].std(axis=1, dtype=np.float64)
    known = len(schema["columns"])
    mean[known:], std[known:] = 0.0, 1.0
    kind = "forecasting"
    metric = wanted.metric or (GOALS[kind].metric if len(targets) == 1 else "rmse_scaled")
    if kind not in METRICS[metric].kinds:
        raise RecipeError([unfit(metric, kind, [word for word, one in METRICS.items() if kind in one.kinds])])
    if wanted.metric is None:
        findings.append(note(f"the objective is {metric}", "metric=NAME takes another"))
    print_ = hashlib.sha256(json.dumps([schema, cuts], sort_keys=True).encode())
    print_.update(channels.tobytes())
    for _, y in splits.values():
        print_.update(f"{y.shape}".encode())
    return Task(
        name=name,
        kind=kind,
        shape=(len(channels), window),
        labels=(),
        train=Split(*splits["train"]),
        valid=Split(*splits["valid"]),
        test=Sealed(Split(*splits["test"])),
        objective=Objective(metric, METRICS[metric].direction),
        fingerprint=print_.hexdigest(),
        schema=schema,
        normalize={"mean": mean.tolist(), "std": std.tolist()},
        target={
            "name": ", ".join(schema["targets"]),
            "columns": [f"{one} +{step}" for step in range(1, horizon + 1) for one in schema["targets"]],
            "mean": np.tile(mean[targets], horizon).tolist(),
            "std": np.tile(std[targets], horizon).tolist(),
        },
        findings=tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity))),
        limits=dict(limits),
        source=source,
    )


def _joined(raw: Raw) -> tuple[pl.DataFrame, dict[str, int], str]:
    """One frame of all parts, the rows at which valid and test begin where they are files of their own, and its name."""
    import polars as pl

    first = raw.parts["train"]
    if isinstance(first, Stored):  # a series is looked at as a whole
        whole = {part: stored.whole(table) for part, table in cast("Mapping[str, Stored]", raw.parts).items()}
        return _joined(replace(raw, parts=whole))
    if not isinstance(first, Table):
        raise DataError(
            "a forecast needs a table with a column of times and one of numbers; this data has no columns",
            "give a CSV or Parquet file, or a data frame",
        )
    parts = cast("Mapping[str, Table]", raw.parts)
    frames = [parts[part].frame.select(first.frame.columns) for part in ("train", "valid", "test") if part in parts]
    ends: dict[str, int] = {}
    at = 0
    for part in ("train", "valid", "test"):
        if part in parts:
            ends[part] = at
            at += parts[part].frame.height
    return pl.concat(frames, how="vertical_relaxed"), {p: at for p, at in ends.items() if p != "train"}, first.where


def _columns(frame: pl.DataFrame, schema: Mapping[str, Any]) -> dict[str, Any]:
    names = [*([schema["time"]] if schema["time"] else []), *schema["columns"]]
    return {name: frame[name].to_list() for name in names}


# What the columns mean


def _schema(frame: pl.DataFrame, where: str, wanted: Wanted, findings: list[Finding]) -> dict[str, Any]:
    time, order = _time(frame, where, wanted, findings)
    step: Mapping[str, Any] = {"unit": "row", "count": 1}
    if time:
        times = np.unique(moments.read(frame[time].to_list(), time, order))
        if len(times) < 3:
            raise DataError(f'column "{time}" holds {len(times)} different moments; a series needs three or more')
        step = moments.step_of(times)
        findings.append(
            note(f'the times stand in column "{time}"; a step is {moments.said(step)}', "time=COLUMN takes another")
        )
    decimal = ","
    rest = [name for name in frame.columns if name != time and name not in wanted.leave_out]
    columns, text = [name for name in rest if _numeric(frame[name], wanted.missing, ",")], list[str]()
    if not any("," in cell(value) for name in columns for value in frame[name].to_list()):
        decimal = "."
    columns = [name for name in rest if _numeric(frame[name], wanted.missing, decimal)]
    text = [name for name in rest if name not in columns]
    targets = _targets(columns, text, where, wanted, findings)
    if text:
        findings.append(Finding("warning", "columns hold no numbers and are left out of the forecast", len(text), len(rest),
                                tuple(text)))  # fmt: skip
    return {
        "format": 1, "kind": "forecast", "time": time, "order": order, "step": dict(step), "columns": columns,
        "targets": targets, "cycles": [], "season": moments.season(step), "missing": list(wanted.missing), "decimal": decimal,
        "horizon": 1, "window": 1,
    }  # fmt: skip


def _numeric(column: pl.Series, missing: Sequence[str], decimal: str) -> bool:
    from tuneful.runtime.preprocess import numbers

    try:
        found = numbers(column.to_list(), column.name, missing, decimal)
    except DataError:
        return False
    return bool(np.isfinite(found).any())


def _time(frame: pl.DataFrame, where: str, wanted: Wanted, findings: list[Finding]) -> tuple[str, str]:
    """(column of times, order of year, month and day); ("", "") where the rows' order is taken."""
    if wanted.time == ORDER and ORDER not in frame.columns:
        if frame.width > 1:
            findings.append(
                note("the rows are taken as evenly spaced, in the order of the table, because time=order was said")
            )
        return "", ""
    if wanted.time is not None and wanted.time not in frame.columns:
        near = nearest(wanted.time, frame.columns)
        raise RecipeError([Problem("time", f"time is {wanted.time!r}, which is no column of {where}", nearest=near)])
    for name in [wanted.time] if wanted.time else frame.columns:
        if frame.schema[name].is_numeric() or name in wanted.leave_out:
            continue
        known = moments.orders(frame[name].to_list())
        if len(known) == 1:
            return name, known[0]
        if known:
            return name, _evenest(frame[name], name, known, findings)
    likely = wanted.time or next(
        (n for n in frame.columns if n.lower() in ("date", "time", "month", "day", "timestamp")), frame.columns[0]
    )
    odd, row = _no_moment(frame[likely].to_list())
    raise DataError(
        f'{where}: column "{likely}" holds {odd!r} in row {row + 1}, which is no time like 2016-07-01, 2016-07-01 13:00 or 1949-01; '
        "a forecast needs to know when each row was",
        "name the column with time=COLUMN, or say time=order when the rows follow one another evenly",
    )


def _no_moment(values: Sequence[Any]) -> tuple[str, int]:
    """The first value that is no moment in the order that serves most of the others."""
    read = {order: [moments.written(cell(value), order) is not None for value in values] for order in moments.ORDERS}
    best = max(read.values(), key=sum)
    row = best.index(False) if False in best else 0
    return cell(values[row]), row


def _evenest(column: pl.Series, name: str, orders: Sequence[str], findings: list[Finding]) -> str:
    """Of orders that all serve, that with the fewest different steps."""

    def steps(order: str) -> int:
        return len(np.unique(np.diff(moments.read(column.to_list(), name, order).astype(np.int64))))

    best = min(orders, key=steps)
    text = (
        f'column "{name}" holds dates whose day and month cannot be told apart; read as {best} their steps are the evenest'
    )
    findings.append(Finding("warning", text, len(column), len(column), (cell(column[0]),), "write dates as YYYY-MM-DD"))
    return best


def _targets(columns: Sequence[str], text: Sequence[str], where: str, wanted: Wanted, findings: list[Finding]) -> list[str]:
    if not columns:
        raise DataError(f"{where} has no column of numbers beside its times; there is nothing to forecast")
    if wanted.target is None:
        if len(columns) > 1:
            findings.append(Finding("warning", f'the target is "{columns[-1]}", because it is the last column of numbers', 1, 1, (),
                                    "give target=COLUMN for another, or several"))  # fmt: skip
        return [columns[-1]]
    given = wanted.target if isinstance(wanted.target, str) else ",".join(wanted.target)
    names = [given] if given in columns else list(dict.fromkeys(part.strip() for part in given.split(",") if part.strip()))
    for name in names:
        if name in text:
            raise DataError(f'target "{name}" of {where} does not hold numbers; only numbers are forecast')
        if name not in columns:
            raise DataError(
                f'{where} has no column "{name}"; the target must be one of {", ".join(columns[:12])}',
                f"did you mean {nearest(name, columns)}?" if nearest(name, columns) else "",
            )
    return names


def _without_constant(schema: dict[str, Any], train: NDArray[np.float64], findings: list[Finding]) -> None:
    """Leave out inputs that do not vary in train. Raises DataError when it is a target."""
    flat = [name for name, column in zip(schema["columns"], train.T, strict=True) if float(np.ptp(column)) == 0]
    for name in flat:
        if name in schema["targets"]:
            raise DataError(
                f'target "{name}" is {train[0, schema["columns"].index(name)]:g} in all of train; there is nothing to learn'
            )
    if flat:
        findings.append(Finding("warning", "columns are constant in train and are left out", len(flat), len(schema["columns"]),
                                tuple(flat)))  # fmt: skip
        schema["columns"] = [name for name in schema["columns"] if name not in flat]


def _told(series: windows.Laid, schema: Mapping[str, Any], findings: list[Finding]) -> None:
    rows = len(series.values)
    if series.repeated:
        findings.append(Finding("warning", "rows have a time that another row has too; the first of each is kept", series.repeated,
                                rows))  # fmt: skip
    if series.absent:
        text = f"moments are missing between others ({moments.said(schema['step'])} a step); they lie on a line between their neighbours"
        findings.append(Finding("warning", text, series.absent, rows))
    if series.cells:
        findings.append(Finding("warning", "values are missing and lie on a line between their neighbours", series.cells,
                                series.values.size))  # fmt: skip


# How long, and where to cut


def _cuts(
    series: windows.Laid, schema: Mapping[str, Any], wanted: Wanted, ends: Mapping[str, int], rows: int
) -> tuple[int, int]:
    """The first rows that valid and test ask for."""
    found: dict[str, int] = {}
    for split, said in (("valid", wanted.valid_from), ("test", wanted.test_from)):
        if said is None:
            continue
        if series.start is None:
            raise RecipeError(
                [Problem(f"{split}_from", f"{split}_from is {said}, and the rows have no times; give a share")]
            )
        moment = next((m for order in ("ymd", "ym") if (m := moments.written(str(said), order)) is not None), None)
        if moment is None:
            raise RecipeError([Problem(f"{split}_from", f"{split}_from is {said!r}; it must be a time like 2018-01-31")])
        times = series.times(schema, 0, rows)
        found[split] = int(np.searchsorted(times, moment))
    for split, row in ends.items():
        found.setdefault(split, row)
    shares = {s: SHARE if share == "auto" else float(share) for s, share in (("valid", wanted.valid), ("test", wanted.test))}
    test = found.get("test", rows - max(1, round(shares["test"] * rows)))
    valid = found.get("valid", test - max(1, round(shares["valid"] * rows)))
    if not 0 < valid < test < rows:
        raise DataError(
            f"valid would begin at row {valid + 1} and test at row {test + 1} of {rows}; train, valid and test must follow one "
            "another, each with a part",
            "give other shares or moments: valid=0.2 test=0.2, or valid_from=TIME test_from=TIME",
        )
    return valid, test


def _sizes(schema: Mapping[str, Any], wanted: Wanted, train: int, findings: list[Finding]) -> dict[str, int]:
    """The horizon and the window, with their reasons."""
    season = int(schema["season"])
    horizon = wanted.horizon
    if horizon is None:
        horizon = season or 1
        findings.append(
            note(f"horizon is {horizon}, " + ("one season" if season else "the next row"), "horizon=N takes another")
        )
    window = wanted.window
    if window == "auto":
        week = moments.week(schema["step"])
        long, why = max(
            (2 * season, f"two seasons of {season}"), (2 * horizon, "twice the horizon"), (week, "a week"), (8, "the least")
        )
        window = min(long, max(1, train // 4))
        why = f"a quarter of the {train} rows of train" if window < long else why
        findings.append(note(f"window is {window} rows of the past: {why}", "window=N takes another"))
    if window + horizon + FEWEST - 1 > train:
        raise DataError(
            f"train has {train} rows; a window of {window} and a horizon of {horizon} need {window + horizon + FEWEST - 1} or more",
            "take a shorter horizon or window, or give a longer series",
        )
    return {"horizon": horizon, "window": window}


def _splits(
    channels: NDArray[np.float32], filled: NDArray[np.bool_], targets: Sequence[int], window: int, horizon: int,
    cuts: tuple[int, int], rows: int, limit: int | None, findings: list[Finding],
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:  # fmt: skip
    """{split: (x [N, C, T], y [N, horizon * M])}. x is a view of the channels where no window is left out."""
    seen = sliding_window_view(channels, window, axis=1, writeable=True).transpose(
        1, 0, 2
    )  # window i ends with row i + window - 1
    ahead = sliding_window_view(channels[list(targets)], horizon, axis=1).transpose(
        1, 2, 0
    )  # [rows - horizon + 1, horizon, M]
    invented = np.asarray(sliding_window_view(filled, horizon).any(axis=1))
    out: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    lost = everything = 0
    for split, first, end in (("train", 0, cuts[0]), ("valid", cuts[0], cuts[1]), ("test", cuts[1], rows)):
        newest = np.arange(max(first, window) - 1, end - horizon)  # the last row that is seen
        good = ~filled[newest] & ~invented[newest + 1] if len(newest) else np.zeros(0, dtype=bool)
        lost, everything = lost + int((~good).sum()), everything + len(good)
        kept = newest[good]
        if limit is not None and len(kept) > limit:
            findings.append(Finding("note", f"{split} was thinned to limit={limit}, evenly over time", limit, len(kept)))
            kept = kept[np.linspace(0, len(kept) - 1, limit).round().astype(int)]
        least = FEWEST if split == "train" else 1
        if len(kept) < least:
            raise DataError(
                f"{split} has {max(0, end - first)} rows and {len(kept)} whole windows (window {window}, horizon {horizon}, gaps left "
                f"out); {least} or more are wanted",
                "take a shorter horizon or window, give larger shares, or fill the gaps",
            )
        guard(4.0 * len(kept) * horizon * len(targets), f"the targets of {split}")
        y = np.ascontiguousarray(ahead[kept + 1].reshape(len(kept), -1))
        first_window = kept - window + 1
        if len(kept) == kept[-1] - kept[0] + 1:
            x = seen[first_window[0] : first_window[-1] + 1]
        else:
            guard(4.0 * len(kept) * channels.shape[0] * window, f"the windows of {split}")
            x = seen[first_window]
        out[split] = (x, y)
        findings.append(
            note(f"{split}: rows {first + 1} to {end} of {rows} are forecast, {len(kept)} windows, in the order of time")
        )
    if lost:
        findings.append(Finding("warning", "windows that end in or ask for what was missing are left out", lost, everything))
    return out
