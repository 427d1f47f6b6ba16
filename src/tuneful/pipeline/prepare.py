"""Data of any kind -> Task: read, decide, split, fit the preprocessing on train, check, fingerprint.

    "digits" · folder of images or sounds · list of files · CIFAR batches · .ts series · CSV, TSV, Parquet · .npz · idx · arrays · data frame · torch Dataset · a triple of these

Every choice that was made for the user is told as a finding of severity "note" or "warning". What cannot be learned from
raises DataError. The same data, options and seed give the same task, down to its fingerprint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding, Sealed, Split, Task
from tuneful.pipeline import (
    aims,
    arrayfiles,
    checks,
    clean_words,
    cleaning,
    columns,
    filled,
    images,
    ondisk,
    order,
    pairs,
    sequences,
    series,
    sounds,
    texts,
    windows,
)
from tuneful.pipeline import masks as masked
from tuneful.pipeline import outside as apart
from tuneful.pipeline.alike import alike
from tuneful.pipeline.cells import values
from tuneful.pipeline.columns import features
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.ledger import Ledger
from tuneful.pipeline.likeness import of_images
from tuneful.pipeline.options import chosen_objective, wrong
from tuneful.pipeline.parts import Built as _Built
from tuneful.pipeline.parts import Options as _Options
from tuneful.pipeline.parts import Parts, Scale, fingerprint, words
from tuneful.pipeline.parts import divide as _divide
from tuneful.pipeline.parts import take as _take
from tuneful.runtime.preprocess import MISSING, apply
from tuneful.techniques import sources
from tuneful.techniques.cleaners import Filler
from tuneful.techniques.sources import Arrays, Files, Prose, Raw, Sentences, Stored, Table, Texts, note

if TYPE_CHECKING:
    import polars as pl

COVERAGE = 0.95  # share of the known that is answered, when nothing is said
_EXAMPLES = {"image": "image", "audio": "sound", "series": "series", "vector": "row"}


def prepare(
    source: object,
    *,
    target: str | Sequence[str] | None = None,
    kind: str | None = None,
    metric: str | None = None,
    missing: Sequence[str] = (),
    keep: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    size: int | tuple[int, int] | None = None,
    name: str | None = None,
    seed: int = 0,
    valid: float | Literal["auto"] = "auto",
    test: float | Literal["auto"] = "auto",
    limit: int | None = None,
    form: Literal["series", "image"] | None = None,
    tokens: str = "auto",
    length: int | None = None,
    vocabulary: int | None = None,
    horizon: int | None = None,
    window: int | Literal["auto"] = "auto",
    time: str | None = None,
    valid_from: str | None = None,
    test_from: str | None = None,
    limits: Mapping[str, float] | None = None,
    scale: Scale = "auto",
    order: str | None = None,
    levels: Sequence[str] = (),
    beam: int = 1,
    masks: Literal["auto", "classes", "instances"] = "auto",
    standardize: bool | Literal["auto"] = "auto",
    clean: Any = (),
    outside: Sequence[str] = (),
    coverage: float | Literal["auto"] = "auto",
    champion: str | None = None,
) -> Task:
    """Everything that training needs to know of the data.

    Args:
        source: "digits"; a path to a folder of images, a table, an .npz archive or idx files; (x, y); {"train": (x, y), ...};
            a data frame; a torch Dataset; or (train, test) or (train, valid, test) of any of these.
        target: the column to predict, or several ("a,b,c" or a list); found by its name, or the last one, when not given.
        kind: "binary", "multiclass", "openset" (classes, or none of them), "multilabel", "ordinal", "regression", "segmentation",
            "forecasting", "language" or "sequence_to_sequence" ("translation"); told by the target when not given.
        metric: what is optimized; AUROC for two classes and for labels, accuracy for more classes, RMSE for numbers, mean R2
            for several, when not given.
        missing: words that mean "no value", beside the usual ones ("", NA, ?, null ...).
        keep, leave_out: columns that stay, or go, whatever the checks say.
        size: of images after resizing: pixels a side, or (height, width).
        seed: of the split.
        valid, test: shares to cut where the data brings no such split; "auto" is 20 %, at most 10 000 examples.
        limit: at most so many examples a split, stratified.
        form: "series" when arrays [N, C, T] (or [N, T]) are time series; three axes are grey images otherwise.
        tokens: of text: "byte", "char", "word" or "bpe", learned from train; or the folder of a trained network, whose
            tokenizer.json is used; "grams": the set of its n-grams of words and letters, for a class each; "auto" chooses for the
            text and the task, and keeps the order; "best": as "auto", but sets of n-grams where a text has a class.
        length: tokens that are looked at of a text; chosen from the lengths in train when not given.
        vocabulary: at most so many different tokens.
        scale: of a table's numbers: "deviation" (mean 0, deviation 1), "ranks" (normal by their ranks, so that outliers and
            skew do not matter); "auto" is ranks for classes and deviation for targets that are numbers, which a long tail may tell.
        outside: labels that mean "of no class", or a path to a file of such examples; labels such as "oos" are found, and "none"
            makes classes of them.
        coverage: of an open set, the share of known examples of valid that shall get an answer; "auto" is 0.95.
        levels: of an ordinal target that is written in words, the lowest first.
        masks: what the values of masks are: a class each, or numbers of single things that are all the foreground.
        standardize: of time series: is each brought to mean 0 and deviation 1 by itself? "auto": where its level and size do not
            tell the class, which is told. Of sounds: is each brought to one loudness? "auto": yes.
        order: a column of dates or numbers (which is then no input, unless keep names it), or "rows": valid and test are cut
            from the end of time, not at random.
        horizon, window, time, valid_from, test_from: of a forecast: how many steps ahead (one season when not given), how many
            rows of the past are seen, the column of times (found when not given; "order": the rows are evenly spaced), the first
            moments to validate and to prove on (shares of the time when not given). See `windows`.
        beam: of sequence to sequence: how many beginnings are followed while the target is written; 1 is greedy.
        limits: what else must hold, such as {"latency_ms": 5.0}. champion: an artifact, whose preprocessing is kept (see `alike`).
        clean: steps of cleaning, as text ("deduplicate,impute=mean"), as settings (Impute(how="mean")) or as a list of these; nothing is
            taken out or changed that is not named there, but for what `task.cleaning` tells as "auto".

    Returns: a Task. `task.findings` tells what was chosen and what may be wrong.
    Raises:  DataError when the data cannot serve, RecipeError for a wrong option.
    Cost:    data is read into memory once. What would take more than half of the free memory, or more than $TUNEFUL_MEMORY,
        stays on disk: tables, images, sounds and arrays are read by threads during training; other kinds are refused first.
    """
    told = {"target": target, "kind": kind, "metric": metric, "missing": missing, "keep": keep, "leave_out": leave_out,
            "size": size, "valid": valid, "test": test, "limit": limit, "horizon": horizon, "window": window,
            "time": time, "valid_from": valid_from, "test_from": test_from, "beam": beam, "tokens": tokens, "outside": outside,
            "coverage": coverage}  # fmt: skip
    if problems := wrong(source, told):
        raise RecipeError(problems)
    ledger, scale = Ledger(clean_words.steps(clean)), "deviation" if champion else scale  # which can be undone
    named = target if target is None or isinstance(target, str) else tuple(target)
    options = _Options(named, kind, words(missing), words(keep), words(leave_out), size, valid, test, seed, limit,
                       form or "", "auto" if tokens == "best" else tokens, length, vocabulary, scale, order, words(levels), beam,
                       masks, standardize, ledger, words(outside), tokens == "best")  # fmt: skip
    raw = sequences.running(sources.read(source)) if kind == "language" else sources.read(source)
    if kind == "forecasting" or horizon is not None:
        ledger.serve("forecast", "rows of a forecast, which follow one another")
        wanted = windows.Wanted(named, horizon, window, time, valid_from, test_from, valid, test, words(missing),
                                words(leave_out), metric, limit)  # fmt: skip
        where = str(source) if isinstance(source, str | os.PathLike) else type(source).__name__
        return windows.task(raw, wanted, name or raw.name, limits or {}, where)
    findings = [note(f"the data is {raw.what}"), *raw.findings]
    for part, content in raw.parts.items():
        if cleaning.count(content) == 0:
            raise DataError(f"{part} holds no examples; at least a few of each class are wanted")
    ledger.begin({part: cleaning.count(content) for part, content in raw.parts.items()})
    ledger.serve(*cleaning.data_of(raw.parts["train"]))
    raw = cleaning.mend(ledger, raw, findings)
    first = raw.parts["train"]
    if (both := pairs.found(raw, options, findings)) is not None:
        ledger.serve("pair", "pairs of texts")
        built = pairs.build(both, options, findings)
    elif isinstance(first, Table | Stored):
        if size is not None:
            raise RecipeError([Problem("size", "size is for images; this data is a table")])
        aims.beside(first)
        built = _from_table(raw, options, findings) if isinstance(first, Table) else ondisk.build(raw, options, findings)
    else:
        if target is not None or missing or keep or leave_out:
            raise RecipeError(
                [Problem("target", "target, missing, keep and leave_out are for tables; this data has no columns")]
            )
        if isinstance(first, Texts):
            built = texts.build(raw, options, findings)
        elif isinstance(first, Sentences | Prose):
            cleaning.count_mended(ledger, {part: (part, slice(None)) for part in raw.parts}, "pieces")
            built = sequences.build(raw, options, findings)
        elif masked.there(raw, kind):
            built = masked.build(raw, options, findings)
        else:
            built = _from_examples(raw, options, findings)
    findings += built.target.findings
    built = replace(built, schema=built.schema | cleaning.flags(ledger))
    built, beside = apart.apart(built, options, findings)
    if built.target.labels and not {"places", "pixels"} & set(built.about):
        look = checks.labels if built.target.kind == "multilabel" else checks.classes
        findings += look(built.y, built.target.labels)
    findings += checks.repeats(cast("dict[str, NDArray[np.uint64]]", built.twins), _told_apart(built), built.what)
    objective = chosen_objective(built.target.kind, metric, findings)
    x, y = built.x, built.y
    about: dict[str, Any] = {"name": built.column} | dict(built.about)
    if built.target.kind == apart.KIND:
        about |= {"outside": list(built.target.outside), "coverage": COVERAGE if coverage == "auto" else coverage}
    if y["train"].dtype.kind == "f":
        wide = y["train"].astype(np.float64)
        mean, std = wide.mean(axis=0), wide.std(axis=0)
        about |= {"mean": mean.tolist(), "std": np.where(std > 0, std, 1.0).tolist()}
    if built.target.columns:
        about["columns"] = list(built.target.columns)
    task = Task(
        name=name or raw.name,
        kind=built.target.kind,
        shape=tuple(int(side) for side in x["train"].shape[1:]),
        labels=built.target.labels,
        train=Split(x["train"], y["train"], beside.get("train")),
        valid=Split(x["valid"], y["valid"], beside.get("valid")),
        test=Sealed(Split(x["test"], y["test"], beside.get("test"))),
        objective=objective,
        fingerprint=fingerprint(x, y, built.schema, built.target.labels, beside),
        schema=built.schema,
        normalize=built.normalize,
        target=about,
        findings=tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity))),
        limits=dict(limits or {}),
        source=str(source) if isinstance(source, str | os.PathLike) else type(source).__name__,
        cleaning=tuple(ledger.told),
        origin=built.origin,
    )
    return alike(task, champion)


def _told_apart(built: _Built) -> dict[str, NDArray[Any]]:
    """What equal examples should share: the class, or of sequences the first. Pairs that are equal have equal targets anyway."""
    if built.target.kind == pairs.KIND:
        return {part: np.zeros(len(y), np.int64) for part, y in built.y.items()}
    return {part: y[:, 0] if "places" in built.about else y for part, y in built.y.items()}


# Arrays and images


def _from_examples(raw: Raw, options: _Options, findings: list[Finding]) -> _Built:
    if options.order not in (None, order.ROWS):
        raise RecipeError(
            [Problem("order", f"order is {options.order!r}; this data has no columns, so it can only be {order.ROWS}")]
        )
    x: Parts = {}
    labels: dict[str, Any] = {}
    schema: dict[str, Any]
    ledger = options.ledger
    if isinstance(raw.parts["train"], Files):
        parts = cast("Mapping[str, Files]", raw.parts)
        ledger.names = cleaning.names(parts["train"].paths)
        loaded: Any  # {part: (x, labels)}; x an array, or Lazy
        if raw.parts["train"].media == "sound":
            if options.size is not None:
                raise RecipeError([Problem("size", "size is for images; these are sounds")])
            loaded, schema = sounds.load(parts, findings, ledger)
        else:
            loaded, schema = images.load(parts, options.size, findings, ledger)
        x, labels = {p: found for p, (found, _) in loaded.items()}, {p: found for p, (_, found) in loaded.items()}
        kind = options.kind or "classes"
    else:
        parts_ = cast("Mapping[str, Arrays]", raw.parts)
        form = parts_["train"].form or options.form
        given = {p: part.x for p, part in parts_.items()}
        x = _shaped(given, form, options, findings)
        labels = {p: aims.flat(part.y, len(part.x), p, options.kind) for p, part in parts_.items()}
        kind = options.kind
        shape = [int(side) for side in x["train"].shape[1:]]
        form = form or ("image" if len(shape) == 3 else "vector")
        schema = {"format": 1, "kind": form, "shape": shape, "dtype": str(x["train"].dtype)}
    for part, found in x.items():
        checks.finite(found, "x" if part == "train" and len(x) == 1 else f"x of {part}")
    single = isinstance(raw.parts["train"], Files) or np.ndim(labels["train"]) == 1
    found_ = apart.search({p: list(values) for p, values in labels.items()}, options, findings) if single else None
    target = apart.decode(labels, found_, lambda known: aims.of_arrays(known, kind, options.levels))
    twins: Parts = {part: checks.prints(found) for part, found in x.items()}
    look = cleaning.Look(lambda part, _: twins[part], sketch=lambda part: of_images(x[part]) if x[part].ndim == 4 else None)
    chosen, y = cleaning.sift(ledger, _divide(target.y, twins, options, findings), target, look)
    out = {name: _take(x[part], indices) for name, (part, indices) in chosen.items()}
    if isinstance(out["valid"], Lazy) and sources.fits(4.0 * out["valid"].nbytes)[0]:
        out["valid"] = out["valid"][:]  # it is looked at again and again
        findings.append(note("the examples of valid are kept in memory, since they fit"))
    if schema["kind"] == "vector" and isinstance(out["train"], Lazy):
        findings.append(note("constant and repeated features are not looked for in arrays that stay in their files"))
    elif schema["kind"] == "vector":
        findings += checks.features(out["train"])
        findings += checks.determined(out["train"], y["train"]) if y["train"].dtype.kind == "f" else []
    series.refuse(options.standardize, schema["kind"])
    alone = schema["kind"] == "series" and series.standardized(out["train"], y["train"], options.standardize, findings)
    schema |= {"standardize": True} if alone else {}
    if schema["kind"] == "audio":
        schema |= sounds.fit(out["train"], int(schema["rate"]), sounds.levelled(options.standardize, findings))
    return _Built(
        x=out, target=target, y=y, schema=schema, column="y", what=_EXAMPLES[schema["kind"]],
        twins={name: twins[part][indices] for name, (part, indices) in chosen.items()},
        normalize={} if schema["kind"] == "audio" or alone else images.statistics(out["train"]),
        origin=ledger.origin(chosen["train"][1]),
    )  # fmt: skip


def _shaped(given: Parts, form: str, options: _Options, findings: list[Finding]) -> Parts:
    """Arrays as examples: in memory, or where they would not fit in their files."""

    def shaped(parts: Mapping[str, NDArray[Any]], told: list[Finding]) -> Parts:
        return series.shaped(parts) if form == "series" else images.shaped(parts, options.size, told)

    if not any(isinstance(x, np.memmap) for x in given.values()):
        return shaped(given, findings)
    found = arrayfiles.unread(given, lambda parts: shaped(parts, []))
    shaped({part: np.asarray(x[:1]) for part, x in given.items()}, findings)
    why = sources.fits(2.0 * sum(x.nbytes for x in given.values()))[1]
    n = sum(len(x) for x in given.values())
    findings.append(note(f"the arrays stay in their files and are read by threads at every step ({why})", n=n))
    return cast("Parts", found)


# Tables


def _from_table(raw: Raw, options: _Options, findings: list[Finding]) -> _Built:
    import polars as pl

    tables = cast("Mapping[str, Table]", raw.parts)
    train = tables["train"]
    named = aims.columns(train.frame, train.where, options.target, findings)
    for word, names in (("keep", options.keep), ("leave_out", options.leave_out)):
        for name in names:
            if name not in train.frame.columns:
                problem = f"{word} names column {name!r}, which {train.where} has not"
                raise RecipeError([Problem(word, problem, nearest=nearest(name, train.frame.columns))])
    ledger = options.ledger
    frames = aims.rows(tables, named, options.kind, options.missing, findings, ledger)
    column = ", ".join(named)
    known = apart.of_table(frames, named, options, findings)
    target, about = (known, {}) if known else aims.of_table(frames, named, options.kind, options.levels)
    when = None
    hidden = {*named, *options.leave_out}
    if options.order not in (None, order.ROWS):
        when = {part: order.moments_of(frame, str(options.order), tables[part].where) for part, frame in frames.items()}
        hidden |= {options.order} - {*options.keep}
    inputs = [name for name in train.frame.columns if name not in hidden]
    if holds := [name for name in inputs if isinstance(train.frame.schema[name], pl.List)]:
        raise DataError(
            f'{train.where}: column "{holds[0]}" holds lists; numbers, text, dates or true/false are wanted of an input',
            f"leave it out with leave_out={holds[0]}, or make it the target",
        )
    if not inputs:
        raise DataError(f'{train.where} has no column beside the target "{column}"; at least one input is wanted')
    cleaning.known_columns(ledger, inputs, train.where)
    frames = {part: frame.select(inputs) for part, frame in frames.items()}
    classed = target.kind in ("binary", "multiclass", "openset")
    free = texts.column(frames["train"], target.y["train"], options, findings) if classed else ""
    if free:
        return texts.built({part: frame[free].fill_null("").to_list() for part, frame in frames.items()}, target, options,
                           findings, column=free, name=column)  # fmt: skip
    twins: Parts = {part: frame.hash_rows(seed=0).to_numpy() for part, frame in frames.items()}
    blank = [word.casefold() for word in (*MISSING, *options.missing)]
    divided = _divide(target.y, twins, options, findings, when)
    cleaning.count_mended(ledger, divided, "rows")
    chosen, y = cleaning.sift(ledger, divided, target, cleaning.of_table(frames, blank))
    part, indices = chosen["train"]
    ranks = options.scale == "ranks" or (options.scale == "auto" and y["train"].dtype.kind != "f")
    schema, found = columns.fit(frames[part][indices], y["train"], options.missing, options.keep, train.semicolons, ranks,
                                ledger.of(Filler))  # fmt: skip
    findings += found
    findings += filled.count(ledger, schema, {name: frames[p][i] for name, (p, i) in chosen.items()}, ranks)
    x = {part: _encoded(schema, frame, part) for part, frame in frames.items()}
    size = sum(one.nbytes for one in x.values())
    findings.append(note(f"the table is kept in memory ({sources.fits(size)[1]})"))
    return _Built(
        x={name: _take(x[p], i) for name, (p, i) in chosen.items()}, target=target, y=y, schema=schema, column=column,
        what="row", twins={name: twins[p][i] for name, (p, i) in chosen.items()}, about=about,
        origin=ledger.origin(chosen["train"][1]),
    )  # fmt: skip


def _encoded(schema: Mapping[str, Any], frame: pl.DataFrame, part: str) -> NDArray[np.float32]:
    width = len(schema["features"])
    sources.guard(4.0 * frame.height * width, f"the encoded table ({frame.height} rows x {width} features)")
    out = np.empty((frame.height, width), np.float32)
    at = 0
    for entry in schema["columns"]:  # one by one: as Python's own objects, cells take ten times their room
        try:
            block = apply(
                {**schema, "columns": [entry], "features": features(entry)}, {entry["name"]: values(frame[entry["name"]])}
            )
        except DataError as error:
            raise DataError(
                f"{part}: {error.message}", "name the word with missing=WORD when it means that there is no value"
            ) from None
        out[:, at : at + block.shape[1]] = block
        at += block.shape[1]
    return out
