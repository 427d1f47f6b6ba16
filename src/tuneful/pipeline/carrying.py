"""What is called in place of a body: itself, compiled, captured as a CUDA graph, its activations computed again.

Whatever is done lasts for a call; the body itself stays as it is, so that it can be copied, saved and exported at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from tuneful.core.execution import Execution
from tuneful.core.form import Form
from tuneful.pipeline.ranks import Joined

LARGE = 16  # pixels of the shorter side from which images are laid out channel by channel (LOG.md)

Body = Callable[[Tensor], Tensor]


def plain(recipe: Any, form: Form) -> Execution:
    """How a resolved recipe is carried out where nothing was measured: the same on every machine.

    Convolutions are faster on images laid out channel by channel (LOG.md); but in people's own networks `x.view(len(x), -1)` would fail.
    """
    large = len(form.shape) == 3 and min(form.shape[1:]) >= LARGE and recipe.model.kind != "own"
    return Execution(layout="channels_last" if large else "rows", precision=recipe.precision, threads=int(recipe.threads))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def native(device: torch.device) -> bool:
    """Does the device multiply bf16 numbers itself?"""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())


def able(how: Execution, device: torch.device) -> Execution:
    """The execution without what this device cannot do: CUDA graphs and fp16 off the GPU, bf16 where it would be emulated."""
    if device.type != "cuda":
        how = how.replace(graphed=False, offload=False, precision="fp32" if how.precision == "fp16" else how.precision)
    if how.precision == "bf16" and not native(device):
        how = how.replace(precision="fp32")
    return how.replace(threads=min(how.threads, max(1, cores())))


def carried(body: nn.Module, how: Execution, sample: Callable[[], Tensor], joined: Joined | None = None) -> Body:
    """What is called in place of the body. sample: gives a batch as the body sees it, for capturing; joined: the body of a rank.

    Raises RuntimeError where torch cannot compile or capture it; compiling itself happens in the first call.
    """
    if joined is not None:
        called = joined.through(_alone(joined.module, body, how))
    else:
        called = _alone(body, body, how, sample)
    return offloaded(called) if how.offload else called


def _alone(called: nn.Module, body: nn.Module, how: Execution, sample: Callable[[], Tensor] | None = None) -> Body:
    """called: the body, or what stands around it."""
    if how.recompute:
        return recomputed(body, called)
    if how.compiled:
        # Random numbers as without compiling, so that losses can be compared.
        return torch.compile(called, dynamic=False, options={"fallback_random": True})
    return captured(body, how, sample()) if how.graphed and sample is not None else called


def captured(body: nn.Module, how: Execution, sample: Tensor) -> Body:
    """Forward and backward as two CUDA graphs, for batches of the sample's shape; of other shapes the body itself."""
    if sample.device.type != "cuda":
        raise RuntimeError(f"a CUDA graph needs a GPU; the batch lies on the {sample.device.type}")
    part = sample.chunk(how.parts)[0]
    kind = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[how.precision]
    with torch.autocast("cuda", kind, enabled=kind is not None, cache_enabled=False):
        torch.cuda.make_graphed_callables(body, (part,))
    forward: Body = body.__dict__.pop("forward")  # where torch put it
    return lambda x: forward(x) if x.shape == part.shape else body(x)


def blocks(body: nn.Module) -> list[nn.Module]:
    """The parts of the outermost sequence that has several, without those that hold a batch norm, which would take note twice."""
    for one in body.modules():
        if isinstance(one, nn.Sequential | nn.ModuleList) and len(one) > 1:
            parts = [part for part in one if next(part.parameters(), None) is not None]
            return [part for part in parts if not any(isinstance(inner, _NormBase) for inner in part.modules())]
    return []


def recomputable(body: nn.Module) -> bool:
    """Is there a part whose activations can be computed again?"""
    return bool(blocks(body))


def recomputed(body: nn.Module, called: nn.Module | None = None) -> Body:
    """The body, whose blocks keep nothing for the backward pass but what they were given, and are computed twice.

    Source: Chen et al. 2016, arXiv:1604.06174.
    """
    chosen = blocks(body)

    def call(x: Tensor) -> Tensor:
        for block in chosen:
            block.__dict__["forward"] = partial(checkpoint, block.forward, use_reentrant=False)
        try:
            return (called or body)(x)
        finally:
            for block in chosen:
                del block.__dict__["forward"]

    return call


def offloaded(called: Body) -> Body:
    """That call, whose activations lie in the CPU's memory until the backward pass wants them: for what fits in no other way."""

    def call(x: Tensor) -> Tensor:
        with torch.autograd.graph.save_on_cpu(pin_memory=x.device.type == "cuda"):
            return called(x)

    return call


__all__ = ["able", "carried", "cores", "native", "plain", "recomputable"]
