"""Recipes that are told by name: those that tuneful brings along, with what they rest on and what they reached, and files of the user's own.

    entries("mnist-10")          the settings of recipes/mnist-10.toml inside of the package
    entries("my.toml")           those of a file

A table [about] says what a recipe is, on which data it was measured, where its parts come from and what was measured; it changes
nothing of a training, and a file without it is as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from tuneful.core.config import Settings, nearest
from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import files
from tuneful.pipeline.codec import Entry

SHELF = Path(__file__).resolve().parents[1] / "recipes"
FILES = (".toml", ".yaml", ".yml")
_ABOUT = "about."


class About(Settings):
    """What is known of a recipe."""

    family: ClassVar[str] = "about"

    what: str = ""  # one line
    data: str = ""  # what it was measured on, and how that was read
    source: str = ""  # where its parts come from: author, venue, year, identifier
    measured: str = ""  # what it reached, with count, interval and machine


@dataclass(frozen=True)
class Shelved:
    """A recipe and what is known of it."""

    name: str
    path: Path
    about: About
    entries: tuple[Entry, ...]


def names() -> list[str]:
    """The recipes that tuneful brings along."""
    return sorted(path.stem for path in SHELF.glob("*.toml"))


def located(told: str | Path) -> Path:
    """The file of a recipe: one that comes along, by its name, or the user's own, by its path. Raises RecipeError for neither."""
    word = str(told)
    path = Path(word)
    if path.suffix.lower() in FILES and (path.is_file() or path.parent != Path("recipes") or path.stem not in names()):
        return path
    name = word.removeprefix("recipes/").removesuffix(".toml")
    if name in names():
        return SHELF / f"{name}.toml"
    if path.is_file():
        raise RecipeError(f"{word} is no name for a recipe file; it must end in .toml, .yaml or .yml", "rename it")
    guess = nearest(name, names())
    known = f"did you mean {guess}?" if guess else f"known are {', '.join(names())}"
    raise RecipeError(
        f"there is no recipe {word}; {known}",
        "`tuneful list recipes` tells of each; a file of your own ends in .toml",
    )


def opened(told: str | Path) -> Shelved:
    """A recipe by name or path. Raises RecipeError with every problem of [about], and for a file that cannot be read."""
    path = located(told)
    found = files.read(path)
    said = {one.key.removeprefix(_ABOUT): one for one in found if one.key.startswith(_ABOUT)}
    try:
        about = About.parse({name: one.value for name, one in said.items()}, _ABOUT)
    except RecipeError as error:
        places = {f"{_ABOUT}{name}": one.where for name, one in said.items()}
        raise RecipeError([replace(one, where=places.get(one.key, "")) for one in error.problems], error.hint) from None
    return Shelved(path.stem, path, about, tuple(one for one in found if not one.key.startswith(_ABOUT)))


def entries(told: str | Path | Recipe) -> list[Entry]:
    """The settings of a recipe: by its name, by its path, or as it lies in memory."""
    if isinstance(told, Recipe):
        return in_memory(told)
    return list(opened(told).entries)


def in_memory(recipe: Recipe) -> list[Entry]:
    """What differs from a recipe that leaves everything open; all members of a list are named."""
    usual = Recipe()
    found: list[Entry] = []
    for name in type(recipe).model_fields:
        value: Any = getattr(recipe, name)
        if name == "reasons" or value == getattr(usual, name):
            continue
        members: Sequence[Any] = value if isinstance(value, tuple) and name in ("regularizers", "augments") else ()
        if members or value == ():
            found += [Entry(name, "none"), *(Entry(f"{name}.{one.kind}", one) for one in members)]
        else:
            found.append(Entry(name, value))
    return found


__all__ = ["SHELF", "About", "Shelved", "entries", "located", "names", "opened"]
