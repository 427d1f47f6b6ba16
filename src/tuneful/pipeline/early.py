"""The first 200 steps of a run under watch: what is wrong becomes notes of the run, and a run that will come to nothing is ended.

Looks are rarer than those of `tuneful doctor` (ten in all), hooks are there in the steps that are looked at alone, and no clock
decides anything: a run that is taken up again says the same. What was seen is part of the run's state.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.pipeline.watch import Watch
from tuneful.techniques.symptoms import TABLE, Divergence, Symptom

EVERY = 20
EXPLODED = 1e4  # times the first loss: beyond it a run is given up
BINARY = ("binary_cross_entropy", "cumulative")
"""Losses that take a logit for each yes or no."""


class Early(Watch):
    """The watch of a run. plan: its resolved recipe; steps: how many it will take."""

    def __init__(
        self,
        body: nn.Module,
        optimizer: torch.optim.Optimizer,
        plan: Any,
        steps: int,
        *,
        symptoms: Iterable[Symptom] | None = None,
        every: int = EVERY,
        loss: Callable[[], Tensor] | None = None,
        clocked: bool = False,
    ) -> None:
        self.rule, self.stops = Divergence(), plan.alarm == "stop"
        if symptoms is None:
            symptoms = [make() for kind, make in TABLE.items() if kind not in ("data_path", "rate_edge")]
            steps = min(self.rule.steps, steps)
        self.weighted = any(one.kind == "exposure" and one.weight != 1 for one in plan.regularizers)
        wants = "binary_logits" if plan.loss.kind in BINARY else "logits" if plan.loss.classes else "values"
        super().__init__(
            body, optimizer, steps=steps, every=every, loss=loss, symptoms=symptoms, wants=wants, clocked=clocked
        )
        self.detach()

    @property
    def counts(self) -> bool:
        """Are targets looked at?"""
        return self.seen.wants == "logits" and not self.weighted

    @contextlib.contextmanager
    def during(self) -> Generator[None]:
        """Around a step whose batch is there: hooks where it is looked at."""
        self.begins()
        if not self.looking:
            yield
            return
        self.attach()
        try:
            yield
        finally:
            self.detach()

    def heard(self, loss: Tensor | float, targets: Tensor | None, notes: list[str], *, looked: bool = False) -> str:
        """After each step: why the run ends, "" where it goes on; what is to be known of it is added to the notes. looked: see
        `Watch.step`."""
        if self.over:
            return ""
        # Of levels, labels that are not all known, and values, the task has seen to it that targets are what the loss takes.
        # Rows of outsiders that weigh more than others sum to their weight.
        self.step(loss, targets if self.counts else None, looked=looked)
        if not self.over:
            return ""
        self.seen.sleepers.clear()  # nothing more is to be compared with them
        told = self.complaints
        doomed = next((one for one in told if one.symptom == self.rule.kind), None)
        if doomed is not None and self.stops and doomed.value > self.rule.certain:
            return f"diverged: {doomed.said} (stopped after {len(self.seen.losses)} steps; alarm=tell lets it go on)"
        notes += [f"doctor: {one.said}; remedy: {one.remedy}" for one in told]
        return ""


def gone(mean: float, first: float, step: int) -> str:
    """Why a run is over whose mean loss became this by a step; "" where it is not. first: its mean loss at the beginning."""
    if not math.isfinite(mean):
        return f"diverged: the training loss became {mean} before step {step}"
    if mean > EXPLODED * max(first, 1e-3):
        return f"diverged: the training loss grew from {first:.3g} to {mean:.3g} by step {step}"
    return ""


__all__ = ["EVERY", "Early", "gone"]
