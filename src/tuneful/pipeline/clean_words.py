"""The steps of cleaning as users write them, as settings; and whether they can follow one another.

clean=deduplicate,impute=mean                       NAME, or NAME=VALUE of its first setting
clean="clip(mads=5, columns=[age, fare]), impute"   settings by name; brackets make a list, quotes keep what is in them
clean = ["deduplicate", { kind = "impute", how = "mean" }]                   in a file
clean=["deduplicate", Impute(how="mean")]                                    in Python
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tuneful.core.config import nearest, show
from tuneful.core.errors import Problem, RecipeError
from tuneful.core.space import scalar
from tuneful.techniques.cleaners import TABLE, Cleaner, Filler, Mender, Sifter

_KINDS = (Mender, Sifter, Filler)  # in the order in which they come
_WHY = {
    (1, 0): "what is mended makes examples equal, and values missing, that {late} could not see",
    (2, 0): "what is mended are other words than {late} has learned from",
    (2, 1): "{late} would learn from rows that {early} takes out",
}
_HINT = "steps look like clean=deduplicate,impute=mean or clean='clip(mads=5)'; `tuneful list clean` names all of them"


def steps(given: Any, where: str = "") -> tuple[Cleaner, ...]:
    """Steps in any of these forms. Raises RecipeError with every problem: unknown names and settings, steps that stand twice or
    in an order that cannot be meant."""
    if given is None or given == "none":
        return ()
    items: list[Any] = list(cast("Sequence[Any]", given)) if isinstance(given, list | tuple) else [given]
    problems: list[Problem] = []
    found: list[Cleaner] = []
    for item in items:
        try:
            found += _steps(item)
        except RecipeError as error:
            problems += [Problem(p.key, p.sentence, where or p.where, p.nearest) for p in error.problems]
    if not problems:
        problems = [Problem("clean", sentence, where) for sentence in _odd(found)]
    if problems:
        raise RecipeError(problems, _HINT)
    return tuple(found)


def plain(found: Sequence[Cleaner]) -> list[dict[str, Any]]:
    """Steps as data that `steps` reads: the kind, and what differs from the defaults."""
    out: list[dict[str, Any]] = []
    for step in found:
        fields = type(step).model_fields
        usual = {name: field.get_default() for name, field in fields.items()}
        data = step.as_data()
        out.append({name: value for name, value in data.items() if name == "kind" or getattr(step, name) != usual[name]})
    return out


def _steps(item: Any) -> list[Cleaner]:
    if isinstance(item, Cleaner):
        return [item]
    if isinstance(item, Mapping):
        data = dict(cast("Mapping[str, Any]", item))
        return [_made(str(data.pop("kind", "")), data)]
    if not isinstance(item, str):
        raise RecipeError([Problem("clean", f"clean holds {show(item)}; each step must be a name, a table or a Cleaner")])
    made = [_written(part) for part in _parted(item) if part]
    if not made:
        raise RecipeError([Problem("clean", "clean names no step")])
    return made


def _made(kind: str, data: Mapping[str, Any]) -> Cleaner:
    if kind not in TABLE:
        guess = nearest(kind, TABLE)
        known = "" if guess else f"; known are {', '.join(TABLE)}"
        raise RecipeError([Problem("clean", f"clean names the step {kind!r}, which is not known{known}", nearest=guess)])
    cls = TABLE[kind]
    return cls.parse({name: _fitted(cls, name, value) for name, value in data.items()}, f"clean.{kind}.")


def _fitted(cls: type[Cleaner], name: str, value: Any) -> Any:
    """A value that was read as a number as the text, or the list, that the field wants."""
    wanted = str(cls.model_fields[name].annotation) if name in cls.model_fields else ""
    if "tuple" not in wanted:
        return str(value) if "<class 'str'>" in wanted and isinstance(value, int | float) else value
    several: list[Any] = list(value) if isinstance(value, list | tuple) else _several(value)
    return [str(one) for one in several] if "str" in wanted else several


def _several(value: Any) -> list[Any]:
    return value.split("+") if isinstance(value, str) and "+" in value else [value]


def _written(text: str) -> Cleaner:
    found = re.fullmatch(r"\s*(\w+)\s*(?:=\s*(.*)|\((.*)\))?\s*", text, re.DOTALL)
    if found is None:
        raise RecipeError([Problem("clean", f"clean holds {text!r}, which is no step")])
    kind, short, long = found[1], found[2], found[3]
    if short is None and long is None:
        return _made(kind, {})
    if kind not in TABLE:
        return _made(kind, {})  # which says so
    main = next(name for name in TABLE[kind].model_fields if name != "kind")
    if short is not None:
        return _made(kind, {main: _value(short)})
    data: dict[str, Any] = {}
    for part in _parted(long):
        name, sign, value = part.partition("=")
        if not part:
            continue
        if not sign or not re.fullmatch(r"\s*\w+\s*", name):
            raise RecipeError(
                [Problem("clean", f"clean holds {part!r} in {kind}(...); settings there look like name=value")]
            )
        if name.strip() in data:
            raise RecipeError([Problem("clean", f"clean gives {kind}.{name.strip()} twice; once is wanted")])
        data[name.strip()] = _value(value)
    return _made(kind, data)


def _value(text: str) -> Any:
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [_value(part) for part in _parted(text[1:-1]) if part]
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return scalar(text)


def _parted(text: str) -> list[str]:
    """The text between commas that stand in no brackets and no quotes. Raises RecipeError where one is left open."""
    out, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        if letter == "," and not depth and not quote:
            out.append("")
        else:
            out[-1] += letter
        if depth < 0:
            break
    if depth or quote:
        met = f"the quote {quote}" if quote else "a bracket"
        raise RecipeError([Problem("clean", f"clean is {text!r}, in which {met} has no partner")])
    return [part.strip() for part in out]


# Can they follow one another?


def _odd(found: Sequence[Cleaner]) -> list[str]:
    return [*_twice(found), *_order(found)]


def _twice(found: Sequence[Cleaner]) -> list[str]:
    out: list[str] = []
    for at, step in enumerate(found):
        kind = _kind(step)
        for other in (one for one in found[:at] if _kind(one) == kind):
            both = [name for name in step.named if name in other.named]
            apart = isinstance(step, Filler) and bool(step.named) != bool(other.named)  # one of them is for all the others
            file = step.as_data().get("file")
            if both:
                out.append(f"clean names {kind} twice for the column {both[0]}; once is wanted")
            elif file is not None and file == other.as_data()["file"]:
                out.append(f"clean names {kind} twice with the file {file}; once is wanted")
            elif file is None and not apart and not (step.named and other.named):
                more = ", or each time with columns of its own" if "columns" in type(step).model_fields else ""
                out.append(f"clean names {kind} twice; once is wanted{more}")
    return out


def _order(found: Sequence[Cleaner]) -> list[str]:
    for at, late in enumerate(found):
        for early in found[at + 1 :]:
            a, b = _rank(late), _rank(early)
            if a > b:
                why = _WHY[a, b].format(late=_kind(late), early=_kind(early))
                right = ", ".join(_kind(step) for step in sorted(found, key=_rank))
                return [f"clean has {_kind(late)} before {_kind(early)}, and {why}; the order must be {right}"]
    return []


def _rank(step: Cleaner) -> int:
    return next(at for at, kind in enumerate(_KINDS) if isinstance(step, kind))


def _kind(step: Cleaner) -> str:
    return str(getattr(step, "kind", type(step).__name__))


__all__ = ["plain", "steps"]
