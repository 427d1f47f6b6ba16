"""Augments: batches changed on the way to the network, so that no example is seen twice in the same form.

All act on normalized batches, without a loop over the examples; what lies beyond an image's border is its nearest pixel. The
dice is a CPU generator, so the same state gives the same batch on every device.
"""

from __future__ import annotations

from tuneful.techniques.augments.apply import apply, apply_stack
from tuneful.techniques.augments.crop import Crop
from tuneful.techniques.augments.fit import fit
from tuneful.techniques.augments.flip import Flip
from tuneful.techniques.augments.mixup import Mixup, mixup
from tuneful.techniques.augments.noise import Noise
from tuneful.techniques.augments.rotate import Rotate
from tuneful.techniques.augments.shear import Shear
from tuneful.techniques.augments.shift import Shift
from tuneful.techniques.augments.zoom import Zoom
from tuneful.techniques.interfaces import Augment

TABLE: dict[str, type[Augment]] = {
    "crop": Crop,
    "flip": Flip,
    "rotate": Rotate,
    "shift": Shift,
    "shear": Shear,
    "zoom": Zoom,
    "noise": Noise,
    "mixup": Mixup,
}

__all__ = [
    "TABLE",
    "Crop",
    "Flip",
    "Mixup",
    "Noise",
    "Rotate",
    "Shear",
    "Shift",
    "Zoom",
    "apply",
    "apply_stack",
    "fit",
    "mixup",
]
