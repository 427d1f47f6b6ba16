"""The tokenizer that a trained network came with, from its file.

tokens=FOLDER takes it; model=pretrained name=FOLDER does so by itself. A network knows words by the numbers that its own tokenizer gives them; cut otherwise, its texts mean something else to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneful.core.errors import DataError
from tuneful.runtime.library import parsed

SETS = ("grams", "best")  # texts as sets of n-grams, always or where that serves (see `texts`)
KINDS = ("byte", "char", "word", "bpe")  # of tokenizers that are learned from the texts instead
NAME = "tokenizer.json"
LARGEST = 64 * 2**20  # bytes of such a file


def read(path: str) -> dict[str, Any]:
    """The data of a tokenizer that a network came with: of a folder that has a tokenizer.json, or of such a file.

    Raises: DataError when there is none, when it is damaged or has no padding; MissingError without the tokenizers library.
    """
    file = Path(path).expanduser()
    file = file / NAME if file.is_dir() else file
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise DataError(f"{file} has {size} bytes; a tokenizer may have {LARGEST}")
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(
            f"tokens is {path}; the tokenizer {file} cannot be read: {why}",
            f"write tokens={', '.join(KINDS[:-1])} or {KINDS[-1]}, or a folder that has a {NAME}",
        ) from None
    library = parsed(text, str(file))
    words = [library.token_to_id(word) for word in ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")]
    pads = [library.padding["pad_id"] if library.padding else None, *words]
    pad = next((number for number in pads if number is not None), None)
    if pad is None:
        raise DataError(f"{file} has no token for padding ([PAD] or <pad>)", "add one, and save tokenizer and network again")
    return {"kind": "library", "json": text, "pad": int(pad)}


def beside(name: str) -> str:
    """The folder of a network when its tokenizer lies in it, or ""."""
    folder = Path(name).expanduser()
    return name if folder.is_dir() and (folder / NAME).is_file() else ""


__all__ = ["KINDS", "NAME", "SETS", "beside", "read"]
