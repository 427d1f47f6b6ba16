"""The sharpness of a loss, by power iteration with Hessian-vector products, beside what the rate can bear.

    v <- H v / |H v|;   s = v . H v            until s changes by less than 1 % a round, at most 20 rounds

One graph of the gradient serves all products. For Adam's kin H is D^-1/2 H D^-1/2 with D = sqrt(v) + eps, corrected for the start as
the step is. Attention is computed by its plain formula, which has a second derivative.

Source: Pearlmutter, Neural Computation 6, 1994 (the product); limits of stability as in `techniques.symptoms.rate_edge`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

ROUNDS, CLOSE = 20, 0.01
Adams = torch.optim.Adam | torch.optim.AdamW | torch.optim.NAdam


def sharpness(loss: Callable[[], Tensor], params: list[Tensor], scales: list[Tensor] | None = None) -> float:
    """The eigenvalue of largest size of the Hessian of one loss, with its sign. scales: D^-1/2, one tensor a parameter.

    Raises RuntimeError where a layer has no second derivative. Gradients in `p.grad` stay as they are.
    """
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        grads = torch.autograd.grad(loss(), params, create_graph=True, allow_unused=True)
        pairs = [
            (p, g, at) for at, (p, g) in enumerate(zip(params, grads, strict=True)) if g is not None and g.requires_grad
        ]
        if not pairs:
            return 0.0
        dice = torch.Generator().manual_seed(0)
        v = [torch.randn(p.shape, generator=dice).to(p) for p, _, _ in pairs]
        value = 0.0
        for _ in range(ROUNDS):
            v = [one / _norm(v) for one in v]
            u = v if scales is None else [one * scales[at] for one, (_, _, at) in zip(v, pairs, strict=True)]
            found = torch.autograd.grad(
                [g for _, g, _ in pairs], [p for p, _, _ in pairs], u, retain_graph=True, allow_unused=True
            )
            w = [torch.zeros_like(p) if h is None else h for h, (p, _, _) in zip(found, pairs, strict=True)]
            if scales is not None:
                w = [one * scales[at] for one, (_, _, at) in zip(w, pairs, strict=True)]
            before, value = value, float(sum((a * b).sum() for a, b in zip(v, w, strict=True)))
            if not float(_norm(w)) > 0 or abs(value - before) <= CLOSE * abs(value):
                break
            v = w
    return value


def edge(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> float | None:
    """Sharpness times rate over the limit of stability; None where the limit of the optimizer is not known (all but SGD, with any
    momentum, and Adam, AdamW, NAdam), or before its first step. Each parameter counts with the rate of its group."""
    if not isinstance(optimizer, torch.optim.SGD | Adams):
        return None
    params: list[Tensor] = []
    scales: list[Tensor] = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.requires_grad:
                scale = _scale(p, group, optimizer)
                if scale is None:
                    return None
                params.append(p)
                scales.append(scale)
    return sharpness(loss, params, scales) if params else None


def _scale(p: Tensor, group: dict[str, Any], optimizer: torch.optim.Optimizer) -> Tensor | None:
    """The square root of rate / (limit * D) for every number of a parameter."""
    if isinstance(optimizer, torch.optim.SGD):
        beta = float(group["momentum"])
        limit = (2 + 2 * beta) / ((1 + 2 * beta) if group["nesterov"] else 1 - float(group["dampening"]))
        return torch.full_like(p, (float(group["lr"]) / limit) ** 0.5)
    state: Any = optimizer.state.get(p, {})
    if "exp_avg_sq" not in state:
        return None
    beta1, beta2 = (float(b) for b in group["betas"])
    t = float(state["step"])
    divisor = (state["exp_avg_sq"] / (1 - beta2**t)).sqrt() + float(group["eps"])
    limit = (2 + 2 * beta1) / (1 - beta1) * (1 - beta1**t)
    return (float(group["lr"]) / limit / divisor).sqrt()


def _norm(parts: list[Tensor]) -> Tensor:
    return torch.stack([part.square().sum() for part in parts]).sum().sqrt()
