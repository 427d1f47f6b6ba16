"""The CNN of many tutorials: two convolutions with maxima behind them, one hidden layer, dropout, a rate that falls in steps.

    python examples/cnn_mnist.py            # MNIST from $TUNEFUL_DATA or ../shared/data; without them scikit-learn's digits
    python examples/cnn_mnist.py digits 8   # a source of your own, and how many epochs

The same from the command line:

    tuneful train mnist model=lenet width=32 optimizer=adam lr=1e-3 schedule=step schedule.gamma=0.5 \
        schedule.every=0.25 dropout=0.25 epochs=8

The run lies in runs/cnn-mnist, or below $TUNEFUL_HOME, with its report and its ONNX file; the test split was opened once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tuneful


def found(name: str, otherwise: str) -> str:
    """Where a data set lies: $TUNEFUL_DATA, or shared/data beside the checkout; `otherwise` where it lies in neither."""
    roots = [Path(os.environ.get("TUNEFUL_DATA") or "."), Path(__file__).resolve().parents[2] / "shared" / "data"]
    return next((str(root / name) for root in roots if (root / name).is_dir()), otherwise)


def main(source: str = "", epochs: str = "8", **more: object) -> tuneful.Result:
    """Train, prove and ship it. more: other settings, such as limit=200."""
    result = tuneful.train(
        source or found("mnist", "digits"), name="cnn-mnist", epochs=float(epochs),
        **{
            "model": "lenet", "width": 32, "optimizer": "adam", "lr": 1e-3, "batch_size": 64,
            "schedule": "step", "schedule.gamma": 0.5, "schedule.every": 0.25,  # the rate is halved after each quarter
            "regularizers": "dropout", "dropout": 0.25, "augments": "none", **more,
        },
    )  # fmt: skip
    rates = list(dict.fromkeys(point.lr for point in result.trial.curve))
    print(f"rates: {', '.join(f'{rate:.3g}' for rate in rates)}")
    print(result.headline)
    print(f"report: {result.report}")
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
