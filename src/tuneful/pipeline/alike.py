"""New data as an artifact sees them: its preprocessing is kept, so that its weights fit and both models answer the same question.

    optimize(new, champion=artifact)     the same columns, levels, scales, classes and order of classes; training begins at its weights

Columns of a table are brought back into their own unit and encoded as the artifact encodes them; a level that it does not know counts as
"other". What the artifact cannot say (a new class, another shape, another vocabulary) is refused with a sentence: that is another model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.artifact import Artifact, unseal
from tuneful.core.errors import DataError, RecipeError
from tuneful.core.task import Finding, Sealed, Split, Task
from tuneful.pipeline.codec import Entry
from tuneful.pipeline.keys import Keys
from tuneful.runtime import features, preprocess

SAME = ("image", "vector", "series", "audio", "tokens")  # whose x is raw, or must be spelled alike
_STRANGE = "\0"  # a level that nothing has
_ANEW = "train a new model, without --from"


def settings(path: str) -> dict[str, Any]:
    """What a job takes from an artifact: {"data": options of the data that it fixes, "model": a model that begins at its weights}.

    Raises: ArtifactError when it is none; DataError when its network is not one that can be built again.
    """
    artifact = unseal(Path(path))
    facts, recipe = artifact.read("preprocessing.json"), artifact.read("recipe.json")
    if (joined := artifact.read("evidence.json").get("joined", {})).get("kind") == "ensemble":
        raise DataError(
            f"{path} is an ensemble of {len(joined['members'])} networks, and training begins at the weights of one",
            "ship a single one with --no-ensemble, or " + _ANEW,
        )
    data: dict[str, Any] = {"champion": str(artifact.folder.resolve())}
    name = str(facts.get("target", {}).get("name") or "")
    if facts["schema"].get("kind") in ("table", "tokens") and name and "columns" not in facts["target"]:
        data["target"] = name
    if facts["schema"].get("kind") == "image" and facts["shape"][1] == facts["shape"][2]:
        data["size"] = int(facts["shape"][1])
    model = dict(recipe["model"])
    kind = str(model.pop("kind"))
    weights = str((artifact.folder / "weights.safetensors").resolve())
    if kind == "pretrained":
        return {"data": data, "model": {"kind": "pretrained", **model, "weights": weights}}
    if kind == "own":
        if not model.get("factory"):
            raise DataError(f"{path} holds a network of somebody's own, and not where its code lies", _ANEW)
        return {"data": data, "model": _begun(str(model["factory"]), weights, dict(model.get("arguments", {})))}
    return {"data": data, "model": _begun(kind, weights, {k: v for k, v in model.items() if v != "auto"})}


def _begun(name: str, weights: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "pretrained", "name": name, "weights": weights, "arguments": dict(arguments)}


def from_champion(entries: list[Entry]) -> list[Entry]:
    """The entries, champion=ARTIFACT put as the model and the options of the data that it stands for; what else is said wins over it."""
    named = [entry for entry in entries if entry.key == "champion"]
    if not named:
        return entries
    told = settings(str(named[-1].value))
    rest = [entry for entry in entries if entry.key != "champion"]
    if any(Keys().resolve(entry.key)[0].partition(".")[0] == "model" for entry in rest):
        raise RecipeError("a model is named beside the champion, whose weights fit no other", "leave one of the two out")
    model = [
        Entry("model", told["model"].pop("kind")),
        *(Entry(f"model.{key}", value) for key, value in told["model"].items()),
    ]
    return [*(Entry(f"data.{key}", value) for key, value in told["data"].items()), *model, *rest]


def alike(task: Task, path: str | None) -> Task:
    """The task in the preprocessing of an artifact; as it is where none is named.

    Raises: DataError for data that the artifact's model cannot take.
    """
    if path is None:
        return task
    artifact = unseal(Path(path))
    facts = artifact.read("preprocessing.json")
    schema, labels = facts["schema"], tuple(str(label) for label in artifact.read("labels.json"))
    if task.kind != facts["kind"]:
        raise DataError(f"{task.name} is a task of {task.kind}; {path} is a model of {facts['kind']}", _ANEW)
    if strange := [label for label in task.labels if label not in labels]:
        raise DataError(
            f"{task.name} has the class {strange[0]!r} ({len(strange)} of them are new); the model knows {', '.join(labels[:12])}",
            _ANEW,
        )
    number = np.array([labels.index(label) for label in task.labels], dtype=np.int64)
    if task.kind == "multilabel" and task.labels != labels:
        raise DataError(
            f"{task.name} has the labels {', '.join(task.labels[:12])}; the model {', '.join(labels[:12])}", _ANEW
        )
    same = _comparable(task.schema) == _comparable(schema)
    if not same and schema["kind"] != "table":
        _check(task, facts, path)

    def seen(split: Split) -> Split:
        x = split.x
        if not same and schema["kind"] == "table":
            if not isinstance(x, np.ndarray):
                raise DataError(
                    f"{task.name} does not fit into memory, and cannot be encoded anew there",
                    "--limit examples, or more memory",
                )
            x = encoded(task.schema, schema, x, path)
        y = (
            number[split.y]
            if len(number) and split.y.ndim == 1 and split.y.dtype.kind == "i" and task.labels != labels
            else split.y
        )
        return replace(split, x=x, y=y)

    test = task.test._split  # pyright: ignore[reportPrivateUsage]  # encoded, and looked at by nobody
    target = {**task.target, **{key: facts["target"][key] for key in ("mean", "std") if key in facts.get("target", {})}}
    mark = hashlib.blake2b(f"{task.fingerprint} {_digest(artifact)}".encode(), digest_size=16).hexdigest()
    told = Finding("note", f"the data are seen as {path} sees them, and training begins at its weights", 0, 0)
    return replace(
        task, train=seen(task.train), valid=seen(task.valid), test=Sealed(seen(test)), labels=labels or task.labels, schema=schema,
        shape=tuple(int(side) for side in facts["shape"]), normalize=facts.get("normalize", {}), target=target, fingerprint=mark,
        findings=(*task.findings, told),
    )  # fmt: skip


def encoded(new: Mapping[str, Any], old: Mapping[str, Any], x: NDArray[Any], path: str) -> NDArray[np.float32]:
    """Examples [N, D] of a table, encoded by `new`, as `old` encodes them. Raises DataError for a column that is not there."""
    known = {one.name: one for one in features.of_input(new, x)}
    columns: list[dict[str, Any]] = list(old["columns"])
    if dated := [str(one["name"]) for one in columns if one["type"] == "date"]:
        raise DataError(f'{path} reads the date "{dated[0]}", whose parts cannot be put together again', _ANEW)
    given: dict[str, Any] = {}
    for column in columns:
        one = known.get(str(column["name"]))
        if one is None:
            raise DataError(f'{path} reads the column "{column["name"]}", which these data lack or make no use of',
                            f'keep={column["name"]} keeps a column that the checks would leave out')  # fmt: skip
        if one.levels:
            names = [*one.levels, _STRANGE, ""]  # what is of no known level, and what misses
            given[one.name] = [names[int(code)] for code in one.values]
        else:
            given[one.name] = one.values
    return np.asarray(preprocess.apply({key: value for key, value in old.items() if key != "mend"}, given), dtype=np.float32)


def _check(task: Task, facts: Mapping[str, Any], path: str) -> None:
    """Raises DataError unless x of other kinds than tables means the same."""
    kind, shape = str(facts["schema"]["kind"]), tuple(facts["shape"])
    if task.schema.get("kind") != kind or task.shape != shape:
        raise DataError(
            f"{task.name} has examples of shape {list(task.shape)} ({task.schema.get('kind')}); {path} takes {list(shape)} ({kind})",
            _ANEW,
        )
    if kind not in SAME or (kind == "tokens" and task.schema.get("tokenizer") != facts["schema"].get("tokenizer")):
        raise DataError(
            f"{path} spells its texts with another vocabulary than these data would get",
            "tokens=byte and tokens=char are spelled alike; or " + _ANEW,
        )


def _comparable(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("format", "missing")}


def _digest(artifact: Artifact) -> str:
    return str(artifact.manifest["files"]["preprocessing.json"]["sha256"])


__all__ = ["alike", "encoded", "from_champion", "settings"]
