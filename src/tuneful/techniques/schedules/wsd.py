"""Warm-up, stable, decay: the rate stays at its peak until the last part of the run.

    factor = 1, then over the cooldown, x = 0 -> 1:          linear  1 - x;  root  1 - sqrt(x);  cosine  (1 + cos(pi x)) / 2

In its stable part a run does not know how long it is going to be. So its budget can grow later, and branches that cool down
can leave it anywhere, each of them what a whole run of that length would have been (`pipeline.branch`). For that, state the
warm-up in steps.

Source: Haegele et al., NeurIPS 2024, arXiv:2405.18392 (the root, and a cooldown of a fifth); Hu et al. 2024, MiniCPM,
arXiv:2404.06395 (the name).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.core.config import Share
from tuneful.techniques.schedules.stated import Span
from tuneful.techniques.schedules.warmed import Warmed


class WSD(Warmed):
    """As good as a cosine, and its length may be decided while it runs."""

    source: ClassVar[str] = "Haegele et al., NeurIPS 2024, arXiv:2405.18392"
    cost: ClassVar[str] = "none"

    kind: Literal["wsd"] = "wsd"
    cooldown: Span = 0.2  # how long it falls at the end: a share of the run, or steps
    form: Literal["linear", "root", "cosine"] = "root"  # how it falls
    floor: Share = 0.0  # what is left at the end, as a share of the peak

    def fall(self, steps: int) -> float:
        """How many steps of a run the cooldown takes: what is stated in steps, half of a run at most; never the warm-up's."""
        fall = self.taken(self.cooldown, steps, steps)
        if self.cooldown >= 1 and not self.length:
            fall = min(fall, steps // 2)
        return min(fall, steps - self.rising(steps))

    def after(self, step: int, left: int, steps: int) -> float:
        """1, then the fall; after the end it stands at the floor."""
        fall = self.fall(steps)
        into = step - (left - fall)
        if into <= 0:
            return 1.0
        x = min(into / fall, 1.0) if fall else 1.0
        gone = {"linear": x, "root": math.sqrt(x), "cosine": (1.0 - math.cos(math.pi * x)) / 2.0}[self.form]
        return self.floor + (1.0 - self.floor) * (1.0 - gone)
