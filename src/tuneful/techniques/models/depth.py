"""The layers of any network in their order, for all that treats early ones otherwise than late ones: freezing, rates.

A layer is what stands in a list (Sequential, ModuleList) of two or more parts with weights, or beside one: the blocks of a ResNet
or a Transformer, the embedding before them, the head behind. What has no weight matrix of its own (a norm) belongs to the
layer before it; so do the parameters of the network itself to the first one.

Layer-wise rates: Howard & Ruder, ACL 2018 (discriminative fine-tuning); Clark et al., ICLR 2020, arXiv:2003.10555.
"""

from __future__ import annotations

from torch import nn

LISTS = (nn.Sequential, nn.ModuleList)


def layers(net: nn.Module) -> list[list[str]]:
    """The names of all parameters, layer by layer, the head last."""
    found: list[list[str]] = []
    taken: set[str] = set()
    loose: list[str] = []

    def walk(module: nn.Module, prefix: str, listed: bool) -> None:
        own = [f"{prefix}{name}" for name, _ in module.named_parameters(recurse=False)]
        if isinstance(module, LISTS) or (not listed and _holds_a_list(module)):
            loose.extend(own)
            for name, child in module.named_children():
                walk(child, f"{prefix}{name}.", isinstance(module, LISTS) and not isinstance(child, LISTS))
            return
        named = [(f"{prefix}{name}", p) for name, p in module.named_parameters() if f"{prefix}{name}" not in taken]
        taken.update(name for name, _ in named)
        if any(p.ndim >= 2 for _, p in named) or (named and not found):
            found.append([name for name, _ in named])
        elif named:
            found[-1] += [name for name, _ in named]

    walk(net, "", False)
    if loose and found:
        found[0] = loose + found[0]
    return found or ([loose] if loose else [])


def _holds_a_list(module: nn.Module) -> bool:
    return any(
        isinstance(m, LISTS) and sum(next(child.parameters(), None) is not None for child in m.children()) > 1
        for m in module.modules()
    )
