"""The keys that users may write: which full key a word means, and what is near one that means nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuneful.core.config import Settings, nearest
from tuneful.core.recipe import LISTS, SECTIONS, SIDES, Recipe
from tuneful.techniques.augments import TABLE as AUGMENTS
from tuneful.techniques.inits import TABLE as INITS
from tuneful.techniques.losses import TABLE as LOSSES
from tuneful.techniques.models import TABLE as MODELS
from tuneful.techniques.optimizers import TABLE as OPTIMIZERS
from tuneful.techniques.regularizers import TABLE as REGULARIZERS
from tuneful.techniques.schedules import TABLE as SCHEDULES

FAMILIES: Mapping[str, Mapping[str, type[Settings]]] = {
    "model": MODELS,
    "init": INITS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    **dict.fromkeys(SIDES, SCHEDULES),
    "regularizers": REGULARIZERS,
    "augments": AUGMENTS,
}

TOP = tuple(name for name in Recipe.model_fields if name not in (*SECTIONS, *LISTS, "reasons"))

FIXED = ("model.kind", "model.factory", "model.arguments")

OPEN = "model.arguments."
"""Below it stand names that only the user's own factory knows."""

GROUPS = "optimizer.groups."
"""Below it stand patterns of parameter names, a dot and a setting."""

ALIASES = {
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.decay",
    "wd": "optimizer.decay",
    "batch": "batch_size",
    "activation": "model.activation",
    "label_smoothing": "regularizers.smoothing",
}


class Keys:
    """All full keys, and the short forms that mean exactly one of them."""

    def __init__(self) -> None:
        self.full: list[str] = [*TOP, *SECTIONS, *LISTS]
        shorts: dict[str, list[str]] = {}
        for head in SECTIONS:
            for name in dict.fromkeys(n for cls in FAMILIES[head].values() for n in cls.model_fields if n != "kind"):
                self.full.append(f"{head}.{name}")
                shorts.setdefault(name, []).append(f"{head}.{name}")
            self.full.append(f"{head}.kind")
        for head in LISTS:
            for kind, cls in FAMILIES[head].items():
                self.full.append(f"{head}.{kind}")
                shorts.setdefault(kind, []).insert(0, f"{head}.{kind}")
                for name in cls.model_fields:
                    if name != "kind":
                        self.full.append(f"{head}.{kind}.{name}")
                        shorts.setdefault(f"{kind}.{name}", []).append(f"{head}.{kind}.{name}")
                        shorts.setdefault(name, []).append(f"{head}.{kind}.{name}")
        order = {
            head: place for place, head in enumerate(("optimizer", "model", "schedule", "init", "loss", *LISTS, *SIDES))
        }
        self.short = {
            word: min(found, key=lambda key: (order[key.partition(".")[0]], key.count(".")))
            for word, found in shorts.items()
        }
        self.short.update({alias: key for alias, key in ALIASES.items() if key in self.full})

    def resolve(self, word: str) -> tuple[str, str]:
        """(full key, "") when the word means one, else ("", the nearest key or "")."""
        if word in self.full:
            return word, ""
        if word.startswith((OPEN, "arguments.")) and word.rpartition("arguments.")[2].isidentifier():
            return OPEN + word.rpartition("arguments.")[2], ""
        if word.startswith((GROUPS, "groups.")):
            return GROUPS + word.partition("groups.")[2], ""
        if word in self.short:
            return self.short[word], ""
        return "", nearest(word, [*self.full, *self.short])

    def argument(self, word: str, full: str, takes: Iterable[str]) -> str:
        """The full key of an argument of the user's own factory: a name alone, or below model, unless it means something else
        already. "" when the word names no argument of it."""
        name = word.removeprefix("model.")
        fixed = full and (not full.startswith("model.") or full in FIXED)
        return "" if fixed or name not in takes else OPEN + name

    def near(self, word: str, many: int = 6) -> list[str]:
        """A few keys to offer beside an unknown one, the most alike first."""
        return difflib.get_close_matches(word, self.full, n=many, cutoff=0.0)


def flatten(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested tables as dotted keys. An empty table below a list of techniques means "with its defaults"."""
    found: list[tuple[str, Any]] = []
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and not key.endswith((".arguments", ".groups")):
            found.extend(flatten(value, f"{key}.") if value else [(key, "none" if key in LISTS else True)])
        elif key in LISTS and isinstance(value, list | tuple):
            found.extend(_members(key, value))
        else:
            found.append((key, value))
    return found


def _members(key: str, items: Sequence[Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [(key, "none")]  # a list names all of them: what auto would choose is left out
    for item in items:
        if isinstance(item, Mapping):
            kind = str(item.get("kind", ""))
            fields = {name: value for name, value in item.items() if name != "kind"}
            found.extend(flatten(fields, f"{key}.{kind}.") if fields else [(f"{key}.{kind}", True)])
        elif isinstance(item, Settings):
            found.append((f"{key}.{getattr(item, 'kind', '')}", item))
        else:
            found.append((f"{key}.{item}", True))
    return found
