"""A tokenizer as a trained network came with it, run by the `tokenizers` library.

    {"kind": "library", "json": the file's text, "pad": the number that fills up there}

Everywhere else 0 fills up, so the two numbers change places: what the library calls `pad` is 0 here, and its 0 is `pad` here.
Networks of transformers are given their own numbers again (`techniques.models.hub`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuneful.core.errors import DataError, MissingError


class Library:
    """A tokenizer of the library as `runtime.text.Tokenizer` asks it. Raises DataError for a damaged one, MissingError."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._inner: Any = parsed(str(data["json"]), "the tokenizer of this model")
        self._pad = int(data["pad"])
        self._inner.no_padding()
        self._inner.no_truncation()

    @property
    def size(self) -> int:
        """How many different numbers there are."""
        return int(self._inner.get_vocab_size())

    def pieces(self, text: str) -> Iterator[str]:
        """The tokens of a text, with those that the library puts at its ends."""
        yield from self._inner.encode(text).tokens

    def ids(self, text: str, most: int) -> list[int]:
        """The numbers of a text, cut so that what belongs at its ends stays."""
        own = int(self._inner.num_special_tokens_to_add(False))
        if most <= own:
            raise DataError(
                f"length is {most}, of which this tokenizer needs {own} for the ends of a text", f"write length={own + 1}"
            )
        self._inner.enable_truncation(most)
        return [self._changed(int(number)) for number in self._inner.encode(text).ids]

    def number(self, piece: str) -> int:
        """The number of one token; that of padding where there is none."""
        found = self._inner.token_to_id(piece)
        return 0 if found is None else self._changed(int(found))

    def text(self, ids: Sequence[int]) -> str:
        """Numbers as text, without what stands at its ends."""
        return str(self._inner.decode([self._changed(int(number)) for number in ids]))

    def _changed(self, number: int) -> int:
        return self._pad if number == 0 else 0 if number == self._pad else number


def parsed(text: str, name: str) -> Any:
    """The library's object. Raises DataError that names it, MissingError."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingError("tokenizers", "text", name) from None
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:  # a panic of the library is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        line = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"{name} cannot be read by the tokenizers library: {line}", "save it again with save_pretrained"
        ) from None


__all__ = ["Library", "parsed"]
