"""Test-time augmentation: the network looks at an image several times, a little changed, and its answers are averaged.

    flip     the image and its mirror image
    shift    each of these also moved by one pixel up, down, left and right; the gap holds the border's pixels

    classes:  p = mean over the views of softmax(z_v), given back as log p, whose softmax is p
    values:   the mean over the views

The views are the same for every image, so an answer depends on nothing but the image, and the views travel inside the exported
network. Both together are ten views, and cost ten times the arithmetic of one.

Source: Krizhevsky et al., NIPS 2012, section 4.1 (mean prediction over crops and their mirror images).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.core.errors import Problem, RecipeError
from tuneful.core.form import Form


def require_views(names: Sequence[str], form: Form) -> None:
    """Raise RecipeError where views are named and the data are not images with one answer each."""
    if names and (form.kind != "image" or form.each == "place"):
        what = f"views={','.join(names)} looks at images again and averages one answer each"
        raise RecipeError([Problem("views", f"{what}; these are {form}")], "leave views out")


def views(x_BCHW: Tensor, names: Sequence[str]) -> list[Tensor]:
    """The images as they are, and every view that the names ask for."""
    found = [x_BCHW]
    if "flip" in names:
        found.append(x_BCHW.flip(-1))
    if "shift" in names:
        H, W = x_BCHW.shape[2:]
        padded = [F.pad(one, (1, 1, 1, 1), mode="replicate") for one in found]
        places = ((0, 1), (2, 1), (1, 0), (1, 2))
        found += [one[:, :, i : i + H, j : j + W] for one in padded for i, j in places]
    return found


def averaged(answers: Sequence[Tensor], classes: bool) -> Tensor:
    """One answer from those to each view, all [B, L]: logits of the mean probability where they are of classes, else the mean."""
    z_VBL = torch.stack(list(answers))
    if classes:
        return z_VBL.log_softmax(-1).logsumexp(0) - math.log(len(answers))
    return z_VBL.mean(0)
