"""Drop labels: the examples that a file lists are taken out of train, such as suspected label errors that a person looked at.

Every run writes such a file (label_errors.csv), and so does `tuneful check DATA --labels FILE`; nothing acts on it by itself. Listed examples that lie in
valid or test stay there. Training without the suspected errors is the "prune by noise rate" of confident learning.

Source: Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 2021, section 3.2, arXiv:1911.00068.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.core.errors import DataError
from tuneful.techniques.cleaners.cleaner import Examples, Sifted, Sifter
from tuneful.techniques.cleaners.listed import found, mask, read


class DropLabels(Sifter):
    """The examples that a file lists are taken out of train."""

    source: ClassVar[str] = "Northcutt et al., JAIR 2021, arXiv:1911.00068"
    cost: ClassVar[str] = "reading the list"
    serves: ClassVar[tuple[str, ...]] = ("table", "text", "image", "sound", "series", "vector")

    kind: Literal["drop_labels"] = "drop_labels"
    file: Annotated[str, Field(min_length=1)]  # a CSV file with a column "example", such as label_errors.csv of a run

    def sift(self, seen: Examples) -> Sifted:
        rows, elsewhere = found(read(self.file, "drop_labels"), seen, self.file)
        if len(rows) == len(seen.y):
            raise DataError(f"drop_labels would take all {len(rows)} examples out of train", f"shorten {self.file}")
        told = {"listed examples are taken out": len(rows)}
        if elsewhere:
            told["listed examples are not in train and stay where they are"] = elsewhere
        return Sifted(~mask(len(seen.y), rows), seen.y, told, tuple(seen.origin.name(k) for k in list(rows)[:3]))
