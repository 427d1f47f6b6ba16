"""How one model is made: every choice in one frozen value, with a hash for a name.

Sections hold settings objects whose classes live in `techniques`; "auto" means that tuneful chooses when it knows the data,
writes the choice in its place and the reason beside it (`reasons`). `pipeline.codec` reads and writes recipes as files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field

from tuneful.core.config import Auto, Count, NonNegative, Positive, Settings, Share, Whole, nearest
from tuneful.core.errors import Problem, RecipeError

Views = Annotated[tuple[Literal["flip", "shift"], ...], Field(strict=False)]
Several = Annotated[tuple[Settings, ...], Field(strict=False)]

SIDES = ("momentum_schedule", "decay_schedule", "batch_schedule")  # schedules of other settings than the rate; may be "none"
SECTIONS = ("model", "init", "loss", "optimizer", "schedule", *SIDES)  # one settings object each
LISTS = ("regularizers", "augments")  # any number of settings objects, one of a kind


class Recipe(Settings):
    """Everything that decides a training run; with the data and the seed it fixes every weight."""

    model: Settings | Auto = "auto"  # the network
    init: Settings | Auto = "auto"  # how its weights begin
    loss: Settings | Auto = "auto"  # what training makes small
    optimizer: Settings | Auto = "auto"  # the rule that changes them
    schedule: Settings | Auto = "auto"  # the learning rate over the run
    momentum_schedule: Settings | Literal["none"] = "none"  # the optimizer's momentum (or beta1) over the run
    decay_schedule: Settings | Literal["none"] = "none"  # the optimizer's decay over the run
    batch_schedule: Settings | Literal["none"] = "none"  # the examples per step over the run
    regularizers: Several | Auto = "auto"  # what keeps it from learning noise
    augments: Several | Auto = "auto"  # what changes a batch on the way
    batch_size: Count | Auto = "auto"  # examples per step
    momentum_to: Share = 0.0  # where momentum_schedule leads: the momentum when its factor is 0
    decay_to: NonNegative = 0.0  # where decay_schedule leads
    batch_to: Whole = 0  # where batch_schedule leads
    epochs: Positive | Auto = "auto"  # passes over the training split
    validate_every: Positive | Auto = "auto"  # epochs between two validations
    precision: Literal["fp32", "bf16"] | Auto = "auto"  # arithmetic of the forward pass
    plan: Literal["on", "off"] | Auto = (
        "auto"  # is the fastest way to carry out the steps measured? auto: unless precision=fp32 is asked for
    )
    threads: Count | Auto = "auto"  # CPU threads; part of the recipe because sums depend on it
    views: Views = ()  # how images are looked at again when the network is used, and the answers averaged: flip, shift
    alarm: Literal["stop", "tell"] = "stop"  # when the first 200 steps show that a run will diverge
    seed: Whole = 0  # of all chance in the run
    reasons: dict[str, str] = Field(default_factory=dict)  # what auto chose, and why

    @property
    def id(self) -> str:
        """Twelve hex digits over every choice; reasons do not count, nor that the plan is auto's. The same on every machine and
        Python."""
        return identity(self.as_data())

    def get(self, path: str) -> Any:
        """The value at a dotted path: "epochs", "optimizer.lr", "regularizers.dropout.rate", "regularizers.dropout"."""
        head, _, rest = path.partition(".")
        if head not in type(self).model_fields:
            raise _unknown(path, type(self).model_fields)
        value = getattr(self, head)
        if not rest:
            return value
        if head in LISTS:
            kind, _, rest = rest.partition(".")
            members = {} if value == "auto" else {_kind(member): member for member in value}
            if kind not in members:
                raise _unknown(path, [f"{head}.{known}" for known in members])
            value = members[kind]
            if not rest:
                return value
        rest, _, inner = rest.partition(".")
        if inner and isinstance(value, Settings) and isinstance(getattr(value, rest, None), Mapping):
            mapping: Mapping[str, Any] = getattr(value, rest)
            if inner not in mapping:
                raise _unknown(path, [f"{head}.{rest}.{name}" for name in mapping])
            return mapping[inner]
        if inner or not isinstance(value, Settings) or rest not in type(value).model_fields:
            known = type(value).model_fields if isinstance(value, Settings) else ()
            raise _unknown(path, [f"{head}.{name}" for name in known])
        return getattr(value, rest)

    def replace(self, path: str | Mapping[str, Any] = "", value: Any = None, /, **changes: Any) -> Self:
        """A changed, re-checked copy: `replace("optimizer.lr", 0.1)`, `replace({"epochs": 3, ...})` or `replace(epochs=3)`.

        "regularizers.dropout" takes a settings object (added, or put in the place of its kind) or None (taken out).
        Raises RecipeError for an unknown path or a value that cannot be.

        >>> recipe = Recipe(epochs=3.0)
        >>> recipe.replace(epochs=5.0, seed=1).get("epochs"), recipe.epochs
        (5.0, 3.0)
        >>> recipe.replace("epoch", 5.0)
        Traceback (most recent call last):
        tuneful.core.errors.RecipeError: epoch is not in this recipe; did you mean epochs?
          hint: it has ...
        """
        steps = dict(path) if isinstance(path, Mapping) else {path: value} if path else {}
        new = self
        for where, what in {**steps, **changes}.items():
            new = new._at(where, what)
        return new

    def _at(self, path: str, value: Any) -> Self:
        head, _, rest = path.partition(".")
        if head in LISTS and rest:
            kind, _, field = rest.partition(".")
            old = () if getattr(self, head) == "auto" else getattr(self, head)
            item = self.get(f"{head}.{kind}").replace(**{field: value}) if field else value
            kept = tuple(item if _kind(member) == kind else member for member in old)
            if item is None:
                kept = tuple(member for member in kept if member is not None)
            elif kind not in {_kind(member) for member in old}:
                kept = (*old, item)
            return super().replace(**{head: kept})
        if rest:
            rest, _, inner = rest.partition(".")
            old = self.get(f"{head}.{rest}")
            if inner and not isinstance(old, Mapping):
                raise _unknown(path, [f"{head}.{rest}"])
            if inner:
                value = {**cast("Mapping[str, Any]", old), inner: value}
            return super().replace(**{head: getattr(self, head).replace(**{rest: value})})
        if head not in type(self).model_fields:
            raise _unknown(path, type(self).model_fields)
        return super().replace(**{head: value})

    def because(self, path: str, reason: str) -> Self:
        """The same recipe with a reason noted for what auto chose at `path`."""
        return super().replace(reasons={**self.reasons, path: reason})


def identity(data: Mapping[str, Any]) -> str:
    """The id of the recipe that this plain data is of."""
    data = {key: value for key, value in data.items() if key != "reasons" and (key, value) != ("plan", "auto")}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _kind(settings: Settings) -> str:
    return str(getattr(settings, "kind", ""))


def _unknown(path: str, known: Any) -> RecipeError:
    known = [name for name in known if name not in ("reasons", "kind")]
    guess = nearest(path, known)
    return RecipeError(
        [Problem(path, f"{path} is not in this recipe", nearest=guess)], f"it has {', '.join(known)}" if known else ""
    )
