"""Images in folders, a folder a class, turned, moved, slanted, zoomed and mirrored while the network learns; with and without.

    python examples/folder_images.py                 # a folder of small drawings that is made here
    python examples/folder_images.py data/flowers    # a folder of yours

The same from the command line (and `tuneful show data/flowers rotate=20 zoom=0.2 --augment` draws what the network will see):

    tuneful train data/flowers model=convnet rotate=20 shift=0.1 shear=0.15 zoom=0.15 flip=0.5

The five changes that move pixels are put together into one, so that each image is resampled once.
The runs lie in runs/folder-plain and runs/folder-augmented, or below $TUNEFUL_HOME.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw

import tuneful

SHAPES = ("box", "cross", "ring")


def drawn(folder: Path, each: int = 60, side: int = 24, seed: int = 0) -> Path:
    """A folder with a folder of PNG files for each shape: upright in train, at any small turn, place and size in test."""
    dice = np.random.default_rng(seed)
    for split, count in (("train", each), ("test", each)):
        for name in SHAPES:
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for k in range(count):
                _drawn(name, side, dice, moved=split == "test").save(folder / split / name / f"{k:03d}.png")
    return folder


def _drawn(name: str, side: int, dice: np.random.Generator, moved: bool) -> Image.Image:
    image = Image.new("RGB", (side, side), tuple(dice.integers(0, 80, 3).tolist()))
    pen, ink = ImageDraw.Draw(image), tuple(dice.integers(150, 255, 3).tolist())
    reach = side * (dice.uniform(0.22, 0.34) if moved else 0.28)
    x, y = (side / 2 + (dice.uniform(-0.1, 0.1, 2) * side if moved else np.zeros(2))).tolist()
    if name == "ring":
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=2)
    elif name == "box":
        pen.rectangle((x - reach, y - reach, x + reach, y + reach), outline=ink, width=2)
    else:
        pen.line((x - reach, y, x + reach, y), fill=ink, width=2)
        pen.line((x, y - reach, x, y + reach), fill=ink, width=2)
    turned = (
        image.rotate(float(dice.uniform(-20, 20)), Image.Resampling.BILINEAR, fillcolor=image.getpixel((0, 0)))
        if moved
        else image
    )
    noise = np.asarray(turned, dtype=float) + dice.normal(0, 18, (side, side, 3))
    return Image.fromarray(noise.clip(0, 255).astype("u1"))


def main(folder: str = "", epochs: str = "20", each: int = 60, **more: object) -> dict[str, tuneful.Result]:
    """Train without and with the five changes, and prove both on the same test split."""
    with TemporaryDirectory() as place:
        data = folder or str(drawn(Path(place), each))
        common = {"model": "convnet", "width": 16, "epochs": float(epochs), "regularizers": "none", **more}
        moves = {"rotate": 20.0, "shift": 0.1, "shear": 0.15, "zoom": 0.15, "flip": 0.5}
        results = {
            "plain": tuneful.train(data, name="folder-plain", augments="none", **common),
            "augmented": tuneful.train(data, name="folder-augmented", augments=",".join(moves), **moves, **common),
        }
    for name, result in results.items():
        print(f"{name}: {tuneful.Measure.from_data(result.evidence['test'][result.task.objective.metric])}")
    print(f"report: {results['augmented'].report}")
    return results


if __name__ == "__main__":
    main(*sys.argv[1:3])
