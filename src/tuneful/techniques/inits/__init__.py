"""Inits: how a fresh network's weights are drawn. `apply_` walks the network; each init knows one weight."""

from __future__ import annotations

from tuneful.techniques.inits.apply import apply_
from tuneful.techniques.inits.as_built import AsBuilt
from tuneful.techniques.inits.delta_orthogonal import DeltaOrthogonal
from tuneful.techniques.inits.dirac import Dirac
from tuneful.techniques.inits.he import He
from tuneful.techniques.inits.lecun import LeCun
from tuneful.techniques.inits.lsuv import LSUV
from tuneful.techniques.inits.mup import MuP
from tuneful.techniques.inits.normal import Normal
from tuneful.techniques.inits.orthogonal import Orthogonal
from tuneful.techniques.inits.truncated import TruncatedNormal
from tuneful.techniques.inits.uniform import Uniform
from tuneful.techniques.inits.whitening import Whitening
from tuneful.techniques.inits.xavier import Xavier
from tuneful.techniques.inits.zero_residual import ZeroResidual
from tuneful.techniques.interfaces import Init

TABLE: dict[str, type[Init]] = {
    "he": He,
    "xavier": Xavier,
    "lecun": LeCun,
    "normal": Normal,
    "uniform": Uniform,
    "truncated_normal": TruncatedNormal,
    "orthogonal": Orthogonal,
    "delta_orthogonal": DeltaOrthogonal,
    "dirac": Dirac,
    "whitening": Whitening,
    "zero_residual": ZeroResidual,
    "lsuv": LSUV,
    "mup": MuP,
    "as_built": AsBuilt,
}

__all__ = [
    "TABLE", "AsBuilt", "DeltaOrthogonal", "Dirac", "He", "LSUV", "LeCun", "MuP", "Normal", "Orthogonal", "TruncatedNormal", "Uniform", "Whitening",
    "Xavier", "ZeroResidual", "apply_",
]  # fmt: skip
