"""The body of a request, read to its end within limits: counted as it comes, unpacked no further than it may be."""

from __future__ import annotations

import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.refusal import Refusal

Receive = Callable[[], Awaitable[Any]]
_BOUNDARY = re.compile(rb'multipart/form-data\s*;.*?boundary="?([^";,\s]{1,200})"?', re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


class Gone(Exception):  # noqa: N818
    """The client left before its request was whole."""


async def whole(headers: Mapping[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """Raises Refusal (413, 415, 400), or Gone."""
    told = headers.get(b"content-length")
    if told is not None and int(told) > limits.body:  # the parser has seen that it is a number
        raise Refusal(413, "body", f"the body has {int(told)} bytes, and {limits.body} are allowed", "send it in parts")
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise Gone
    if message["more_body"]:
        parts, size = [body], len(body)
        while message["more_body"]:
            if size > limits.body:
                raise Refusal(
                    413, "body", f"the body has more than the {limits.body} bytes that are allowed", "send it in parts"
                )
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message["body"])
            size += len(message["body"])
        body = b"".join(parts)
    if len(body) > limits.body:
        raise Refusal(413, "body", f"the body has more than the {limits.body} bytes that are allowed", "send it in parts")
    packing = headers.get(b"content-encoding")
    return body if packing is None else _unpacked(body, packing, limits)


def _unpacked(body: bytes, packing: bytes, limits: Limits) -> bytes:
    if packing not in (b"gzip", b"deflate", b"identity"):
        raise Refusal(415, "body", "this content encoding is not known", "send it plain, or by gzip or deflate")
    if packing == b"identity":
        return body
    unpacker = zlib.decompressobj(31 if packing == b"gzip" else 15)
    try:
        told = unpacker.decompress(body, limits.body + 1)
    except zlib.error:
        raise Refusal(400, "body", f"the body is not whole {packing.decode()}") from None
    if len(told) > limits.body:
        raise Refusal(413, "body", f"the body unpacks to more than the {limits.body} bytes that are allowed")
    if not unpacker.eof:
        raise Refusal(400, "body", f"the body is not whole {packing.decode()}")
    return told


def files(kind: bytes, body: bytes, folder: Path, limits: Limits) -> list[Path]:
    """The files of an upload (multipart/form-data), written into a folder under names of our own.

    Raises: Refusal (400, 413). What a client calls its files leads nowhere: only a plain suffix is kept.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    found = _BOUNDARY.match(kind)
    if found is None:
        raise Refusal(400, "upload", "the upload names no boundary", "curl -F file=@PATH writes it")
    parts: list[tuple[bytearray, bytearray]] = []  # headers and content

    def begin() -> None:
        if len(parts) >= limits.files:
            raise Refusal(413, "upload", f"more than {limits.files} files were sent", "send them in parts")
        parts.append((bytearray(), bytearray()))

    def header(data: bytes, start: int, end: int) -> None:
        parts[-1][0].extend(data[start:end])

    def ended() -> None:
        parts[-1][0].extend(b"\n")

    def content(data: bytes, start: int, end: int) -> None:
        parts[-1][1].extend(data[start:end])

    whole = [False]

    def end() -> None:
        whole[0] = True

    parser = MultipartParser(found[1], {"on_part_begin": begin, "on_header_value": header, "on_header_end": ended, "on_part_data": content,
                                        "on_end": end})  # fmt: skip
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, "upload", f"the upload is not multipart/form-data: {str(error)[:100]}") from None
    if not whole[0]:
        raise Refusal(400, "upload", "the upload is cut off")
    if not parts:
        raise Refusal(400, "upload", "the upload holds no file", "curl -F file=@PATH writes one")
    paths: list[Path] = []
    for at, (told, data) in enumerate(parts, 1):
        name = re.search(rb'filename="([^"\n]*)"', bytes(told))
        suffix = Path(name[1].decode("utf-8", "replace")).suffix if name else ""
        path = folder / f"file-{at}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
        path.write_bytes(data)
        paths.append(path)
    return paths


__all__ = ["Gone", "files", "whole"]
