"""A form: what a shape usually means, and what a network must answer."""

from __future__ import annotations

import pytest

from tuneful.core.errors import ModelError
from tuneful.core.form import Form


def test_a_shape_means_what_it_usually_means():
    assert Form.of((20,), 2) == Form("vector", (20,), 2)
    assert Form.of((3, 96), 1).kind == "series"
    assert Form.of((3, 8, 8), 10).kind == "image"
    with pytest.raises(ModelError, match=r"shape \[2, 3, 4, 5\] have no usual meaning"):
        Form.of((2, 3, 4, 5), 1)


def test_says_what_the_network_must_answer():
    assert Form.of((20,), 2).answer == (2,)
    assert Form.text(50, 900, 4).answer == (4,)
    assert Form.text(50, 900, 13, "place").answer == (50, 13)
    assert Form("pair", (30,), 900, "place", 900, source=18).answer == (12, 900)
    assert Form.text(50, 900, 4).whole
    assert not Form.of((20,), 2).whole
