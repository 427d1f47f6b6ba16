"""A look at a foreign artifact in a process that may die of it: limited memory, limited time, no network of ours, no terminal.

A file of twelve bytes can ask for terabytes, expand to gigabytes while it is optimized, or loop 2^62 times. Hashes do not help:
whoever made the artifact made them too. So each artifact is loaded and run once in a child first; when the child is killed,
crashes or takes too long, the artifact is refused and nothing of it has touched the process that serves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.core.errors import ArtifactError

if TYPE_CHECKING:
    from tuneful.runtime.load import Model

SECONDS = 60.0
MEMORY = 4 << 30  # bytes of address space beyond the file's own size, times three
_CHILD = "from tuneful.runtime.serve.examined import look; look()"
_WHY = "do not use this artifact; ship the model again"


def examined(path: Path, seconds: float = SECONDS, memory: int = MEMORY) -> float | None:
    """How far the maps of noise lie from its answers (`runtime.explain.apart`); None where the network gives no maps.

    Raises ArtifactError when an artifact cannot be loaded and run once within these limits."""
    source = str(Path(__file__).resolve().parents[3])
    known = {"PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")])), "OMP_NUM_THREADS": "1"}
    env = {**{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}, **known}
    words = [sys.executable, "-c", _CHILD, str(path), str(memory), str(int(seconds) + 1)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=seconds, env=env, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"{path} takes more than {seconds:g} s to load and run once", _WHY) from None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    if told is None:
        raise ArtifactError(f"{path} ends the process that loads it (code {done.returncode}): it crashes onnxruntime or wants more than "
                            f"{memory / 2**30:.0f} GiB", _WHY)  # fmt: skip
    if told["error"]:
        raise ArtifactError(told["error"], told["hint"])
    return told["apart"]


def look() -> None:
    """What the child does: load, run the example, tell. argv: path, bytes, seconds of CPU."""
    from tuneful.core.errors import TunefulError

    path, memory, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _limited(memory + 3 * sum(file.stat().st_size for file in path.glob("*") if file.is_file()), seconds)
    from tuneful.runtime.load import load
    from tuneful.runtime.serve import example

    told: dict[str, Any] = {"error": "", "hint": "", "apart": None}
    try:
        model = load(path)
        model.predict(example.raw(model))
        told["apart"] = _apart(model) if model.explains else None
    except TunefulError as error:
        told = {"error": error.message, "hint": error.hint}
    except MemoryError:
        told = {"error": f"{path} wants more than {memory / 2**30:.0f} GiB of memory", "hint": _WHY}
    except Exception as error:  # whatever onnxruntime raises
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        told = {"error": f"{path} fails on the example of its own schema ({said})", "hint": _WHY}
    print(json.dumps(told))


def _apart(model: Model) -> float:
    """How far maps lie from answers, for noise: who shipped the model saw other examples."""
    import numpy as np

    from tuneful.runtime.explain import apart

    dice, shape = np.random.default_rng(0), (8, *model.shape)
    uint8 = model.schema.get("dtype") == "uint8"
    return apart(
        model.kind, *model.mapped(dice.integers(0, 256, shape).astype(np.uint8) if uint8 else dice.normal(size=shape))
    )


def _limited(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the time is kept by the parent
        return
    for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (soft, hard))


__all__ = ["examined", "look"]
