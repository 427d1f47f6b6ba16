"""A line through points by seven optimizers side by side, checked against the closed form.

    python examples/linear_regression.py

Two things that textbook snippets forget:

- the intercept: without a column of ones in the design matrix the line has to pass through the origin, and no optimizer can
  find the right slope;
- Adam's bias correction: m and v begin at zero, so that without it the first steps are sqrt(10) times too long with beta2 = 0.999.

Nothing here writes into runs/.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers import GD, SGD, AdaBound, Adagrad, Adam, Momentum, RMSprop
from tuneful.techniques.schedules import Linear

SEVEN: dict[str, Optimizer] = {
    "GD": GD(lr=0.1), "SGD": SGD(lr=0.05), "momentum": Momentum(lr=0.01), "Adagrad": Adagrad(lr=0.5), "RMSprop": RMSprop(lr=0.02),
    "Adam": Adam(lr=0.1), "AdaBound": AdaBound(lr=0.1, final_lr=0.02),
}  # fmt: skip


def points(n: int = 200) -> tuple[Tensor, Tensor]:
    """x [N], y [N] = 4 + 3 x and noise."""
    dice = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(n, generator=dice, dtype=torch.float64)
    return x, 4 + 3 * x + 0.5 * torch.randn(n, generator=dice, dtype=torch.float64)


def design(x: Tensor) -> Tensor:
    """The design matrix [N, 2]: a column of ones for the intercept, then x."""
    return torch.stack([torch.ones_like(x), x], dim=1)


def closed_form(X: Tensor, y: Tensor) -> Tensor:
    """argmin |X w - y|^2: what every optimizer should find."""
    return torch.linalg.lstsq(X, y[:, None]).solution[:, 0]


def fitted(settings: Optimizer, X: Tensor, y: Tensor, steps: int = 2000, batch: int = 20) -> Tensor:
    """Weights [D] after so many steps; gradient descent takes all points at a time, the others `batch` drawn ones, and the rate
    falls to zero, so that the noise of the drawing does too."""
    w = nn.Parameter(torch.zeros(X.shape[1], dtype=X.dtype))
    optimizer = settings.build([w])
    scheduler = Linear().build(optimizer, steps=steps)
    dice = torch.Generator().manual_seed(1)
    for _ in range(steps):
        part = slice(None) if settings.whole else torch.randint(len(y), (batch,), generator=dice)
        optimizer.zero_grad()
        (X[part] @ w - y[part]).square().mean().backward()
        optimizer.step()
        scheduler.step()
    return w.detach()


def adam_by_hand(X: Tensor, y: Tensor, steps: int, lr: float = 0.1, corrected: bool = True) -> Tensor:
    """Adam as a snippet has it, on all points, with its bias correction or without: the path of the weights [steps + 1, D]."""
    w = torch.zeros(X.shape[1], dtype=X.dtype)
    m, v, path = torch.zeros_like(w), torch.zeros_like(w), [w]
    for t in range(1, steps + 1):
        g = 2 * X.T @ (X @ w - y) / len(y)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, v_hat = (m / (1 - 0.9**t), v / (1 - 0.999**t)) if corrected else (m, v)
        w = w - lr * m_hat / (v_hat.sqrt() + 1e-8)
        path.append(w)
    return torch.stack(path)


def main(steps: int = 2000) -> dict[str, float]:
    """Print all side by side. Returns the distance of each from the closed form."""
    x, y = points()
    X = design(x)
    best = closed_form(X, y)
    print(f"{'':<12}intercept    slope  distance   mean squared error")
    print(f"{'closed form':<12}{best[0]:9.4f}{best[1]:9.4f}{'':>10}{(X @ best - y).square().mean():12.4f}")
    found: dict[str, float] = {}
    for name, settings in SEVEN.items():
        w = fitted(settings, X, y, steps)
        found[name] = float((w - best).norm())
        print(f"{name:<12}{w[0]:9.4f}{w[1]:9.4f}{found[name]:10.5f}{(X @ w - y).square().mean():12.4f}")

    slope = closed_form(x[:, None], y)
    error = (x[:, None] @ slope - y).square().mean()
    print(f"\nwithout the column of ones the best slope is {slope[0]:.4f}, with an error of {error:.4f}")
    right, wrong = (adam_by_hand(X, y, 1, corrected=corrected)[1] for corrected in (True, False))
    print(f"Adam's first step moves the slope by {right[1]:.4f}; without bias correction by {wrong[1]:.4f}, "
          f"{wrong[1] / right[1]:.2f} times as far")  # fmt: skip
    return found


if __name__ == "__main__":
    main()
