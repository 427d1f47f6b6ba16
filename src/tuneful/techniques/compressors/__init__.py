"""Compressors: what makes a trained network smaller or faster; one file each, none of which promises that it pays."""

from __future__ import annotations

from tuneful.techniques.compressors.average import Average
from tuneful.techniques.compressors.distil import Distil
from tuneful.techniques.compressors.dynamic_int8 import DynamicInt8
from tuneful.techniques.compressors.early_exit import EarlyExit
from tuneful.techniques.compressors.half import Half
from tuneful.techniques.compressors.low_rank import LowRank
from tuneful.techniques.compressors.movement import Movement
from tuneful.techniques.compressors.prune import Prune
from tuneful.techniques.compressors.quantize_aware import QuantizeAware
from tuneful.techniques.compressors.share import Share
from tuneful.techniques.compressors.sparse import Sparse
from tuneful.techniques.compressors.static_int8 import StaticInt8
from tuneful.techniques.compressors.weight_only import WeightOnly
from tuneful.techniques.interfaces import Compressor

TABLE: dict[str, type[Compressor]] = {
    "average": Average,
    "distil": Distil,
    "prune": Prune,
    "low_rank": LowRank,
    "sparse": Sparse,
    "movement": Movement,
    "early_exit": EarlyExit,
    "quantize_aware": QuantizeAware,
    "static_int8": StaticInt8,
    "dynamic_int8": DynamicInt8,
    "weight_only": WeightOnly,
    "share": Share,
    "half": Half,
}
"""In the order in which they usually follow one another: those of the network, then those of its exported graph."""

__all__ = [
    "TABLE", "Average", "Compressor", "Distil", "DynamicInt8", "EarlyExit", "Half", "LowRank", "Movement", "Prune", "QuantizeAware", "Share", "Sparse", "StaticInt8", "WeightOnly",
]  # fmt: skip
