"""Steps as users write them, and as settings: NAME, NAME=VALUE of its first setting, and key=value of the step before.

tuneful improve RUN prune=0.5 epochs=3 static_int8 calibrate=entropy
tuneful.improve(run, "prune=0.5 epochs=3", StaticInt8(calibrate="entropy"))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tuneful.core.config import nearest
from tuneful.core.errors import Problem, RecipeError
from tuneful.core.space import scalar
from tuneful.techniques.compressors import TABLE
from tuneful.techniques.interfaces import Compressor

HINT = "`tuneful list compressor` names all steps, `tuneful list static_int8` the settings of one"


def steps(given: Iterable[str | Compressor]) -> tuple[Compressor, ...]:
    """The steps in their order. Raises RecipeError with every problem at once."""
    parts: list[tuple[str, dict[str, Any]] | Compressor] = []
    problems: list[Problem] = []
    for word in (piece for one in given for piece in (one.split() if isinstance(one, str) else [one])):
        if isinstance(word, Compressor):
            parts.append(word)
            continue
        name, equals, value = word.partition("=")
        if name in TABLE:
            first = next((field for field in TABLE[name].model_fields if field != "kind"), "")
            if equals and not first:
                problems.append(Problem(name, f"{name} has no setting that could be {value}"))
            parts.append((name, {first: scalar(value)} if equals and first else {}))
        elif equals and parts and isinstance(parts[-1], tuple):
            parts[-1][1][name] = scalar(value)
        elif equals:
            problems.append(Problem(name, f"{word} stands before any step; a setting stands behind its step"))
        else:
            problems.append(Problem(name, f"there is no step {name}", nearest=nearest(name, TABLE)))
    found: list[Compressor] = []
    for part in parts:
        if isinstance(part, Compressor):
            found.append(part)
            continue
        try:
            found.append(TABLE[part[0]].parse({"kind": part[0], **part[1]}, f"{part[0]}."))
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems, HINT)
    return tuple(found)


def named(chain: Iterable[Compressor]) -> str:
    """A name for what these steps give: "prune-0.5+static_int8-entropy"; each setting that is not the usual one is in it."""
    return "+".join(_named(one) for one in chain) or "original"


def _named(step: Compressor) -> str:
    fields = {name: field for name, field in type(step).model_fields.items() if name != "kind"}
    first = next(iter(fields), "")
    said: list[str] = []
    for name, field in fields.items():
        value = getattr(step, name)
        if value != field.get_default() or (name == first and isinstance(value, float)):
            told = f"{value:g}" if isinstance(value, float) else str(value)
            said.append(told if name == first or isinstance(value, str) else f"{name}{told}")
    return "-".join([str(getattr(step, "kind", type(step).__name__)), *said]).replace(":", "of").replace("/", "_")


__all__ = ["named", "steps"]
