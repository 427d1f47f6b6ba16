"""Labels that arrive late: a CSV of request ids and what was true, joined to what was recorded.

    id,label                 id is what the answer called the request (x-request-id, "id")
    id,row,label             row, from 1, where a request held several examples

The last line about an example holds. Lines about examples that were not recorded are counted, not refused: of a share that is sampled,
most are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime.preprocess import cell, is_number, level, row_pieces
from tuneful.runtime.watch.store import LONGEST

IDS = ("id", "request", "request_id", "x-request-id")
TRUTHS = ("label", "truth", "target", "y")


@dataclass(frozen=True)
class Joined:
    """at [M]: places of the recorded examples, in order; truth: what was true of each; strangers: lines about examples that are not
    there; again: lines that a later one replaced."""

    at: NDArray[np.int64]
    truth: list[str]
    strangers: int
    again: int


def joined(file: Path, requests: Sequence[str], rows: Sequence[int] | NDArray[np.int64], target: str = "") -> Joined:
    """Join a file of labels. target: the name of its column, found by itself where it is one of TRUTHS or the only one left.

    Raises: DataError that names the column or the line at fault.
    """
    place = {(request, int(row)): at for at, (request, row) in enumerate(zip(requests, rows))}
    known: dict[int, str] = {}
    strangers = again = before = 0
    for piece in row_pieces(file):
        ids, row_name, truth = _columns(file, list(piece), target)
        which = piece[row_name] if row_name else ["1"] * len(piece[ids])
        for line, (request, row, said) in enumerate(zip(piece[ids], which, piece[truth]), before + 2):
            if not row.strip().isdigit():
                raise DataError(f"{file}: row is {row!r} in line {line}; it must be a whole number from 1")
            at = place.get((request.strip()[:LONGEST], int(row)))
            if at is None:
                strangers += 1
                continue
            again += at in known
            known[at] = said.strip()
        before += len(piece[ids])
    order = sorted(known)
    return Joined(np.array(order, dtype=np.int64), [known[at] for at in order], strangers, again)


def numbered(truth: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Labels as class numbers; -1 for one that the model does not know."""
    number = {level(label, True): at for at, label in enumerate(labels)} | {label: at for at, label in enumerate(labels)}
    return np.array([number.get(cell(one), number.get(level(cell(one), True), -1)) for one in truth], dtype=np.int64)


def valued(truth: Sequence[str], file: str) -> NDArray[np.float64]:
    """Labels as numbers. Raises DataError."""
    odd = next((one for one in truth if not is_number(one)), None)
    if odd is not None:
        raise DataError(f"{file} holds the label {odd[:60]!r}; this model predicts numbers")
    return np.array([float(one) for one in truth], dtype=np.float64)


def _columns(file: Path, names: list[str], target: str) -> tuple[str, str, str]:
    lower = {name.casefold(): name for name in names}
    ids = next((lower[name] for name in IDS if name in lower), None)
    if ids is None:
        raise DataError(f"{file} has no column id; it has {', '.join(names[:12])}", "the id is that which every answer told")
    row = lower.get("row", "")
    if target:
        truth = target if target in names else None
    else:
        left = [name for name in names if name not in (ids, row)]
        truth = next((lower[name] for name in TRUTHS if name in lower), left[0] if len(left) == 1 else None)
    if truth is None:
        raise DataError(
            f"{file} has no column {target or 'label'}; it has {', '.join(names[:12])}", "name it label, or --target COLUMN"
        )
    return ids, row, truth


__all__ = ["Joined", "joined", "numbered", "valued"]
