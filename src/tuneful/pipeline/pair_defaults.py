"""What "auto" means for pairs of texts, where it means something of its own.

Everything else stands in `defaults`; what was measured stands in LOG.md.
"""

from __future__ import annotations

from typing import Any

import torch

from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.techniques.models import GRUEncoderDecoder
from tuneful.techniques.optimizers import AdamW
from tuneful.techniques.regularizers import Averaging, Clipping, Dropout

RUNS = 1.25  # full trainings that should fit into the time for searching: one long one writes better than the best of several short ones
NARROWEST = (
    128  # below it the scores of all tokens cost more than all else, so that a narrower network is hardly faster (LOG.md)
)
MANY = 10_000  # pairs from which networks are wider and learn more slowly


def choose(section: str, task: Task, recipe: Recipe, memory: float) -> tuple[Any, str] | None:
    """(value, reason) for a section, or None where pairs are no different. memory: the decay of an average for this length of run."""
    n, model = len(task.train), getattr(recipe.model, "kind", "")
    match section:
        case "model":
            told = "in minutes on a processor it learns more than a Transformer"
            return GRUEncoderDecoder(width=256 if n >= MANY else 128), told
        case "optimizer" if model == "gru_encoder_decoder":
            rate = 2e-3 if n >= MANY else 5e-3
            return AdamW(lr=rate, decay=0.05), "recurrent networks bear long steps, the longer the fewer pairs there are"
        case "regularizers" if not getattr(recipe.optimizer, "averages", False):
            drops = () if model in ("own", "pretrained") else (Dropout(rate=0.2 if n >= MANY else 0.1),)
            said = "the average over the last twentieth of the steps is read out; recurrent networks meet steep places"
            return (Averaging(decay=memory), *drops, Clipping()), said
        case "precision" if _bf16():
            return (
                "bf16",
                "this processor multiplies such numbers in half the time; the model is judged and exported in fp32",
            )
    return None


def _bf16() -> bool:
    """Does the processor, where it is what trains, multiply bf16 numbers itself?"""
    return not torch.cuda.is_available() and bool(torch.cpu._is_avx512_bf16_supported())
