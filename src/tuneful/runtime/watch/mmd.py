"""Maximum mean discrepancy: has the joint law of several numbers changed, even where each of them alone has not?

    MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y),    k(u, v) = exp(-|u - v|^2 / (2 s^2)),  s the median distance

Columns are standardized by `before`. The null is that of permutation, exact for exchangeable rows: with w = 1/n for one sample and
-1/m for the other, MMD^2 = w' K w, so a thousand deals are one product of matrices.

Source: Gretton et al., Journal of Machine Learning Research 2012 (with its median heuristic).
"""

from __future__ import annotations

import numpy as np

from tuneful.runtime.watch.samples import NOTHING, Floats, Found

MOST, PERMUTED = 400, 999  # rows of either sample; deals
AT_ONCE = 500
ENOUGH = 20  # deals as large as what was seen, after which p is known well enough (Besag & Clifford, Biometrika 1991)


def mmd(before_ND: Floats, now_ND: Floats, permuted: int = PERMUTED, seed: int = 0) -> Found:
    """Two samples of rows, such as embeddings. The same seed gives the same p. size: MMD, in [0, sqrt 2]."""
    dice = np.random.default_rng(seed)
    x, y = (_some(side[np.isfinite(side).all(axis=1)], dice) for side in (before_ND, now_ND))
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        return Found("mmd", 0.0, NOTHING, 0.0, "MMD")
    mean, std = x.mean(axis=0), x.std(axis=0)
    rows = (np.concatenate([x, y]) - mean) / np.where(std > 0, std, 1.0)
    square = (rows**2).sum(axis=1)
    apart = np.maximum(square[:, None] + square[None] - 2 * rows @ rows.T, 0.0)
    middle = float(np.median(apart[np.triu_indices(n + m, 1)]))
    kernel = np.exp(-apart / (middle if middle > 0 else 1.0) / 2)
    weights = np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)])
    seen = float(weights @ kernel @ weights)
    more = done = 0
    while done < permuted and more < ENOUGH:
        count = min(AT_ONCE, permuted - done)
        dealt = dice.permuted(np.tile(weights, (count, 1)), axis=1)
        others = np.einsum("ij,ij->i", dealt @ kernel, dealt)
        more, done = more + int((others >= seen - 1e-12).sum()), done + count
    return Found("mmd", seen, (1 + more) / (1 + done), float(np.sqrt(max(seen, 0.0))), "MMD")


def _some(rows: Floats, dice: np.random.Generator) -> Floats:
    return rows if len(rows) <= MOST else rows[np.sort(dice.choice(len(rows), MOST, replace=False))]


__all__ = ["MOST", "PERMUTED", "mmd"]
