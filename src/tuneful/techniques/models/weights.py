"""Weights of a safetensors file into a network: every key that is missing, unexpected or of another shape is told."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from tuneful.core.errors import ModelError

ENDS = ("front", "body", "back")
MANY = 8  # keys of a sort that are named; the others are counted


def load_(net: nn.Module, path: Path, head: Collection[str] = ()) -> list[str]:
    """Fill a network from a file, in place; the names of what was left as it is.

    head: names of parameters that may be missing or of another shape, since the task decides them. Everything else must be
    there, nothing else may be, and shapes must agree. Raises ModelError with the whole report; the network is then untouched.
    """
    if not path.is_file():
        raise ModelError(f"model.weights names the file {path}, which does not exist", f"it is looked for from {Path.cwd()}")
    try:
        given = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as safetensors: {error}", "files of other formats may hold code, and are not read"
        ) from error
    if given and all(
        name.partition(".")[0] in ENDS for name in given
    ):  # of an artifact, whose network has its two ends around it
        given = {name.removeprefix("body."): tensor for name, tensor in given.items() if name.startswith("body.")}
    own = net.state_dict()
    counts = {name for name in own if name.endswith("num_batches_tracked")}  # that nothing depends on
    shapes = {n: (list(given[n].shape), list(own[n].shape)) for n in own if n in given and given[n].shape != own[n].shape}
    missing = [name for name in own if name not in given and name not in head and name not in counts]
    other = [
        f"{name} ({had} in the file, {want} in the network)" for name, (had, want) in shapes.items() if name not in head
    ]
    unexpected = [name for name in given if name not in own and name not in head]
    told = [
        f"{what}: {', '.join(names[:MANY])}" + (f" and {len(names) - MANY} more" if len(names) > MANY else "")
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
        if names
    ]
    if told:
        raise ModelError(
            f"{path} does not fit the network ({len(own)} tensors): {'; '.join(told)}",
            "give the settings that the file was made with, in model.arguments",
        )
    left = [name for name in own if name not in given or name in shapes]
    with torch.no_grad():
        for name, tensor in own.items():
            if name not in left:
                tensor.copy_(given[name])
    return left
