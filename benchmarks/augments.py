"""Are our augments faster than kornia's on a batch? One thread, in turn, the same strengths.

    python benchmarks/augments.py            # ours, and kornia's where it is installed
    python benchmarks/augments.py --rounds 60

Each round times ours and kornia's one after the other, in an order that changes, for one batch; the ratio is taken round by
round. kornia is no dependency of tuneful: install it beside (`pip install --no-deps kornia kornia_rs`) to compare.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from record import record
from torch import Tensor

from tuneful.techniques.augments import Colour, Crop, Erase, Flip, Mixup, Rotate, Shear, Shift, Zoom, apply
from tuneful.techniques.interfaces import Augment

SHAPES = ((128, 3, 32, 32), (128, 1, 28, 28))
MOVES: list[Augment] = [Rotate(degrees=15), Shift(amount=0.1), Shear(amount=0.1), Zoom(amount=0.1)]


def ours(chosen: list[Augment], x: Tensor, p: Tensor) -> Callable[[int], Any]:
    def run(step: int) -> Any:
        return apply(chosen, x, p, [torch.Generator().manual_seed(97 * step + k) for k in range(len(chosen))])

    return run


def kornia_s(name: str, x: Tensor, p: Tensor) -> Callable[[int], Any] | None:
    """The same change by kornia, or None where it has none or is not installed."""
    try:
        import kornia.augmentation as K  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    labels = p.argmax(1)
    made: dict[str, Any] = {
        "affine": lambda: K.RandomAffine(15.0, (0.1, 0.1), (0.91, 1.1), (-5.7, 5.7), padding_mode="border", p=1.0),
        "flip and crop": lambda: K.AugmentationSequential(
            K.RandomHorizontalFlip(p=0.5), K.RandomCrop(tuple(x.shape[2:]), padding=4, padding_mode="replicate", p=1.0)
        ),
        "erase": lambda: K.RandomErasing((0.02, 0.33), (0.3, 3.3), p=0.5),
        "mixup": lambda: K.RandomMixUpV2(p=1.0, data_keys=["input", "class"]),
    }
    if x.shape[1] == 3:
        made["colour"] = lambda: K.ColorJitter(0.2, 0.2, 0.2, 5 / 360, p=1.0)
    if name not in made:
        return None
    change = made[name]()
    if name == "mixup":
        return lambda step: change(x, labels)
    return lambda step: change(x)


def timed(run: Callable[[int], Any], step: int) -> float:
    began = time.perf_counter()
    run(step)
    return 1e3 * (time.perf_counter() - began)


def compare(name: str, chosen: list[Augment], shape: tuple[int, ...], rounds: int) -> None:
    """Print and record one line: milliseconds of both, and the ratio with its spread (quartiles over the rounds)."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))  # kornia's colours want values in [0, 1]
    p = torch.nn.functional.one_hot(torch.arange(shape[0]) % 10, 10).float()
    mine, theirs = ours(chosen, x, p), kornia_s(name, x, p)
    runs = {"ours": mine} | ({"kornia": theirs} if theirs is not None else {})
    for run in runs.values():
        for step in range(5):
            run(step)
    found: dict[str, list[float]] = {who: [] for who in runs}
    for step in range(rounds):
        order = list(runs) if step % 2 else list(reversed(runs))
        for who in order:
            found[who].append(timed(runs[who], step))
    figures: dict[str, Any] = {"shape": list(shape), "rounds": rounds, "threads": 1}
    for who, times in found.items():
        quartiles = statistics.quantiles(times, n=4)
        figures[f"{who}_ms"] = [round(q, 3) for q in quartiles]
    if "kornia" in found:
        ratios = statistics.quantiles([k / o for o, k in zip(found["ours"], found["kornia"], strict=True)], n=4)
        figures["kornia_over_ours"] = [round(q, 2) for q in ratios]
        import kornia  # pyright: ignore[reportMissingImports]

        figures["kornia"] = kornia.__version__
    record("augments", f"augments {name}", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for shape in SHAPES:
        compare("affine", MOVES, shape, rounds)
        compare("flip and crop", [Flip(), Crop(padding=4)], shape, rounds)
        compare("colour", [Colour(hue=5 if shape[1] == 3 else 0)], shape, rounds)
        compare("erase", [Erase()], shape, rounds)
        compare("mixup", [Mixup(alpha=1.0)], shape, rounds)


if __name__ == "__main__":
    main()
