"""Load a sealed model and predict with it. numpy and onnxruntime only.

model = load("runs/digits/artifact")
model.predict(x)          # class names, or values
model.probabilities(x)    # [N, L]
model.translate(texts)    # of sequence to sequence
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tuneful.core.artifact import Artifact, unseal
from tuneful.core.errors import ArtifactError, MissingError, ModelError, TunefulError
from tuneful.runtime import answers, openset, writing
from tuneful.runtime.explain import MAP, chosen
from tuneful.runtime.onnxfile import external_tensors
from tuneful.runtime.pixels import read_header
from tuneful.runtime.text import FIRST, texts_of, tokenizer_of

BATCH = 256  # examples that go through the network at once
PIXELS = 1_000_000  # the same where each pixel has an answer
WRITER = "writer.onnx"  # the second half of a network of pairs


class Session(Protocol):
    """What is used of an onnxruntime.InferenceSession."""

    def run(self, output_names: Any, input_feed: Any) -> list[Any]: ...

    def get_inputs(self) -> list[Any]: ...

    def get_outputs(self) -> list[Any]: ...


class Model:
    """A loaded artifact. It may be shared by threads: nothing in it changes.

    kind: "binary", "multiclass", "multilabel", "regression" ...; labels: names of the classes (or labels) in the order of the
    columns of `probabilities`; targets: of several values, the names in the order of the columns of `predict`; shape: of one
    example as the network takes it.
    """

    def __init__(self, artifact: Artifact, session: Session, writer: Session | None = None) -> None:
        facts: Mapping[str, Any] = artifact.read("preprocessing.json")
        try:
            self.kind = str(facts["kind"])
            self.shape = tuple(int(side) for side in facts["shape"])
            self.schema: Mapping[str, Any] = facts["schema"]
            self.target: Mapping[str, Any] = facts.get("target", {})
            self.rule: Mapping[str, Any] = {**facts["openset"]} if self.kind == answers.OPEN else {}
            self.labels = tuple(str(label) for label in artifact.read("labels.json"))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{artifact.folder}: preprocessing.json or labels.json is not as `ship` writes it ({error!r})"
            ) from None
        self.artifact = artifact
        self._session, self._writer = session, writer
        mapped = [each.shape for each in session.get_outputs() if each.name == MAP]
        self.explains = bool(mapped)  # can it say which places spoke for an answer?
        self.sides = tuple(int(side) for side in mapped[0][2:]) if mapped else ()  # of its maps

    def predict(self, x: Any) -> NDArray[Any]:
        """The most probable class name of each example ("abstain" where a model of an open set knows none), or the value: [N]; which labels it bears [N, L], or several values
        [N, M]; the tags of each sentence, a list for each [N]; the token that comes after each text [N]; of a forecast the steps
        that come next, [horizon], or [horizon, M] of several targets (see `forecast`); the text that each text becomes [N];
        class numbers of pixels [N, H, W] (see `masks`).

        x: raw input as it was before tuneful saw it. Images: an array [N, C, H, W] (or [N, H, W, C], [N, H, W]) or a list of
        files; vectors: an array [N, D]; tables: {column: values} or a list of rows {column: value};
        texts: a list of strings; sentences: strings, or lists of words.

        Raises: DataError that names the column, shape or value which does not fit.
        """
        if self.kind == "forecasting":
            return answers.ahead(self.raw(x), self.schema)
        if self._writer is not None:
            return np.array(self.translate(x), dtype=object)
        encoded = self.encoded(x)
        return self.decided(encoded, self.told(encoded))

    def decided(self, encoded: NDArray[Any], told: NDArray[Any]) -> NDArray[Any]:
        """What `predict` says of examples that are encoded, from what the network told of them; not of forecasts nor of texts that
        become others."""
        said = answers.decided(self.kind, self.labels, told, self.rule)
        if self.kind not in answers.PLACES:
            return said
        lengths = (encoded != 0).sum(axis=1)
        if self.kind == "language":
            return said[np.arange(len(said)), np.maximum(lengths - 1, 0)]
        found = np.empty(len(said), dtype=object)
        found[:] = [row[:length].tolist() for row, length in zip(said, lengths)]
        return found

    def write(self, text: str, count: int, temperature: float = 0.0, seed: int = 0) -> str:
        """`count` more tokens after a text, for a model of what comes next: the most probable each time, or drawn where the
        temperature is above 0. Raises ModelError for any other model."""
        if self.kind != "language":
            raise ModelError(f"a model of kind {self.kind} writes no text", "call predict")
        tokenizer = tokenizer_of(self.schema["tokenizer"])
        dice, ids = np.random.default_rng(seed), tokenizer.ids(text, len(text.encode()) + 1)
        for _ in range(count):
            x = np.zeros((1, *self.shape), dtype=np.int64)
            last = ids[-self.shape[0] :]
            x[0, : len(last)] = last
            p = np.asarray(self._session.run(None, {"x": x})[0])[0, max(0, len(last) - 1), :].astype(np.float64)
            p[:FIRST] = 0.0  # what fills up, what is unknown and the edge are never written
            if temperature > 0:
                p = p ** (1 / temperature)
                ids.append(int(dice.choice(len(p), p=p / p.sum())))
            else:
                ids.append(int(p.argmax()))
        return tokenizer.text(ids)

    def translate(self, x: Any, beam: int | None = None) -> list[str]:
        """What each text becomes, for a model of sequence to sequence. beam: how many beginnings are followed while writing; as it
        was trained to be judged when None. Raises ModelError for any other model, DataError for what is no text."""
        if self._writer is None:
            raise ModelError(f"a model of kind {self.kind} writes no target", "call predict")
        beam = int(self.schema.get("beam", 1)) if beam is None else beam
        if not 1 <= beam <= writing.MOST_BEAMS:
            raise ModelError(f"beam is {beam}; it must be a whole number in [1, {writing.MOST_BEAMS}]")
        source, tokenizer = writing.sources(self.schema, x).astype(np.int64), tokenizer_of(self.schema["writes"])
        read, step = by_onnx(self._session, self._writer)
        length, found = self.shape[0] - source.shape[1], list[str]()
        for at in range(0, len(source), writing.BATCH):
            tokens = writing.written(read, step, source[at : at + writing.BATCH], length, beam)
            found += [tokenizer.text(row) for row in writing.ended(tokens)]
        return found

    def compared(self, x: Any, wanted: Sequence[str]) -> NDArray[np.float64]:
        """What is said of texts whose targets are known, as it is judged (see `writing.answers`): [N, 3 + L]."""
        if self._writer is None:
            raise ModelError(f"a model of kind {self.kind} writes no target", "call predict")
        encoded = writing.pairs(self.schema, texts_of(self.schema, x), wanted).astype(np.int64)
        read, step = by_onnx(self._session, self._writer)
        size, tokenizer = int(self.schema["source"]), tokenizer_of(self.schema["writes"])
        found: list[NDArray[np.float64]] = []
        for at in range(0, len(encoded), writing.BATCH):
            source, target = encoded[at : at + writing.BATCH, :size], encoded[at : at + writing.BATCH, size:]
            told = writing.along(read, step, source, target)
            tokens = writing.written(read, step, source, target.shape[1], int(self.schema.get("beam", 1)))
            found.append(writing.answers(told, tokens, self.schema, tokenizer))
        return np.concatenate(found)

    def masks(self, files: Sequence[str | bytes | Path]) -> Iterator[NDArray[Any]]:
        """Class numbers [H, W] of each image file, at its own size: probabilities are blended between the pixels that the network
        sees, then the most probable class is taken. Raises ModelError for a model that answers at no pixel."""
        if self.kind not in answers.PIXELS:
            raise ModelError(f"this model is one of {self.kind}, which gives no masks", "call predict")
        for path in files:
            height, width = read_header(path)[:2]
            yield answers.enlarged(self.raw([path])[0], height, width)

    def forecast(self, past: Any) -> dict[str, list[Any]]:
        """What comes after the past, as columns: the times (or how many rows ahead), then each target.

        past: {column: values} or a list of rows {column: value}, at least the window that the model looks at, to the newest.
        Raises ModelError for a model that forecasts nothing, DataError for a past that does not serve.
        """
        from tuneful.runtime import moments, windows
        from tuneful.runtime.preprocess import by_column

        if self.kind != "forecasting":
            raise ModelError(f"this model is one of {self.kind}, which forecasts nothing", "call predict")
        columns = by_column(past)
        _, times = windows.newest(self.schema, columns)
        found = self.predict(columns).reshape(len(times), -1)
        name = str(self.schema["time"])
        when = moments.shown(times) if name else [int(step) for step in range(1, len(times) + 1)]
        told: dict[str, list[Any]] = {name or "ahead": when}
        return told | {target: found[:, at].tolist() for at, target in enumerate(self.schema["targets"])}

    def probabilities(self, x: Any) -> NDArray[np.float32]:
        """The probability of each class, [N, L]; rows sum to 1, but for labels that do not exclude one another. x as for
        `predict`. Raises ModelError for a regression."""
        if self._writer is not None:
            raise ModelError(f"a model of kind {self.kind} has no probabilities", "call predict")
        if self.kind in answers.VALUES:
            raise ModelError("a regression has no probabilities", "call predict")
        told = self.raw(x)
        return told[:, : len(self.labels)] if self.kind == answers.OPEN else told

    def margins(self, x: Any) -> NDArray[np.float64]:
        """How well each example is known, [N]: how far its score lies above the threshold of an open set; below 0 `predict`
        abstains. Raises ModelError for any other model."""
        if self.kind != answers.OPEN:
            raise ModelError(f"a model of kind {self.kind} never abstains", "call probabilities")
        return openset.margins(self.rule, self.raw(x))

    def encoded(self, x: Any) -> NDArray[Any]:
        """Raw input, as for `predict`, as the network takes it: [N, *shape]. Raises DataError."""
        from tuneful.runtime.preprocess import apply, by_column

        if self.kind == "forecasting":
            from tuneful.runtime import windows

            return windows.newest(self.schema, by_column(x))[0]
        return writing.sources(self.schema, x) if self._writer is not None else apply(self.schema, x, strict=True)

    def raw(self, x: Any) -> NDArray[np.float32]:
        """What the network says of raw input: [N, L] probabilities, values; of an open set with the energy behind them."""
        return self.told(self.encoded(x))

    def told(self, encoded: NDArray[Any]) -> NDArray[np.float32]:
        """What the network says of examples that are encoded already, [N, *shape]."""
        size = max(1, PIXELS // int(np.prod(self.shape[1:]))) if self.kind in answers.PIXELS else BATCH
        names = [answers.output(self.kind)]
        parts = [np.asarray(self._session.run(names, {"x": batch})[0]) for batch in _batches(encoded, min(BATCH, size))]
        width = answers.width(self.kind, self.labels, self.target)
        return np.concatenate(parts) if parts else np.empty((0, *width), np.float32)

    def maps(self, x: Any) -> NDArray[np.float32]:
        """How much each place speaks for each class, [N, L, *sides] with fewer places than the input has (of a regression L is 1);
        see `runtime.explain`. x as for `predict`. Raises ModelError, which says why, where the network has no such map."""
        return self.mapped(self.encoded(x))[1]

    def explain(self, x: Any, label: str | None = None) -> NDArray[np.float32]:
        """The same for the class that is predicted (of several values: the first), or another one: [N, *sides]. Raises ModelError."""
        names = self.labels or self.targets
        if label is not None and label not in names:
            raise ModelError(f"there is no {label!r} to explain", f"there are {', '.join(names[:20])}")
        told, maps = self.mapped(self.encoded(x))
        return chosen(self.kind, told, maps, None if label is None else names.index(label))

    def mapped(self, encoded: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(what `told` says, the maps) of examples that are encoded already. Raises ModelError."""
        self.explained()
        names = [answers.output(self.kind), MAP]
        parts = [self._session.run(names, {"x": batch}) for batch in _batches(encoded, BATCH)]
        if not parts:
            raise ModelError("there is no example to explain")
        told, maps = (np.concatenate([np.asarray(part[at]) for part in parts]) for at in (0, 1))
        return told, maps

    def explained(self) -> None:
        """Raises ModelError, which says why, where `maps` would."""
        if not self.explains:
            raise ModelError(f"this model cannot say which places spoke for an answer: {self._unexplained()}",
                             "networks that end in a mean over places and one linear layer can: convnet, resnet, mobilenet_v2 ...")  # fmt: skip

    def _unexplained(self) -> str:
        """Why, as it was found out when the model was shipped."""
        export = self.artifact.read("evidence.json").get("export", {})
        return str(export.get("explanation", {}).get("why_not", "it was shipped before that was tried"))

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of several values, in their order; () for anything else."""
        return tuple(str(name) for name in self.target.get("columns", ())) if self.kind == "multiregression" else ()

    def __repr__(self) -> str:
        if self._writer is not None:
            names = self.schema["names"]
            return f"Model({self.kind}, {names[0]} to {names[1]}, {self.artifact.folder})"
        word = "labels" if self.kind == "multilabel" else "classes"
        of = (
            f"{len(self.labels)} {word}"
            if self.labels
            else f"{len(self.targets) or 'one'} value{'s' if self.targets else ''}"
        )
        return f"Model({self.kind}, {of}, input {list(self.shape)}, {self.artifact.folder})"


def load(path: str | Path, threads: int = 1) -> Model:
    """A model from an artifact's folder, ready to predict.

    Args:
        path: the folder that `ship` wrote. Every hash in it is checked.
        threads: CPU threads for one prediction; they are pinned, so that many models can share a machine.

    Raises: ArtifactError when a file is damaged, missing, foreign or too new; MissingError without onnxruntime.
    Cost:   reads every byte once, then builds a session (milliseconds for small models).
    """
    if threads < 1:
        raise TunefulError(f"threads is {threads}; it must be at least 1")
    artifact = unseal(Path(path))
    session = open_session(artifact.read("model.onnx"), threads)
    writer = open_session(artifact.read(WRITER), threads) if WRITER in artifact.names else None
    model = Model(artifact, session, writer)
    if writer is None and model.kind not in answers.TEXTS:
        _fits(model, session)
    else:
        _halves(model, session, writer)
    return model


def by_onnx(session: Session, writer: Session) -> tuple[writing.Read, writing.Step]:
    """The two halves of a network of pairs as the search takes them."""
    made = [each.name for each in session.get_outputs()]
    memory = sum(name.startswith("m") for name in made)

    def read(source: NDArray[Any]) -> tuple[list[Any], list[Any]]:
        found = session.run(None, {"x": np.ascontiguousarray(source, dtype=np.int64)})
        return found[:memory], found[memory:]

    def step(token: NDArray[Any], kept: list[Any], carried: list[Any]) -> tuple[NDArray[Any], list[Any]]:
        given = dict(zip(made, (*kept, *carried), strict=True))
        logits, *after = writer.run(None, {"token": np.ascontiguousarray(token, dtype=np.int64), **given})
        return logits, after

    return read, step


def open_session(model: bytes, threads: int = 1) -> Session:
    """A session over an ONNX file in memory, with pinned threads. A model that refers to other files is refused.

    Raises: ArtifactError when onnxruntime cannot use the file, MissingError when there is no onnxruntime.
    """
    try:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        missing = MissingError("onnxruntime", "runtime", "loading an artifact")
        missing.hint = "pip install onnxruntime"
        raise missing from None
    if outside := external_tensors(model):
        raise ArtifactError(
            f"model.onnx wants the numbers of {outside[0]!r} from another file; a sealed model holds all of its own",
            "do not use this artifact; ship the model again",
        )
    ort: Any = onnxruntime  # it has no types
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors reach us as exceptions; warnings are nothing a user can act on
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        first = str(error).splitlines()[0][:200]
        raise ArtifactError(
            f"onnxruntime {ort.__version__} cannot use model.onnx ({first})", "try a newer onnxruntime"
        ) from error


def _halves(model: Model, session: Session, writer: Session | None) -> None:
    """Do the two files of a network of pairs belong together, and to the schema?"""
    again = "ship the model again"
    if writer is None or model.kind not in answers.TEXTS:
        raise ArtifactError(f"{model.artifact.folder} holds {'no ' if writer is None else ''}{WRITER}; a model of {model.kind} "
                            f"{'needs' if writer is None else 'has'} {'it' if writer is None else 'none'}", again)  # fmt: skip
    made, taken = [each.name for each in session.get_outputs()], [each.name for each in writer.get_inputs()]
    if [each.name for each in session.get_inputs()] != ["x"] or taken != ["token", *made]:
        raise ArtifactError(f"model.onnx gives {made}, and {WRITER} takes {taken}; they do not belong together", again)
    shape, size = tuple(session.get_inputs()[0].shape[1:]), int(model.schema["source"])
    if shape != (size,) or not size < model.shape[0]:
        raise ArtifactError(f"model.onnx takes {list(shape)}; preprocessing.json gives [{size}]", again)
    outputs = writer.get_outputs()[0].shape[-1]
    if outputs != tokenizer_of(model.schema["writes"]).vocabulary:
        raise ArtifactError(f"{WRITER} gives {outputs} logits; preprocessing.json spells other tokens", again)


def _fits(model: Model, session: Session) -> None:
    """Does the network have the one input and the one output that the other files promise?"""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    wanted = [answers.output(model.kind)]
    if [each.name for each in inputs] != ["x"] or [each.name for each in outputs] not in (wanted, [*wanted, MAP]):
        met = f"{[each.name for each in inputs]} -> {[each.name for each in outputs]}"
        raise ArtifactError(f"model.onnx has {met}; it must have ['x'] -> {wanted}", "ship the model again")
    shape, width = tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:])
    promised = answers.width(model.kind, model.labels, model.target)
    given = "tensor(int64)" if model.schema.get("kind") in ("tokens", "pair") else "tensor(float)"
    if inputs[0].type != given or shape != model.shape:
        raise ArtifactError(
            f"model.onnx takes {inputs[0].type} {list(shape)}; preprocessing.json gives {given} {list(model.shape)}",
            "ship the model again",
        )
    if width != promised:
        raise ArtifactError(
            f"model.onnx gives {list(width)} numbers an example; labels.json has {len(model.labels)} labels",
            "ship the model again",
        )


def fed(x: NDArray[Any]) -> NDArray[Any]:
    """Examples as an ONNX session takes them: tokens (int32, int64) as int64, everything else as float32."""
    return np.ascontiguousarray(x, dtype=np.int64 if x.dtype.kind == "i" and x.dtype.itemsize >= 4 else np.float32)


def _batches(x: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    for at in range(0, len(x), size):
        yield fed(x[at : at + size])


__all__ = ["Model", "by_onnx", "fed", "load", "open_session"]
