"""Augments: batches changed on the way to the network, so that no example is seen twice in the same form.

All act on normalized batches, without a loop over the examples; what lies beyond an image's border is its nearest pixel. The
dice is a CPU generator, so the same state gives the same batch on every device.
"""

from __future__ import annotations

from tuneful.techniques.augments.crop import Crop
from tuneful.techniques.augments.flip import Flip
from tuneful.techniques.augments.mixup import Mixup, mixup
from tuneful.techniques.augments.noise import Noise
from tuneful.techniques.augments.shift import Shift
from tuneful.techniques.interfaces import Augment

TABLE: dict[str, type[Augment]] = {
    "crop": Crop,
    "flip": Flip,
    "shift": Shift,
    "noise": Noise,
    "mixup": Mixup,
}

__all__ = ["TABLE", "Crop", "Flip", "Mixup", "Noise", "Shift", "mixup"]
