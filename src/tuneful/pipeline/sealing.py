"""What only its owner can say of a model, and the artifact made whole with it: card, licence, bill of materials, seal.

artifact = whole(files, evidence, recipe, folder, owner=Owner(licence="CC-BY-4.0", contact="models@example.org"))
artifact = again(folder, Owner.read(Path("about.toml")))        # the same artifact with other words
"""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneful.core.artifact import Artifact, encoded, seal, unseal
from tuneful.core.config import Settings
from tuneful.core.errors import ArtifactError, RecipeError
from tuneful.pipeline.export import version
from tuneful.pipeline.materials import bill, environment
from tuneful.report.card import card

_MADE = ("card.md", "licence.txt", "sbom.json")  # from the other files


class Owner(Settings):
    """Words of the owner of a model. What is left out is told as not known."""

    family = "about"

    name: str = ""  # of who answers for the model
    contact: str = ""  # where to ask
    licence: str = ""  # of the model: an SPDX expression such as Apache-2.0, or other words
    citation: str = ""  # a paper or a page to cite
    uses: str = ""  # what it is meant for
    users: str = ""  # by whom
    out_of_scope: str = ""  # what it must not be used for
    factors: str = ""  # groups, instruments or surroundings that may matter
    collection: str = ""  # how the data was collected, and whom it leaves out
    sensitive: str = ""  # sensitive data, and matters of life and health
    risks: str = ""  # harms that may come of it, and what was done against them
    advice: str = ""  # to whoever uses it

    @staticmethod
    def read(path: Path) -> Owner:
        """From a TOML file with a line each. Raises RecipeError."""
        try:
            told = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(
                f"{path} cannot be read: {error}", 'it must hold lines such as licence = "Apache-2.0"'
            ) from None
        return Owner.parse(told, "about.")

    def told(self) -> dict[str, str]:
        """What was said."""
        return {name: str(value) for name, value in self.as_data().items() if value}


def whole(
    files: Mapping[str, Any],
    evidence: Mapping[str, Any],
    recipe: Mapping[str, Any],
    folder: Path,
    owner: Owner | None = None,
) -> Artifact:
    """Seal an artifact.

    files: all that no other file tells. Raises as `seal`.
    """
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = {**evidence, "created": created, **({"owner": owner.told()} if owner is not None else {})}
    made = {**files, "recipe.json": recipe, "evidence.json": told, "environment.json": environment()}
    return _sealed(made, told, recipe, folder, created, version())


def again(folder: Path, owner: Owner) -> Artifact:
    """The artifact in a folder with other words of its owner, sealed anew; a signature is gone then.

    Raises: ArtifactError for one of an older format, which lacks what a card is made of.
    """
    old = unseal(folder)
    if "environment.json" not in old.names:
        raise ArtifactError(
            f"{folder} has format {old.manifest['format']}, which has no place for these words", "ship the model again"
        )
    told, recipe = {**old.read("evidence.json"), "owner": owner.told()}, old.read("recipe.json")
    kept = {name: old.raw(name) for name in old.names if name not in _MADE}
    created = str(old.manifest["created"])
    return _sealed({**kept, "evidence.json": told}, told, recipe, folder, created, str(old.manifest["tuneful"]))


def _sealed(
    files: Mapping[str, Any], told: Mapping[str, Any], recipe: Mapping[str, Any], folder: Path, created: str, by: str
) -> Artifact:
    licence = str(dict(told.get("owner", {})).get("licence", ""))
    made: dict[str, Any] = {**files, "card.md": card(told, recipe, by), "licence.txt": licence_text(licence)}
    contents = {name: encoded(name, value) for name, value in made.items()}
    surroundings = json.loads(contents["environment.json"])
    name = str(dict(told.get("task", {})).get("name") or "model")
    contents["sbom.json"] = encoded("sbom.json", bill(contents, name, surroundings, licence, created))
    return seal(folder, contents, by, created)


def signing() -> Path | None:
    """The secret key that signs whatever is shipped here: $TUNEFUL_SIGN_KEY."""
    return Path(os.environ["TUNEFUL_SIGN_KEY"]) if os.environ.get("TUNEFUL_SIGN_KEY") else None


def licence_text(licence: str) -> str:
    """What licence.txt says."""
    if licence:
        return f"The owner of this model offers it under: {licence}\nThe packages behind it have licences of their own: sbom.json.\n"
    return (
        "The licence of this model is not known: its owner has named none, so nobody but the owner may be taken to have a right to\n"
        "use it. `tuneful seal ARTIFACT --about about.toml` names one. The packages behind it have licences of their own: sbom.json.\n"
    )


__all__ = ["Owner", "again", "licence_text", "signing", "whole"]
