"""Cleaning: steps that change data before anything learns from it, one file each; none is done in silence."""

from tuneful.techniques.cleaners.cleaner import Cleaner, Examples, Filler, Mender, Sifted, Sifter
from tuneful.techniques.cleaners.clip import Clip
from tuneful.techniques.cleaners.deduplicate import Deduplicate
from tuneful.techniques.cleaners.drop_labels import DropLabels
from tuneful.techniques.cleaners.drop_missing import DropMissing
from tuneful.techniques.cleaners.fix_encoding import FixEncoding
from tuneful.techniques.cleaners.impute import Impute
from tuneful.techniques.cleaners.relabel import Relabel

TABLE: dict[str, type[Cleaner]] = {
    "fix_encoding": FixEncoding,
    "drop_missing": DropMissing,
    "deduplicate": Deduplicate,
    "drop_labels": DropLabels,
    "relabel": Relabel,
    "clip": Clip,
    "impute": Impute,
}
"""In the order in which they usually follow one another."""

__all__ = [
    "TABLE", "Cleaner", "Clip", "Deduplicate", "DropLabels", "DropMissing", "Examples", "Filler", "FixEncoding", "Impute", "Mender",
    "Relabel", "Sifted", "Sifter",
]  # fmt: skip
