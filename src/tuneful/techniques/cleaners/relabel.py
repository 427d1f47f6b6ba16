"""Relabel: the examples of train that a file lists take the label that stands there.

The column "label" is taken, or "suggested" where there is none, as in label_errors.csv: then every suspect gets the class that
a model believes, which is right for most of them and wrong for hard examples; better look at them first and shorten the list.
Valid and test keep their labels.

Source: Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 2021, arXiv:1911.00068 (which prunes; correcting is up to a person).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuneful.core.config import nearest
from tuneful.core.errors import DataError
from tuneful.techniques.cleaners.cleaner import Examples, Sifted, Sifter
from tuneful.techniques.cleaners.listed import found, read


class Relabel(Sifter):
    """The examples of train that a file lists take the label that stands there."""

    source: ClassVar[str] = "Northcutt et al., JAIR 2021, arXiv:1911.00068"
    cost: ClassVar[str] = "reading the list"
    serves: ClassVar[tuple[str, ...]] = ("table", "text", "image", "sound", "series", "vector")

    kind: Literal["relabel"] = "relabel"
    file: Annotated[str, Field(min_length=1)]  # a CSV file with the columns "example" and "label" (or "suggested")

    def sift(self, seen: Examples) -> Sifted:
        if seen.y.ndim != 1:
            raise DataError(
                "relabel gives an example one new label, and the examples of this data bear several", "leave it out"
            )
        rows, elsewhere = found(read(self.file, "relabel", ("label", "suggested")), seen, self.file)
        y = seen.y.copy()
        for at, line in rows.items():
            y[at] = _value(line["new"], seen, f"{self.file}: line {line['line']}")
        changed = int((y != seen.y).sum())
        told = {"listed examples take another label": changed}
        if elsewhere:
            told["listed examples are not in train and stay as they are"] = elsewhere
        return Sifted(np.ones(len(y), dtype=bool), y, told, tuple(seen.origin.name(k) for k in list(rows)[:3]))


def _value(text: str, seen: Examples, where: str) -> Any:
    if seen.labels:
        if text not in seen.labels:
            guess = nearest(text, seen.labels)
            some = ", ".join(seen.labels[:12])
            raise DataError(
                f"{where} gives the label {text!r}, which train does not have; it must be one of {some}",
                f"did you mean {guess}?" if guess else "",
            )
        return seen.labels.index(text)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{where} gives the target {text!r}; it must be a finite number")
    return value
