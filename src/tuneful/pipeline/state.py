"""A run's state as one file: safetensors whose header carries the plain part as JSON, and a digest over all of it.

One file, because a file can be put in the place of the old one in a single motion: after a crash at any moment there is
either the old state or the new one (decision 0001). Nothing is pickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuneful.core.errors import StateError, StorageError
from tuneful.techniques.shards import sharded, share_of

FORMAT = "tuneful run 1"
State = tuple[dict[str, Tensor], dict[str, Any]]
"""Of a run: tensors and plain data."""


def save(path: Path, tensors: Mapping[str, Tensor], plain: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write the state to `path`, whole or not at all; returns when it is on the disk, or when the system has it, where it need not be
    durable: then it outlives the process, and a machine that loses its power may leave a damaged file, which is told when it is read.

    Raises StorageError when the disk is full or cannot be written; the state saved before stays as it was.
    """
    from safetensors.torch import save as to_bytes

    whole: dict[str, Tensor] = {}
    held: set[int] = set()  # where tensors lie: of those that share their memory (tied weights) each is written
    for name, tensor in tensors.items():
        plain_one = tensor.detach().cpu().contiguous()
        whole[name] = plain_one.clone() if plain_one.data_ptr() in held else plain_one
        held.add(plain_one.data_ptr())
    text = json.dumps(plain, sort_keys=True)
    data = to_bytes(whole, {"format": FORMAT, "plain": text, "digest": _digest(whole, text)})
    aside = path.with_name(f".{path.name}.part")  # one name: what a killed process left here is written over by the next
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        kept = "; the state saved before is whole" if path.exists() else ""
        raise StorageError(
            f"the state of {len(data)} bytes cannot be written to {path}: {what}{kept}",
            "free some space, then run the same command to go on",
        ) from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a state. Raises StateError when it is missing, truncated, altered or not ours."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise StateError(f"there is no saved state at {path}", "start the run anew")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise StateError(f"{path} is not a run's state of this tuneful (format {header.get('format', 'unknown')!r})")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise StateError(f"the state {path} is damaged: {error}", "delete it to start this run anew") from error
    if _digest(tensors, header.get("plain", "")) != header.get("digest"):
        raise StateError(
            f"the state {path} is damaged: its digest does not fit its content", "delete it to start this run anew"
        )
    return tensors, json.loads(header["plain"])


def put_in_parts(path: Path, parts: int) -> None:
    """Let the run whose state lies there take its batches in so many parts (0: as before), where it has been saved."""
    if parts and path.exists():
        tensors, plain = load(path)
        save(path, tensors, {**plain, "micro": max(parts, plain["micro"])})


def step(path: Path) -> int:
    """The step of a saved state, by its header alone; -1 where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return int(json.loads((file.metadata() or {})["plain"])["step"])
    except (SafetensorError, OSError, ValueError, KeyError):
        return -1


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    hasher = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def pack(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """An optimizer's state per parameter, apart: tensors by "index.name" (in a list by "index.name.place"), and plain values by
    index and name (a list with None in the place of each tensor)."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, dict[str, Any]] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            elif isinstance(value, list):
                held = {place: one for place, one in enumerate(value) if isinstance(one, Tensor)}
                tensors |= {f"{index}.{name}.{place}": one for place, one in held.items()}
                rest.setdefault(str(index), {})[name] = [None if place in held else one for place, one in enumerate(value)]
            else:
                rest.setdefault(str(index), {})[name] = value
    return tensors, rest


def unpack(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Mapping[str, Any]]) -> None:
    """Put back what `pack` took from an optimizer that was built from the same recipe; its groups stay as they are."""
    entries: dict[int, dict[str, Any]] = {
        int(index): {name: list(value) if isinstance(value, list) else value for name, value in values.items()}
        for index, values in rest.items()
    }
    params = [p for group in optimizer.param_groups for p in group["params"]]  # in the order in which the state counts them
    parted = {str(index): p for index, p in enumerate(params) if sharded(p)}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        field, _, place = name.partition(".")
        held = entries.setdefault(int(index), {})
        # A copy of its own: unaligned numbers may be added in another order by a dot product (LOG.md, L-BFGS).
        if place:
            held[field][int(place)] = tensor.clone()
        else:
            like = parted.get(index)
            held[field] = tensor.clone() if like is None or like.shape != tensor.shape else share_of(tensor, like)
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
