"""What is measured of a network in one look: functions that read weights, gradients, layers, outputs, and note plain numbers.

Nothing here changes the network, draws a random number or adds to a gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from tuneful.techniques.optimizers.groups import roles
from tuneful.techniques.symptoms import BoundedSeen, GroupSeen, LayerSeen, NormSeen, Seen

SIGMOIDS, TANHS = (nn.Sigmoid, nn.Hardsigmoid), (nn.Tanh, nn.Hardtanh, nn.Softsign)
SETTLED = 0.05  # what may be left of a norm's first statistics
FEW = 1 << 20  # numbers of an activation that are looked at
KNOWN = {
    "NllLoss": "log_probabilities", "BinaryCrossEntropyWithLogits": "binary_logits", "BinaryCrossEntropy": "binary_probabilities",
    "MseLoss": "values", "SmoothL1Loss": "values", "HuberLoss": "values",
}  # fmt: skip
"""What losses take, by the names of their nodes in the graph."""


def watched(module: nn.Module) -> str:
    """Is a layer looked at while the network computes? "norm", "bounded", or ""."""
    if isinstance(module, _BatchNorm):
        return "norm"
    tanh = isinstance(module, nn.RNN) and module.nonlinearity == "tanh"
    return "bounded" if tanh or isinstance(module, (*SIGMOIDS, *TANHS)) else ""


def weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights of two or more axes that learn."""
    return ((name, p) for name, p in network.named_parameters() if p.requires_grad and p.ndim > 1)


def answer(output: Any) -> Tensor | None:
    """The tensor that a network gives: itself, the logits of a mapping, or the first of a sequence."""
    if isinstance(output, Mapping):
        output = output.get("logits", next(iter(output.values()), None))
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def see_weights(seen: Seen, network: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Gradients, steps and sleeping units, after the optimizer's step."""
    kinds = kinds_of(network)
    for name, p in weights(network):
        if p.grad is None or name not in before or p.grad.is_sparse:
            continue
        rows = p.grad.detach().reshape(len(p), -1)
        length = float(before[name].float().norm())
        moved = float((p.detach() - before[name]).float().norm())
        still = torch.nonzero((rows == 0).all(dim=1)).flatten().tolist()
        note_weight(seen, name, kinds[name], len(p), float(rows.float().square().mean().sqrt()), length, moved, still)


def note_weight(
    seen: Seen, name: str, kind: str, units: int, gradient: float, length: float, moved: float, still: Collection[int]
) -> None:
    """gradient: its root mean square; length, moved: of the weight, and of its step; still: rows without a gradient."""
    layer = seen.layers.setdefault(name, LayerSeen(kind, units))
    layer.gradient.append(gradient)
    layer.ratio.append(moved / length if length > 0 else float("nan"))
    if kind == "matrix":
        asleep = set(still) & set(seen.sleepers[name]) if name in seen.sleepers else still
        seen.sleepers[name] = sorted(asleep)
        layer.asleep.append(len(asleep))


def kinds_of(network: nn.Module) -> dict[str, str]:
    """What each parameter is; a matrix is the weight of a layer, and a table that a module looks up in its own way is not."""
    layers = nn.Linear | _ConvNd | nn.MultiheadAttention | nn.RNNBase
    owned = {id(p) for m in network.modules() if isinstance(m, layers) for p in m.parameters(recurse=False)}
    named = dict(network.named_parameters())
    return {
        name: "other" if kind == "matrix" and id(named[name]) not in owned else kind for name, kind in roles(network).items()
    }


def see_norm(seen: Seen, name: str, module: Any, x: Tensor) -> None:
    """The input of a batch norm, [B, C, ...], in training."""
    axes = [at for at in range(x.ndim) if at != 1]
    values = x.numel() // max(1, x.shape[1])
    memory = float(module.momentum) if module.momentum is not None else 0.0
    mean, deviation = x.float().mean(axes), x.float().var(axes, unbiased=False)
    steps = int(module.num_batches_tracked) if module.num_batches_tracked is not None else 0
    gap = None
    if module.running_mean is not None and (module.momentum is None or (1 - memory) ** steps < SETTLED):
        gap = float(((module.running_mean - mean).abs() / (deviation + module.eps).sqrt()).median())
    note_norm(seen, name, values, memory, float((deviation < module.eps).float().mean()), gap)


def note_norm(seen: Seen, name: str, values: int, memory: float, still: float, gap: float | None) -> None:
    """See `NormSeen`; gap: None where the running statistics are still those of the beginning."""
    norm = seen.norms.setdefault(name, NormSeen(values, memory))
    norm.values = min(norm.values, values)
    norm.still.append(still)
    if gap is not None:
        norm.gap.append(gap)


def see_bounded(seen: Seen, name: str, module: nn.Module, output: Any) -> None:
    """The values of a sigmoid or a tanh."""
    x = output[0] if isinstance(output, tuple) else output
    if not isinstance(x, Tensor):  # a packed sequence
        x = x.data
    note_bounded(seen, name, module, float(at_ends(module, x.detach().flatten()[:FEW].float()).mean()))


def at_ends(module: nn.Module, x: Tensor) -> Tensor:
    """1 where a value of a sigmoid or a tanh is near to an end, else 0."""
    return ((x < 0.01) | (x > 0.99) if isinstance(module, SIGMOIDS) else x.abs() > 0.98).float()


def note_bounded(seen: Seen, name: str, module: nn.Module, share: float) -> None:
    """share: of its values that are near to an end."""
    kind = "sigmoid" if isinstance(module, SIGMOIDS) else "tanh"
    seen.bounded.setdefault(name, BoundedSeen(kind)).saturated.append(share)


def last(network: nn.Module, module: nn.Module) -> bool:
    """Is this layer the last of a network that is a row of layers?"""
    while isinstance(network, nn.Sequential) and len(network):
        network = network[-1]
    return module is network


def see_groups(seen: Seen, optimizer: torch.optim.Optimizer) -> None:
    """Groups whose decay is decoupled: those of our settings that say so, and of torch's classes that do."""
    for at, group in enumerate(optimizer.param_groups):
        decay, lr = float(group.get("decay", group.get("weight_decay", 0.0)) or 0.0), float(group.get("lr", 0.0))
        coupled = isinstance(optimizer, torch.optim.SGD | torch.optim.Adagrad | torch.optim.RMSprop | torch.optim.Adadelta)
        adam = isinstance(optimizer, torch.optim.Adam) and not group.get("decoupled_weight_decay", False)
        kind = next((p.dtype for p in group["params"] if p.is_floating_point()), torch.float32)
        if decay <= 0 or coupled or adam:
            decay = 0.0
        while len(seen.groups) <= at:
            seen.groups.append(GroupSeen(0.0, torch.finfo(kind).eps, str(kind).removeprefix("torch."), lr, decay))
        if lr * decay >= seen.groups[at].share:
            seen.groups[at].share, seen.groups[at].lr, seen.groups[at].decay = lr * decay, lr, decay


def flushed() -> bool:
    """Do denormals count as zero?"""
    return float(torch.tensor(1e-40) * 1) == 0


def see_denormals(seen: Seen, tensors: Iterable[Tensor | None], optimizer: torch.optim.Optimizer) -> None:
    """tensors: weights and gradients. Float32 on the CPU, unless denormals count as zero there. Read by their bits, which no
    rounding changes."""
    if flushed():
        return
    parts = [one.detach() for one in tensors if one is not None]
    parts += [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    parts = [one for one in parts if one.dtype == torch.float32 and one.device.type == "cpu" and not one.is_sparse]
    total = sum(one.numel() for one in parts)
    bits = [one.contiguous().view(torch.int32) for one in parts]
    small = sum(int((((b & 0x7F800000) == 0) & ((b & 0x007FFFFF) != 0)).sum()) for b in bits)
    if total:
        seen.denormal.append(small / total)


def see_head(seen: Seen, output: Tensor, loss: Tensor | None, told: str) -> None:
    """What the outputs are, and what the loss makes of them. told: what the loss takes, where the caller knows it."""
    z = output.detach().float()
    seen.outputs = int(z.shape[-1]) if z.ndim > 1 else 1
    path = _path(loss.grad_fn, output.grad_fn) if loss is not None and loss.grad_fn is not None else []
    if told:
        seen.wants = told
    else:
        found = next((KNOWN[name] for name in path if name in KNOWN), "")
        seen.wants = "logits" if "LogSoftmax" in path else found
        path = path[path.index("LogSoftmax") + 1 :] if "LogSoftmax" in path else path
    inside = bool(((z >= 0) & (z <= 1)).all())
    ones = seen.outputs > 1 and bool(((z.sum(-1) - 1).abs() < 1e-3).all())
    note_head(seen, [*path, made_by(output)], inside and ones)


def made_by(output: Tensor) -> str:
    """The name of what gives the outputs, as the graph calls it."""
    return _name(output.grad_fn) if output.grad_fn is not None else ""


def note_head(seen: Seen, nodes: Sequence[str], sums: bool) -> None:
    """nodes: of the graph, of the outputs and between them and the loss; sums: are the outputs probabilities that sum to 1?"""
    made = "softmax" if "Softmax" in nodes or sums else "sigmoid" if "Sigmoid" in nodes else ""
    seen.head = made if seen.looks <= 1 or seen.head == made else ""


def see_targets(seen: Seen, output: Tensor | None, targets: Tensor) -> None:
    """Targets as the loop gave them: class numbers, probabilities, or values."""
    if output is not None:
        seen.shapes = (tuple(output.shape), tuple(targets.shape))
    if targets.is_floating_point():
        rows = float((targets.sum(-1) - 1).abs().max()) if targets.ndim == 2 and seen.wants == "logits" else 0.0
        note_shares(seen, float(targets.min()), float(targets.max()), rows)
        return
    numbers, counts = targets.flatten().unique(return_counts=True)
    note_labels(seen, numbers.tolist(), counts.tolist())


def note_shares(seen: Seen, lowest: float, highest: float, rows: float) -> None:
    """Of targets that are no class numbers; rows: see `Seen`."""
    if seen.looks <= 1:
        seen.lowest, seen.highest = lowest, highest
    seen.lowest, seen.highest = min(seen.lowest, lowest), max(seen.highest, highest)
    seen.rows = max(seen.rows, rows)


def note_labels(seen: Seen, numbers: Sequence[int], counts: Sequence[int]) -> None:
    """Class numbers that there were, in their order, and how often."""
    seen.lowest, seen.highest = min(seen.lowest, float(numbers[0])), max(seen.highest, float(numbers[-1]))
    for number, count in zip(numbers, counts, strict=True):
        if number >= 0:  # less is no label at all
            seen.counts[str(number)] = seen.counts.get(str(number), 0) + count
            seen.labels += count


def _path(node: Any, end: Any) -> list[str]:
    """The names of the nodes between a loss and the outputs it is made of, the loss first."""
    names: list[str] = []
    waiting = [node]
    met: set[Any] = set()
    while waiting and len(names) < 200:
        node = waiting.pop(0)
        if node is None or node is end or node in met:
            continue
        met.add(node)
        names.append(_name(node))
        waiting += [after for after, _ in node.next_functions]
    return names


def _name(node: Any) -> str:
    """ "NllLoss" of NllLossBackward0; one name for losses of images and of vectors."""
    return str(node.name()).partition("Backward")[0].replace("2D", "").removeprefix("torch::autograd::").removeprefix("_")
