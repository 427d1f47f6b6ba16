"""What random search would have reached: from the trials whose dials were drawn by chance, the control arm among them.

The best of k of m values, all k of them equally likely, is to be expected at

    E_k = sum_i v_(i) C(i - 1, k - 1) / C(m, k)        v_(1) <= ... <= v_(m), larger is better

for any k up to m, and nothing is said beyond. The first draws of a search are its own as well, and a lucky one among them would make
it look fast. So the speed-up is told by how often, not by when: the chance of a proposal to be among the best fifth of all trials, over
the chance of a draw, which is how many draws have to be made for a hit that takes the search one.

Draws and other trials went through the same scheduler, so one that was stopped counts with what it had.

Source: Dodge et al., EMNLP 2019, arXiv:1909.03004, without replacement as Tang et al., ACL 2020, recommend. The interval comes from
500 resamples of the draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuneful.core.measure import Measure
from tuneful.core.trial import AT_RANDOM
from tuneful.report.axis import Axis
from tuneful.report.charts import figure, legend, line, plot, steps
from tuneful.report.markup import Html
from tuneful.report.story import Story, worth
from tuneful.report.words import many, metric, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 4  # draws from which something is said
RESAMPLES = 500
BEST = 0.2  # of all trials: what counts as a hit
DRAWS = 20_000  # of the two shares


@dataclass(frozen=True)
class Control:
    """draws: how many; expected, low, high: the best of 1, 2, ... of them; search: (how many trials, best so far) where it rises;
    speedup: how many draws one proposal is worth; after: how many trials have a value."""

    draws: int
    expected: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    search: tuple[tuple[int, float], ...]
    speedup: Measure
    after: int


def control(story: Story) -> Control | None:
    """None where too few trials were drawn at random, or all of them were."""
    sign = -1.0 if story.smaller else 1.0
    known = [(t, v.value) for t in sorted(story.trials, key=lambda t: t.number) if t.state != "failed" and (v := worth(t))]
    drawn = [sign * value for t, value in known if t.because.startswith(AT_RANDOM)]
    if len(drawn) < FEWEST or len(drawn) == len(known):
        return None
    import numpy as np

    m = len(drawn)
    found = expected(drawn)
    rng = np.random.default_rng(0)
    again = np.sort([rng.choice(drawn, m) for _ in range(RESAMPLES)], axis=1) @ shares(m).T
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    so_far: list[tuple[int, float]] = []
    for place, (_, value) in enumerate(known, 1):
        if not so_far or sign * value > so_far[-1][1]:
            so_far.append((place, sign * value))
    ours = np.array([sign * value for t, value in known if not t.because.startswith(AT_RANDOM)])
    mark = float(np.sort([*drawn, *ours])[-math.ceil(BEST * len(known))])
    hits, others = int((ours >= mark).sum()), int((np.array(drawn) >= mark).sum())
    ratio = rng.beta(hits + 0.5, len(ours) - hits + 0.5, DRAWS) / rng.beta(others + 0.5, m - others + 0.5, DRAWS)
    slow, middle, fast = (float(x) for x in np.quantile(ratio, (0.025, 0.5, 0.975)))
    ends = (tuple(sign * float(value) for value in column) for column in ((low, high) if sign > 0 else (high, low)))
    first, second = ends
    speedup = Measure(middle, slow, fast, m, how="ratio of two shares, each with Jeffreys' prior, 95 %")
    return Control(
        m,
        tuple(sign * value for value in found),
        first,
        second,
        tuple((p, sign * v) for p, v in so_far),
        speedup,
        len(known),
    )


def expected(values: Sequence[float]) -> list[float]:
    """The expected largest of k = 1 ... m of m values, drawn without replacement."""
    import numpy as np

    return (shares(len(values)) @ np.sort(values)).tolist()


def shares(m: int) -> NDArray[np.float64]:
    """[k, i]: the chance that of k of m values, drawn without replacement, the i-th smallest is the largest: C(i-1, k-1) / C(m, k).

    From i to i - 1 it changes by (i - k) / (i - 1), from k / m at i = m on.
    """
    import numpy as np

    k, found = np.arange(1, m + 1), np.empty((m, m))
    found[:, m - 1] = k / m
    for i in range(m, 1, -1):
        found[:, i - 2] = found[:, i - 1] * np.maximum(i - k, 0) / (i - 1)
    return found


def against_random(story: Story) -> Html | None:
    """The best so far of the search beside what random search is expected to have; None where nothing can be said."""
    found = control(story)
    if found is None:
        return None
    name = metric(story.metric)
    best = found.search[-1][1]
    last = found.expected[-1]
    sentence = (
        f"{many(found.draws, 'draw')} at random come to {number(last)} [{number(found.low[-1])}, {number(found.high[-1])}] at best; "
        f"the search has {number(best)} after {many(found.after, 'trial')}"
    )
    times = f"{number(found.speedup.value, 2)} times [{number(found.speedup.low, 2)}, {number(found.speedup.high, 2)}] as likely as a draw to be among the best fifth"
    if found.speedup.low > 1:
        sentence += f"; {times}, so the search is so many times as fast as random search."
    elif found.speedup.high < 1:
        sentence += f"; {times}, so the search is slower than random search."
    else:
        sentence += f"; {times}, which so few trials do not tell from 1."
    x = Axis.over([1, found.after], pad=0.02, counts=True)
    heights = [*found.expected, *found.low, *found.high, *(value for _, value in found.search)]
    y = story.axis(heights, keep=[best, last])
    counts = range(1, found.draws + 1)
    marks = [
        line(zip(counts, found.low, strict=True), x, y, "curve stopped"),
        line(zip(counts, found.high, strict=True), x, y, "curve stopped"),
        line(zip(counts, found.expected, strict=True), x, y, "curve valid"),
        steps([*((float(p), v) for p, v in found.search), (float(found.after), best)], x, y, "best-so-far"),
    ]
    keys = [
        ("line best", "the search, best so far"),
        ("line valid", "random search, expected best"),
        ("line stopped", "its 95 % interval"),
    ]
    note = (
        "Trials that were drawn at random, the control arm and the first ones, say what chance alone comes to; nothing is said of more draws "
        "than there were. The interval comes from resampling them."
    )
    chart = plot(x, y, marks, sentence, ("trials", f"{name} on valid"), tall=14)
    return figure("Against random search", sentence, legend(keys), chart, note=note)
