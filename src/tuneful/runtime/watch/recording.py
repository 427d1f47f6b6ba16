"""What is recorded of predictions, and within which bounds: settings as they are written on a command line.

    share=0.1          one request in ten, chosen by its id, so that every process chooses alike
    size=100MB         of the file; above it the oldest tenth goes
    days=90            what is older goes
    drop=name+mail*    columns that are not recorded, by name or pattern; keep=... takes one back
    inputs=no          answers alone

Columns whose names say that they are of a person (PERSONAL) are left out unless they are kept by name. Texts, images and sounds are
never recorded themselves, only the few facts of them that `runtime.features` counts.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from tuneful.core.errors import TunefulError

PERSONAL = (
    "name", "*firstname*", "*first_name*", "*lastname*", "*last_name*", "*surname*", "*full_name*", "*fullname*", "*email*", "*e-mail*", "*phone*", "*address*",
    "*birth*", "*passport*", "*iban*", "*ssn*", "*social_security*", "*credit_card*", "*licence_plate*", "*license_plate*", "ip",
)  # fmt: skip
_UNITS = {"": 1.0, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)\s*([a-z]*)")
LEAST = 1_000_000  # bytes: SQLite needs some pages to move in


@dataclass(frozen=True)
class Recording:
    """Raises TunefulError for a bound that cannot be."""

    file: Path
    share: float = 1.0  # of the requests
    size: int = 256_000_000  # bytes of the file
    days: float = 365.0
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    inputs: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise TunefulError(f"share is {self.share:g}; it must be in (0, 1]")
        if self.size < LEAST:
            raise TunefulError(f"size is {self.size} bytes; it must be at least {LEAST}", "such as size=100MB")
        if not self.days > 0:
            raise TunefulError(f"days is {self.days:g}; it must be above 0")

    @staticmethod
    def of(file: Path, text: str) -> Recording:
        """Bounds as they are written.

        >>> Recording.of(Path("r.db"), "share=0.5, size=2MB, drop=town+street*").drop
        ('town', 'street*')

        Raises: TunefulError that names the bound.
        """
        known = [field.name for field in dataclasses.fields(Recording)][1:]
        told = Recording(file)
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (word.strip() for word in part.partition("="))
            if name not in known:
                raise TunefulError(f"recording has no bound {name!r}", f"the bounds are {', '.join(known)}")
            if name in ("drop", "keep"):
                words = tuple(filter(None, (word.strip() for word in value.split("+"))))
                told = dataclasses.replace(told, **{name: words})
            elif name == "inputs":
                if value not in ("yes", "no"):
                    raise TunefulError(f"inputs is {value!r}; it must be yes or no")
                told = dataclasses.replace(told, inputs=value == "yes")
            else:
                found = _WRITTEN.fullmatch(value.lower())
                if not found or found[2] not in (_UNITS if name == "size" else ("",)):
                    raise TunefulError(f"{name} is {value!r}; it must be a number", "such as share=0.1,size=100MB,days=90")
                number = float(found[1]) * _UNITS[found[2]]
                told = dataclasses.replace(told, **{name: int(number) if name == "size" else number})
        return told

    def chosen(self, request: str) -> bool:
        """Is this request of the share?"""
        return self.share >= 1 or zlib.crc32(request.encode()) < self.share * 2**32

    def dropped(self, column: str) -> bool:
        """Is a column left out? A part of one ("birth.year", "town.last") goes with it."""
        name, whole = column.casefold(), column.partition(".")[0].casefold()
        if any(_like(word, name, whole) for word in self.drop):
            return True
        return any(_like(word, name, whole) for word in PERSONAL) and not any(_like(word, name, whole) for word in self.keep)


def _like(pattern: str, *names: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern.casefold()) for name in names)


__all__ = ["PERSONAL", "Recording"]
