"""/predict, for people: rows by column name, texts, lists of numbers, or files as a form sends them; answers in words.

POST /predict[/NAME[/VERSION]]
    {"rows": [{"age": 39, "job": "nurse"}, ...]}      of a table; of a forecast the rows of the past
    {"rows": ["a text", ...]}  or  {"rows": [[...], ...]}
    multipart/form-data                               image and sound files
-> {"model", "version", "id", "predictions": [{"prediction", "confidence", "probabilities"}, ...]}
With ?explain=true behind the address each prediction has {"explanation": {"label", "map", "picture"}} (`runtime.explain`).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from tuneful.runtime.pixels import read_header
from tuneful.runtime.serve import bodies
from tuneful.runtime.serve.refusal import Refusal
from tuneful.runtime.serve.served import Answer, Served, rows_of
from tuneful.runtime.serve.strict import parsed


async def predictions(
    served: Served, headers: Mapping[bytes, bytes], body: bytes, gone: Callable[[], bool], explain: bool = False
) -> tuple[list[dict[str, Any]], Answer, Any]:
    """(answers in words, what the model said, its raw input or None where that was files). Raises Refusal."""
    words, answer, raw = await _answered(served, headers, body, gone)
    if explain:
        await served.explain(answer)
        found = await asyncio.get_running_loop().run_in_executor(None, served.explanations, answer)
        words = [{**one, "explanation": why} for one, why in zip(words, found, strict=True)]
    return words, answer, raw


def explains(query: bytes) -> bool:
    """Does the part of an address behind its ? ask for explanations? Raises Refusal (400) for anything else in it.

    >>> explains(b""), explains(b"explain=true"), explains(b"explain=0")
    (False, True, False)
    """
    if not query:
        return False
    name, _, value = query.decode("ascii", "replace").partition("=")
    if name != "explain" or value.lower() not in ("", "1", "true", "0", "false"):
        raise Refusal(
            400,
            "input",
            f"?{query.decode('ascii', 'replace')[:80]} means nothing here",
            "?explain=true asks for explanations",
        )
    return value.lower() not in ("0", "false")


async def _answered(
    served: Served, headers: Mapping[bytes, bytes], body: bytes, gone: Callable[[], bool]
) -> tuple[list[dict[str, Any]], Answer, Any]:
    kind = headers.get(b"content-type", b"")
    if kind.lower().startswith(b"multipart/"):
        return *await _of_files(served, kind, body, gone), None
    told = parsed(body)
    rows = cast("dict[str, Any]", told).get("rows") if isinstance(told, dict) else told
    if not isinstance(rows, list):
        raise Refusal(400, "input", 'the request must be {"rows": [...]}', "GET /docs shows an example")
    raw, size = rows_of(served.model, cast("list[Any]", rows), served.limits)
    answer = await served.answer(raw, size, gone)
    return served.in_words(answer, raw), answer, raw


async def _of_files(
    served: Served, kind: bytes, body: bytes, gone: Callable[[], bool]
) -> tuple[list[dict[str, Any]], Answer]:
    if str(served.model.schema["kind"]) not in ("image", "audio"):
        raise Refusal(
            415, "upload", f"{served.name} takes no files but {served.model.schema['kind']}", 'send {"rows": [...]}'
        )
    with tempfile.TemporaryDirectory(prefix="tuneful-") as folder:
        paths = await asyncio.get_running_loop().run_in_executor(None, _written, kind, body, Path(folder), served)
        try:
            answer = await served.answer(paths, 1 << 30, gone)
        except Refusal as refusal:  # where we keep the file is nobody's business
            raise Refusal(
                refusal.status, refusal.kind, refusal.sentence.replace(f"{folder}/", ""), refusal.hint, refusal.wait
            ) from None
        return await asyncio.get_running_loop().run_in_executor(None, served.in_words, answer, paths), answer


def _written(kind: bytes, body: bytes, folder: Path, served: Served) -> list[Path]:
    paths = bodies.files(kind, body, folder, served.limits)
    if str(served.model.schema["kind"]) == "image":
        for at, path in enumerate(paths, 1):
            seen = read_header(path)
            if seen.trouble:
                raise Refusal(400, "input", f"file {at} cannot be read as an image: {seen.trouble}")
            if seen.height * seen.width > served.limits.pixels:
                raise Refusal(413, "pixels", f"file {at} is {seen.width}x{seen.height}, and {served.limits.pixels} pixels are allowed",
                              "send it smaller")  # fmt: skip
    return paths


__all__ = ["explains", "predictions"]
