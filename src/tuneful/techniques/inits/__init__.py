"""Inits: how a fresh network's weights are drawn. `apply_` walks the network; each init knows one weight."""

from __future__ import annotations

from tuneful.techniques.inits.apply import apply_
from tuneful.techniques.inits.as_built import AsBuilt
from tuneful.techniques.inits.he import He
from tuneful.techniques.inits.lecun import LeCun
from tuneful.techniques.inits.normal import Normal
from tuneful.techniques.inits.orthogonal import Orthogonal
from tuneful.techniques.inits.xavier import Xavier
from tuneful.techniques.interfaces import Init

TABLE: dict[str, type[Init]] = {
    "he": He,
    "xavier": Xavier,
    "lecun": LeCun,
    "normal": Normal,
    "orthogonal": Orthogonal,
    "as_built": AsBuilt,
}

__all__ = ["TABLE", "AsBuilt", "He", "LeCun", "Normal", "Orthogonal", "Xavier", "apply_"]
