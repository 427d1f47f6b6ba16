"""Who may ask: bearer tokens, of which only hashes are kept, compared in constant time.

A token is 32 random bytes, so one SHA-256 is enough: there is nothing to guess that a slow hash would protect. The file has a line
for each, NAME:HEX, and lines that begin with # are left out. After GUESSES wrong tokens within a minute an address has to wait.

Source: RFC 6750, section 2.1 (the header); its 3 (WWW-Authenticate).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from tuneful.core.errors import StorageError, TunefulError
from tuneful.runtime.serve.refusal import Refusal

GUESSES = 20  # wrong tokens of one address in a minute
_ADDRESSES = 10_000  # that are remembered
_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")


class Tokens:
    """The hashes of a file; without any, everyone may ask."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = [(name, bytes.fromhex(digest)) for name, digest in hashes.items()]
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def wanted(self) -> bool:
        """Does it take a token to ask?"""
        return bool(self._hashes)

    def check(self, header: bytes | None, address: str) -> str:
        """The name of whoever asks. Raises Refusal: 401, or 429 after too many wrong tokens."""
        if not self._hashes:
            return ""
        now = time.monotonic()
        wrong = [then for then in self._wrong.get(address, ()) if now - then < 60]
        if len(wrong) >= GUESSES:
            raise Refusal(429, "token", "too many wrong tokens came from this address", "try again in a minute", 60)
        scheme, _, token = (header or b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        found = ""
        for name, known in self._hashes:  # all of them each time, so that the time tells nothing
            if hmac.compare_digest(known, digest):
                found = name
        if found and scheme.lower() == b"bearer":
            return found
        if header is not None:
            self._wrong[address] = [*wrong, now]
            self._wrong.move_to_end(address)
            if len(self._wrong) > _ADDRESSES:
                self._wrong.popitem(last=False)
        raise Refusal(401, "token", "a token is wanted" if header is None else "this token is not known",
                      "send the header Authorization: Bearer TOKEN")  # fmt: skip


def read(path: Path) -> Tokens:
    """The tokens of a file. Raises TunefulError that names the line at fault."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TunefulError(
            f"the tokens in {path} cannot be read: {error}", f"tuneful serve --new-token NAME --token-file {path}"
        ) from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = _LINE.fullmatch(line.strip())
        if entry is None:
            raise TunefulError(f"{path}, line {number}: NAME:HEX is wanted, with the SHA-256 of a token",
                               f"tuneful serve --new-token NAME --token-file {path}")  # fmt: skip
        found[entry[1]] = entry[2]
    if not found:
        raise TunefulError(
            f"{path} holds no token, and nobody could ask", f"tuneful serve --new-token NAME --token-file {path}"
        )
    return Tokens(found)


def make(path: Path, name: str) -> str:
    """A new token; its hash is added to the file, which only its owner may read."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise TunefulError(f"{name!r} is no name for a token", "letters, digits, . _ and - may be in it")
    token = secrets.token_urlsafe(32)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
            file.write(f"{name}:{hashlib.sha256(token.encode()).hexdigest()}\n")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None
    return token


__all__ = ["Tokens", "make", "read"]
