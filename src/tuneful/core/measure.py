"""A number with its interval, its count, its unit and the way it was measured. No bare float is ever reported.

Shares get Wilson's interval, means Student's t or the bootstrap, two models on the same examples a paired test. An interval
that cannot be had (no example, one example, values that are not numbers) is NaN, and `how` says why.

Sources: Wilson, JASA 1927; Efron, Annals of Statistics 1979; Hesterberg, The American Statistician 2015 (percentiles widened
for few values); McNemar, Psychometrika 1947; Agresti & Min, Statistics in Medicine 2005 (interval of paired shares).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Values = Sequence[float] | NDArray[Any]

_CELLS = 4_000_000  # resampled weights in memory at once: 32 MB


@dataclass(frozen=True)
class Measure:
    """value lies in [low, high] with the stated confidence.

    n: how many independent things were looked at; unit: "" for shares, else "s", "ms", "bytes", the target's unit;
    how: the method in words, such as "Wilson 95 %" or "bootstrap 95 %, 1000 resamples".

    >>> print(Measure(3.1, 2.9, 3.4, n=200, unit="ms"))
    3.1000 [2.9000, 3.4000] ms (n=200)
    """

    value: float
    low: float
    high: float
    n: int
    unit: str = ""
    how: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{_figure(self.value)} [{_figure(self.low)}, {_figure(self.high)}]{unit} (n={self.n})"

    def as_data(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite become None, so that the JSON stays valid."""
        return {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in asdict(self).items()}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Measure:
        """The inverse of `as_data`."""
        value, low, high = (math.nan if data[k] is None else float(data[k]) for k in ("value", "low", "high"))
        return Measure(value, low, high, int(data["n"]), str(data.get("unit", "")), str(data.get("how", "")))


@dataclass(frozen=True)
class PairedTest:
    """The mean of a - b over the same examples, with the chance `p` of a difference at least as large if there were none."""

    difference: Measure
    p: float
    test: str  # the test in words, such as "exact McNemar"


def wilson(successes: float, n: float, level: float = 0.95) -> Measure:
    """A share, successes of n, with Wilson's score interval: right for few examples, and near 0 and 1.

    successes and n may be fractions (an effective number of examples). n = 0 gives NaN. Raises TunefulError unless
    0 <= successes <= n.

    >>> print(wilson(81, 100))
    0.8100 [0.7222, 0.8749] (n=100)
    >>> print(wilson(20, 20))  # all right, and yet not sure
    1.0000 [0.8389, 1.0000] (n=20)
    """
    if not 0 <= successes <= n:
        raise TunefulError(f"there are {successes:g} successes among {n:g}; they must lie in [0, {n:g}]")
    if n == 0:
        return undefined(0, "there are no examples")
    z = normal_quantile(level)
    share, grown = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / grown
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / grown
    low = 0.0 if successes == 0 else min(share, max(0.0, middle - half))
    high = 1.0 if successes == n else max(share, min(1.0, middle + half))
    return Measure(share, low, high, int(n), how=f"Wilson {percent(level)}")


def t_interval(values: Values, level: float = 0.95, unit: str = "") -> Measure:
    """The mean of independent values [n] with Student's t interval. One value has no interval (NaN)."""
    import numpy as np

    x = _floats(values)
    n = len(x)
    if problem := _problem(x):
        return undefined(n, problem, unit)
    mean = float(np.mean(x))
    if n == 1:
        return undefined(1, "one value has no interval", unit, mean)
    half = t_quantile(n - 1, level) * float(np.std(x, ddof=1)) / math.sqrt(n)
    return Measure(mean, mean - half, mean + half, n, unit, f"Student's t {percent(level)}")


def bootstrap(
    values: Values,
    statistic: Callable[..., Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    unit: str = "",
) -> Measure:
    """A statistic of independent values [n] (or rows [n, ...]) with the percentiles of its resamples.

    statistic: called as statistic(block, axis=1) with [r, n, ...] and gives [r], as np.median does; None is the mean.
    The same seed gives the same interval. Memory is bounded (about 32 MB); time is n x resamples.
    """
    import numpy as np

    x = _floats(values)
    n = len(x)
    if problem := _problem(x):
        return undefined(n, problem, unit)
    if statistic is None:
        value = float(np.mean(x))
        found = resampled_means(x.reshape(n, -1), resamples, seed).mean(axis=1)
    else:
        value = float(_called(statistic, x[None])[0])
        rng, step = np.random.default_rng(seed), max(1, _CELLS // x.size)
        sizes = [min(step, resamples - done) for done in range(0, resamples, step)]
        found = np.concatenate([_called(statistic, x[rng.integers(n, size=(r, n))]) for r in sizes])
    if n == 1:
        return undefined(1, "one value has no interval", unit, value)
    low, high = percentiles(found, n, level)
    return Measure(value, low, high, n, unit, f"bootstrap {percent(level)}, {resamples} resamples")


def _called(statistic: Callable[..., Any], block: Array) -> Array:
    found = _floats(statistic(block, axis=1))
    if found.shape != block.shape[:1]:
        raise TunefulError(
            f"the statistic gives shape {found.shape} for a block of shape {block.shape}; it must give one number a resample",
            "it is called as statistic(block, axis=1) with a block of [resamples, n]",
        )
    return found


def paired_difference(
    a: Values,
    b: Values,
    test: Literal["auto", "mcnemar", "t", "bootstrap"] = "auto",
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    unit: str = "",
) -> PairedTest:
    """The mean of a - b [n], two measurements of the same n things, with its interval and a two-sided test.

    test: "auto" takes McNemar's exact test when all values are 0 or 1, Student's paired t below 30 pairs, else bootstraps.
    Raises TunefulError when a and b differ in length, or McNemar's test is asked for other values than 0 and 1.
    """
    import numpy as np

    x, y = _floats(a), _floats(b)
    if x.shape != y.shape or x.ndim != 1:
        raise TunefulError(f"the pairs have shapes {x.shape} and {y.shape}; both must be lists of one length")
    d, n = x - y, len(x)
    if problem := _problem(d):
        return PairedTest(undefined(n, problem, unit), math.nan, "none")
    shares = bool(np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all())
    if test == "mcnemar" and not shares:
        raise TunefulError("McNemar's test needs values that are 0 or 1", "test=t and test=bootstrap take any numbers")
    if test == "mcnemar" or (test == "auto" and shares):
        return _mcnemar(int((d > 0).sum()), int((d < 0).sum()), n, level, unit)
    if n == 1:
        return PairedTest(undefined(1, "one pair has no interval", unit, float(d[0])), math.nan, "none")
    if test == "t" or (test == "auto" and n < 30):
        return _paired_t(t_interval(d, level, unit), float(np.std(d, ddof=1)))
    means = resampled_means(d[:, None], resamples, seed)[:, 0]
    low, high = percentiles(means, n, level)
    how = f"paired bootstrap {percent(level)}, {resamples} resamples"
    return PairedTest(Measure(float(d.mean()), low, high, n, unit, how), two_sided(means), "paired bootstrap over examples")


def _mcnemar(wins: int, losses: int, n: int, level: float, unit: str) -> PairedTest:
    """Only the pairs that differ say anything: under no difference, each is a fair coin."""
    p = 1.0 if wins == losses else min(1.0, 2 * binomial_tail(min(wins, losses), wins + losses))
    b, c, total = losses + 0.5, wins + 0.5, n + 2  # half a pair in each of the four cells
    middle = (c - b) / total
    half = normal_quantile(level) * math.sqrt(max(0.0, b + c - (c - b) ** 2 / total)) / total
    value = (wins - losses) / n
    low, high = min(value, max(-1.0, middle - half)), max(value, min(1.0, middle + half))
    return PairedTest(Measure(value, low, high, n, unit, f"Agresti-Min {percent(level)}, paired"), p, "exact McNemar")


def _paired_t(mean: Measure, spread: float) -> PairedTest:
    if spread == 0:
        p = 1.0 if mean.value == 0 else 0.0
    else:
        p = 2 * student_tail(mean.n - 1, abs(mean.value) * math.sqrt(mean.n) / spread)
    return PairedTest(mean, p, "paired t")


def undefined(n: int, why: str, unit: str = "", value: float = math.nan) -> Measure:
    """A measure without an interval; `how` begins with "undefined" and gives the reason."""
    return Measure(value, math.nan, math.nan, n, unit, f"undefined: {why}")


def resampled_means(
    rows: Array, resamples: int = 1000, seed: int = 0, counts: NDArray[Any] | None = None, block: int = 1
) -> Array:
    """Means [resamples, k] over as many bootstrap resamples of the rows [n, k].

    counts [n]: how often each row occurs (equal rows told once; cheap for tables of counts); None means once each.
    block: how many rows in a row are drawn together, where neighbours are alike: the circular block bootstrap of Politis &
    Romano 1992; the rows then stand in their order. All columns share one resampling, so that differences between them are
    paired. Memory is bounded.
    """
    import numpy as np

    if block > 1:
        return _blocks(rows, resamples, seed, block)
    rng, n, step = np.random.default_rng(seed), len(rows), max(1, _CELLS // len(rows))
    found = np.empty((resamples, rows.shape[1]))
    for start in range(0, resamples, step):
        r = min(step, resamples - start)
        if counts is None:
            drawn = rng.integers(n, size=(r, n)) + (np.arange(r) * n)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n) / n
        else:
            total = counts.sum()
            weights = rng.multinomial(round(float(total)), counts / total, size=r) / round(float(total))
        found[start : start + r] = weights @ rows
    return found


def _blocks(rows: Array, resamples: int, seed: int, block: int) -> Array:
    """`resampled_means` of whole stretches of rows; the last row is followed by the first."""
    import numpy as np

    n = len(rows)
    sums = np.vstack([np.zeros((1, rows.shape[1])), np.cumsum(np.vstack([rows, rows[: block - 1]]), axis=0)])
    stretches = (sums[block:] - sums[:-block]) / block  # the mean of the stretch that begins at each row
    drawn = max(1, round(n / block))
    rng, step = np.random.default_rng(seed), max(1, _CELLS // (drawn * rows.shape[1]))
    sizes = [min(step, resamples - done) for done in range(0, resamples, step)]
    return np.concatenate([stretches[rng.integers(n, size=(r, drawn))].mean(axis=1) for r in sizes])


def percentiles(resampled: Array, n: int, level: float = 0.95) -> tuple[float, float]:
    """The bounds of resampled statistics of n values; for few values the tails are widened as Student's t is."""
    import numpy as np

    if not np.isfinite(resampled).all():
        resampled = resampled[
            np.isfinite(resampled)
        ]  # statistics that a resample does not have, such as R2 of equal targets
    if n < 2 or len(resampled) == 0:
        return math.nan, math.nan
    tail = float(_special().ndtr(-math.sqrt(n / (n - 1)) * t_quantile(n - 1, level)))
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return float(low), float(high)


def two_sided(differences: Array) -> float:
    """The p-value of "no difference" from bootstrapped differences [resamples]; never below 2 / (resamples + 1)."""
    import numpy as np

    sides = min(int(np.sum(differences <= 0)), int(np.sum(differences >= 0)))
    return min(1.0, 2 * (sides + 1) / (len(differences) + 1))


def normal_quantile(level: float) -> float:
    """How many standard deviations hold the middle `level` of a normal: 1.96 for 0.95."""
    from statistics import NormalDist

    if not 0 < level < 1:
        raise TunefulError(f"the level is {level:g}; it must be in (0, 1)", "0.95 is usual")
    return NormalDist().inv_cdf((1 + level) / 2)


def t_quantile(freedom: float, level: float) -> float:
    """As `normal_quantile`, for Student's t with so many degrees of freedom."""
    if not 0 < level < 1:
        raise TunefulError(f"the level is {level:g}; it must be in (0, 1)", "0.95 is usual")
    return float(_special().stdtrit(freedom, (1 + level) / 2))


def student_tail(freedom: float, t: float) -> float:
    """The chance of more than t under Student's t with so many degrees of freedom."""
    return float(_special().stdtr(freedom, -t))


def binomial_tail(k: int, n: int) -> float:
    """The chance of at most k heads among n fair coins."""
    return float(_special().bdtr(k, n, 0.5))


def percent(level: float) -> str:
    """0.95 as "95 %"."""
    return f"{100 * level:g} %"


def _special() -> Any:
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    return special


def _floats(values: Values) -> Array:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _problem(x: Array) -> str:
    """Why nothing can be measured, or ""."""
    import numpy as np

    if x.size == 0:
        return "there are no values"
    bad = int(np.sum(~np.isfinite(x)))
    return f"{bad} of {x.size} values are not finite numbers" if bad else ""


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"
