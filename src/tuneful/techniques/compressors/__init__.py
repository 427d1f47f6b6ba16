"""Compressors: what makes a trained network smaller or faster; one file each, none of which promises that it pays."""

from __future__ import annotations

from tuneful.techniques.compressors.dynamic_int8 import DynamicInt8
from tuneful.techniques.compressors.half import Half
from tuneful.techniques.compressors.prune import Prune
from tuneful.techniques.compressors.static_int8 import StaticInt8
from tuneful.techniques.interfaces import Compressor

TABLE: dict[str, type[Compressor]] = {
    "prune": Prune,
    "static_int8": StaticInt8,
    "dynamic_int8": DynamicInt8,
    "half": Half,
}

__all__ = ["TABLE", "Compressor", "DynamicInt8", "Half", "Prune", "StaticInt8"]
