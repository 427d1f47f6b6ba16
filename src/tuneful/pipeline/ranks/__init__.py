"""One model in several processes: who is who, whose rows are whose, and what is summed (decision 0008)."""

from tuneful.pipeline.ranks.group import ALONE, Ranks, in_group, join
from tuneful.pipeline.ranks.joined import Joined

__all__ = ["ALONE", "Joined", "Ranks", "in_group", "join"]
