"""Multi-step: the rate falls by a factor at moments that are named.

    factor = gamma ^ (how many moments of `at` have come);          a moment that is named twice counts twice

Source: He et al., CVPR 2016, section 4.2, arXiv:1512.03385 (divided by 10 at half and at three quarters of the run).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from tuneful.techniques.schedules.stated import OpenShare, Span
from tuneful.techniques.schedules.warmed import Warmed


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(values):
        raise ValueError("its moments must come in order")
    if values[0] < 1 <= values[-1]:
        raise ValueError("its moments must be all shares or all steps")
    return values


Moments = Annotated[tuple[Span, ...], Field(strict=False, min_length=1), AfterValidator(_rising)]


class MultiStep(Warmed):
    """The schedule of many published results on images."""

    source: ClassVar[str] = "He et al., CVPR 2016, section 4.2, arXiv:1512.03385"
    cost: ClassVar[str] = "none"

    kind: Literal["multi_step"] = "multi_step"
    at: Moments = (0.5, 0.75)  # when it falls: shares of what follows the warm-up; or steps, with length
    gamma: OpenShare = 0.1  # what a fall leaves of the rate

    @model_validator(mode="after")
    def _says_of_what(self) -> Any:
        if self.at[-1] >= 1 and not self.length:
            raise ValueError(
                f"length is 0; where `at` is in steps it must say of how many, such as length={2 * self.at[-1]:g}"
            )
        return self

    def after(self, step: int, left: int, steps: int) -> float:
        """gamma to the number of moments so far; one that rounding would miss by a hair counts."""
        return self.gamma ** sum(step + 1e-9 * steps >= self.taken(moment, left, steps) for moment in self.at)
