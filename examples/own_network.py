"""Your own network: a class or function that gives an nn.Module, its arguments searched like every other setting.

    python examples/own_network.py

and the same from the command line, where arguments are written as other settings (numbers, text, ranges and choices; below
model.arguments where the short name means something else, as `norm` might):

    tuneful tune digits model=examples/own_network.py:Net width=16..64 model.arguments.norm=true,false \
        lr=1e-3..3e-2 epochs=4 --budget 60s

tuneful gives `inputs` (the shape of one example) and `outputs` (how many numbers to give back) where the signature names
them. The network returns logits, or for a regression one value; the loss, the data and the device are not its business.
"""

from __future__ import annotations

import sys
from itertools import pairwise

from torch import Tensor, nn

import tuneful


class Net(nn.Module):
    """Convolutions at three sizes of the image, then one linear layer."""

    def __init__(self, inputs: tuple[int, int, int], outputs: int, width: int = 32, norm: bool = True) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in pairwise((inputs[0], width, 2 * width, 4 * width)):
            stages += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after) if norm else nn.Identity(), nn.ReLU()]
            stages += [nn.MaxPool2d(2, ceil_mode=True)]
        self.stages = nn.Sequential(*stages)
        self.head = nn.LazyLinear(outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits [B, outputs]."""
        return self.head(self.stages(x_BCHW).flatten(1))


def main(budget: str = "45s") -> None:
    """Search the network's arguments and the learning rate."""
    result = tuneful.tune(
        "digits", model=Net, arguments={"width": "16..64", "norm": [True, False]}, lr="1e-3..3e-2", epochs=4, budget=budget,
        name="own-network",
    )  # fmt: skip
    print(result.headline)
    print(f"arguments of the best trial: {dict(result.candidate.recipe.model.arguments)}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
