"""Drift while serving: the newest examples of each model beside its reference, as numbers for Prometheus.

The recorder hands over what it has counted; every EVERY seconds the last WINDOW examples are compared, by PSI with its own null, since that
costs a few bins a column and no more. p is corrected for the number of columns (Holm). Whoever wants alarms at a stated rate runs
`tuneful watch` on the record: a gauge that is looked at every minute has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from tuneful.core.errors import TunefulError
from tuneful.runtime import reference
from tuneful.runtime.features import Feature
from tuneful.runtime.load import Model
from tuneful.runtime.watch import columns, drift
from tuneful.runtime.watch.columns import Columns, Key
from tuneful.runtime.watch.samples import Floats

WINDOW, LEAST, EVERY = 1000, 100, 10.0
MANY = 100  # columns that are told

Told = Callable[[str, str, Key, float, float], None]


class Live:
    """told: is called with model, version, column, PSI and corrected p; dropped: is a column by this name left out?"""

    def __init__(self, told: Told, dropped: Callable[[str], bool]) -> None:
        self._told, self._dropped = told, dropped
        self._before: dict[int, tuple[Model, Columns]] = {}  # the model is held, so that its id stays its own
        self._newest: dict[int, dict[Key, tuple[Floats, tuple[str, ...]]]] = {}
        self._next = 0.0

    def seen(self, name: str, version: str, model: Model, inputs: Sequence[Feature], said: Sequence[Feature]) -> None:
        """More examples of a model, as `Recorder` counts them."""
        if id(model) not in self._before:
            self._before[id(model)] = (model, _reference(model, self._dropped))
        before = self._before[id(model)][1]
        kept = self._newest.setdefault(id(model), {})
        for part, features in (("inputs", inputs), ("answers", said)):
            for one in features:
                if (part, one.name) in before:
                    old = kept.get((part, one.name), (np.zeros(0), ()))[0]
                    kept[part, one.name] = (
                        np.concatenate([old, one.values[-WINDOW:].astype(np.float64)])[-WINDOW:],
                        one.levels,
                    )
        now = time.monotonic()
        if not kept or now < self._next or min(len(values) for values, _ in kept.values()) < LEAST:
            return
        self._next = now + EVERY
        fresh = {key: columns.column(values, levels) for key, (values, levels) in kept.items()}
        for shift in drift.compared(before, fresh, 0.05, "psi"):
            self._told(name, version, shift.key, shift.found.size, shift.p)


def _reference(model: Model, dropped: Callable[[str], bool]) -> Columns:
    try:
        found = reference.read(model.artifact)
    except TunefulError:
        return {}
    told = columns.of_reference(found) if found is not None else {}
    return {key: one for key, one in list(told.items())[-MANY:] if key[0] == "answers" or not dropped(key[1])}


__all__ = ["Live"]
