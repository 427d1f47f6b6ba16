"""Every optimizer has ranges that a search may vary, with its defaults inside."""

from __future__ import annotations

import pytest

from tuneful.core.space import Choice, Dial, parse
from tuneful.techniques.optimizers import TABLE
from tuneful.techniques.optimizers.ranges import RANGES


def test_every_optimizer_has_ranges():
    assert set(RANGES) == set(TABLE)
    assert all("lr" in ranges for ranges in RANGES.values())


@pytest.mark.parametrize("kind", TABLE)
def test_the_defaults_lie_inside_and_every_value_can_be(kind):
    settings = TABLE[kind]()
    for name, text in RANGES[kind].items():
        field = getattr(settings, name)
        found = parse(text, integer=isinstance(field, int))
        assert Dial(name, found).holds(field), f"{name}={field} is not in {text}"
        for value in found.values if isinstance(found, Choice) else found.ends:
            settings.replace(**{name: value})


@pytest.mark.parametrize("kind", TABLE)
def test_rates_are_searched_over_decades_on_both_sides(kind):
    """No optimizer is favoured by a narrow range around a rate that happens to suit."""
    found = parse(RANGES[kind]["lr"])
    rate = TABLE[kind]().lr
    if kind in ("lbfgs", "prodigy"):  # they find the rate themselves
        return
    assert found.log
    assert found.low * 9.9 <= rate <= found.high / 2.9
    assert found.high / found.low >= 90
