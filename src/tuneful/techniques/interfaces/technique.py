"""What every technique is, and the words that several families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tuneful.core.config import Settings

if TYPE_CHECKING:
    import torch

Dice = Callable[[], "torch.Generator"]  # makes a generator, keyed; called by who throws it
Role = Literal["matrix", "embedding", "head", "bias", "norm", "other"]  # of a parameter in its network
Overrides = Mapping[str, float | bool]
Hyper = Any  # one attribute a setting: a float, or a tensor [K, 1, ...] for a stack


class Technique(Settings):
    """What `tuneful list` prints of every technique. `kind` (a Literal field) is its name in recipes."""

    source: ClassVar[str] = ""  # author, venue, year, identifier
    cost: ClassVar[str] = ""  # memory and time beside doing without, in words
