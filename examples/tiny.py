"""The whole of tuneful on one page: data, a search, the proof, the artifact, and predictions without torch.

    python examples/tiny.py            # half a minute
    python examples/tiny.py 2min       # a larger budget; the run goes on from where it stood

The run lies in runs/tiny, or below $TUNEFUL_HOME.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.datasets import load_digits

import tuneful
from tuneful.core.measure import wilson


def main(budget: str = "20s") -> None:
    """Search, prove, ship and predict within the budget."""
    # Data: arrays here. A folder of images, a table, a torch Dataset, or the path of any of these serve as well.
    pixels, digits = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8).astype(np.float32)  # [N, C, H, W]
    order = np.random.default_rng(0).permutation(len(images))
    later, known = order[:100], order[100:]  # a hundred images that tuneful never sees

    # A search: a range stands where a number would, a choice where a name would. What is not said is chosen for the data.
    result = tuneful.tune(
        (images[known], digits[known]), name="tiny", budget=budget,
        model="mlp", width="32..256", optimizer="adamw,adabound", lr="1e-4..1e-1",
    )  # fmt: skip
    dials = ", ".join(f"{path}={value}" for path, value in result.trial.dials.items())
    print(f"trial {result.trial.number} was the best on the validation split: {dials}")

    # The proof: the test split was opened once; each number has its interval, and simple models stand beside it.
    print(result.headline)
    for name in ("accuracy", "log_loss", "calibration_error"):
        print(f"  {name:<18} {tuneful.Measure.from_data(result.evidence['test'][name])}")
    print(f"report:   {result.report}")

    # The artifact: one folder with ONNX, preprocessing, labels, evidence and a manifest of hashes.
    if result.artifact is None:
        raise SystemExit(f"nothing was shipped: {result.evidence['notes']}")
    print(f"artifact: {result.artifact.folder}")

    # The runtime needs numpy and onnxruntime, and checks every hash before it predicts.
    model = tuneful.load(result.artifact.folder)
    said = model.predict(images[later]).astype(int)
    print(f"later:    right on {wilson(int((said == digits[later]).sum()), len(said))} images; first ten: {said[:10]}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
