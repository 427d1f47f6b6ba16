"""The first network of many courses: 784-10-10 on MNIST, by gradient descent on all images at once and by Adam on batches.

    python examples/mlp_mnist.py            # MNIST from $TUNEFUL_DATA or ../shared/data; without them scikit-learn's digits
    python examples/mlp_mnist.py digits 40  # a source of your own, and how many epochs

Gradient descent makes one step an epoch, so that it needs a large rate and many epochs; Adam makes hundreds.
Nothing here writes into runs/.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tuneful
from tuneful.techniques.models import MLP
from tuneful.techniques.optimizers import GD, Adam
from tuneful.techniques.schedules import Constant


def found(name: str, otherwise: str) -> str:
    """Where a data set lies: $TUNEFUL_DATA, or shared/data beside the checkout; `otherwise` where it lies in neither."""
    roots = [Path(os.environ.get("TUNEFUL_DATA") or "."), Path(__file__).resolve().parents[2] / "shared" / "data"]
    return next((str(root / name) for root in roots if (root / name).is_dir()), otherwise)


def trained(task: tuneful.Task, recipe: tuneful.Recipe) -> tuneful.Run:
    """One run to its end, a line a tenth of the way."""
    run = tuneful.Run(task, recipe)
    for k, point in enumerate(run):
        if k % max(1, int(float(run.recipe.epochs) / float(run.recipe.validate_every) / 10)) == 0:
            print(f"  epoch {point.epoch:5g}, step {point.step:6d}: loss {point.train_loss:.4f}, accuracy {point.value}")
    return run


def main(source: str = "", epochs: str = "30", limit: int | None = None) -> dict[str, float]:
    """Train both. Returns the accuracy on the validation split of each."""
    task = tuneful.prepare(source or found("mnist", "digits"), limit=limit)
    numbers = task.train.x[0].size
    print(f"{task.name}: {len(task.train)} images of {numbers} pixels; the network is {numbers}-10-10")
    plain = tuneful.Recipe(
        model=MLP(width=10, depth=1),
        schedule=Constant(),
        regularizers=(),
        augments=(),
        epochs=float(epochs),
        validate_every=1.0,
    )
    values: dict[str, float] = {}
    for name, recipe in {
        "gradient descent": plain.replace("optimizer", GD(lr=0.5)),  # one batch: the whole training split
        "Adam": plain.replace({"optimizer": Adam(lr=1e-3), "batch_size": 64}),
    }.items():
        print(name)
        run = trained(task, recipe)
        values[name] = run.curve[-1].value.value
        print(f"  {run.step} steps in {run.seconds['train']:.1f} s: accuracy {run.curve[-1].value}")
    return values


if __name__ == "__main__":
    main(*sys.argv[1:3])
