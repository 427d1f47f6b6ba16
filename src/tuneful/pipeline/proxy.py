"""A proxy: what `proxy=width=64 full=width=1024` says, and the settings that it stands for.

The small network is tuned with muP as its init, whose base is the small width; whoever names an init has it, and the coordinate check judges
it like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline.codec import Entry
from tuneful.pipeline.keys import OPEN, Keys
from tuneful.techniques.inits import MuP
from tuneful.techniques.models import Own

SUCH = "such as --proxy width=64 --target width=1024; from Python proxy='width=64', full='width=1024'"


@dataclass(frozen=True)
class Proxy:
    """key: the setting that is the width, as the user names it; small, full: its values."""

    key: str
    small: int
    full: int

    @staticmethod
    def of(proxy: str | None, full: str | None) -> Proxy | None:
        """The pair; None where neither is given. Raises RecipeError for one alone, and for what is no growing width of one name."""
        if proxy is None and full is None:
            return None
        if proxy is None or full is None:
            missing, there = ("proxy", "target") if proxy is None else ("target", "proxy")
            raise RecipeError(
                f"--{there} is given without --{missing}: a rate is found at one width and used at another", SUCH
            )
        (key, small), (other, large) = _read("proxy", proxy), _read("target", full)
        if key != other:
            raise RecipeError(
                f"the proxy is a value of {key}, and the target one of {other}; they must be of one setting", SUCH
            )
        if large <= small:
            raise RecipeError(
                f"the proxy has {key}={small} and the target {key}={large}; the target must be the wider one", SUCH
            )
        return Proxy(key, small, large)

    def entries(self, told: Sequence[Entry]) -> list[Entry]:
        """The settings of the small network. told: those of the user, which must leave the width open. Raises RecipeError."""
        keys = Keys()
        full = keys.resolve(self.key)[0]
        if full and not full.startswith("model."):
            raise RecipeError(
                f"the proxy is {self.key}={self.small}; it must be a width of the model, and {full} is none", SUCH
            )
        heads: list[str] = []
        for one in told:
            path = keys.resolve(one.key)[0] or one.key
            if one.key == self.key or (full and path == full):
                raise RecipeError(
                    f"{one.key} is {one.value} and --proxy {self.key}={self.small} as well; the width of the small network "
                    "has one value",
                    f"leave {one.key} out",
                )
            heads.append(path.partition(".")[0])
        made = [Entry(self.key, self.small)]
        return [*made, Entry("init", "mup"), Entry("init.base", self.small)] if "init" not in heads else made

    def dial(self, recipe: Recipe) -> str:
        """The full key of the width in a recipe."""
        name = self.key.rpartition(".")[2]
        return OPEN + name if isinstance(recipe.model, Own) else Keys().resolve(self.key)[0]

    def dialled(self, recipe: Recipe) -> Recipe:
        """The recipe, whose muP knows which setting is the width."""
        init: Any = recipe.init
        return recipe.replace("init.dial", self.dial(recipe)) if isinstance(init, MuP) else recipe

    def grown(self, recipe: Recipe) -> Recipe:
        """The recipe of the large network: the same, but for its width."""
        return recipe.replace(self.dial(recipe), self.full)


def _read(option: str, text: str) -> tuple[str, int]:
    key, _, value = str(text).partition("=")
    if not re.fullmatch(r"[A-Za-z][\w.]*", key.strip()) or not re.fullmatch(r"[1-9]\d*", value.strip()):
        raise RecipeError(f"--{option} is {text}; it must be a width of the model with one whole value", SUCH)
    return key.strip(), int(value)


__all__ = ["Proxy"]
