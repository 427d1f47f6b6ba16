"""Augments: batches changed on the way to the network, so that no example is seen twice in the same form.

All act on normalized batches, without a loop over the examples; what lies beyond an image's border is its nearest pixel. The
dice is a CPU generator, so the same state gives the same batch on every device.
"""

from __future__ import annotations

from tuneful.techniques.augments.apply import apply, apply_stack
from tuneful.techniques.augments.background import Background
from tuneful.techniques.augments.colour import Colour
from tuneful.techniques.augments.crop import Crop
from tuneful.techniques.augments.cutmix import CutMix
from tuneful.techniques.augments.cutout import Cutout
from tuneful.techniques.augments.erase import Erase
from tuneful.techniques.augments.fit import fit
from tuneful.techniques.augments.flip import Flip
from tuneful.techniques.augments.magnitude_warp import MagnitudeWarp
from tuneful.techniques.augments.mixup import Mixup, mixup
from tuneful.techniques.augments.noise import Noise
from tuneful.techniques.augments.randaugment import RandAugment
from tuneful.techniques.augments.rotate import Rotate
from tuneful.techniques.augments.scaling import Scaling
from tuneful.techniques.augments.shear import Shear
from tuneful.techniques.augments.shift import Shift
from tuneful.techniques.augments.specaugment import SpecAugment
from tuneful.techniques.augments.speed import Speed
from tuneful.techniques.augments.swap import Swap
from tuneful.techniques.augments.time_shift import TimeShift
from tuneful.techniques.augments.token_drop import TokenDrop
from tuneful.techniques.augments.token_mask import TokenMask
from tuneful.techniques.augments.trivialaugment import TrivialAugment
from tuneful.techniques.augments.views import averaged, require_views, views
from tuneful.techniques.augments.zoom import Zoom
from tuneful.techniques.interfaces import Augment

TABLE: dict[str, type[Augment]] = {
    "crop": Crop,
    "flip": Flip,
    "rotate": Rotate,
    "shift": Shift,
    "shear": Shear,
    "zoom": Zoom,
    "erase": Erase,
    "cutout": Cutout,
    "colour": Colour,
    "noise": Noise,
    "mixup": Mixup,
    "cutmix": CutMix,
    "randaugment": RandAugment,
    "trivialaugment": TrivialAugment,
    "specaugment": SpecAugment,
    "time_shift": TimeShift,
    "speed": Speed,
    "background": Background,
    "scaling": Scaling,
    "magnitude_warp": MagnitudeWarp,
    "token_drop": TokenDrop,
    "token_mask": TokenMask,
    "swap": Swap,
}

__all__ = [
    "TABLE",
    "Background",
    "Colour",
    "Crop",
    "CutMix",
    "Cutout",
    "Erase",
    "Flip",
    "MagnitudeWarp",
    "Mixup",
    "Noise",
    "RandAugment",
    "Rotate",
    "Scaling",
    "Shear",
    "Shift",
    "SpecAugment",
    "Speed",
    "Swap",
    "TimeShift",
    "TokenDrop",
    "TokenMask",
    "TrivialAugment",
    "Zoom",
    "apply",
    "apply_stack",
    "averaged",
    "fit",
    "mixup",
    "require_views",
    "views",
]
