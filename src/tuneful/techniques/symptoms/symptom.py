"""The shape of a symptom: a check that reads what was seen of a run, and complains in sentences."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tuneful.techniques.interfaces import Technique
from tuneful.techniques.symptoms.seen import Seen


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong. said: a sentence with the measured figure; value: that figure; remedy: what can be done."""

    symptom: str
    said: str
    remedy: str
    value: float

    def __str__(self) -> str:
        return f"{self.said}\n  remedy: {self.remedy}"

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Complaint:
        """The inverse of `as_data`."""
        return Complaint(**data)


class Symptom(Technique):
    """A check. Its settings are the limits beyond which it complains; it says nothing of what was not measured."""

    family: ClassVar[str] = "symptoms"

    @abstractmethod
    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """What is wrong, () where nothing is. A pure function of what was seen."""


def most(names: list[str]) -> str:
    """Names as they stand in a sentence: the first three, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
