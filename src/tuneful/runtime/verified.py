"""Everything about an artifact that can be checked without its data, one line each; `tuneful verify` prints them.

    seal          format, every file's size and hash, nothing beside the listed
    signature     that of the manifest, by the key that is trusted where one is given
    no pickle     each file is what its name says; none is a pickle, or holds one
    weights       the header of weights.safetensors promises what is there
    network       loads and answers its own schema's example in a child process with bounded memory and time
    explanation   where the network gives maps, they add up to its answers, also for noise
    inputs        inputs.json asks for what preprocessing.json takes
    reference     reference.json is whole
    evidence      parity, measures with intervals
    card          the sections of a model card
    materials     sbom.json names every file by its hash
    licence       is told

A check that fails says so and the others go on; nothing after a broken seal is believed, so that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tuneful.core.artifact import FORMAT, Artifact, unseal
from tuneful.core.errors import ArtifactError, TunefulError
from tuneful.runtime import reference, tensorsfile
from tuneful.runtime.inputs import described
from tuneful.runtime.onnxfile import external_tensors
from tuneful.runtime.signature import signed_by

SECTIONS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
"""Of a model card: Mitchell et al. 2019."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. holds: None where an older format has nothing to look at."""

    name: str
    holds: bool | None
    said: str


def verified(folder: Path, trusted: Path | None = None) -> list[Check]:
    """All checks of an artifact. trusted: the public key that must have signed it."""
    try:
        artifact = unseal(folder)
    except ArtifactError as error:
        return [Check("seal", False, error.message)]
    number, by = artifact.manifest["format"], str(artifact.manifest.get("tuneful"))[:40]
    older = f", older than {FORMAT} and read as it was" if number < FORMAT else ""
    found = [
        Check("seal", True, f"{len(artifact.names)} files are what was sealed; format {number}{older}, by tuneful {by}")
    ]
    apart = dict[str, float | None]()
    looks: dict[str, Callable[[], str]] = {
        "signature": lambda: _signature(artifact, trusted),
        "no pickle": lambda: _no_pickle(artifact),
        "weights": lambda: _weights(artifact),
        "network": lambda: _network(artifact, apart),
        "explanation": lambda: _explanation(artifact, apart),
        "inputs": lambda: _inputs(artifact),
        "reference": lambda: _reference(artifact),
        "evidence": lambda: _evidence(artifact),
        "card": lambda: _card(artifact),
        "materials": lambda: _materials(artifact),
        "licence": lambda: _licence(artifact),
    }
    for name, look in looks.items():
        try:
            said = look()
            found.append(Check(name, None if said.startswith("none") else True, said))
        except TunefulError as error:
            found.append(Check(name, False, error.message))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            found.append(Check(name, False, f"it is not as `ship` writes it ({error!r})"))
    return found


def _signature(artifact: Artifact, trusted: Path | None) -> str:
    by = signed_by(artifact, trusted)
    if not by:
        return "none: nobody vouches for it; hashes tell damage, not forgery"
    return f"by {by}" + ("" if trusted else ", a key that this file itself names; --key KEY.pub says whom you trust")


def _no_pickle(artifact: Artifact) -> str:
    """Each file is what its name says, and none of what a name may say is unpickled by anybody."""
    for name in artifact.names:
        kind = Path(name).suffix
        if kind == ".json":
            artifact.read(name)
        elif kind in (".md", ".txt"):
            artifact.raw(name).decode("utf-8")
        elif kind == ".onnx":
            external_tensors(artifact.raw(name))
        elif kind in (".pt2", ".tflite"):
            data = artifact.raw(name)
            if (why := tensorsfile.pickled(data)) or (data[4:8] != b"TFL3" and not data.startswith(b"PK")):
                raise ArtifactError(f"{name}: {why or 'it is not what its name says'}")
        elif kind != ".safetensors":
            raise ArtifactError(f"{name} is of a kind that no artifact has; nobody may know what opening it does")
    return "each file is what its name says, and none holds a pickle"


def _weights(artifact: Artifact) -> str:
    path = artifact.folder / "weights.safetensors"
    with path.open("rb") as file:
        found = tensorsfile.header(file, artifact.manifest["files"]["weights.safetensors"]["bytes"])
    return f"{len(found)} tensors, one behind the other"


def _network(artifact: Artifact, apart: dict[str, float | None]) -> str:
    from tuneful.runtime.serve.examined import examined

    apart["found"] = examined(artifact.folder.resolve())
    return "loads, and answers the example of its own schema, in a process with bounded memory and time"


def _explanation(artifact: Artifact, apart: Mapping[str, float | None]) -> str:
    told = dict(artifact.read("evidence.json").get("export", {}).get("explanation", {}))
    if not told.get("kind"):
        return f"none: {told.get('why_not', 'this format has none')}"
    if "found" not in apart:
        raise ArtifactError("the network could not be asked")
    found, allowed = apart["found"], told["tolerance"]
    if found is None:
        raise ArtifactError("evidence.json tells of maps, and the network gives none")
    if allowed is not None and not found <= 10 * allowed:
        raise ArtifactError(f"the maps of noise lie {found:.2g} from its answers; {10 * allowed:.2g} is allowed")
    bound = f"; {10 * allowed:.2g} is allowed" if allowed is not None else ", as inner values are rounded to few bits"
    return f"maps of {'x'.join(map(str, told['shape']))} places add up to the answers within {found:.2g} on noise{bound}"


def _inputs(artifact: Artifact) -> str:
    if "inputs.json" not in artifact.names:
        return "none in this format"
    told, facts = artifact.read("inputs.json"), artifact.read("preprocessing.json")
    wanted = described(facts["schema"], facts["shape"], reference.read(artifact))
    if told != wanted:
        raise ArtifactError("inputs.json asks for something else than preprocessing.json and reference.json tell")
    if "properties" not in told:
        return "agree with preprocessing.json"
    return f"agree with preprocessing.json: {len(told['properties'])} columns"


def _reference(artifact: Artifact) -> str:
    told = reference.read(artifact)
    if told is None:
        return "none: drift cannot be told against training"
    return f"{len(told['inputs']['features'])} features of {told['inputs']['n']} examples"


def _evidence(artifact: Artifact) -> str:
    told = artifact.read("evidence.json")
    parity = told["export"]["parity"]
    apart, allowed = parity["largest_difference"], parity["tolerance"]
    if allowed is not None and not 0 <= apart <= allowed:
        raise ArtifactError(f"the export differs from torch by {apart}; {allowed} is allowed")
    found = cast("Mapping[str, Any]", told.get("test") or told.get("valid") or {})
    for name, one in found.items():
        if one["value"] is not None and one["low"] is not None and not one["low"] <= one["value"] <= one["high"]:
            raise ArtifactError(f"{name[:40]} lies outside of its own interval")
    bound = "" if allowed is None else f"; at most {allowed:.2g} was allowed"
    return f"{len(found)} measures with intervals; within {apart:.2g} of torch on {parity['rows']} rows{bound}"


def _card(artifact: Artifact) -> str:
    text = str(artifact.read("card.md"))
    if absent := [section for section in SECTIONS if f"## {section}\n" not in text]:
        raise ArtifactError(f"card.md has no section {absent[0]}")
    return f"{len(SECTIONS)} sections; {text.lower().count('not known')} things are told as not known"


def _materials(artifact: Artifact) -> str:
    if "sbom.json" not in artifact.names:
        return "none in this format"
    told = artifact.read("sbom.json")
    if told["bomFormat"] != "CycloneDX":
        raise ArtifactError("sbom.json is no CycloneDX document")
    hashes = {one["name"]: one["hashes"][0]["content"] for one in told["components"] if one["type"] == "file"}
    sealed = {name: entry["sha256"] for name, entry in artifact.manifest["files"].items() if name != "sbom.json"}
    if odd := sorted({*hashes.items()} ^ {*sealed.items()}):
        raise ArtifactError(f"sbom.json and the manifest differ about {odd[0][0]}")
    libraries = sum(one["type"] == "library" for one in told["components"])
    return f"CycloneDX {told['specVersion']}: {len(hashes)} files, {libraries} packages"


def _licence(artifact: Artifact) -> str:
    if "licence.txt" not in artifact.names:
        return "none in this format"
    licence = str(dict(artifact.read("evidence.json").get("owner", {})).get("licence", ""))
    return licence[:80] if licence else "none named: ask the owner"


__all__ = ["SECTIONS", "Check", "verified"]
