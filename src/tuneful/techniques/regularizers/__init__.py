"""Regularizers: what keeps a network from learning the noise; each answers the hooks of `interfaces.Regularizer` it needs."""

from __future__ import annotations

from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.regularizers.adaptive_clipping import AdaptiveClipping
from tuneful.techniques.regularizers.averaging import Averaging
from tuneful.techniques.regularizers.clipping import Clipping
from tuneful.techniques.regularizers.drop_connect import DropConnect
from tuneful.techniques.regularizers.dropout import Dropout
from tuneful.techniques.regularizers.early_stopping import EarlyStopping
from tuneful.techniques.regularizers.elastic_net import ElasticNet
from tuneful.techniques.regularizers.exposure import Exposure
from tuneful.techniques.regularizers.gradient_noise import GradientNoise
from tuneful.techniques.regularizers.horizons import Horizons
from tuneful.techniques.regularizers.l1 import L1
from tuneful.techniques.regularizers.l2 import L2
from tuneful.techniques.regularizers.lawa import LAWA
from tuneful.techniques.regularizers.percentile_clipping import PercentileClipping
from tuneful.techniques.regularizers.smoothing import Smoothing
from tuneful.techniques.regularizers.stochastic_depth import StochasticDepth
from tuneful.techniques.regularizers.swa import SWA
from tuneful.techniques.regularizers.value_clipping import ValueClipping
from tuneful.techniques.regularizers.weight_noise import WeightNoise

TABLE: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "elastic_net": ElasticNet,
    "dropout": Dropout,
    "drop_connect": DropConnect,
    "stochastic_depth": StochasticDepth,
    "smoothing": Smoothing,
    "weight_noise": WeightNoise,
    "gradient_noise": GradientNoise,
    "clipping": Clipping,
    "value_clipping": ValueClipping,
    "adaptive_clipping": AdaptiveClipping,
    "percentile_clipping": PercentileClipping,
    "early_stopping": EarlyStopping,
    "exposure": Exposure,
    "averaging": Averaging,
    "horizons": Horizons,
    "swa": SWA,
    "lawa": LAWA,
}

__all__ = [
    "L1", "L2", "LAWA", "SWA", "TABLE", "AdaptiveClipping", "Averaging", "Clipping", "DropConnect", "Dropout", "EarlyStopping",
    "ElasticNet", "Exposure", "GradientNoise", "Horizons", "PercentileClipping", "Smoothing", "StochasticDepth", "ValueClipping", "WeightNoise",
]  # fmt: skip
