"""What the shell may offer while a line is typed: settings and techniques, read from the source without importing any.

The families import torch, which takes longer than anybody waits for a tab; their files tell the same to `ast` in some
milliseconds. tests/cli holds this equal to `pipeline.keys`.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

SIDES = ("momentum_schedule", "decay_schedule", "batch_schedule")
SECTIONS = (
    "model",
    "init",
    "loss",
    "optimizer",
    "schedule",
    *SIDES,
)  # as core.recipe has them, which takes pydantic to import
LISTS = ("regularizers", "augments")
FOLDERS = {
    "model": "models", "init": "inits", "loss": "losses", "optimizer": "optimizers", "schedule": "schedules", "regularizers": "regularizers",
    "augments": "augments", "clean": "cleaners", **dict.fromkeys(SIDES, "schedules"),
}  # fmt: skip
PROPOSERS = ("grid", "random", "sobol", "halton", "coarse_to_fine", "tpe", "curves", "gp", "cma_es", "nsga_ii", "evolution")
SCHEDULERS = ("asha", "median", "percentile", "successive_halving", "hyperband", "freeze_thaw", "pbt", "full")
ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def techniques(family: str) -> dict[str, tuple[str, ...]]:
    """{kind: its settings} of a family; what a class inherits from another of its family, or from the interface, counts."""
    classes: dict[str, ast.ClassDef] = {}
    rooms = [ROOT / "techniques" / room for room in ("interfaces", FOLDERS[family])]
    for path in (path for room in rooms for path in sorted(room.glob("*.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return {kind: _inherited(node, classes) for node in classes.values() if (kind := _kind(node))}


@functools.cache
def keys() -> dict[str, tuple[str, ...]]:
    """{key: values to offer}: the short and the full names of every setting."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(top(), ())
    found |= dict.fromkeys(_names("terms.py", "Data"), ())
    found |= dict.fromkeys(aliases(), ())
    found["clean"] = tuple(techniques("clean"))
    found |= {"proposer": PROPOSERS, "scheduler": SCHEDULERS, "eta": ()}
    for head in SECTIONS:
        kinds = techniques(head)
        found[head] = (*kinds, "none") if head in SIDES else tuple(kinds)
        for name in dict.fromkeys(name for names in kinds.values() for name in names):
            found[f"{head}.{name}"] = ()
            found.setdefault(name, ())
    for head in LISTS:
        kinds = techniques(head)
        found[head] = (*kinds, "none")
        for kind, names in kinds.items():
            found[f"{head}.{kind}"] = ()
            found.setdefault(kind, ())
            found |= {f"{head}.{kind}.{name}": () for name in names}
    return found


@functools.cache
def top() -> tuple[str, ...]:
    """The settings of a recipe that belong to no technique."""
    tree = ast.parse((ROOT / "core" / "recipe.py").read_text(encoding="utf-8"))
    recipe = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Recipe")
    return tuple(name for name in _fields(recipe) if name not in (*SECTIONS, *LISTS, "reasons"))


@functools.cache
def aliases() -> tuple[str, ...]:
    """Other names of settings, from the table in pipeline/keys.py."""
    tree = ast.parse((ROOT / "pipeline" / "keys.py").read_text(encoding="utf-8"))
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ALIASES"]
    return tuple(str(name) for table in tables for name in ast.literal_eval(table))


def words(incomplete: str) -> list[str]:
    """What a word that begins like this may become: `key=`, or `key=value` where the values are few. Nothing leaves the shell
    to offer files."""
    key, sign, begun = incomplete.partition("=")
    known = keys()
    if sign:
        return [f"{key}={value}" for value in known.get(key, ()) if value.startswith(begun)]
    offered = [f"{name}=" for name in known if name.startswith(key) and (key or "." not in name)]
    return [*(["digits"] if "digits".startswith(key) else []), *offered]


def recipes(incomplete: str) -> list[str]:
    """Names of recipes that come along; nothing leaves the shell to offer files."""
    return sorted(path.stem for path in (ROOT / "recipes").glob("*.toml") if path.stem.startswith(incomplete))


def contenders(incomplete: str) -> list[str]:
    """What a word after `tuneful compare` may become: an optimizer, or a setting of all runs."""
    kinds = [kind for kind in techniques("optimizer") if kind.startswith(incomplete)]
    return [*kinds, *(word for word in words(incomplete) if "=" in word)]


def _inherited(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> tuple[str, ...]:
    above = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    names = [name for parent in above for name in _inherited(parent, classes)]
    return tuple(name for name in dict.fromkeys([*names, *_fields(node)]) if name != "kind")


def _names(file: str, cls: str) -> tuple[str, ...]:
    tree = ast.parse((ROOT / "pipeline" / file).read_text(encoding="utf-8"))
    node = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)
    return _fields(node)


def _fields(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and item.target.id[0] != "_"
        and "ClassVar" not in ast.dump(item.annotation)
    )


def _kind(node: ast.ClassDef) -> str:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id == "kind":
            return item.value.value if isinstance(item.value, ast.Constant) and isinstance(item.value.value, str) else ""
    return ""
