"""What proving and shipping import, some seconds of work, is imported beside the search: imports draw no numbers."""

from __future__ import annotations

import contextlib
import importlib
import time

NAMES = (
    "sklearn.linear_model",
    "sklearn.ensemble",
    "onnxscript",
    "onnxruntime",
    "torch.onnx._internal.exporter._core",
)


def load_ahead(after: float) -> None:
    """Import them, that many seconds from now; whoever needs one that is not there says so."""
    time.sleep(after)
    for name in NAMES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


__all__ = ["load_ahead"]
