"""Parameter groups: what each parameter of a network is, what it does otherwise, and our names of settings as torch's.

A group is a dict as torch has them, `{"params": [...], setting: value}`; settings carry our names (lr, beta1, beta2, eps,
decay), for the rule and for torch's own classes alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from tuneful.core.config import nearest
from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Optimizer, Rate, Role

OURS_TO_TORCH = {"decay": "weight_decay", "initial": "initial_accumulator_value"}
NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
TABLES = (nn.Embedding, nn.EmbeddingBag)


def parameter_groups(net: nn.Module, settings: Optimizer) -> list[dict[str, Any]]:
    """The trainable parameters of a network in groups, by what the settings let each do otherwise.

    Three things are put together, the later over the earlier: what the optimizer does with a parameter of its role
    (`settings.special`: biases and norms are not decayed, and Muon gives embeddings and heads to AdamW), the layer-wise rate
    (`layer_decay`), and `groups`, whose keys are a pattern of dotted names, a dot and a setting:

        AdamW(groups={"head.*.lr": 1e-2, "embed.*.decay": 0.0})

    A parameter used twice appears once. The group that does as the settings say comes first.
    Raises: RecipeError for a pattern that no parameter fits.
    """
    kinds, depths = roles(net), layers(net)
    deepest = max(depths.values(), default=0)
    names = {name: p for name, p in net.named_parameters() if p.requires_grad}
    unused = [key for key in settings.groups if not any(fnmatchcase(n, key.rpartition(".")[0]) for n in names)]
    if unused:
        pattern = unused[0].rpartition(".")[0]
        near = nearest(pattern, names)
        raise RecipeError(
            f"optimizer.groups has {unused[0]!r}, but no trainable parameter is called {pattern!r}",
            f"did you mean {near}?" if near else f"some are {', '.join(list(names)[:4])}",
        )
    found: dict[tuple[tuple[str, Any], ...], list[Tensor]] = {(): []}
    for name, p in names.items():
        otherwise: dict[str, float | bool] = dict(settings.special(kinds[name]))
        if settings.layer_decay < 1:
            below = deepest - depths[name]
            otherwise |= {rate: getattr(settings, rate) * settings.layer_decay**below for rate in settings.rates if below}
        for key, value in settings.groups.items():
            pattern, _, setting = key.rpartition(".")
            if fnmatchcase(name, pattern):
                otherwise[setting] = value
        found.setdefault(tuple(sorted(otherwise.items())), []).append(p)
    return [{"params": params, **dict(otherwise)} for otherwise, params in found.items() if params]


def decay_groups(net: nn.Module) -> list[dict[str, Any]]:
    """The trainable parameters of a network in two groups: decayed, and not.

    Weights of two axes or more are decayed. Biases and the scales of norms are not: they are few, they cannot make a
    function wild, and pulling a scale to zero fights the norm. A parameter used twice appears once; an empty group is left
    out.

    Source: the practice of He et al. 2019, "Bag of tricks", section 3.1, arXiv:1812.01187.
    """
    kinds = roles(net)
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    weights = [p for name, p in named if kinds[name] not in ("bias", "norm")]
    others = [p for name, p in named if kinds[name] in ("bias", "norm")]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "decay": 0.0}]
    return [group for group in groups if group["params"]]


def roles(net: nn.Module) -> dict[str, Role]:
    """What each parameter is, by its name: the weight of a hidden layer ("matrix"), of an embedding, of the last layer
    ("head"), a bias (anything of less than two axes), a part of a norm, or something else, such as positions."""
    weighted = [m for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]
    last = weighted[-1].weight if weighted else None
    found: dict[str, Role] = {}
    for prefix, module in net.named_modules():
        for name, p in module.named_parameters(recurse=False):
            found.setdefault(f"{prefix}.{name}".lstrip("."), _role(module, p, last))
    tables = {id(m.weight) for m in net.modules() if isinstance(m, TABLES)}  # tied to a head, it is an embedding still
    return {name: "embedding" if id(p) in tables else found[name] for name, p in net.named_parameters()}


def _role(module: nn.Module, p: Tensor, last: Tensor | None) -> Role:
    if isinstance(module, NORMS):
        return "norm"
    if p.ndim < 2:
        return "bias"
    if p is last:
        return "head"
    layer = isinstance(module, nn.Linear | _ConvNd | nn.MultiheadAttention | nn.RNNBase)
    return "matrix" if layer or (p.ndim == 2 and min(p.shape) > 1) else "other"


def layers(net: nn.Module) -> dict[str, int]:
    """How many layers lie before each parameter's own, by its name.

    A layer is a dotted name up to its first number ("blocks.3" of "blocks.3.attention.query.weight"), or its first part where
    there is none ("embed", "head"); layers count in the order in which the network holds them.

    Source: layer-wise rates, Clark et al., ICLR 2020, section 3 and appendix B, arXiv:2003.10555.
    """
    order: dict[str, int] = {}
    found: dict[str, int] = {}
    for name, _ in net.named_parameters():
        parts = name.split(".")
        place = next((i for i, part in enumerate(parts) if part.isdigit()), 0)
        found[name] = order.setdefault(".".join(parts[: place + 1]), len(order))
    return found


def rated(groups: Iterable[dict[str, Any]], settings: Optimizer, rates: Mapping[Tensor, Rate]) -> list[dict[str, Any]]:
    """The groups, parted further until all parameters of one have the same factors, each with rates of its own.

    A rate that is `scale_free` is multiplied by the factor `free`, others by `following`; decay is divided by the factor of lr,
    so that rate * decay stays as it was, where the factors say so (`held`). `initial_lr` is lr before a schedule: it writes `lr = initial_lr * factor`.
    Raises: RecipeError where there are factors and the optimizer is `unrated`.
    """
    if rates and settings.unrated:
        kind = getattr(settings, "kind", type(settings).__name__)
        raise RecipeError(
            f"optimizer {kind} cannot take the factors that init mup gives the rates: {settings.unrated}",
            "take optimizer=adamw or momentum, or init=he",
        )
    found: list[dict[str, Any]] = []
    for group in groups:
        parts: dict[Rate, list[Tensor]] = {}
        for p in group["params"]:
            parts.setdefault(rates.get(p, Rate()), []).append(p)
        for rate, params in parts.items():
            own: dict[str, Any] = {}
            for name in settings.rates:
                factor = rate.free if name in settings.scale_free else rate.following
                own[name] = group.get(name, getattr(settings, name)) * factor
                if name == "lr" and factor != 1 and rate.held and "decay" in type(settings).model_fields:
                    own["decay"] = group.get("decay", settings.decay) / factor  # pyright: ignore[reportAttributeAccessIssue]
            found.append({**group, **own, "params": params, "initial_lr": own["lr"]})
    return found


def as_groups(params: Iterable[Any] | nn.Module, settings: Optimizer | None = None) -> list[dict[str, Any]]:
    """Parameters, (name, parameter) pairs, groups or a network as a list of new group dicts, each with a list of parameters.

    Raises: TypeError for a bare tensor, as torch does.
    """
    if isinstance(params, Tensor):
        raise TypeError("an optimizer takes parameters in a list, such as net.parameters() or [w]; it was given one tensor")
    if isinstance(params, nn.Module):
        return parameter_groups(params, settings) if settings is not None else decay_groups(params)
    items = list(params)
    groups = [dict(item) for item in items] if items and isinstance(items[0], dict) else [{"params": items}]
    for group in groups:
        group["params"] = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    return groups


def for_torch(groups: Iterable[Mapping[str, Any]], betas: tuple[float, float] | None = None) -> list[dict[str, Any]]:
    """The same groups with torch's names: decay is weight_decay, beta1 and beta2 are the pair betas (of Adam's kin)."""
    named = [{OURS_TO_TORCH.get(name, name): value for name, value in group.items()} for group in groups]
    for group in named:
        if betas is not None and ("beta1" in group or "beta2" in group):
            group["betas"] = (group.pop("beta1", betas[0]), group.pop("beta2", betas[1]))
    return named
