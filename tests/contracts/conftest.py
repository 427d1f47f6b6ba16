"""Makes importable what several files here share: test folders are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def _beside(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)


_beside("optimizer_cases")
_beside("standin_datasets")
_beside("hostile_cases")
