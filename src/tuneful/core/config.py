"""The base of all typed settings: frozen, wrong values refused, all of them told at once.

A technique is a subclass with a `kind`, typed fields with defaults, and a comment behind each field; the comment is the
field's description in schemas and in the recipes that `tuneful init` writes.

    class Linear(Schedule):
        kind: Literal["linear"] = "linear"
        warmup: Fraction = 0.0  # share of all steps that rise from zero
"""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, Union, cast, get_args, get_origin

import pydantic
from pydantic import ConfigDict, Field
from pydantic._internal._model_construction import ModelMetaclass
from pydantic.fields import FieldInfo

from tuneful.core.errors import Problem, RecipeError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1)]
Auto = Literal["auto"]


class _Telling(ModelMetaclass):
    """Turns pydantic's report into our sentences, whether a class is called or `parse` is."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: object, **data: object) -> object:  # noqa: N805
            if args:
                raise TypeError(f"{cls.__name__} takes keyword arguments only, such as {cls.__name__}({_example(cls)})")
            try:
                return super().__call__(**data)
            except pydantic.ValidationError as error:
                raise RecipeError(_problems(cls, error, cls._prefix()), cls._hint()) from None


class Settings(pydantic.BaseModel, metaclass=_Telling):
    """A frozen group of typed fields. Equal fields make equal objects; `replace` gives a changed, re-checked copy."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, protected_namespaces=())

    family: ClassVar[str] = ""  # the section of the recipe that it belongs to: optimizer, schedule, ...
    hint: ClassVar[str] = ""  # what to say beside a wrong value, before the defaults

    @classmethod
    def parse(cls, data: Mapping[str, Any], prefix: str | None = None) -> Self:
        """Build from plain data (lists become tuples); every problem is told with keys under `prefix`."""
        try:
            return cls.model_validate(dict(data))
        except pydantic.ValidationError as error:
            raise RecipeError(_problems(cls, error, cls._prefix() if prefix is None else prefix), cls._hint()) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    def as_data(self) -> dict[str, Any]:
        """Plain data (numbers, strings, lists, dicts) from which the codec rebuilds an equal object."""
        return {name: plain(getattr(self, name)) for name in type(self).model_fields}

    @classmethod
    def _prefix(cls) -> str:
        return f"{cls.family}." if cls.family else ""

    @classmethod
    def _hint(cls) -> str:
        defaults = " ".join(
            f"{name}={field.default}"
            for name, field in cls.model_fields.items()
            if name != "kind" and isinstance(field.default, int | float | str)
        )
        return "; ".join(part for part in (cls.hint, f"the defaults are {defaults}" if defaults else "") if part)


PLAIN = frozenset((str, int, float, bool, type(None)))


def plain(value: Any) -> Any:
    """Settings, tuples and mappings as plain data, in a stable order."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Settings):
        return value.as_data()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return value


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or "" when none is near.

    >>> nearest("adm", ["sgd", "adam"]), nearest("zebra", ["sgd", "adam"])
    ('adam', '')
    """
    known = list(known)
    by_case = {item.lower(): item for item in known}
    found = difflib.get_close_matches(word.lower(), list(by_case), n=1, cutoff=0.6)
    return by_case[found[0]] if found else ""


def wanted(field: FieldInfo) -> str:
    """What a field accepts, in words: "> 0", "in [0, 1)", "a whole number >= 1 or 'auto'"."""
    return " or ".join(_wanted(field.annotation, field.metadata))


def _wanted(annotation: Any, metadata: Iterable[Any] = ()) -> list[str]:
    metadata = list(metadata)
    if get_origin(annotation) is Annotated:
        base, *extra = get_args(annotation)
        unpacked = [m for e in extra for m in (e.metadata if isinstance(e, FieldInfo) else [e])]
        return _wanted(base, [*metadata, *unpacked])
    if get_origin(annotation) in (Union, type(int | str)):
        return [text for part in get_args(annotation) if part is not type(None) for text in _wanted(part)]
    if get_origin(annotation) is Literal:
        return [repr(choice) for choice in get_args(annotation)]
    if get_origin(annotation) is tuple:
        return ["a list, each " + " or ".join(_wanted(get_args(annotation)[0]))]
    bounds = _bounds(metadata)
    if annotation is int:
        return [f"a whole number {bounds}".strip()]
    if annotation is float:
        return [bounds or "a finite number"]
    if annotation is bool:
        return ["true or false"]
    if annotation is str:
        return ["text"]
    if get_origin(annotation) is Mapping:
        return ["a table of names and values"]
    return [getattr(annotation, "family", "") or getattr(annotation, "__name__", str(annotation))]


def _bounds(metadata: Iterable[Any]) -> str:
    found = {
        name: getattr(m, name) for m in metadata for name in ("gt", "ge", "lt", "le") if getattr(m, name, None) is not None
    }
    low, high = found.get("gt", found.get("ge")), found.get("lt", found.get("le"))
    if low is not None and high is not None:
        return f"in {'(' if 'gt' in found else '['}{low:g}, {high:g}{')' if 'lt' in found else ']'}"
    if low is not None:
        return f"{'>' if 'gt' in found else '>='} {low:g}"
    if high is not None:
        return f"{'<' if 'lt' in found else '<='} {high:g}"
    return ""


def _problems(cls: type[Settings], error: pydantic.ValidationError, prefix: str) -> list[Problem]:
    told: dict[str, Problem] = {}
    for entry in error.errors(include_url=False, include_context=True):
        name = str(entry["loc"][0]) if entry["loc"] else ""
        key = f"{prefix}{name}"
        if key in told:
            continue
        if entry["type"] == "extra_forbidden":
            known = [n for n in cls.model_fields if n != "kind"]
            guess = nearest(name, known)
            what = f"of {cls.model_fields['kind'].default} " if "kind" in cls.model_fields else ""
            text = f"{key} is not a setting {what}".rstrip() + ("" if guess else f"; known are {', '.join(known) or 'none'}")
            told[key] = Problem(key, text, nearest=f"{prefix}{guess}" if guess else "")
        elif entry["type"] == "missing":
            told[key] = Problem(key, f"{key} is missing; it must be {wanted(cls.model_fields[name])}")
        elif entry["type"] == "value_error" and "error" in (context := entry.get("ctx", {})):
            text = str(context["error"])
            told[key or text] = Problem(key, f"{key} is {show(entry['input'])}; {text}" if name else prefix + text)
        else:
            value = entry["input"]
            field = cls.model_fields[name]
            choices = [c for c in _choices(field.annotation) if isinstance(c, str)]
            guess = nearest(value, choices) if isinstance(value, str) else ""
            number = "a number " if isinstance(value, str) and wanted(field).startswith((">", "<", "in ")) else ""
            told[key] = Problem(key, f"{key} is {show(value)}; it must be {number}{wanted(field)}", nearest=guess)
    return list(told.values())


def show(value: Any) -> str:
    """A value as the user would write it; long ones are cut."""
    text = repr(value) if isinstance(value, str) else str(plain(value))
    return text if len(text) <= 80 else text[:77] + "..."


def _choices(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _example(cls: type) -> str:
    fields = getattr(cls, "model_fields", {})
    return next((f"{name}={field.default!r}" for name, field in fields.items() if name != "kind"), "")


_COMMENTS: dict[type[Settings], dict[str, str]] = {}  # what was read: the sources of a class do not change


def comments(cls: type[Settings]) -> dict[str, str]:
    """The comment behind each field, from the source; inherited fields keep theirs."""
    if cls not in _COMMENTS:
        _COMMENTS[cls] = _comments(cls)
    return _COMMENTS[cls]


def _comments(cls: type[Settings]) -> dict[str, str]:
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if owner is Settings or not issubclass(owner, Settings):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(owner))
        except (OSError, TypeError):
            continue
        for name, text in re.findall(r"^    (\w+): [^\n#]*#\s*(.+)$", source, re.MULTILINE):
            found[name] = text.strip()
    return {name: text for name, text in found.items() if name in cls.model_fields}
