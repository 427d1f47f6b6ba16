"""What was found of a run, kept beside it, so that a point can be taken later by its name.

RUN/improve/points.json              all points: steps, measures, verdicts; the limits; what was refused
RUN/improve/points/NAME.onnx         a point's graph        NAME.safetensors    its weights
RUN/improve/NAME/                    the artifact of a point that was taken
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneful.core.config import nearest
from tuneful.core.errors import StudyError
from tuneful.core.storage import told
from tuneful.pipeline.improve.front import front
from tuneful.pipeline.improve.variant import Variant
from tuneful.pipeline.kept import write_json

FOLDER, FILE, GRAPHS = "improve", "points.json", "points"


def keep(folder: Path, variant: Variant) -> None:
    """Write the graph and the weights of a point. Raises StorageError."""
    place = folder / FOLDER / GRAPHS
    with told(folder):
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{variant.name}.onnx").write_bytes(variant.model)
        (place / f"{variant.name}.safetensors").write_bytes(variant.state())


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write what is known of all points; those of an earlier call that are not among these stay. Raises StorageError."""
    earlier = {str(one["name"]): one for one in read(folder).get("points", [])}
    points = {**earlier, **{str(one["name"]): one for one in found["points"]}}
    with told(folder):
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        every = list(points.values())
        on = front(every, str(found["direction"]))
        write_json(folder / FOLDER / FILE, {**found, "points": every, "front": on})


def read(folder: Path) -> dict[str, Any]:
    """What is known of all points; {} where nothing was improved yet. Raises StudyError for a damaged file."""
    path = folder / FOLDER / FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise StudyError(f"{path} is damaged ({error})", "delete it, and improve the run again") from None


def point(folder: Path, name: str) -> tuple[dict[str, Any], bytes, bytes]:
    """(what is known of a point, its graph, its weights). Raises StudyError with the nearest name where there is none."""
    known: Sequence[Mapping[str, Any]] = read(folder).get("points", [])
    there = [str(one["name"]) for one in known if one["kept"]]
    if not known:
        raise StudyError(f"{folder} has no points yet", f"`tuneful improve {folder}` finds some")
    found = next((one for one in known if one["name"] == name), None)
    if found is None:
        guess = nearest(name, there)
        raise StudyError(
            f"{folder} has no point {name}", f"did you mean {guess}?" if guess else f"it has {', '.join(there[:8])}"
        )
    place = folder / FOLDER / GRAPHS
    try:
        files = [(place / f"{name}{ending}").read_bytes() for ending in (".onnx", ".safetensors")]
    except FileNotFoundError:
        why = "it was refused, and its graph is not kept" if not found["kept"] else "its files are gone"
        raise StudyError(
            f"the point {name} cannot be taken: {why}", f"take one of {', '.join(there[:8]) or 'none'}"
        ) from None
    return dict(found), files[0], files[1]


__all__ = ["FOLDER", "keep", "point", "read", "write"]
