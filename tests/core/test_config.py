"""Settings: a wrong value cannot exist, and all wrong values are told at once."""

from __future__ import annotations

from typing import Literal

import pytest

from tuneful.core.config import Auto, Count, Counts, Fraction, Positive, Settings, comments
from tuneful.core.errors import RecipeError


class Warmed(Settings):
    family = "schedule"
    hint = "both are shares, not steps"

    kind: Literal["warmed"] = "warmed"
    warmup: Fraction = 0.05  # share of all steps
    floor: Fraction = 0.0  # what is left at the end
    width: Count | Auto = "auto"
    sizes: Counts = (3, 4)
    shape: Literal["line", "curve"] = "line"
    lr: Positive = 1e-3


def test_tells_every_wrong_value_at_once_with_bounds_and_defaults():
    with pytest.raises(RecipeError) as caught:
        Warmed(warmup=1.5, floor=-2, width=0, lr=0)
    assert str(caught.value).splitlines() == [
        "schedule.warmup is 1.5; it must be in [0, 1)",
        "schedule.floor is -2; it must be in [0, 1)",
        "schedule.width is 0; it must be a whole number >= 1 or 'auto'",
        "schedule.lr is 0; it must be > 0",
        "  hint: both are shares, not steps; the defaults are warmup=0.05 floor=0.0 width=auto shape=line lr=0.001",
    ]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"warmp": 1}, "schedule.warmp is not a setting of warmed; did you mean schedule.warmup?"),
        ({"shape": "lime"}, "schedule.shape is 'lime'; it must be 'line' or 'curve'; did you mean line?"),
        ({"lr": float("nan")}, "schedule.lr is nan; it must be > 0"),
        ({"lr": float("inf")}, "schedule.lr is inf; it must be > 0"),
        ({"lr": "fast"}, "schedule.lr is 'fast'; it must be a number > 0"),
        ({"width": True}, "schedule.width is True; it must be a whole number >= 1 or 'auto'"),
        ({"width": 2.5}, "schedule.width is 2.5; it must be a whole number"),
    ],
)
def test_the_sentence_names_thing_value_and_what_is_wanted(wrong, sentence):
    with pytest.raises(RecipeError) as caught:
        Warmed(**wrong)
    assert sentence in str(caught.value)


def test_is_frozen_and_a_changed_copy_is_checked_anew():
    one = Warmed(lr=0.5)
    with pytest.raises(ValueError, match="frozen"):
        one.lr = 2.0  # type: ignore[misc]
    assert one.replace(lr=0.25).lr == 0.25
    assert one == Warmed(lr=0.5)
    with pytest.raises(RecipeError, match=r"lr is -1; it must be > 0"):
        one.replace(lr=-1)


def test_plain_data_gives_an_equal_object_back():
    one = Warmed(sizes=(5, 6, 7), width=9)
    data = one.as_data()
    assert data["sizes"] == [5, 6, 7]
    assert Warmed.parse(data) == one


def test_the_comment_behind_a_field_is_its_description():
    assert comments(Warmed) == {"warmup": "share of all steps", "floor": "what is left at the end"}


def test_positional_values_are_refused_with_an_example():
    with pytest.raises(TypeError, match=r"Warmed\(warmup=0.05\)"):
        Warmed(3)  # type: ignore[call-arg]
