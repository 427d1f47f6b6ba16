"""A ConvNet on CIFAR-10: 3x3 convolutions with batch norm, flips, crops and cutout, soft labels, one cycle of the rate.

    python examples/convnet_cifar10.py              # CIFAR-10 from $TUNEFUL_DATA or ../shared/data, else small pictures made here
    python examples/convnet_cifar10.py cifar10 20   # downloaded from its authors where it is not there; and how many epochs

The same from the command line:

    tuneful train cifar10 model=convnet width=32 optimizer=nesterov lr=0.05 decay=5e-4 schedule=one_cycle epochs=12 \
        flip=0.5 crop=4 cutout=0.25 smoothing=0.1

The run lies in runs/convnet-cifar10, or below $TUNEFUL_HOME.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tuneful


def found(name: str) -> str:
    """Where a data set lies: $TUNEFUL_DATA, or shared/data beside the checkout; "" where it lies in neither."""
    roots = [Path(os.environ.get("TUNEFUL_DATA") or "."), Path(__file__).resolve().parents[2] / "shared" / "data"]
    return next((str(root / name) for root in roots if (root / name / "train").is_dir()), "")


def made(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [N, 3, 32, 32] of bytes with a lying bar, a standing bar, a cross or a disc of any colour, anywhere."""
    dice = np.random.default_rng(0)
    y = dice.integers(0, 4, n)
    down, right = np.mgrid[0:32, 0:32] - 15.5
    x = dice.normal(110, 30, (n, 3, 32, 32))
    for image, one in zip(x, y, strict=True):
        u, v = down - dice.uniform(-7, 7), right - dice.uniform(-7, 7)
        lying, standing = np.abs(u) < 2, np.abs(v) < 2
        image[:, (lying, standing, lying | standing, np.hypot(u, v) < 6)[one]] = dice.uniform(0, 255, (3, 1))
    return x.clip(0, 255).astype("u1"), y


def main(source: Any = "", epochs: str = "12", **more: object) -> tuneful.Result:
    """Train, prove and ship it. more: other settings, such as width=8."""
    data = source if not isinstance(source, str) else source or found("cifar10_folder") or made()
    result = tuneful.train(
        data, name="convnet-cifar10", epochs=float(epochs),
        **{
            "model": "convnet", "width": 32, "optimizer": "nesterov", "lr": 0.05, "decay": 5e-4, "batch_size": 128, "schedule": "one_cycle",
            "augments": "flip,crop,cutout", "flip": 0.5, "crop": 4, "cutout": 0.25, "regularizers": "smoothing", "smoothing": 0.1, **more,
        },
    )  # fmt: skip
    print(result.headline)
    print(f"report: {result.report}")
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
