"""The search over steps and their dials, under a budget.

    1  every step on the exported graph by itself, which costs seconds
    2  every step on the network that the time allows, at moderate dials
    3  what was kept is tried with the steps on the graph that paid; then dials go further where they were kept, and half-way back
       where they were refused, up to three times

Each chain is measured as it would run and judged against the original; only what was kept is built upon. The order is that of
the list, so the same budget on the same machine tries the same things.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tuneful.core.errors import ModelError, RecipeError
from tuneful.pipeline.improve.keep import Keeper, told
from tuneful.pipeline.improve.opened import Origin
from tuneful.pipeline.improve.taking import step_name, taken
from tuneful.pipeline.improve.variant import Variant
from tuneful.pipeline.improve.words import named
from tuneful.techniques.compressors import Distil, DynamicInt8, Half, LowRank, Prune, Share, StaticInt8, WeightOnly
from tuneful.techniques.interfaces import Compressor

GRAPH: tuple[Compressor, ...] = (
    StaticInt8(), StaticInt8(calibrate="percentile"), StaticInt8(calibrate="entropy"), StaticInt8(where="products"), DynamicInt8(),
    WeightOnly(), WeightOnly(bits=4), Share(), Half(),
)  # fmt: skip
"""Steps on the exported graph, the most promising first."""

PART = 0.2  # of the budget that one training on may take
TEACHING = 1.6  # times the time of an epoch, with a teacher
LEAST = 1.0  # epochs below which training on is not worth a try
FURTHER = 3  # changes of one dial
NEAR = 0.07  # of a dial, below which a change is not worth a training
MOST = 3  # steps on the graph that are tried with every network
PAYS = 0.97  # of the original's time or size, below which a step on the graph is tried with others


@dataclass
class Chain:
    """Steps to try behind a variant. far: how often its dial was changed; low, high: the dial that was kept, and refused."""

    before: Variant
    step: Compressor
    far: int = 0
    low: float = 0.0
    high: float = 1.0


@dataclass
class Searching:
    """Iterating tries one chain after the other, and yields (the variant, or None where it was refused unmade; a sentence)."""

    origin: Origin
    begun: Variant
    keeper: Keeper
    seconds: float
    tried: set[str] = field(default_factory=set[str])
    paid: list[Compressor] = field(default_factory=list[Compressor])
    ended: str = ""

    def __iter__(self) -> Iterator[tuple[Variant | None, str]]:
        until = time.monotonic() + self.seconds
        waiting = [Chain(self.begun, step) for step in GRAPH] + self._networks()
        while waiting:
            if time.monotonic() > until:
                self.ended = f"the time was up with {len(waiting)} more to try"
                return
            chain = waiting.pop(0)
            name = named((*chain.before.steps, chain.step))
            if name in self.tried:
                continue
            self.tried.add(name)
            try:
                found = taken(self.origin, chain.step, chain.before, self.begun, self.keeper, until)
            except (ModelError, RecipeError) as error:
                yield None, f"{name}: {error.message}"
                continue
            yield found, told(found.losses)
            waiting[:0] = self._with_graph(chain, found)
            waiting += _moved(chain, found.kept)
        self.ended = "nothing more to try"

    def _networks(self) -> list[Chain]:
        """Steps on the network, with as many epochs as the time allows; none where it allows not even one."""
        epoch = self._epoch()
        allowed = PART * self.seconds / max(epoch, 1e-6)
        if allowed < LEAST:
            return []
        whole = float(self.origin.candidate.recipe.epochs)
        on, anew = round(min(allowed, max(2.0, whole / 2)), 1), round(min(allowed, max(5.0, whole)), 1)
        steps: list[Compressor] = [Prune(share=0.5, epochs=on), Prune(share=0.5, epochs=on, multiple=16),
                                   LowRank(keep=0.8, epochs=on)]  # fmt: skip
        model: Any = self.origin.candidate.recipe.model
        if "width" in type(model).model_fields:
            steps.insert(1, Distil(width=0.5, epochs=anew))
        return [Chain(self.begun, step) for step in steps]

    def _epoch(self) -> float:
        """Seconds of one pass over train with a teacher, from what the original took."""
        candidate = self.origin.candidate
        passes = candidate.steps * float(candidate.recipe.batch_size) / max(1, len(self.origin.task.train))
        return TEACHING * candidate.seconds.get("train", 1.0) / max(passes, 1e-6)

    def _with_graph(self, chain: Chain, found: Variant) -> list[Chain]:
        """A kept network with each step on the graph that paid; and whether this one did."""
        if chain.step.networks:
            return [Chain(found, step) for step in self.paid or GRAPH[:1]] if found.kept else []
        pays = found.bytes < PAYS * chain.before.bytes or any(one.high < PAYS for one in found.ratio.values())
        known = {step_name(one) for one in self.paid}
        if found.kept and pays and not chain.before.steps and step_name(chain.step) not in known and len(known) < MOST:
            self.paid.append(chain.step)
        return []


def _moved(chain: Chain, kept: bool) -> list[Chain]:
    """The same step with its dial further where it was kept, or half-way back where it was refused; nothing after a few times."""
    step, dial = chain.step, _dial(chain.step)
    if dial is None or chain.far >= FURTHER or chain.before.steps:
        return []
    name, strength = dial
    now = strength(float(getattr(step, name)))
    low, high = (now, chain.high) if kept else (chain.low, now)
    new = (low + high) / 2
    if abs(new - now) < NEAR:
        return []
    value = round(strength(new), 3)  # its own inverse
    return [Chain(chain.before, step.replace(**{name: value}), chain.far + 1, low, high)]


def _dial(step: Compressor) -> tuple[str, Any] | None:
    """(the setting that says how much goes, from its value to a strength between 0 and 1 and back)."""
    if isinstance(step, Prune):
        return "share", lambda value: value
    if isinstance(step, Distil):
        return "width", lambda value: 1 - value
    if isinstance(step, LowRank):
        return "keep", lambda value: 1 - value
    return None


__all__ = ["Searching"]
