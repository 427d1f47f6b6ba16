"""A proof beside its run: what was proven of a candidate is not proven again, and the test split stays shut.

The evidence is written, whole or not at all, as soon as it is there. A process that is killed after that, or a larger budget
that finds nothing better, takes it up: the same recipe, steps and weights predict the same to the last bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.prove import FORMAT, digest

FILE = "proof.json"
MORE = 1.5  # baselines that were cut are worth so much more time, not less


def keep(folder: Path, evidence: Mapping[str, Any], seconds: float) -> None:
    """Write the evidence of `prove`, and how long it was allowed to take."""
    write_json(folder / FILE, {"allowed": seconds, "evidence": dict(evidence)})


def kept(folder: Path, candidate: Candidate, seconds: float) -> dict[str, Any] | None:
    """The evidence of this candidate, when it lies there; None also for a file that cannot be read, and where baselines were
    cut for want of time and much more is there now."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        allowed, evidence = float(told["allowed"]), dict(told["evidence"])
        cut = any(one["failed"] or one["note"] for one in evidence["baselines"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if evidence.get("format") != FORMAT or evidence.get("of") != digest(candidate) or (cut and seconds > MORE * allowed):
        return None
    news = [note for note in candidate.notes if note not in evidence.get("notes", [])]
    return {**evidence, "notes": [*news, *evidence.get("notes", [])]}


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Plain data into a file that is there whole, or as it was before."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Text into a file that is there whole, or as it was before."""
    aside = path.with_suffix(".part")
    with aside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
