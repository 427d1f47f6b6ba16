"""SOAP against a second implementation, in numpy, written from the paper alone (arXiv:2409.11321, algorithm 3).

Where the paper leaves something open the reference takes what the paper's text says of its experiments: the first gradient begins
the covariances, the eigenvectors are found exactly at first and by one power iteration with a QR afterwards, Adam's moments are
corrected for their bias. The sides of the matrices differ by one at most: the first covariance of a longer side has several
eigenvalues of zero, whose axes no formula decides.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tuneful.techniques.optimizers import SOAP

Array = NDArray[np.float64]


class Reference:
    """One matrix W [m, n] stepped by algorithm 3. `once`: whether the axes were found exactly already."""

    def __init__(self, w: Array, lr: float, beta1: float, beta2: float, every: int, eps: float, decay: float) -> None:
        self.w, self.lr, self.beta1, self.beta2 = w.copy(), lr, beta1, beta2
        self.every, self.eps, self.decay = every, eps, decay
        m, n = w.shape
        self.left, self.right = np.zeros((m, m)), np.zeros((n, n))
        self.ql, self.qr = np.eye(m), np.eye(n)
        self.mean, self.square = np.zeros_like(w), np.zeros_like(w)
        self.calls = 0

    def step(self, g: Array) -> None:
        self.calls += 1
        t = self.calls - 1  # steps of Adam so far
        if t > 0:
            rotated = self.ql.T @ g @ self.qr
            self.mean = self.beta1 * self.mean + (1 - self.beta1) * g
            rotated_mean = self.ql.T @ self.mean @ self.qr
            self.square = self.beta2 * self.square + (1 - self.beta2) * rotated**2
            correction = np.sqrt(1 - self.beta2**t) / (1 - self.beta1**t)
            direction = rotated_mean / (np.sqrt(self.square) + self.eps)
            self.w = self.w - self.lr * correction * (self.ql @ direction @ self.qr.T)
            self.w = self.w - self.lr * self.decay * self.w
        self.left = self.beta2 * self.left + (1 - self.beta2) * (g @ g.T)
        self.right = self.beta2 * self.right + (1 - self.beta2) * (g.T @ g)
        if self.calls == 1:
            self.ql, self.qr = self._exact(self.left), self._exact(self.right)
        elif t % self.every == 0:
            self.ql, self.qr, self.square = self._refreshed()

    def _exact(self, covariance: Array) -> Array:
        values, vectors = np.linalg.eigh(covariance)
        return vectors[:, np.argsort(-values, kind="stable")]

    def _refreshed(self) -> tuple[Array, Array, Array]:
        """Algorithm 4: a power iteration and a QR, the axes in the order of their estimated eigenvalues; the squares move along."""
        square, found = self.square, []
        for axis, (covariance, axes) in enumerate(((self.left, self.ql), (self.right, self.qr))):
            order = np.argsort(-np.diag(axes.T @ covariance @ axes), kind="stable")
            square = np.take(square, order, axis=axis)
            found.append(np.linalg.qr(covariance @ axes[:, order])[0])
        return found[0], found[1], square


def gradient(w: Array, t: int) -> Array:
    """Of a quadratic with a curvature for each side, and a little noise so that no eigenvalues coincide."""
    dice = np.random.default_rng(t)
    m, n = w.shape
    a, b = np.diag(np.linspace(1.0, 3.0, m)) + 0.1, np.diag(np.linspace(0.5, 2.0, n)) - 0.05
    return a @ (w - 0.3) @ b + 0.3 * dice.normal(size=w.shape)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (6, 6)])
@pytest.mark.parametrize(("every", "decay"), [(1, 0.0), (3, 0.1), (10, 0.01)])
def test_soap_walks_as_the_paper_says(shape, every, decay):
    w = np.random.default_rng(99).normal(size=shape)
    words = {"lr": 0.03, "beta1": 0.9, "beta2": 0.95, "every": every, "eps": 1e-8, "decay": decay}
    reference = Reference(w, **words)
    p = nn.Parameter(torch.from_numpy(w.copy()))
    optimizer = SOAP(**words).build([p])
    for t in range(40):
        g = gradient(reference.w, t)
        reference.step(g)
        p.grad = torch.from_numpy(g)
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), reference.w, rtol=1e-8, atol=1e-9)
    assert np.abs(reference.w - w).max() > 0.2


def test_the_reference_sees_a_rule_that_is_off():
    """Axes that are refreshed at other steps lead elsewhere."""
    w = np.random.default_rng(99).normal(size=(4, 3))
    words = {"lr": 0.03, "beta1": 0.9, "beta2": 0.95, "every": 3, "eps": 1e-8, "decay": 0.0}
    reference = Reference(w, **words)
    p = nn.Parameter(torch.from_numpy(w.copy()))
    optimizer = SOAP(**{**words, "every": 4}).build([p])
    for t in range(12):
        g = gradient(reference.w, t)
        reference.step(g)
        p.grad = torch.from_numpy(g)
        optimizer.step()
    assert np.abs(p.detach().numpy() - reference.w).max() > 1e-4
