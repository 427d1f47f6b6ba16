"""Average: the mean of the weights of several trials of the run, each taken in only if it does no harm on valid.

It costs what one network costs. The mean says something only where the trials lie in one valley: branches of one training, or
fine-tunings of one network; of trainings from different beginnings it takes one and leaves the others, and is refused.

Source: Wortsman et al., ICML 2022, algorithm 1, arXiv:2203.05482; the averages within one run (EMA, SWA, LAWA) are regularizers.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.techniques.interfaces import Compressor


class Average(Compressor):
    """A little better at the same size and speed, which leaves more for the other steps to lose."""

    source: ClassVar[str] = "Wortsman et al., ICML 2022, arXiv:2203.05482"
    cost: ClassVar[str] = "one pass over valid for each candidate"
    networks: ClassVar[bool] = True

    kind: Literal["average"] = "average"
    candidates: Annotated[int, Field(ge=2)] = 5  # of the best trials with the same network, how many are tried


__all__ = ["Average"]
