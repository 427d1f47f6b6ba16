"""What a client may ask for, and how long it may take to ask.

Every limit is a number of its own and can be set: `--limits body=32MB,rows=1000`. What is above one is refused with a sentence.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from tuneful.core.errors import TunefulError

_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "s": 1.0, "ms": 1e-3, "min": 60.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


@dataclass(frozen=True)
class Limits:
    """Raises TunefulError for a limit that is not above 0."""

    body: int = 16_000_000  # bytes of a request, also when it is unpacked
    rows: int = 4096  # examples in one request
    pixels: int = 25_000_000  # of one image
    text: int = 100_000  # letters of one text
    files: int = 64  # in one upload
    header: int = 16_384  # bytes of a request's line and headers together
    header_seconds: float = 10.0  # from the first byte, or from the connection, until the headers are whole
    body_seconds: float = 30.0  # from there until the body is whole
    idle_seconds: float = 60.0  # between two requests of a connection
    answer_seconds: float = 60.0  # for the model
    connections: int = 4096  # at once in one process; above it the one that has been silent for longest is closed
    queue: int = 4096  # examples that wait for a model; above it the answer is 429
    batch: int = 256  # examples that go through a model together, at most
    target_ms: float = 50.0  # what one batch may take; batches get smaller above it

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                raise TunefulError(f"the limit {field.name} is {getattr(self, field.name)}; it must be above 0")

    @staticmethod
    def of(text: str) -> Limits:
        """Limits as they are written on a command line.

        >>> Limits.of("body=2MB, idle_seconds=5").body
        2000000

        Raises: TunefulError that names the limit.
        """
        known = {field.name: str(field.type) for field in dataclasses.fields(Limits)}
        told: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (word.strip() for word in part.partition("="))
            if name not in known:
                raise TunefulError(f"there is no limit {name!r}", f"the limits are {', '.join(known)}")
            found = _WRITTEN.fullmatch(value.lower())
            unit = found[2].removesuffix("b") if found else ""
            if found is None or unit not in _UNITS:
                raise TunefulError(f"the limit {name} is {value!r}; it must be a number", "such as body=32MB,rows=1000")
            number = float(found[1]) * _UNITS[unit]
            told[name] = int(number) if known[name] == "int" else number
        return Limits(**told)  # pyright: ignore[reportArgumentType]


__all__ = ["Limits"]
