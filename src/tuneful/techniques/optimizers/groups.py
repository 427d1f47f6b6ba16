"""Parameter groups: who is decayed, and how our names of settings become torch's.

A group is a dict as torch has them, `{"params": [...], setting: value}`; settings carry our names (lr, beta1, beta2, eps,
decay), for the rule and for torch's own classes alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Optimizer, Rate

OURS_TO_TORCH = {"decay": "weight_decay"}


def decay_groups(net: nn.Module) -> list[dict[str, Any]]:
    """The trainable parameters of a network in two groups: decayed, and not.

    Weights of two axes or more are decayed. Biases and the scales of norms are not: they are few, they cannot make a
    function wild, and pulling a scale to zero fights the norm. A parameter used twice appears once; an empty group is left
    out.

    Source: the practice of He et al. 2019, "Bag of tricks", section 3.1, arXiv:1812.01187.
    """
    params = [p for p in net.parameters() if p.requires_grad]
    weights = [p for p in params if p.ndim >= 2]
    others = [p for p in params if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "decay": 0.0}]
    return [group for group in groups if group["params"]]


def rated(groups: Iterable[dict[str, Any]], settings: Optimizer, rates: Mapping[Tensor, Rate]) -> list[dict[str, Any]]:
    """The groups, parted further until all parameters of one have the same factors, each with rates of its own.

    A rate that is `scale_free` is multiplied by the factor `free`, others by `following`; decay is divided by the factor of lr,
    so that rate * decay stays as it was. `initial_lr` is lr before a schedule: it writes `lr = initial_lr * factor`.
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
                if name == "lr" and factor != 1 and "decay" in type(settings).model_fields:
                    own["decay"] = group.get("decay", settings.decay) / factor  # pyright: ignore[reportAttributeAccessIssue]
            found.append({**group, **own, "params": params, "initial_lr": own["lr"]})
    return found


def as_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Parameters, (name, parameter) pairs or groups as a list of new group dicts, each with a list of parameters.

    Raises: TypeError for a bare tensor, as torch does.
    """
    if isinstance(params, Tensor):
        raise TypeError("an optimizer takes parameters in a list, such as net.parameters() or [w]; it was given one tensor")
    items = list(params)
    groups = [dict(item) for item in items] if items and isinstance(items[0], dict) else [{"params": items}]
    for group in groups:
        group["params"] = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    return groups


def for_torch(groups: Iterable[dict[str, Any]], betas: tuple[float, float] | None = None) -> list[dict[str, Any]]:
    """The same groups with torch's names: decay is weight_decay, beta1 and beta2 are the pair betas (of Adam's kin)."""
    named = [{OURS_TO_TORCH.get(name, name): value for name, value in group.items()} for group in groups]
    for group in named:
        if betas is not None and ("beta1" in group or "beta2" in group):
            group["betas"] = (group.pop("beta1", betas[0]), group.pop("beta2", betas[1]))
    return named
