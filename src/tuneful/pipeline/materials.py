"""What an artifact is made with and of: environment.json, and a bill of materials in CycloneDX's JSON.

The bill tells the model (a machine-learning-model with its licence and figures), every file of the artifact with its hash, and the
Python packages behind it: those that run it (scope "required") and those that made it ("excluded" from what runs).

Source: CycloneDX 1.6 (ECMA-424), https://cyclonedx.org/docs/1.6/json/; Package URL specification for names of packages.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RUNS = ("numpy", "onnxruntime")  # what `tuneful predict` needs
SPEC = "1.6"
_NAMESPACE = uuid.UUID("5d2c8a0e-6a0a-4f0e-9c39-7b7c3f6f1f10")  # of our serial numbers
_MARK = re.compile(r"[\s;\[(<>=!~].*")
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def environment() -> dict[str, Any]:
    """Versions and the processor. No name of a machine, a user or a folder."""
    import torch

    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "cuda": torch.version.cuda or "none",
        "packages": {name: dist.version for name, dist in packages().items()},
    }


def packages() -> dict[str, importlib.metadata.Distribution]:
    """The packages that tuneful needs, and that those need, as far as they are installed; by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = ["tuneful", "torch", "onnx", "onnxscript", "safetensors", *RUNS]
    while waiting:
        name = waiting.pop(0)
        if normal(name) in found:
            continue
        try:
            dist = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[normal(name)] = dist
        waiting += [_MARK.sub("", need) for need in dist.requires or () if "extra" not in need.partition(";")[2]]
    return dict(sorted(found.items()))


def normal(name: str) -> str:
    """A package's name as registries compare it.

    >>> normal("Typing_Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def bill(
    contents: Mapping[str, bytes], name: str, made: Mapping[str, Any], licence: str = "", created: str = ""
) -> dict[str, Any]:
    """The bill of materials of an artifact.

    Args:
        contents: its files, but for the bill and the manifest. name: of the model. made: what environment.json holds.
        licence: of the model, an SPDX expression or other words; "" where it is not known.
        created: ISO time.
    """
    digests = {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()}
    serial = uuid.uuid5(_NAMESPACE, "".join(f"{file}:{digest}\n" for file, digest in sorted(digests.items())))
    version = digests["model.onnx"][:12]
    model: dict[str, Any] = {
        "type": "machine-learning-model", "bom-ref": "model", "name": name, "version": version,
        "hashes": [{"alg": "SHA-256", "content": digests["model.onnx"]}],
        **({"licenses": licensed(licence)} if licence else {}),
    }  # fmt: skip
    files = [
        {"type": "file", "bom-ref": f"file:{file}", "name": file, "hashes": [{"alg": "SHA-256", "content": digest}]}
        for file, digest in sorted(digests.items())
    ]
    libraries = [_library(package, str(number), needed) for package, number, needed in _listed(made)]
    refs = [str(one["bom-ref"]) for one in libraries]
    needs = [str(one["bom-ref"]) for one in libraries if one["scope"] == "required"]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX", "specVersion": SPEC, "serialNumber": f"urn:uuid:{serial}", "version": 1,
        "metadata": {
            **({"timestamp": created} if created else {}),
            "tools": {"components": [{"type": "application", "name": "tuneful", "version": str(_own(made))}]},
            "component": model,
        },
        "components": [*files, *libraries],
        "dependencies": [{"ref": "model", "dependsOn": [*(str(one["bom-ref"]) for one in files), *needs]},
                         *({"ref": ref} for ref in refs)],
    }  # fmt: skip


def _listed(made: Mapping[str, Any]) -> Iterable[tuple[str, str, bool]]:
    return ((str(name), str(number), name in RUNS) for name, number in dict(made.get("packages", {})).items())


def _own(made: Mapping[str, Any]) -> str:
    return str(dict(made.get("packages", {})).get("tuneful", "0+unknown"))


def _library(name: str, version: str, needed: bool) -> dict[str, Any]:
    url = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    told: dict[str, Any] = {
        "type": "library", "bom-ref": url, "name": name, "version": version, "purl": url,
        "scope": "required" if needed else "excluded",
    }  # fmt: skip
    try:
        about: Any = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return told
    said = str(about.get("License-Expression") or about.get("License") or "").strip()
    said = said if len(said) < 80 and "\n" not in said else ""
    if not said:  # older packages say it among their classifiers
        said = next(
            (line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License ::")), ""
        )
    return {**told, **({"licenses": licensed(said)} if said else {})}


def licensed(said: str) -> list[dict[str, Any]]:
    """A licence as the bill tells it: words of SPDX as an expression, everything else by its name."""
    if _SPDX.fullmatch(said) and ("-" in said or said in ("MIT", "ISC", "Zlib", "Unlicense", "0BSD")):
        return [{"expression": said}]
    return [{"license": {"name": said}}]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


__all__ = ["bill", "environment", "licensed", "normal", "packages"]
