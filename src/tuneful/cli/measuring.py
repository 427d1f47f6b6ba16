"""What `evaluate` measures: a run's network on its own test split, or an artifact on new labelled data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tuneful.core.errors import DataError, StudyError

if TYPE_CHECKING:
    from tuneful.core.measure import Measure
    from tuneful.runtime.load import Model

Found = tuple[dict[str, "Measure"], dict[str, Any]]


def on_test_split(folder: Path) -> Found:
    """(measures, {"what", "openings", "notes"}) of a run's best trial. The opening is counted before anything is measured."""
    from tuneful.core import storage
    from tuneful.core.study import Study
    from tuneful.pipeline import judge, openset, types
    from tuneful.pipeline.goals import goal
    from tuneful.pipeline.job import Job
    from tuneful.pipeline.prepare import prepare
    from tuneful.pipeline.shipped import shipped
    from tuneful.pipeline.train import Run
    from tuneful.pipeline.tune import STATE

    job = Job.read(folder)
    task = prepare(job.source, **job.reading)
    with storage.held(folder):
        study = Study.open(folder)
        if study.about["fingerprint"] != task.fingerprint:
            raise StudyError(f"the data of {folder} has changed since; its test split is another one",
                             "bring back the data, or give the new one: `tuneful evaluate RUN DATA`")  # fmt: skip
        best = study.best()
        if best is None:
            raise StudyError(
                f"{folder} has no trial with a value yet", f"`tuneful resume {shlex.quote(str(folder))}` goes on"
            )
        task = task.logged_in(folder)
        if (folder / "evidence.json").exists():  # what was shipped, which need not be the best single run
            evidence = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
            best, candidate = shipped(job, study, task, evidence, device="cpu")
        else:
            candidate = Run.resume(task, study.trial_folder(best.number) / STATE, device="cpu").candidate()
        split = task.test.open(f"tuneful evaluate, trial {best.number}")
    names = [name for name, metric in judge.METRICS.items() if task.kind in metric.kinds]
    block = goal(task).block(task)
    found = judge.measures(names, judge.predict(candidate.network, split.x, kind=task.kind), split.y, block=block)
    if task.kind == "openset":
        how = openset.rule(*openset.told(candidate.network, task.valid), float(task.target["coverage"]))
        known, beside = openset.told(candidate.network, split)
        found |= openset.measured(how, known, split.y, beside)
    more = {}
    if task.kind in ("tagging", "entities"):
        p = judge.predict(candidate.network, split.x, kind=task.kind)
        more = detailed(types.per_type(task.kind, p, split.y, task.labels))
    count = len(task.test.openings)
    notes = [f"the test split has now been opened {count} times; each opening is in {folder / 'openings.jsonl'}"]
    return found, {"what": f"trial {best.number} of {folder.name} on its test split of {len(split)} examples",
                   "openings": count, "notes": notes, **more}  # fmt: skip


def on_new_data(artifact: Path, data: str) -> Found:
    """(measures, {"what", "notes"}) of an artifact on labelled data. Raises DataError for labels that it does not know."""
    import numpy as np

    from tuneful.cli.inputs import of_part, test_part
    from tuneful.pipeline import judge
    from tuneful.runtime.answers import PIXELS, PLACES, TEXTS, VALUES
    from tuneful.runtime.load import load
    from tuneful.techniques import sources

    model = load(artifact)
    raw = sources.read(data)
    name, part = test_part(raw.parts)
    if model.kind == "openset":
        return _open(model, part, data, f"{artifact} on")
    if model.kind in PLACES:
        return _places(model, part, data, f"{artifact} on")
    if model.kind == "forecasting":
        return _forecasts(model, of_part(part, "forecast", data), f"{artifact} on", data)
    if model.kind in TEXTS:
        return _writings(model, part, f"{artifact} on", data)
    if model.kind in PIXELS:
        return _masks(model, part, f"{artifact} on", data)
    p: Any = model.predict if model.kind in VALUES else model.probabilities
    x = of_part(part, str(model.schema["kind"]), data)
    pieces: Iterable[Any] = cast("Iterable[Any]", x) if isinstance(x, Iterator) else (x,)
    p = np.concatenate([np.asarray(p(piece), np.float64) for piece in pieces])
    targets = _targets(part, model, data)
    names = [metric for metric, its in judge.METRICS.items() if model.kind in its.kinds]
    found = judge.measures(names, p, targets)
    which = f" (its {name} split)" if len(raw.parts) > 1 else ""
    return found, {"what": f"{artifact} on {len(targets)} examples of {data}{which}", "notes": []}


def _open(model: Model, part: Any, data: str, what: str) -> Found:
    """A model of an open set: its classes measured on the examples that are of one, and both together with those that are not."""
    import numpy as np

    from tuneful.cli.inputs import of_part
    from tuneful.pipeline import judge, openset
    from tuneful.pipeline.outside import LABEL, plain
    from tuneful.runtime.preprocess import cell

    words = [LABEL if label is None else cell(label) for label in _labels(part, str(model.target.get("name", "y")), data)]
    named = {str(name) for name in model.target.get("outside", ())}
    outside = np.array([word in named or (plain(word) and word not in model.labels) for word in words], dtype=bool)
    told = np.asarray(model.raw(of_part(part, str(model.schema["kind"]), data)), dtype=np.float64)
    if outside.all():
        raise DataError(f"{data} holds {len(words)} examples from outside and none of a class; both are wanted, or classes alone",
                        "`tuneful predict` says of each whether the model abstains")  # fmt: skip
    y = _classes([word for word, out in zip(words, outside, strict=True) if not out], model.labels, data)
    names = [metric for metric, its in judge.METRICS.items() if model.kind in its.kinds]
    found = judge.measures(names, told[~outside, :-1], y)
    found |= openset.measured(model.rule, told[~outside], y, told[outside])
    return found, {"what": f"{what} {len(y)} examples of {data}, and {int(outside.sum())} of no class", "notes": []}


def _places(model: Model, part: Any, data: str, what: str) -> Found:
    """A model that answers at each place, on sentences with tags or on running text."""
    import numpy as np

    from tuneful.pipeline import judge, sequences, types
    from tuneful.runtime.preprocess import apply
    from tuneful.runtime.text import Tokenizer
    from tuneful.techniques.sources import Prose, Sentences

    length = int(model.shape[0])
    if model.kind == "language" and isinstance(part, Prose):
        x, y = sequences.windows(Tokenizer(model.schema["tokenizer"]), part.text, length, data)
        of = f"{len(y)} windows"
    elif model.kind != "language" and isinstance(part, Sentences):
        pieces = sequences.cut(part, length)
        x = apply(model.schema, [list(row) for row in pieces.words])
        y = sequences.numbered(pieces.tags, {tag: at for at, tag in enumerate(model.labels)}, length, data)
        of = f"{len(part.words)} sentences"
    else:
        wanted = "running text" if model.kind == "language" else "sentences with a tag at each word"
        raise DataError(f"{data} holds {type(part).__name__.lower()}; a model of kind {model.kind} is measured on {wanted}",
                        "such as a .txt file" if model.kind == "language" else "such as a file in the format of CoNLL")  # fmt: skip
    p = model.told(x).astype(np.float64)
    names = [metric for metric, its in judge.METRICS.items() if model.kind in its.kinds]
    each = types.per_type(model.kind, p, y, model.labels) if model.kind != "language" else {}
    return judge.measures(names, p, y), {"what": f"{what} {of} of {data}", "notes": [], **detailed(each)}


def detailed(each: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Type by type, as plain data: {"per_type": {type: {"precision": measure, ..., "n"}}}."""
    plain = {name: {key: value if isinstance(value, int) else value.as_data() for key, value in its.items()}
             for name, its in each.items()}  # fmt: skip
    return {"per_type": plain} if plain else {}


def _forecasts(model: Model, columns: Any, what: str, data: str) -> Found:
    """A forecast measured on every whole window of a table."""
    import numpy as np

    from tuneful.pipeline import judge
    from tuneful.runtime import windows

    x, y = windows.every(model.schema, columns)
    p, block = model.told(x).astype(np.float64), 2 * int(model.schema["horizon"])
    names = [metric for metric, its in judge.METRICS.items() if model.kind in its.kinds]
    return judge.measures(names, p, y, block=block), {"what": f"{what} {len(y)} windows of {data}", "notes": []}


def _writings(model: Model, part: Any, what: str, data: str) -> Found:
    """What is written, measured against what was wanted."""
    from tuneful.cli.inputs import sides
    from tuneful.pipeline import judge
    from tuneful.runtime.letters import spelled

    first, second = sides(part, model, data)
    if second is None:
        raise DataError(f'{data} has no column "{model.schema["names"][1]}", the target of this model',
                        "pairs are wanted; `tuneful predict` needs sources alone")  # fmt: skip
    p, y = model.compared(first, second), spelled(second, max(map(len, second), default=1))
    names = [metric for metric, its in judge.METRICS.items() if model.kind in its.kinds]
    return judge.measures(names, p, y), {"what": f"{what} {len(y)} pairs of {data}", "notes": []}


def _masks(model: Model, part: Any, what: str, data: str) -> Found:
    """A segmentation measured at the size of the network, on masks that are coded as those of training were."""
    import numpy as np

    from tuneful.cli.inputs import of_part
    from tuneful.pipeline import judge
    from tuneful.pipeline.maskcodes import Coding
    from tuneful.pipeline.masks import fitted
    from tuneful.techniques.sources import Arrays, Masked

    x, coding = of_part(part, "image", data), Coding.of(model.schema["mask"])
    if isinstance(part, Masked):
        y = fitted(part, coding, *model.shape[1:])
    elif isinstance(part, Arrays) and part.y.shape == (len(part.y), *model.shape[1:]):
        y = np.stack([coding.classes(mask.astype(np.int64)) for mask in part.y])
    else:
        wanted = f"[N, {model.shape[1]}, {model.shape[2]}]"
        raise DataError(f"{data} has no masks for its images; files of masks, or arrays {wanted}, are wanted")
    unknown = float((y < 0).mean())
    notes = [f"{unknown:.1%} of the pixels have a value that is no class of the model, and are left out"] if unknown else []
    names = [metric for metric, its in judge.METRICS.items() if model.kind in its.kinds]
    return judge.measures(names, model.probabilities(x), y), {"what": f"{what} {len(y)} images of {data}", "notes": notes}


def _targets(part: Any, model: Model, data: str) -> Any:
    """What the model should have said, in the shape of its answers."""
    import numpy as np

    from tuneful.pipeline import several
    from tuneful.techniques.sources import Stored, Table

    columns = [str(name) for name in model.target.get("columns", ())]
    if columns and isinstance(part, Table | Stored):
        told = {name: _labels(part, name, data) for name in columns}
        if model.kind == "multilabel":
            return several.marked(told, columns, data)
        return np.stack([_values(told[name], data) for name in columns], axis=1)
    if columns:  # arrays: one column for each
        y = np.asarray(_labels(part, "y", data))
        if y.ndim != 2 or y.shape[1] != len(columns):
            raise DataError(
                f"{data} has targets of shape {list(y.shape)}; this model tells {len(columns)} things of each example"
            )
        named = {name: y[:, k] for k, name in enumerate(columns)}
        return several.marked(named, columns, data) if model.kind == "multilabel" else y.astype(np.float64)
    y = _labels(part, str(model.target.get("name", "y")), data)
    if model.kind == "multilabel":
        by = str(model.target.get("lists", ""))
        return several.borne(several.parted(y, by) if by else y, model.labels)[0]
    return _values(y, data) if model.kind == "regression" else _classes(y, model.labels, data)


def _labels(part: Any, target: str, data: str) -> list[Any]:
    from tuneful.core.config import nearest
    from tuneful.techniques.sources import Files, Stored, Table, Texts, stored

    if isinstance(part, Table | Stored):
        known = part.frame.columns if isinstance(part, Table) else part.schema.names()
        if target not in known:
            guess = nearest(target, known)
            raise DataError(f'{data} has no column "{target}", the target of this model',
                            f"is it {guess}? rename it" if guess else "labelled data is wanted; `tuneful predict` needs no labels")  # fmt: skip
        return (part.frame[target] if isinstance(part, Table) else stored.column(part, target)).to_list()
    return list(part.labels if isinstance(part, Files | Texts) else part.y)


def _classes(y: list[Any], labels: tuple[str, ...], data: str) -> Any:
    """Class numbers [N] int64."""
    import numpy as np

    from tuneful.core.config import nearest
    from tuneful.runtime.preprocess import cell, level

    number = {label: at for at, label in enumerate(labels)} | {level(label, True): at for at, label in enumerate(labels)}
    told = [cell(value) for value in y]
    strange = [text for text in told if text not in number and level(text, True) not in number]
    if strange:
        guess = nearest(strange[0], labels)
        raise DataError(
            f'{data} has the label "{strange[0]}" ({len(strange)} of {len(told)} labels are unknown); the model knows '
            f"{', '.join(labels[:12])}", f"did you mean {guess}?" if guess else "take these examples out",
        )  # fmt: skip
    return np.array([number[text] if text in number else number[level(text, True)] for text in told], dtype=np.int64)


def _values(y: list[Any], data: str) -> Any:
    """Targets [N] float64."""
    import numpy as np

    try:
        values = np.array([float("nan" if value in (None, "") else value) for value in y])
    except (TypeError, ValueError) as error:
        raise DataError(f"{data} has a target that is not a number ({error})") from None
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(f"{data} has {bad} of {len(values)} targets that are missing or not finite", "take these rows out")
    return values
