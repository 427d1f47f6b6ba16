"""Which versions of which models are to be served: words of the command line, or a file that can be changed while they are served.

    [digits]                                       # models.toml
    serve = "2"                                    # who answers; the version before is one edit away
    versions = { 1 = "runs/a/artifact", 2 = "runs/b/artifact" }
    canary = { version = "3", share = 0.05 }       # answers so many of the requests
    shadow = { version = "4", share = 1.0 }        # is asked too, and not heard: its agreement is counted

SIGHUP has the file, and every artifact whose content is another than before, read again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tuneful.core.errors import ArtifactError, TunefulError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Part:
    """A version that gets a share of the requests."""

    version: str
    share: float


@dataclass(frozen=True)
class Place:
    """One name under which versions are served; `serve` is the one that answers."""

    name: str
    versions: Mapping[str, Path]
    serve: str
    canary: Part | None = None
    shadow: Part | None = field(default=None)

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), *(("version", version) for version in self.versions)):
            if not _NAME.fullmatch(text):
                raise TunefulError(f"the {what} {text[:80]!r} cannot stand in an address", "letters, digits, . _ and - may")
        for version in (self.serve, *(part.version for part in (self.canary, self.shadow) if part)):
            if version not in self.versions:
                raise TunefulError(f"{self.name} has no version {version!r}", f"its versions are {', '.join(self.versions)}")
        for part in (self.canary, self.shadow):
            if part and not 0 <= part.share <= 1:
                raise TunefulError(
                    f"the share of version {part.version} of {self.name} is {part.share}; it must be in [0, 1]"
                )


def places(words: Sequence[str], name: str | None = None) -> list[Place]:
    """Artifacts as they are written on a command line: PATH, or NAME=PATH. The same name again is a newer version, which answers.

    >>> [place.name for place in places(["runs/digits/artifact", "flowers=models/7"])]
    ['digits', 'flowers']

    name: for the only one. Raises TunefulError.
    """
    found: dict[str, dict[str, Path]] = {}
    for word in words:
        given, equals, path = word.partition("=")
        place = Path(path if equals else word)
        called = given if equals else (name or _called(place))
        versions = found.setdefault(called, {})
        versions[str(len(versions) + 1)] = place
    if name is not None and len(found) > 1:
        raise TunefulError(f"--name {name} names one model, and {len(found)} are given", "write NAME=ARTIFACT for each")
    if not found:
        raise ArtifactError("there is nothing to serve", "such as `tuneful serve runs/digits/artifact`")
    return [Place(called, versions, list(versions)[-1]) for called, versions in found.items()]


def of_file(path: Path) -> list[Place]:
    """The places of a TOML file; its paths are relative to it. Raises TunefulError that names what is wrong."""
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TunefulError(f"{path} cannot be read as TOML: {error}") from None
    found = [_place(path, name, entry) for name, entry in told.items()]
    if not found:
        raise TunefulError(f"{path} names no model", 'such as [digits] with versions = { 1 = "runs/digits/artifact" }')
    return found


def _place(path: Path, name: str, entry: Any) -> Place:
    table = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    if odd := [key for key in table if key not in ("versions", "serve", "canary", "shadow")]:
        raise TunefulError(f"{path}: [{name}] has {odd[0]}, which means nothing", "versions, serve, canary and shadow do")
    given = table.get("versions")
    if (
        not isinstance(given, dict)
        or not given
        or not all(isinstance(v, str) for v in cast("dict[str, Any]", given).values())
    ):
        raise TunefulError(f"{path}: [{name}] needs versions", 'such as versions = { 1 = "runs/digits/artifact" }')
    versions = {version: path.parent / folder for version, folder in cast("dict[str, str]", given).items()}
    serve = str(table.get("serve", list(versions)[-1]))
    return Place(name, versions, serve, *(_part(path, name, key, table.get(key)) for key in ("canary", "shadow")))


def _part(path: Path, name: str, key: str, given: Any) -> Part | None:
    if given is None:
        return None
    try:
        table = cast("dict[str, Any]", given)
        return Part(str(table["version"]), float(table["share"]))
    except (TypeError, KeyError, ValueError):
        raise TunefulError(
            f"{path}: {key} of [{name}] needs version and share", f'such as {key} = {{ version = "2", share = 0.05 }}'
        ) from None


def _called(path: Path) -> str:
    """A name for an artifact: that of its folder, or of its run where the folder is called artifact."""
    whole = path.resolve()
    name = whole.parent.name if whole.name == "artifact" else whole.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "model"


__all__ = ["Part", "Place", "of_file", "places"]
