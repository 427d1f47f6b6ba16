"""Arguments of a user's factory: which there are, of which type, and whether a value is one.

    def Net(inputs, outputs, width: int = 64, rate: float = 0.1, norm: Literal["batch", "none"] = "batch", wide=False)

Annotations are held to: whole numbers, numbers, true or false, text, Literal, unions of these, and Annotated with pydantic's bounds
(Annotated[int, Field(ge=1)]). Others, and arguments without one, take any value.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

from tuneful.core.config import wanted

GIVEN = ("inputs", "outputs", "vocabulary")  # what tuneful passes by itself


def takes(factory: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a factory that a user may set, each with its annotation; `Any` where there is none that is understood,
    but float where there is none and the default is such a number. {} when the factory keeps its signature to itself."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return {}
    told = _hints(factory)
    found: dict[str, Any] = {}
    for name, one in parameters.items():
        if name in GIVEN or one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            continue
        hint = told.get(name, float if isinstance(one.default, float) else Any)
        found[name] = hint if _understood(hint) else Any
    return found


def whole(hint: Any) -> bool | None:
    """Does the annotation want whole numbers (or not); None: it does not say."""
    kinds = _scalars(hint)
    return None if not {int, float} & kinds else float not in kinds


def unfit(value: object, hint: Any) -> str:
    """What the annotation wants, in words, when the value is not that; "" when it fits."""
    if hint is Any:
        return ""
    try:
        pydantic.TypeAdapter(hint, config=pydantic.ConfigDict(strict=True)).validate_python(value)
    except pydantic.ValidationError:
        return wanted(FieldInfo.from_annotation(hint))
    return ""


def _hints(factory: Callable[..., Any]) -> Mapping[str, Any]:
    """Annotations with names resolved, as far as they can be."""
    where = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return typing.get_type_hints(where, include_extras=True)
    except Exception:  # a name that only type checkers know, or anything else in the user's annotations
        plain = {"int": int, "float": float, "bool": bool, "str": str}
        raw: Mapping[str, Any] = getattr(where, "__annotations__", {})
        return {name: plain.get(hint, Any) if isinstance(hint, str) else hint for name, hint in raw.items()}


def _scalars(hint: Any) -> set[Any]:
    """The plain types that an annotation is made of; others as they are."""
    if get_origin(hint) is Annotated:
        return _scalars(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return {kind for part in get_args(hint) for kind in _scalars(part)}
    if get_origin(hint) is Literal:
        return {Literal}
    return {hint}


def _understood(hint: Any) -> bool:
    return _scalars(hint) <= {int, float, bool, str, Literal, type(None)}
