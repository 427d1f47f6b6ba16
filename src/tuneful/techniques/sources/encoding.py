"""Bytes to text: what the sources of text share. Text that is not UTF-8 is read as what it most likely is, and that is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import content, files_in, head

_BINARY = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"PK\x03\x04", b"PAR1", b"\x93NUMPY", b"GIF8", b"RIFF", b"fLaC", b"\x7fELF")
_ASIDE = ("readme", "license", "licence", "copying", "sha256sums", "md5sums", "upstream_readme", "changelog", "notice")


def written(path: Path, findings: list[Finding]) -> str:
    """A whole text file (or its .gz) with "\\n" at the end of its lines.

    Raises: DataError for a file that is empty, holds zero bytes or other binary data, or would not fit into memory.
    """
    raw = content(path)
    if not raw.strip():
        raise DataError(f"{path} is empty; text is wanted")
    text = _decoded(path, raw, findings)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(path: Path, raw: bytes, findings: list[Finding]) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            text = raw.decode("utf-16")
        except UnicodeDecodeError:
            raise DataError(f"{path} begins like UTF-16 text and is not", "save it as UTF-8") from None
        findings.append(Finding("note", f"{path.name} is UTF-16 and was read as such", 1, 1))
        return text
    if raw.startswith(_BINARY) or b"\0" in raw:
        raise DataError(f"{path} holds binary data (zero bytes, or the start of another format) and is no text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start >= len(raw) - 4 and error.reason == "unexpected end of data":
            findings.append(Finding("warning", f"{path.name} ends inside a character, which is left out", 1, 1))
            return raw[: error.start].decode("utf-8-sig")
    lines = raw.split(b"\n")
    high = [line for line in lines if not line.isascii()]
    bad = sum(not _utf8(line) for line in high)
    if bad <= len(high) - bad:  # most lines with other letters than ASCII are UTF-8: the others are damaged
        text = f"{path.name} is UTF-8 but for some lines, whose damaged characters are shown as \ufffd"
        findings.append(Finding("warning", text, bad, len(lines)))
        return raw.decode("utf-8-sig", "replace")
    text = f"{path.name} is not UTF-8; it was read as Windows-1252 (Latin-1)"
    findings.append(Finding("warning", text, bad, len(lines), (), "save it as UTF-8 if its letters look wrong"))
    return raw.decode("cp1252", "replace") if _holes(raw) == 0 else raw.decode("latin-1")


def _utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _holes(raw: bytes) -> int:
    """Bytes that Windows-1252 does not have."""
    return sum(raw.count(byte) for byte in (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"))


def is_text(path: Path) -> bool:
    """Do the first bytes of a file look like text? Never raises."""
    try:
        start = head(path)
    except DataError:
        return False
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return bool(start.strip()) and b"\0" not in start and not start.startswith(_BINARY)


def first_lines(path: Path, size: int = 1 << 16) -> list[str]:
    """The first whole lines of a file, for a look at what it is; [] when it cannot be read. Never raises."""
    try:
        start = head(path, size)
    except DataError:
        return []
    lines = start.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    return lines[:-1] if len(start) == size else lines


def texts_in(folder: Path) -> list[Path]:
    """The text files of a folder that are data: not read-mes, licences or lists of hashes."""
    return list(files_in(folder, lambda path: not aside(path.name) and is_text(path)))


def aside(name: str) -> bool:
    """Is this a file that stands beside the data, such as a read-me?"""
    return name.lower().split(".")[0] in _ASIDE or name.lower().endswith((".md", ".rst"))


def parsed(path: Path, text: str) -> Any:
    """JSON. Raises DataError that names the line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}, column {error.colno} is no JSON ({error.msg})", "is the file whole?"
        ) from None
    except RecursionError:
        raise DataError(f"{path} is nested too deep to be a list of texts") from None
