"""The models that are served: found by name and version, exchanged while requests are on their way.

A reload opens and warms up what is new beside what is served; only when all of it stands is one reference exchanged. Requests that
have begun keep the version that they were given; a version that is gone from the plan answers those and is closed then. When
anything fails, everything stays as it was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuneful.core.artifact import MANIFEST
from tuneful.core.errors import TunefulError
from tuneful.runtime.serve.examined import examined
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.placed import Place
from tuneful.runtime.serve.refusal import Refusal
from tuneful.runtime.serve.served import Served, opened


@dataclass(frozen=True)
class Standing:
    """A place with its versions at work."""

    place: Place
    versions: Mapping[str, Served]


class Shelf:
    """Used on one event loop. `standing` is replaced as a whole, never changed."""

    def __init__(self, limits: Limits, threads: int, foreign: bool = True) -> None:
        """foreign: look at each artifact in a process of its own first."""
        self.limits, self.threads, self.foreign = limits, threads, foreign
        self.standing: Mapping[str, Standing] = {}
        self._seals: dict[Path, bytes] = {}
        self._dice = random.Random()  # who is asked by chance; nothing secret

    def fill(self, places: Sequence[Place]) -> list[str]:
        """Serve these places from now on, and return what changed, in sentences. Blocks; runs on any thread.

        Raises: TunefulError, and then nothing is changed.
        """
        before = self.standing
        seals: dict[Path, bytes] = {}
        fresh, told = dict[str, Standing](), list[str]()
        for place in places:
            versions: dict[str, Served] = {}
            for version, path in place.versions.items():
                seals[path] = _seal(path)
                old = before[place.name].versions.get(version) if place.name in before else None
                if old is not None and self._seals.get(path) == seals[path]:
                    versions[version] = old
                    continue
                if self.foreign:
                    examined(path)
                versions[version] = opened(place.name, version, path, self.limits, self.threads)
                told.append(f"{place.name} {version} is loaded from {path}")
            if place.name in before and before[place.name].place.serve != place.serve:
                told.append(f"{place.name} is answered by version {place.serve}")
            fresh[place.name] = Standing(place, versions)
        self.standing, self._seals = fresh, seals
        kept = {id(one) for each in fresh.values() for one in each.versions.values()}
        for each in before.values():
            for one in each.versions.values():
                if id(one) not in kept:
                    told.append(f"{one.name} {one.version} is retired")
        return told

    def find(self, name: str | None, version: str | None = None) -> Served:
        """Who answers a request: the version asked for, or the one that serves, or by its share the canary. None is the only model.

        Raises: Refusal (404) that names what there is.
        """
        standing = self.standing
        if name is None:
            if len(standing) != 1:
                raise Refusal(404, "name", "several models are served; say which", f"/predict/NAME; {self._names()}")
            name = next(iter(standing))
        if name not in standing:
            raise Refusal(404, "name", f"there is no model {name[:64]!r}", self._names())
        place, versions = standing[name].place, standing[name].versions
        if version is None:
            canary = place.canary
            version = canary.version if canary and self._dice.random() < canary.share else place.serve
        if version not in versions:
            raise Refusal(404, "name", f"{name} has no version {version[:64]!r}", f"its versions are {', '.join(versions)}")
        return versions[version]

    def shadow(self, served: Served) -> Served | None:
        """Who is asked besides, and not heard."""
        standing = self.standing.get(served.name)
        if standing is None or standing.place.shadow is None or served.version != standing.place.serve:
            return None
        part = standing.place.shadow
        return standing.versions[part.version] if self._dice.random() < part.share else None

    async def refill(self, places: Sequence[Place]) -> list[str]:
        """`fill` on another thread."""
        return await asyncio.get_running_loop().run_in_executor(None, self.fill, places)

    def _names(self) -> str:
        return f"the models are {', '.join(self.standing)}"

    def all(self) -> list[Served]:
        """Every version that is loaded."""
        return [one for each in self.standing.values() for one in each.versions.values()]


def _seal(path: Path) -> bytes:
    try:
        return (path / MANIFEST).read_bytes()[: 1 << 20]
    except OSError:
        raise TunefulError(
            f"{path} holds no {MANIFEST}; it is not an artifact", "give the folder that `ship` wrote"
        ) from None


__all__ = ["Shelf", "Standing"]
