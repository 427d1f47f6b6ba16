"""Recipe files: TOML (and YAML) read with the line of every key, written with comments, and a JSON Schema for editors."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneful.core.config import Settings, comments, plain
from tuneful.core.errors import Problem, RecipeError
from tuneful.core.recipe import LISTS, SECTIONS, SIDES, Recipe
from tuneful.core.space import Space
from tuneful.pipeline.codec import Entry
from tuneful.pipeline.keys import FAMILIES, TOP, flatten

LIMIT = 1_000_000  # bytes; a recipe has a few hundred
OF_THE_MACHINE = ("threads", "precision")  # what auto chooses by looking at the machine


def read(path: Path) -> list[Entry]:
    """Every setting of a recipe file with its place. Keys below [data] begin with "data.".

    Raises RecipeError for a file that is missing, too large, not text or not TOML/YAML, naming the line.
    """
    if not path.is_file():
        raise RecipeError(f"there is no recipe file {path}", "`tuneful init DATA` writes one")
    if path.stat().st_size > LIMIT:
        raise RecipeError(f"{path} has {path.stat().st_size} bytes; a recipe has at most {LIMIT}", "is it a recipe at all?")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    if path.suffix.lower() in (".yaml", ".yml"):
        data, lines = _yaml(path, text)
    else:
        data, lines = _toml(path, text)
    if not isinstance(data, dict):
        raise RecipeError(f"{path} holds {type(data).__name__}; a recipe is a table of settings")
    return [
        Entry(key, value, f"{path}:{_line(lines, key)}" if _line(lines, key) else str(path)) for key, value in flatten(data)
    ]


def _line(lines: Mapping[str, int], key: str) -> int:
    """The line of a key, or of the nearest table above it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 0)


def _toml(path: Path, text: str) -> tuple[Any, dict[str, int]]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        twice = "overwrite" in str(error)
        place = f"{path}:{found[1]}" if found else str(path)
        raise RecipeError(
            [Problem("", f"it cannot be read as TOML ({error})", place)],
            "a key stands twice; leave one line" if twice else 'text values need quotes: lr = "1e-4..1e-1"',
        ) from None
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            table = re.sub(r"[\"'\s]", "", header[1])
            lines.setdefault(table, number)
        elif name := re.match(r"\s*([\w\-.\"' ]+?)\s*=", line):
            key = re.sub(r"[\"'\s]", "", name[1])
            lines.setdefault(f"{table}.{key}" if table else key, number)
    return data, lines


def _yaml(path: Path, text: str) -> tuple[Any, dict[str, int]]:
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text) or {}
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        reason = str(getattr(error, "problem", error)).splitlines()[0]
        raise RecipeError([Problem("", f"it cannot be read as YAML ({reason})", place)]) from None
    lines: dict[str, int] = {}
    waiting = [("", root)]
    while waiting:
        prefix, node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                key = f"{prefix}{name.value}"
                lines.setdefault(key, name.start_mark.line + 1)
                waiting.append((f"{key}.", value))
    return data, lines


def write(
    recipe: Recipe,
    space: Space | None = None,
    data: Mapping[str, Any] | None = None,
    heading: str = "",
    *,
    travels: bool = False,
) -> str:
    """A recipe as commented TOML that `read` gives back equal. Ranges of the space stand where the numbers stood.

    travels: the file is for any machine, so what auto chose by looking at this one stays "auto", with the choice as comment.
    """
    ranges = {dial.path: str(dial.range) for dial in space} if space else {}
    if travels:
        for name in OF_THE_MACHINE:
            if name in recipe.reasons and name not in ranges and getattr(recipe, name) != "fp32":
                reason = f"{getattr(recipe, name)} here, as {recipe.reasons[name]}"
                recipe = recipe.replace(name, "auto").because(name, reason)
    out = [f"# {line}" for line in heading.splitlines()]
    if data:
        out += ["", "[data]", *(_setting(name, value) for name, value in data.items() if value not in (None, (), [], ""))]
    idle = [side.replace("_schedule", "_to") for side in SIDES if getattr(recipe, side) == "none"]
    top = [
        _setting(name, ranges.get(name, getattr(recipe, name)), _why(recipe, name) or comments(Recipe).get(name, ""))
        for name in TOP
        if name not in idle
    ]
    # TOML wants what belongs to no table before the first table.
    out = [*out[: len(heading.splitlines())], "", *top, *out[len(heading.splitlines()) :]]
    for head in SECTIONS:
        value = getattr(recipe, head)
        if isinstance(value, Settings):
            kind = ranges.get(head, getattr(value, "kind", ""))
            out += ["", f"[{head}]", _setting("kind", kind, _why(recipe, head) or _first_line(type(value)))]
            out += (
                _of_variants(value, head, ranges, space)
                if space and head in space.variants
                else _fields(value, head, ranges)
            )
    for head in LISTS:
        value = getattr(recipe, head)
        if value == ():
            out += ["", f"[{head}]", f"# none{': ' + _why(recipe, head) if _why(recipe, head) else ''}"]
        elif value != "auto":
            for member in value:
                kind = getattr(member, "kind", "")
                out += ["", f"[{head}.{kind}]", f"# {_why(recipe, head) or _first_line(type(member))}"]
                out += _fields(member, f"{head}.{kind}", ranges)
    return "\n".join(out).strip() + "\n"


def _fields(value: Settings, prefix: str, ranges: Mapping[str, str]) -> list[str]:
    said = comments(type(value))
    return [
        _setting(name, _ranged(getattr(value, name), f"{prefix}.{name}", ranges), said.get(name, ""))
        for name in type(value).model_fields
        if name != "kind"
    ]


def _ranged(value: Any, key: str, ranges: Mapping[str, str]) -> Any:
    """The value, or the range in its place; inside the arguments of the user's own factory too."""
    if isinstance(value, Mapping):
        return {name: ranges.get(f"{key}.{name}", inner) for name, inner in value.items()}
    return ranges.get(key, value)


def _of_variants(first: Settings, head: str, ranges: Mapping[str, str], space: Space) -> list[str]:
    """The fields of a section whose technique is a choice: those that are searched, or set to something for one of them."""
    out: list[str] = []
    told: set[str] = set()
    for variant in (first, *space.variants[head].values()):
        for name, field in type(variant).model_fields.items():
            value = _ranged(getattr(variant, name), f"{head}.{name}", ranges)
            if name != "kind" and name not in told and value != field.default:
                told.add(name)
                out.append(_setting(name, value, comments(type(variant)).get(name, "")))
    return out


def _why(recipe: Recipe, path: str) -> str:
    return f"auto: {recipe.reasons[path]}" if path in recipe.reasons else ""


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""


def _setting(name: str, value: Any, comment: str = "") -> str:
    text = f"{name} = {_literal(plain(value))}"
    return f"{text:<34} # {comment}" if comment else text


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{json.dumps(key)} = {_literal(item)}" for key, item in value.items()) + " }"
            if value
            else "{}"
        )
    return repr(value)


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of recipe files, for completion and checks in editors. Any number may be a range."""
    a_range = {"type": "string", "description": "a range or a choice: 1e-4..1e-1, log(1..5), 16..256, sgd,adam"}
    properties: dict[str, Any] = {"data": {"type": "object", "description": "what to learn from: source, target, ..."}}
    top = Recipe.model_json_schema(mode="validation")["properties"]
    said = comments(Recipe)
    for name in TOP:
        properties[name] = {"anyOf": [_clean(top[name]), a_range], "description": said.get(name, "")}
    for head in SECTIONS:
        kinds = [_technique(cls, a_range) for cls in FAMILIES[head].values()]
        properties[head] = {
            "anyOf": [{"enum": ["none" if head in SIDES else "auto", *FAMILIES[head]]}, a_range, *kinds],
            "description": said.get(head, ""),
        }
    for head in LISTS:
        members = {
            kind: {"anyOf": [_technique(cls, a_range), {"type": ["number", "boolean", "string"]}]}
            for kind, cls in FAMILIES[head].items()
        }
        table = {"type": "object", "properties": members, "additionalProperties": False}
        properties[head] = {
            "anyOf": [{"enum": ["auto", "none"]}, {"type": "array"}, table],
            "description": said.get(head, ""),
        }
    properties["ranges"] = {
        "type": "object",
        "description": "what tune and optimize vary, from the values above: optimizer.lr, model.width, ...; or auto",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tuneful recipe",
        "type": "object",
        "properties": properties,
        "additionalProperties": True,
    }


def _technique(cls: type[Settings], a_range: Mapping[str, Any]) -> dict[str, Any]:
    made = cls.model_json_schema(mode="validation")
    said = comments(cls)
    fields = {
        name: _clean(field) if name == "kind" else {"anyOf": [_clean(field), a_range], "description": said.get(name, "")}
        for name, field in made["properties"].items()
    }
    return {
        "type": "object",
        "title": made["title"],
        "description": _first_line(cls),
        "properties": fields,
        "additionalProperties": False,
    }


def _clean(field: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "title"}
