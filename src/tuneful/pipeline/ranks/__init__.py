"""One model in several processes: who is who, whose rows are whose, and what is summed (decision 0008)."""

from tuneful.pipeline.ranks.agreement import Agreement
from tuneful.pipeline.ranks.group import ALONE, Ranks, in_group, join
from tuneful.pipeline.ranks.joined import Joined
from tuneful.pipeline.ranks.sharded import FUSED, Sharded, unshardable

__all__ = ["ALONE", "FUSED", "Agreement", "Joined", "Ranks", "Sharded", "in_group", "join", "unshardable"]
