"""The range syntax, one for command line, files and Python."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneful.core.errors import SpaceError
from tuneful.core.space import Choice, Dial, Range, Space, parse


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1e-4..1e-1", Range(1e-4, 1e-1, log=True)),
        ("0.8..0.99", Range(0.8, 0.99)),
        ("-1..1", Range(-1, 1)),
        ("0..0.5", Range(0, 0.5)),
        ("log(1..5)", Range(1, 5, log=True)),
        ("lin(1e-4..1e-1)", Range(1e-4, 1e-1)),
        ("1..10", Range(1, 10, log=True)),
        ("sgd,adam,adabound", Choice(("sgd", "adam", "adabound"))),
        ("16,32,64", Choice((16, 32, 64))),
        ("true,false", Choice((True, False))),
        ("20", 20),
        ("2e1", 20.0),
        ("adam", "adam"),
        ("true", True),
    ],
)
def test_reads_what_the_user_wrote(text, meaning):
    read = parse(text)
    assert read == meaning
    assert type(read) is type(meaning)


def test_whole_numbers_where_the_field_is_one():
    assert parse("16..256", integer=True) == Range(16, 256, log=True, integer=True)
    assert parse("1..4", integer=True) == Range(1, 4, integer=True)
    with pytest.raises(SpaceError, match=r"the range 1..2.5 has an end that is not a whole number"):
        parse("1..2.5", integer=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("5..1", r"the range .* is empty; its low end must come first\n  hint: write 1..5"),
        ("1..1", "is empty"),
        ("log(0..1)", r"reaches 0; a logarithmic one must stay above 0"),
        ("1..", "cannot be read"),
        ("log(1..5", "cannot be read"),
        ("a,a", "at least two different values"),
        ("a,", "at least two different values"),
        ("1..1e400", "not a finite number"),
    ],
)
def test_refuses_what_cannot_be_searched(text, sentence):
    with pytest.raises(SpaceError, match=sentence):
        parse(text)


@given(low=st.floats(-1e6, 1e6), high=st.floats(-1e6, 1e6), log=st.booleans())
def test_a_range_reads_back_from_what_it_prints(low, high, log):
    low, high = float(f"{low:g}"), float(f"{high:g}")
    if low >= high or (log and low <= 0):
        with pytest.raises(SpaceError):
            Range(low, high, log)
        return
    assert parse(str(Range(low, high, log))) == Range(low, high, log)


class Trial:
    """Takes the low end of everything, as an Optuna trial would be asked."""

    def suggest_categorical(self, name, choices):
        return choices[-1]

    def suggest_int(self, name, low, high, log):
        assert isinstance(low, int)
        return low

    def suggest_float(self, name, low, high, log):
        return low


def test_a_conditional_dial_exists_only_beside_its_choice():
    dials = (
        Dial("optimizer", Choice(("sgd", "adam"))),
        Dial("optimizer.beta1", Range(0.8, 0.99), ("optimizer", ("adam",))),
        Dial("optimizer.momentum", Range(0.5, 0.99), ("optimizer", ("sgd",))),
    )
    assert Space(dials).suggest(Trial()) == {"optimizer": "adam", "optimizer.beta1": 0.8}


def test_says_which_values_it_holds():
    assert Dial("x", Range(1, 2)).holds(1.5)
    assert not Dial("x", Range(1, 2)).holds(math.nan)
    assert not Dial("x", Range(1, 2)).holds("1.5")
    assert Dial("x", Choice(("a", "b"))).holds("b")
