"""The user's own factory in the words of a recipe: model=net.py:Net, and its arguments as settings of the types it annotates."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tuneful.core.config import show
from tuneful.core.errors import Problem, RecipeError
from tuneful.core.space import Choice, Range, Scalar, parse
from tuneful.techniques.models import Own
from tuneful.techniques.models.arguments import unfit, whole

WHOLE = re.compile(r"(?:(?:log|lin)\()?\s*\d+\s*\.\.\s*\d+\s*\)?")


def parted(key: str, value: Any) -> dict[str, Any]:
    """model=net.py:Net is short for model=own and model.factory=net.py:Net; everything else stays as it is."""
    if key == "model" and isinstance(value, str) and ":" in value and "," not in value:
        return {"model": "own", "model.factory": value}
    return {key: value}


def takes(settings: Iterable[tuple[str, Any]], base: Any) -> Mapping[str, Any]:
    """The arguments, with their annotations, of the factory that these settings name, or that the base has."""
    for key, value in settings:
        if isinstance(value, Own):
            return value.takes()
        if key in ("factory", "model.factory") and isinstance(value, str):
            with contextlib.suppress(RecipeError):  # told when the model is made
                return Own(factory=value).takes()
    return base.takes() if isinstance(base, Own) else {}


def argument(key: str, raw: Any, hint: Any) -> Range | Choice | Scalar:
    """The value of an argument as its annotation wants it. Where that does not say which numbers are whole, those are that
    are written so. Raises RecipeError."""
    value = raw
    if isinstance(raw, str):
        said = whole(hint)
        value = parse(raw, integer=WHOLE.fullmatch(raw.strip()) is not None if said is None else said)
    elif isinstance(raw, list | tuple):
        value = Choice(tuple(raw))
    tried = value.ends if isinstance(value, Range) else value.values if isinstance(value, Choice) else (value,)
    for one in tried:
        if want := unfit(one, hint):
            raise RecipeError([Problem(key, f"{key} is {show(one)}; it must be {want}, as its annotation says")])
    return value
