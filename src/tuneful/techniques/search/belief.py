"""What learning curves are expected to become: a Gaussian process over (dials, share of a full training).

Of every trial, paused and failed ones included, a few points are seen, spread evenly in log t. With x the dials in [0, 1], s = log t,
and k Matern-5/2 kernels of their own scales, two values of the curves i and j have the covariance

    1 + g^2 k_s(s, s') + k_x(x_i, x_j) (a^2 + b^2 k_s(s, s')) + [i = j] c^2 k_s(s, s') + [same point] e^2

that is: a level, a course that all curves share, what the dials do to the level and to the course, what is the trial's own, and noise.
The scales are those of the highest posterior under wide log-normal priors (L-BFGS, exact gradients).

Source: Swersky, Snoek & Adams, 2014, arXiv:1406.3896 (freeze-thaw); the product kernel over configuration and budget is that of
Klein et al., AISTATS 2017, arXiv:1605.07079.  Cost: a Cholesky factorization of the points seen, at most `POINTS`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POINTS = 250  # that are seen at most, those of the best trials
FITTED = 100  # of them, about, to which the scales are fitted: those of every second trial, every third, ...
GRID = 1.6  # from one point of a curve that is seen to the next, as a factor
STEPS = 15  # of L-BFGS
FIRST, FEW = 64, 16  # points of the best trials, by which most candidates are ruled out; those that are looked at first


class Seen(NamedTuple):
    """x: [n, D], dials of the trials in [0, 1]; of: [m], which trial each point is of; s: [m], log of its length; y: [m], standardized."""

    x: Array
    of: NDArray[np.int64]
    s: Array
    y: Array


@dataclass(frozen=True)
class Scales:
    """The logarithms of all scales, in one vector: D lengths of the dials, length of s, then g, a, b, c, e."""

    theta: Array

    @staticmethod
    def prior(dials: int) -> tuple[Array, Array]:
        """Mean and standard deviation of each."""
        lengths = math.log(0.5 * math.sqrt(dials)), 0.8
        rest = [(math.log(1.5), 0.5), (math.log(0.5), 0.7), (0.0, 0.5), (math.log(0.5), 0.7), (math.log(0.3), 0.7), (math.log(0.03), 0.7)]  # fmt: skip
        both = np.array([lengths] * dials + rest)
        return both[:, 0], both[:, 1]


def matern(r: Array) -> Array:
    """Matern-5/2 of distances."""
    z = math.sqrt(5.0) * r
    return (1 + z + z * z / 3) * np.exp(-z)


def slope(r: Array) -> Array:
    """-(dk/dr)/r of `matern`, which is finite at 0."""
    z = math.sqrt(5.0) * r
    return 5.0 / 3.0 * (1 + z) * np.exp(-z)


def squares(x: Array, other: Array) -> Array:
    """[D, n, m]: squared differences along each dial."""
    return (x.T[:, :, None] - other.T[:, None, :]) ** 2


def thinned(seen: Seen, points: int = FITTED) -> Seen:
    """Of every k-th trial alone, so that about so many points remain."""
    every = -(-len(seen.y) // points)
    where = seen.of % every == 0
    return Seen(seen.x[::every], seen.of[where] // every, seen.s[where], seen.y[where])


def fit(seen: Seen, start: Scales | None = None, steps: int = STEPS) -> Scales:
    """The scales of the highest posterior, given these points. start: where they are looked for first; at the prior's mean when None."""
    from scipy.linalg import lapack
    from scipy.optimize import minimize

    routines: Any = lapack
    mean, spread = Scales.prior(seen.x.shape[1])
    count = len(mean) - 6
    apart = squares(seen.x, seen.x)
    whose = np.eye(len(seen.x))[seen.of]  # [m, n]: which trial each point is of
    ds = (seen.s[:, None] - seen.s[None, :]) ** 2
    same = (seen.of[:, None] == seen.of[None, :]).astype(float)
    size = len(seen.y)

    def loss(theta: Array) -> tuple[float, Array]:
        length, ls = np.exp(-2 * theta[:count]), math.exp(-2 * theta[count])
        g, a, b, c, e = np.exp(2 * theta[count + 1 :])
        r = np.sqrt(np.tensordot(length, apart, 1))
        kx, ks = matern(r).take(seen.of, 0).take(seen.of, 1), matern(np.sqrt(ds * ls))
        outer = g + b * kx + c * same
        cov = 1.0 + a * kx + outer * ks
        cov[np.diag_indices(size)] += e + 1e-8
        low, wrong = routines.dpotrf(cov.T, lower=1, overwrite_a=1)
        if wrong:
            return 1e10, np.zeros_like(theta)
        alpha = routines.dpotrs(low, seen.y, lower=1)[0]
        logs = np.log(low.diagonal()).sum()
        inverse = routines.dpotri(low, lower=1, overwrite_c=1)[0]
        inverse += np.tril(inverse, -1).T
        w = inverse - np.outer(alpha, alpha)  # d loss = tr(w dK) / 2
        off = (theta - mean) / spread
        value = 0.5 * seen.y @ alpha + logs + 0.5 * off @ off
        grad = off / spread
        wx = w * (a + b * ks)
        bent = whose.T @ wx @ whose * slope(r)
        grad[:count] += 0.5 * (apart * bent).sum((1, 2)) * length
        grad[count] += 0.5 * (w * outer * slope(np.sqrt(ds * ls)) * ds).sum() * ls
        grad[count + 1] += (w * ks).sum() * g
        grad[count + 2] += (w * kx).sum() * a
        grad[count + 3] += (w * kx * ks).sum() * b
        grad[count + 4] += (w * same * ks).sum() * c
        grad[count + 5] += w.trace() * e
        return float(value), grad

    found = minimize(loss, mean if start is None else start.theta, jac=True, method="L-BFGS-B", bounds=list(zip(mean - 4 * spread, mean + 4 * spread, strict=True)),
                     options={"maxiter": steps})  # fmt: skip
    return Scales(np.asarray(found.x))


class Belief:
    """The process given what was seen. end: log of the full length."""

    def __init__(self, seen: Seen, scales: Scales, end: float) -> None:
        from scipy.linalg import lapack

        routines: Any = lapack
        self.seen, self.scales, self.end = seen, scales, end
        count = seen.x.shape[1]
        self._length = np.exp(-2 * scales.theta[:count])
        self._ls = math.exp(-2 * scales.theta[count])
        self._g, self._a, self._b, self._c, self._e = np.exp(2 * scales.theta[count + 1 :])
        lengths, at = np.unique(seen.s, return_inverse=True)  # few: most trials wait at the same rungs
        ks = matern(np.abs(lengths[:, None] - lengths[None, :]) * math.sqrt(self._ls)).take(at, 0).take(at, 1)
        kx = self._kx(seen.x, seen.x)
        level, course = 1.0 + self._a * kx, self._g + self._b * kx
        course[np.diag_indices(len(course))] += self._c
        cov = ks
        cov *= course.take(seen.of, 0).take(seen.of, 1)
        cov += level.take(seen.of, 0).take(seen.of, 1)
        cov[np.diag_indices(len(cov))] += self._e + 1e-8
        self._low, wrong = routines.dpotrf(
            cov.T, lower=1, overwrite_a=1, clean=0
        )  # .T: as LAPACK lays a matrix, and it is symmetric
        if wrong:
            raise np.linalg.LinAlgError(f"the {wrong}th leading minor is not positive definite")
        self._first = np.asfortranarray(self._low[:FIRST, :FIRST])
        self._alpha = routines.dpotrs(self._low, seen.y, lower=1)[0]

    def same(self, seen: Seen, scales: Scales, end: float) -> bool:
        """Would one of these be the same?"""
        pairs = [*zip(self.seen, seen, strict=True), (self.scales.theta, scales.theta)]
        return self.end == end and all(np.array_equal(a, b) for a, b in pairs)

    def _kx(self, x: Array, other: Array) -> Array:
        scaled, others = x * np.sqrt(self._length), other * np.sqrt(self._length)
        apart = (scaled**2).sum(1)[:, None] + (others**2).sum(1)[None, :] - 2 * scaled @ others.T
        return matern(np.sqrt(np.maximum(apart, 0.0)))

    def _cross(self, kx: Array, same: Array | float, at: Array | None = None) -> Array:
        """[n, m]: covariances of values at the full length, or at n lengths whose logarithms are given, with the points seen."""
        lengths = np.array([self.end]) if at is None else at
        ks = matern(np.abs(lengths[:, None] - self.seen.s[None, :]) * math.sqrt(self._ls))
        return 1.0 + self._a * kx + (self._g + self._b * kx + self._c * same) * ks

    def _own(self) -> tuple[Array, Array]:
        kx = self._kx(self.seen.x, self.seen.x)[:, self.seen.of]
        return kx, np.arange(len(self.seen.x))[:, None] == self.seen.of[None, :]

    @cached_property
    def of_trials(self) -> Array:
        """The mean of each seen trial's value at the full length."""
        return self._cross(*self._own()) @ self._alpha

    def spread_of_trials(self, at: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of each seen trial's value at a length of its own, given as its logarithm."""
        return self._told(self._cross(*self._own(), at))

    def of_new(self, x: Array) -> tuple[Array, Array]:
        """The same of trials not yet begun, with these dials, at the full length."""
        return self._told(self._cross(self._kx(x, self.seen.x)[:, self.seen.of], 0.0))

    def lowest(self, x: Array, bold: float) -> int:
        """Of trials not yet begun that with the lowest mean - bold * standard deviation.

        The first points seen alone leave at least as much spread as all of them; what could not be lowest with that needs no closer look.
        """
        cross = self._cross(self._kx(x, self.seen.x)[:, self.seen.of], 0.0)
        mean = cross @ self._alpha
        bound = mean - bold * self._spread(cross[:, :FIRST], self._first)
        order = bound.argsort(kind="stable")
        near, rest = order[:FEW], order[FEW:]
        found = mean[near] - bold * self._spread(cross[near], self._low)
        if len(left := rest[bound[rest] < found.min()]):
            near = np.append(near, left)
            found = np.append(found, mean[left] - bold * self._spread(cross[left], self._low))
        return int(near[found.argmin()])

    def _told(self, cross: Array) -> tuple[Array, Array]:
        return cross @ self._alpha, self._spread(cross, self._low)

    def _spread(self, cross: Array, low: Array) -> Array:
        from scipy.linalg import lapack

        routines: Any = lapack
        half = routines.dtrtrs(low, cross.T, lower=1)[0]
        prior = 1.0 + self._g + self._a + self._b + self._c
        return np.sqrt(np.maximum(prior - (half**2).sum(0), 1e-12))


class Picked(NamedTuple):
    """Which trials are seen, the best first, and of their curves which points: of, s and y as in `Seen`."""

    kept: list[int]
    of: NDArray[np.int64]
    s: Array
    y: Array


def picked(
    lows: Sequence[Sequence[float]],
    failed: Sequence[bool] | NDArray[np.bool_],
    end: int,
    first: Array | None = None,
    last: Array | None = None,
) -> Picked:
    """What is seen of curves, given as the best value up to each point, which is to be small. first, last: of each, where they are known.

    Values above what trials usually begin with count as that: how bad it is does not matter, and a trial that failed is expected to end there.
    """
    if first is None or last is None:
        first, last = (np.array([low[at] if low else math.nan for low in lows]) for at in (0, -1))
    finite = first[np.isfinite(first)]
    cap = float(np.median(finite)) if len(finite) else 0.0
    order = np.lexsort((last, np.asarray(failed)))
    order = order[~np.isnan(last[order])][:POINTS].tolist()
    curves, lost = [lows[k] for k in order], [bool(failed[k]) for k in order]
    before = _picked.get("last")
    if before is not None and before[:4] == (end, cap, order, lost) and all(map(operator.is_, before[4], curves)):
        return before[5]
    kept, of, s, y = list[int](), list[int](), list[float](), list[float]()
    for k in order:
        points, logs = ((end,), (math.log(end),)) if failed[k] else _spread(len(lows[k]))
        if len(of) + len(points) > POINTS:
            break
        of += [len(kept)] * len(points)
        s += logs
        y += [cap] if failed[k] else [min(lows[k][point - 1], cap) for point in points]
        kept.append(k)
    values = np.array(y)
    found = Picked(kept, np.array(of), np.array(s), (values - values.mean()) / max(float(values.std()), 1e-12))
    _picked["last"] = end, cap, order, lost, curves, found
    return found


_picked: dict[str, tuple[int, float, list[int], list[bool], list[Sequence[float]], Picked]] = {}
"""By "last", what was picked last: where none of the best has changed, it is the same."""


@cache
def _spread(length: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Which points of a curve are seen: the last, and others each `GRID` times earlier, by number from 1 on; and the logarithms of those."""
    out, at = [length], length / GRID
    while at >= 1:
        if (point := math.floor(at)) < out[-1]:
            out.append(point)
        at /= GRID
    return tuple(out), tuple(map(math.log, out))
