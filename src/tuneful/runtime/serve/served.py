"""One version of one model at work: its input is encoded, goes through the batcher, and is said in tensors or in words.

Small inputs of tables, vectors, series and texts are encoded on the loop's own thread; files, images and long ones on a helper
thread. Texts that become others, and forecasts, are no batches of examples: each request is a piece of work of its own.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import TunefulError
from tuneful.runtime import answers, openset
from tuneful.runtime.explain import MAP, chosen, picture
from tuneful.runtime.load import Model, load
from tuneful.runtime.serve import example, tensors
from tuneful.runtime.serve.batcher import Batcher, stays
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.refusal import FAILED, Refusal, of_error
from tuneful.runtime.serve.traces import TIMES, now

SHOWN = 20  # probabilities in an answer for people; the largest ones where there are more
_QUICK = 4096  # numbers that are encoded on the loop's own thread
_HELPERS = ThreadPoolExecutor(2, thread_name_prefix="encode")


class Answer:
    """told: what the network said, [N, ...]; said: what is decided by it, [N], found when it is first asked for; encoded: what the network
    was given, None where a request is no batch of examples."""

    def __init__(self, told: NDArray[Any], decide: Callable[[], Any], encoded: NDArray[Any] | None = None) -> None:
        self.told, self._decide, self.encoded = told, decide, encoded
        self.maps: NDArray[Any] | None = None  # what explains it, where that was asked for

    @functools.cached_property
    def said(self) -> Any:
        return self._decide()


class Served:
    """A loaded version, warmed up."""

    def __init__(self, name: str, version: str, model: Model, limits: Limits) -> None:
        self.name, self.version, self.model, self.limits = name, version, model, limits
        self.inputs, usual = tensors.inputs(model), tensors.outputs(model)
        self.outputs = [*usual, *tensors.maps(model)]
        self.names = [one.name for one in self.inputs]
        self.gives = {one.name: one.datatype for one in self.outputs}
        self.usual = [one.name for one in usual]  # outputs of an answer whose request names none
        self.digest = str(model.artifact.manifest["files"]["model.onnx"]["sha256"])
        self.batcher = Batcher(model.told, limits, name)
        self.alone = model.kind in answers.TEXTS or model.kind == "forecasting"  # no batches of examples
        self._worker = asyncio.Semaphore(1)

    def warm(self) -> None:
        """Run the example of the schema until all that happens once has happened. Raises TunefulError where it cannot be."""
        given = example.raw(self.model)
        if self.alone:
            self.model.predict(given)
        else:
            self.batcher.learn(self.model.encoded(given))

    async def answer(self, raw: Any, size: int, gone: Callable[[], bool] = stays) -> Answer:
        """What the model says of raw input. size: about how many numbers or letters it has.

        Raises: Refusal, 400 for input that does not fit.
        """
        if self.alone:
            return await self._by_itself(raw)
        try:
            encoded = self.model.encoded(raw) if size <= _QUICK else await _helped(self.model.encoded, raw)
        except TunefulError as error:
            raise of_error(error) from None
        if not len(encoded):
            raise Refusal(400, "input", "the request holds no example", "send at least one")
        told = await self.batcher(encoded, gone)
        return Answer(told, lambda: self.model.decided(encoded, told), encoded)

    async def explain(self, answer: Answer) -> None:
        """Give an answer its maps: the network runs once more, beside the batches. Raises Refusal (400) where it has none."""
        try:
            self.model.explained()
            if answer.encoded is None:
                raise Refusal(400, "input", "this request is no batch of examples, which alone are explained")
            async with self._worker:
                answer.maps = (await _helped(self.model.mapped, answer.encoded))[1]
        except TunefulError as error:
            raise of_error(error) from None
        except Refusal:
            raise
        except Exception as error:  # onnxruntime's errors share no other base
            self.batcher.failed(error)
            raise Refusal(500, "model", FAILED, "the server's log says more under this id") from error

    async def _by_itself(self, raw: Any) -> Answer:
        times, laid = TIMES.get(), now()
        async with self._worker:
            ran = now()
            try:
                work = asyncio.get_running_loop().run_in_executor(None, self.model.predict, raw)
                said = await asyncio.wait_for(work, self.limits.answer_seconds)
            except TimeoutError:
                raise Refusal(503, "time", f"no answer within {self.limits.answer_seconds:g} s", "send less") from None
            except TunefulError as error:
                raise of_error(error) from None
            except Exception as error:
                self.batcher.failed(error)
                raise Refusal(500, "model", FAILED, "the server's log says more under this id") from error
        if times is not None:
            times += [("queue", laid, ran, 1), ("run", ran, now(), 1)]
        return Answer(np.asarray(said), lambda: said)

    def alone_in_numbers(self, answer: Answer, raw: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """What a request that is no batch gave the network, and what came of it, as they are recorded: a forecast is one example; of texts
        that become others only the sources are counted."""
        encoded = self.model.encoded(raw)
        if self.model.kind == "forecasting":
            return encoded, answer.told.reshape(1, -1).astype(np.float64)
        return encoded, np.zeros((len(encoded), 0))

    def output(self, name: str, answer: Answer) -> NDArray[Any]:
        """One output tensor of an answer."""
        if name == "value":
            return answer.said.reshape(len(answer.said), -1) if self.alone else answer.told
        if name == "probabilities":
            return answer.told[:, : len(self.model.labels)] if self.model.kind == answers.OPEN else answer.told
        if name == MAP and answer.maps is not None:
            return answer.maps
        if name == "margin":
            return openset.margins(self.model.rule, answer.told)
        if self.model.kind in answers.PIXELS or self.model.kind == "multilabel":
            return np.asarray(answer.said)
        return np.array(tensors.column_texts(answer.said), dtype=object)

    def in_words(self, answer: Answer, raw: Any) -> list[dict[str, Any]]:
        """Each example's prediction for people."""
        model, kind = self.model, self.model.kind
        if kind == "forecasting":
            return [{"prediction": model.forecast(raw)}]
        if kind in answers.TEXTS:
            return [{"prediction": str(text)} for text in answer.said]
        if kind in answers.VALUES:
            names = model.targets
            return [
                {"prediction": dict(zip(names, map(float, one), strict=True)) if names else float(one)}
                for one in answer.said
            ]
        if kind in answers.PIXELS:
            return [self._mask(answer.said[at], answer.told[at], raw[at] if isinstance(raw, list) else None)
                    for at in range(len(answer.said))]  # fmt: skip
        if kind in answers.PLACES:
            return [{"prediction": one} if isinstance(one, list) else {"prediction": str(one)} for one in answer.said]
        found: list[dict[str, Any]] = []
        margins = openset.margins(model.rule, answer.told) if kind == answers.OPEN else None
        p_NL = self.output("probabilities", answer)
        for at in range(len(p_NL)):
            p_L: NDArray[Any] = p_NL[at]
            order = np.argsort(-p_L, kind="stable")[:SHOWN]
            all_p = {model.labels[int(label)]: _short(p_L[int(label)]) for label in order}
            if kind == "multilabel":
                there = [label for label, yes in zip(model.labels, answer.said[at], strict=True) if yes]
                found.append({"prediction": there, "probabilities": all_p})
                continue
            found.append({"prediction": str(answer.said[at]), "confidence": _short(p_L.max()), "probabilities": all_p,
                          **({} if margins is None else {"margin": _short(margins[at])})})  # fmt: skip
        return found

    def explanations(self, answer: Answer) -> list[dict[str, Any]]:
        """For people, which places spoke for each prediction: the map of its class, and of an image a picture. See `explain`."""
        assert answer.maps is not None
        assert answer.encoded is not None
        found: list[dict[str, Any]] = []
        for at, one in enumerate(chosen(self.model.kind, answer.told, answer.maps)):
            told: dict[str, Any] = {"map": np.asarray(np.round(one, 5), dtype=np.float64).tolist()}
            if self.model.labels:
                told = {"label": self.model.labels[int(answer.told[at].argmax())], **told}
            if self.model.schema["kind"] == "image":
                told["picture"] = _as_url(picture(answer.encoded[at], one))
            found.append(told)
        return found

    def _mask(self, mask_HW: NDArray[Any], p_HWL: NDArray[Any], path: Any) -> dict[str, Any]:
        """Shares of the classes and the mask as a PNG, at the size of the file where there is one."""
        import tempfile

        from tuneful.runtime.pixels import read_header, write_mask

        if isinstance(path, Path):
            height, width = read_header(path)[:2]
            mask_HW = answers.enlarged(p_HWL, height, width)
        shares = np.bincount(mask_HW.ravel(), minlength=len(self.model.labels)) / mask_HW.size
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            write_mask(file.name, mask_HW, len(self.model.labels))
            url = _as_url(Path(file.name).read_bytes())
        said = {label: _short(share) for label, share in zip(self.model.labels, shares, strict=False)}
        return {"prediction": said, "mask": url}

    def metadata(self, versions: list[str]) -> dict[str, Any]:
        """As the protocol tells it."""
        return {
            "name": self.name,
            "versions": versions,
            "platform": "onnx_onnxv1",
            "inputs": [one.as_data() for one in self.inputs],
            "outputs": [one.as_data() for one in self.outputs],
        }

    def about(self) -> dict[str, Any]:
        """What the page and /models tell of it."""
        return {
            "name": self.name, "version": self.version, "kind": self.model.kind, "input": str(self.model.schema["kind"]),
            "labels": list(self.model.labels[:1000]), "sha256": self.digest, "explains": self.model.explains, "example": example.request(self.model),
        }  # fmt: skip

    def close(self) -> None:
        self.batcher.close()


def opened(name: str, version: str, path: Path, limits: Limits, threads: int = 1) -> Served:
    """Load and warm up one version. Blocks. Raises TunefulError."""
    served = Served(name, version, load(path, threads), limits)
    try:
        served.warm()
    except TunefulError:
        raise
    except Exception as error:  # whatever onnxruntime raises
        from tuneful.core.errors import ArtifactError

        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ArtifactError(f"{path} fails on the example of its own schema ({first})", "ship the model again") from error
    return served


async def _helped(work: Callable[[Any], Any], given: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_HELPERS, work, given)


def _as_url(png: bytes) -> str:
    import base64

    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _short(value: Any) -> float:
    return float(f"{float(value):.6g}")


def rows_of(model: Model, rows: list[Any], limits: Limits) -> tuple[Any, int]:
    """(what `Model.encoded` takes, its size) of the rows of a JSON request. Raises Refusal (400) that names the row."""
    kind = str(model.schema["kind"])
    if len(rows) > limits.rows and kind != "forecast":
        raise Refusal(
            413, "rows", f"{len(rows)} examples were sent, and {limits.rows} may be in one request", "send them in parts"
        )
    if kind in ("table", "forecast"):
        return _by_column(model, rows), len(rows) * len(tensors.inputs(model)) * 4
    if kind in ("tokens", "pair"):
        if odd := [at for at, row in enumerate(rows, 1) if isinstance(row, dict) and "text" not in row]:
            raise Refusal(400, "input", f'example {odd[0]} has no "text"', 'give texts as they are, or {"text": "..."} each')
        texts = [cast("dict[str, Any]", row).get("text") if isinstance(row, dict) else row for row in rows]
        return texts, long_texts(texts, limits)
    if any(not isinstance(row, list) for row in rows):
        odd = next(at for at, row in enumerate(rows, 1) if not isinstance(row, list))
        raise Refusal(400, "input", f"example {odd} is no list; it must be numbers of shape {list(model.shape)}")
    size = len(rows) * int(np.prod(model.shape))
    if kind == "audio":
        return (np.asarray(_even(rows), dtype=np.float32), int(model.schema["rate"])), size
    return rows, size


def long_texts(texts: list[Any], limits: Limits) -> int:
    """How many letters texts have together. Raises Refusal (413) for one that is too long."""
    sizes = [sum(len(str(word)) + 1 for word in cast("list[Any]", one)) if isinstance(one, list) else len(one) if isinstance(one, str) else 0
             for one in texts]  # fmt: skip
    if max(sizes, default=0) > limits.text:
        raise Refusal(413, "text", f"a text has {max(sizes)} letters, and {limits.text} are allowed", "send a part of it")
    return sum(sizes)


def _even(rows: list[Any]) -> list[Any]:
    if len({len(row) for row in rows}) > 1:
        raise Refusal(400, "input", "the sounds differ in length", "send them one by one, or as files")
    return rows


def _by_column(model: Model, rows: list[Any]) -> Mapping[str, list[Any]]:
    """Rows {column: value} as columns. A column that a row lacks is a mistake; what is missing is null."""
    names = [one.name for one in tensors.inputs(model)]
    for at, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise Refusal(
                400,
                "input",
                f"example {at} is no object; it must be {{column: value}}",
                f"the columns are {', '.join(names[:20])}",
            )
        if absent := [name for name in names if name not in row]:
            import difflib

            near = difflib.get_close_matches(absent[0], list(cast("dict[str, Any]", row))[:100], 1)
            raise Refusal(400, "input", f'example {at} has no column "{absent[0]}"' + (f'; did you mean it by "{near[0]}"?' if near else ""),
                          "write null where a value is missing")  # fmt: skip
        for name in names:
            if isinstance(row[name], list | dict):
                raise Refusal(400, "input", f'column "{name}" of example {at} is no single value')
    return {name: [row[name] for row in rows] for name in names}


__all__ = ["Answer", "Served", "long_texts", "opened", "rows_of"]
