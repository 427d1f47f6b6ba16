"""The commands that tell what there is: list (techniques and recipes), schema, env."""

from __future__ import annotations

import json
import platform
import sys
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tuneful.cli import runs
from tuneful.cli.mistakes import nearest
from tuneful.cli.use import Output
from tuneful.cli.work import AsJson
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.techniques.interfaces import Technique


def techniques(
    family: Annotated[str | None, typer.Argument(metavar="[FAMILY|TECHNIQUE|RECIPE]", help="such as optimizer, adabound, recipes, or mnist-10",
                                                 show_default=False)] = None,
    as_json: AsJson = False,
) -> int:  # fmt: skip
    """List the techniques, each with one line, its source and its cost; one technique with all its settings. And the recipes, with what
    they reached; one recipe as its file, which may be kept and changed: `tuneful list mnist-10 > my.toml`."""
    if family is not None and (told := _recipes(family, as_json)):
        print(told)
        return 0
    families = _families()
    kinds = {kind: (name, cls) for name, table in families.items() for kind, cls in table.items()}
    wanted = {"models": "model", "inits": "init", "optimizers": "optimizer", "schedules": "schedule", "regularizer": "regularizers",
              "augment": "augments", "source": "sources", "proposers": "proposer", "schedulers": "scheduler",
              "symptom": "symptoms", "cleaners": "clean", "cleaning": "clean", "compressors": "compressor"}  # fmt: skip
    family = wanted.get(family or "", family)
    if family is None or family in families:
        chosen = families if family is None else {family: families[family]}
        if as_json:
            print(
                json.dumps(
                    {name: {kind: _data(cls) for kind, cls in table.items()} for name, table in chosen.items()}, indent=1
                )
            )
        else:
            for name, table in chosen.items():
                print(f"{name}:")
                wide = max(14, *(len(kind) for kind in table))
                for kind, cls in table.items():
                    indent = " " * (wide + 3)
                    print(f"  {kind:<{wide}} {_data(cls)['what']}\n{indent}source: {cls.source}\n{indent}cost: {cls.cost}")
            if family is None:
                print(_recipes("recipes", as_json))
        return 0
    if family not in kinds:
        from tuneful.pipeline import shelf

        guess = nearest(family, [*families, *kinds, "recipes", *shelf.names()])
        known = f"known are {', '.join(families)}, recipes, and every technique and recipe by its name"
        raise TunefulError(f"there is no family and no technique {family}; {f'did you mean {guess}?' if guess else known}",
                           f"such as `tuneful list {guess or 'optimizer'}`")  # fmt: skip
    name, cls = kinds[family]
    data = _data(cls)
    if as_json:
        print(json.dumps({"family": name, "kind": family, **data}, indent=1))
        return 0
    print(f"{family} ({name}): {data['what']}\nsource: {cls.source}\ncost:   {cls.cost}")
    for field, told in data["settings"].items():
        print(
            f"  {field} = {'...' if told['default'] is None else json.dumps(told['default'])}".ljust(28)
            + f"  {told['wanted']}: {told['comment']}"
        )
    return 0


def _recipes(told: str, as_json: bool) -> str:
    """What is said of all recipes, or the text of one; "" where no recipe is meant."""
    from tuneful.pipeline import shelf

    name = told.removeprefix("recipes/").removesuffix(".toml")
    if told in ("recipes", "recipe"):
        found = [shelf.opened(one) for one in shelf.names()]
        if as_json:
            return json.dumps({one.name: one.about.as_data() for one in found}, indent=1)
        wide = max(14, *(len(one.name) for one in found))
        lines = [(one, " " * (wide + 3)) for one in found]
        return "recipes:\n" + "\n".join(
            f"  {one.name:<{wide}} {one.about.what}\n{indent}data: {one.about.data}\n{indent}source: {one.about.source}\n"
            f"{indent}measured: {one.about.measured}"
            for one, indent in lines
        )
    if name not in shelf.names():
        return ""
    one = shelf.opened(name)
    if as_json:
        return json.dumps(
            {"recipe": name, "about": one.about.as_data(), "settings": {e.key: e.value for e in one.entries}}, indent=1
        )
    return one.path.read_text(encoding="utf-8").rstrip()


def _families() -> dict[str, dict[str, type[Technique]]]:
    from tuneful.core.recipe import SIDES
    from tuneful.pipeline.keys import FAMILIES
    from tuneful.techniques.cleaners import TABLE as CLEANERS
    from tuneful.techniques.compressors import TABLE as COMPRESSORS
    from tuneful.techniques.search import PROPOSERS, SCHEDULERS
    from tuneful.techniques.sources import TABLE
    from tuneful.techniques.symptoms import TABLE as SYMPTOMS

    found: Any = {**FAMILIES, "proposer": PROPOSERS, "scheduler": SCHEDULERS, "sources": TABLE, "symptoms": SYMPTOMS,
                  "clean": CLEANERS, "compressor": COMPRESSORS}  # fmt: skip
    return {
        name: dict(table)
        for name, table in cast("dict[str, dict[str, type[Technique]]]", found).items()
        if name not in SIDES
    }


def _data(cls: type[Technique]) -> dict[str, Any]:
    from tuneful.core.config import comments, plain, wanted

    owner: Any = cls
    said = comments(owner)
    settings = {
        name: {
            "default": None if field.is_required() else plain(field.get_default(call_default_factory=True)),
            "wanted": wanted(field),
            "comment": said.get(name, ""),
        }
        for name, field in cls.model_fields.items()
        if name != "kind"
    }
    what = _first(cls.__doc__) or _first(sys.modules[cls.__module__].__doc__)
    return {"what": what, "source": cls.source, "cost": cls.cost, "settings": settings}


def _first(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def schema(output: Output = None) -> int:
    """Print the JSON Schema of recipe files. An editor that is told of it completes keys and marks mistakes.

    In VS Code (Even Better TOML) and Neovim the first line of a recipe says where it is: #:schema tuneful.schema.json
    """
    from tuneful.pipeline import files

    text = json.dumps(files.schema(), indent=1) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        runs.write(output, text)
        print(f"first line of a recipe: #:schema {output}", file=sys.stderr)
    return 0


def env(as_json: AsJson = False) -> int:
    """Say what tuneful runs on: versions, packages that are broken, devices, threads, memory.

    Every package is imported in another process, so that a broken one is told and nothing else.
    """
    from tuneful import __version__
    from tuneful.cli.probe import machine, packages

    found: list[dict[str, Any]] = packages()
    told = {"tuneful": __version__, "python": platform.python_version(), "system": platform.platform(), **machine(),
            "packages": found}  # fmt: skip
    broken = [one for one in found if one["problem"]]
    if as_json:
        print(json.dumps(told, indent=1))
        return 0
    for name, value in told.items():
        if name != "packages":
            print(f"{name + ':':<12} {_joined(value)}")
    print("packages:")
    for one in found:
        state = one["problem"] or "ok"
        print(f"  {one['name']:<14} {one['version'] or '-':<16} {state}")
    needed = [one["name"] for one in broken if one["needed"]]
    if needed:
        print(
            f"what is needed and broken: {', '.join(needed)}\n  hint: pip install --force-reinstall {' '.join(needed)}",
            file=sys.stderr,
        )
    return 2 if needed else 0


def _joined(value: Any) -> str:
    return ", ".join(str(item) for item in cast("list[Any]", value)) if isinstance(value, list) else str(value)
