"""One file from an address, taken up again where a connection broke, and believed only when its size and hash are right.

What has come lies in NAME.part beside the place where the file will be; a later call goes on behind it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tuneful.core.errors import DataError, StorageError
from tuneful.techniques.sources.raw import gigabytes

TRIES = 4  # connections for one file
WAIT = 20.0  # seconds without a byte after which a connection is given up
_PIECE = 1 << 18  # bytes


class Remote(NamedTuple):
    """A file elsewhere: its address, its size in bytes, and its hash: "md5:..." or "sha256:..."."""

    address: str
    size: int
    hash: str

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rpartition("/")[2]


def fetch(remote: Remote, folder: Path, tries: int = TRIES, wait: float = WAIT) -> Path:
    """The file in the folder; not downloaded again where it lies there whole.

    Raises: DataError when the address cannot be reached, or what comes is not the file; StorageError when it cannot be stored.
    """
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not _wrong(path, remote):
            return path
        trouble = ""
        for _ in range(tries):
            if part.is_file() and part.stat().st_size >= remote.size:
                break
            trouble = _more(remote, part, wait)
            if trouble.startswith("HTTP"):
                break  # the same answer would come again
        have = part.stat().st_size if part.is_file() else 0
        if have < remote.size:
            raise DataError(
                f"{remote.address} could not be downloaded: {trouble or 'the connection ended early'} "
                f"({gigabytes(have)} of {gigabytes(remote.size)} are here)",
                "the same command goes on where it stopped" if have else "is there a network?",
            )
        if wrong := _wrong(part, remote):
            part.unlink()
            raise DataError(
                f"what came from {remote.address} is not the file that is known: {wrong}; it was thrown away",
                "try again; if it stays so, download the file yourself and look at it",
            )
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _more(remote: Remote, part: Path, wait: float) -> str:
    """Append what one connection gives, at most up to the size. Returns why it ended early, or ""."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(remote.address, headers={"Range": f"bytes={have}-", "User-Agent": "tuneful"})
    try:
        with urllib.request.urlopen(request, timeout=wait) as answer:
            goes_on = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
            have = have if goes_on else 0
            with part.open("ab" if goes_on else "wb") as file:
                while have <= remote.size and (piece := answer.read1(_PIECE)):
                    file.write(piece)  # one piece more than the size at most: its hash is then wrong
                    have += len(piece)
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        return str(error) or type(error).__name__
    return "" if have >= remote.size else "the connection ended early"


def _wrong(path: Path, remote: Remote) -> str:
    """What is wrong with a file that is here, or ""."""
    size = os.path.getsize(path)
    if size != remote.size:
        return f"it has {size} bytes; {remote.size} are wanted"
    kind, _, wanted = remote.hash.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    return "" if found == wanted else f"its {kind} is {found}; {wanted} is wanted"
