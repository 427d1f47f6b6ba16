"""timm and transformers beside a torchvision that does not load.

torchvision's Python part registers itself with operators of its compiled part; beside a torch that this was not built for (the
CPU build of 2.13, say) the operators are absent and importing it fails: "operator torchvision::nms does not exist". timm
needs it, transformers imports it where it is installed, and neither needs those operators for a network. So they are declared,
without code, once importing has failed.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

import torch

from tuneful.core.errors import MissingError

ABSENT = ("nms", "qnms")
_DECLARED: list[torch.library.Library] = []  # a library that nobody holds is taken back


def library(name: str) -> Any:
    """The module timm or transformers. Raises MissingError when it, or what it cannot do without, is not installed."""
    if sys.modules.get(name) is None:
        _mend()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(name, "pretrained", "model=pretrained") from error


def _mend() -> None:
    """See to it that torchvision can be imported, if it is installed."""
    with contextlib.suppress(ImportError):
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::" not in str(error) or _DECLARED:
                raise
            declared = torch.library.Library("torchvision", "DEF")
            for name in ABSENT:
                declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _DECLARED.append(declared)
            for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            importlib.import_module("torchvision")
