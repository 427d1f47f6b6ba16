"""Regularizers: what keeps a network from learning the noise; each answers the hooks of `interfaces.Regularizer` it needs."""

from __future__ import annotations

from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.regularizers.averaging import Averaging
from tuneful.techniques.regularizers.clipping import Clipping
from tuneful.techniques.regularizers.dropout import Dropout
from tuneful.techniques.regularizers.early_stopping import EarlyStopping
from tuneful.techniques.regularizers.l1 import L1
from tuneful.techniques.regularizers.l2 import L2
from tuneful.techniques.regularizers.smoothing import Smoothing

TABLE: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "dropout": Dropout,
    "smoothing": Smoothing,
    "clipping": Clipping,
    "early_stopping": EarlyStopping,
    "averaging": Averaging,
}

__all__ = ["L1", "L2", "TABLE", "Averaging", "Clipping", "Dropout", "EarlyStopping", "Smoothing"]
