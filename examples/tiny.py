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


def main(budget: str = "25s") -> None:
    # Data: arrays here. A folder of images, a table, a torch Dataset, or the path of any of them serve as well.
    pixels, digits = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8).astype(np.float32)  # [N, C, H, W]
    later, images, truth, digits = images[:100], images[100:], digits[:100], digits[100:]

    # A search: a range stands where a number would, a choice where a name would. What is not said is chosen for the data.
    result = tuneful.tune(
        (images, digits), name="tiny", budget=budget, model="mlp", width="32..256", optimizer="adamw,adabound", lr="1e-4..1e-1"
    )
    recipe = result.candidate.recipe
    print(f"trial {result.trial.number} is the best: {recipe.optimizer.kind}, lr {recipe.optimizer.lr:.2g}, {recipe.model}")

    # The proof: the test split was opened once; every number has its interval, and simple models stand beside it.
    print(result.headline)
    for name in ("accuracy", "log_loss", "calibration_error"):
        print(f"  {name:<18}{tuneful.Measure.from_data(result.evidence['test'][name])}")
    print(f"  the report is {result.report}")

    # The artifact: ONNX, preprocessing, labels, evidence and hashes in one folder.
    if result.artifact is None:
        raise SystemExit(f"nothing was shipped: {result.evidence['notes']}")
    print(f"  the artifact is {result.artifact.folder}: {', '.join(sorted(p.name for p in result.artifact.folder.iterdir()))}")

    # The runtime wants numpy and onnxruntime only. These hundred images were kept from everything above.
    model = tuneful.load(result.artifact.folder)
    said = model.predict(later)
    right = tuneful.Measure.from_data(tuneful_share(said == truth.astype(str)))
    print(f"  on 100 images that came later {right} were right; the first ten: {' '.join(said[:10])}")


def tuneful_share(right: np.ndarray) -> dict[str, object]:
    from tuneful.core.measure import wilson

    return wilson(int(right.sum()), len(right)).as_data()


if __name__ == "__main__":
    main(*sys.argv[1:2])
