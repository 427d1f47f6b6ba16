"""Losses: what training makes small, one file each."""

from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses.binary_cross_entropy import BinaryCrossEntropy
from tuneful.techniques.losses.cross_entropy import CrossEntropy
from tuneful.techniques.losses.cumulative import Cumulative
from tuneful.techniques.losses.dice import Dice
from tuneful.techniques.losses.focal import Focal
from tuneful.techniques.losses.huber import Huber
from tuneful.techniques.losses.mae import MAE
from tuneful.techniques.losses.mse import MSE
from tuneful.techniques.losses.quantile import Quantile
from tuneful.techniques.losses.smoothed_cross_entropy import SmoothedCrossEntropy

TABLE: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "smoothed_cross_entropy": SmoothedCrossEntropy,
    "focal": Focal,
    "dice": Dice,
    "cumulative": Cumulative,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mse": MSE,
    "mae": MAE,
    "huber": Huber,
    "quantile": Quantile,
}

__all__ = [
    "MAE",
    "MSE",
    "TABLE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Cumulative",
    "Dice",
    "Focal",
    "Huber",
    "Quantile",
    "SmoothedCrossEntropy",
]
