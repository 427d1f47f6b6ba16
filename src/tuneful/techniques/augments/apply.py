"""All augments of a recipe on one batch, or on the batches of a stack of trials.

    x, p = apply(augments, x, p, dice)               # x [B, ...]; one generator for each augment
    x, p = apply(augments, x, p, dice, (rows, B))    # x: only these rows of a batch of B
    x, p = apply_stack(members, x, p, dice)          # x [K, B, ...]; one list of augments and one of generators for each trial

They act in their order. Those that move pixels and stand beside one another act as one: their maps are multiplied and the
pixels are read once (`affine`). The trials of a stack have the same augments with strengths of their own; each draws from its
own dice, and the K * B examples are then changed in one go, so a member gets what it would get alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tuneful.core.errors import RecipeError
from tuneful.techniques.augments.affine import Geometric, compose, resampled, with_image
from tuneful.techniques.interfaces import Augment


def apply(
    augments: Sequence[Augment],
    x: Tensor,
    p: Tensor,
    dice: Sequence[torch.Generator],
    among: tuple[slice, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """The batch after all augments. x [B, ...], p [B, ...] as for `Augment.apply`; neither is modified.

    among: x holds these rows of a batch of so many, and gets what they get there; not with augments that have partners.
    """
    return _changed([augments], x, p, [dice], among)


def apply_stack(
    members: Sequence[Sequence[Augment]], x: Tensor, p: Tensor, dice: Sequence[Sequence[torch.Generator]]
) -> tuple[Tensor, Tensor]:
    """The batches of K trials after their augments.

    Args:
        members: for each trial its augments; the kinds and their order are the same in all.
        x, p: [K, B, ...]; not modified.
        dice: for each trial one generator for each of its augments.

    Returns: (x', p'), [K, B, ...]; member k equals apply(members[k], x[k], p[k], dice[k]).
    Raises:  RecipeError when the kinds differ, or when there are not K members.
    """
    kinds = {tuple(type(one) for one in augments) for augments in members}
    if len(kinds) != 1 or not len(members) == len(x) == len(p) == len(dice):
        told = sorted({", ".join(cls.__name__.lower() for cls in one) or "none" for one in kinds})
        raise RecipeError(
            f"a stack of {len(x)} trials was given {len(members)} lists of augments ({'; '.join(told)}); "
            f"it needs one for each, all of the same kinds in the same order",
            "train trials with other augments in a stack of their own",
        )
    K, B = x.shape[:2]
    x, p = _changed(members, x.flatten(0, 1), p.flatten(0, 1), dice)
    return x.unflatten(0, (K, B)), p.unflatten(0, (K, B))


def _changed(
    members: Sequence[Sequence[Augment]],
    x: Tensor,
    p: Tensor,
    dice: Sequence[Sequence[torch.Generator]],
    among: tuple[slice, int] | None = None,
) -> tuple[Tensor, Tensor]:
    matrix: Tensor | None = None  # of the moves that were not carried out yet
    exact = True
    for place, one in enumerate(members[0]):
        shape = (among[1] if among else len(x) // len(members), *x.shape[1:])
        drawn = _laid_out(
            one, [trial[place].draw(shape, stream[place]) for trial, stream in zip(members, dice, strict=True)]
        )
        drawn = {name: found[among[0]] for name, found in drawn.items()} if among else drawn
        if isinstance(one, Geometric):
            matrix = drawn["matrix"] if matrix is None else compose(matrix, drawn["matrix"])
            exact = exact and one.exact
            if place + 1 < len(members[0]) and isinstance(members[0][place + 1], Geometric):
                continue
            p = with_image(x, p, matrix, exact)
            x, matrix, exact = resampled(x, matrix, exact), None, True
        else:
            x, p = one.change(x, p, drawn)
    return x, p


def _laid_out(one: Augment, draws: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The draws of all trials, one after the other; partners stay within their trial."""
    if len(draws) == 1:
        return draws[0]
    found: dict[str, Tensor] = {}
    for name in draws[0]:
        parts = [drawn[name] for drawn in draws]
        if name in one.partners:
            parts = [part + k * len(part) for k, part in enumerate(parts)]
        found[name] = torch.cat(parts)
    return found
