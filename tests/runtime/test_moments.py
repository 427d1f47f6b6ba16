"""Times of a series: how they are written, the step between them, what comes next, the calendar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneful.core.errors import DataError
from tuneful.runtime import moments


def times(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


@pytest.mark.parametrize(
    ("text", "order", "found"),
    [
        ("1949-01", "ym", "1949-01-01T00:00:00"), ("2016/07/01", "ymd", "2016-07-01T00:00:00"),
        ("01.07.2016 13:30", "dmy", "2016-07-01T13:30:00"), ("07/01/2016", "mdy", "2016-07-01T00:00:00"),
        ("2016-07-01T13:30:59.25Z", "ymd", "2016-07-01T13:30:59"),
        ("1-01", "ym", None), ("2016-13-01", "ymd", None), ("2016-02-30", "ymd", None), ("2016-07-01", "ym", None),
        ("1949-01", "ymd", None), ("yesterday", "ymd", None),
    ],
)  # fmt: skip
def test_written_moments(text, order, found):
    assert moments.written(text, order) == (None if found is None else np.datetime64(found, "s"))


def test_a_value_that_is_no_time_is_told_with_its_row():
    with pytest.raises(DataError, match=r'column "when" holds \'soon\' in row 2; it must be a time like YYYY-MM-DD'):
        moments.read(["2020-01-01", "soon"], "when", "ymd")


@pytest.mark.parametrize(
    ("given_", "step", "following", "season"),
    [
        (np.arange("2020-01-01", "2020-01-05", dtype="datetime64[h]"), "1 hour", "2020-01-05T00:00:00", 24),
        (np.arange("2020-01-01", "2020-01-20", dtype="datetime64[D]"), "1 day", "2020-01-20T00:00:00", 7),
        (np.arange("1949-01", "1952-12", dtype="datetime64[M]"), "1 month", "1952-12-01T00:00:00", 12),
        (times("2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30"), "1 month", "2020-05-31T00:00:00", 12),
        (times("2020-03-31", "2020-06-30", "2020-09-30", "2020-12-31"), "3 months", "2021-03-31T00:00:00", 4),
        (times("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"), "1 weekday", "2020-01-09T00:00:00", 5),
        (times("2020-01-01T00:00", "2020-01-01T00:15", "2020-01-01T00:30"), "15 minutes", "2020-01-01T00:45:00", 96),
        (times("2020-01-06", "2020-01-13", "2020-01-20"), "1 week", "2020-01-27T00:00:00", 0),
    ],
)  # fmt: skip
def test_the_step_is_found_and_continues(given_, step, following, season):
    given_ = given_.astype("datetime64[s]")
    found = moments.step_of(given_)
    assert moments.said(found) == step
    np.testing.assert_array_equal(moments.counted(given_, found, given_[0]), np.arange(len(given_)))
    assert moments.at(np.array([len(given_)]), found, given_[0])[0] == np.datetime64(following)
    assert moments.season(found) == season


@given(
    st.integers(-(10**9), 4 * 10**9), st.sampled_from(["second", "weekday", "month"]), st.integers(1, 7), st.integers(-500, 500)
)  # fmt: skip
def test_counting_undoes_going_ahead(start, unit, count, far):
    begin = np.datetime64(start, "s")
    if unit == "weekday":
        count, begin = 1, np.busday_offset(begin.astype("datetime64[D]"), 0, roll="forward").astype("datetime64[s]")
    if unit == "month":
        begin = begin.astype("datetime64[M]").astype("datetime64[s]")
    step = {"unit": unit, "count": count, "offset": 0}
    there = moments.at(np.array([far]), step, begin)
    assert moments.counted(there, step, begin)[0] == pytest.approx(far)


def test_a_calendar_has_the_angles_of_clock_week_and_year():
    when = times("2020-01-06T06:00", "2020-01-09T12:00", "2019-07-02T12:00")  # Monday 6:00; midweek; the middle of a year
    sine_day, cosine_day, sine_week, cosine_week, sine_year, cosine_year = moments.waves(when, ["day", "week", "year"])
    np.testing.assert_allclose([sine_day[0], cosine_day[0]], [1, 0], atol=1e-6)
    np.testing.assert_allclose([sine_week[1], cosine_week[1]], [0, -1], atol=1e-6)
    np.testing.assert_allclose([sine_year[2], cosine_year[2]], [0, -1], atol=1e-6)


def test_only_cycles_that_vary_and_were_seen_are_kept():
    hour, day, month = {"unit": "second", "count": 3600}, {"unit": "second", "count": 86_400}, {"unit": "month", "count": 1}
    assert moments.cycles(hour, 100) == ["day"]
    assert moments.cycles(hour, 9000) == ["day", "week", "year"]
    assert moments.cycles(day, 400) == ["week", "year"]
    assert moments.cycles(month, 30) == ["year"]
    assert moments.cycles({"unit": "row", "count": 1}, 10**6) == []
