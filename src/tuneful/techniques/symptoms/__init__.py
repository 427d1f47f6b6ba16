"""Symptoms: what goes wrong in the first steps of a run; each reads what a watch has seen and complains in a sentence."""

from __future__ import annotations

from tuneful.techniques.symptoms.batch_norm import BatchNorm
from tuneful.techniques.symptoms.data_path import DataPath
from tuneful.techniques.symptoms.dead_units import DeadUnits
from tuneful.techniques.symptoms.denormals import Denormals
from tuneful.techniques.symptoms.divergence import Divergence
from tuneful.techniques.symptoms.gradients import Gradients
from tuneful.techniques.symptoms.labels import Labels
from tuneful.techniques.symptoms.lost_decay import LostDecay
from tuneful.techniques.symptoms.probabilities import Probabilities
from tuneful.techniques.symptoms.rate_edge import RateEdge
from tuneful.techniques.symptoms.saturation import Saturation
from tuneful.techniques.symptoms.seen import BoundedSeen, GroupSeen, LayerSeen, NormSeen, Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom
from tuneful.techniques.symptoms.update_ratio import UpdateRatio

TABLE: dict[str, type[Symptom]] = {
    "divergence": Divergence,
    "probabilities": Probabilities,
    "labels": Labels,
    "rate_edge": RateEdge,
    "update_ratio": UpdateRatio,
    "gradients": Gradients,
    "dead_units": DeadUnits,
    "saturation": Saturation,
    "batch_norm": BatchNorm,
    "lost_decay": LostDecay,
    "denormals": Denormals,
    "data_path": DataPath,
}

__all__ = [
    "TABLE", "BatchNorm", "BoundedSeen", "Complaint", "DataPath", "DeadUnits", "Denormals", "Divergence", "Gradients", "GroupSeen",
    "Labels", "LayerSeen", "LostDecay", "NormSeen", "Probabilities", "RateEdge", "Saturation", "Seen", "Symptom", "UpdateRatio",
]  # fmt: skip
