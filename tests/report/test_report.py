"""The report says what the story says, and nothing that comes from outside can become markup."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tuneful import report
from tuneful.core.errors import StorageError
from tuneful.core.measure import Measure
from tuneful.core.trial import Point, Trial
from tuneful.report.axis import Axis, spans_decades
from tuneful.report.charts import thin
from tuneful.report.importance import weigh
from tuneful.report.story import Story
from tuneful.report.words import central, duration, interval, number, wilson

Stories = dict[str, Callable[[], Story]]
VOID = {"meta", "link", "br", "hr", "col"}


class Page(HTMLParser):
    """Every tag with its attributes, and the text of the page; complains about tags that do not match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words += data.replace("\u00a0", " ")

    def of(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_every_story_gives_a_whole_page(any_story: Story):
    page = Page(report.render(any_story))
    assert len(page.of("h1")) == 1
    assert "nan" not in page.words.lower().replace("became nan", "")


def test_the_same_story_gives_the_same_page(stories: Stories):
    assert report.render(stories["study"]()) == report.render(stories["study"]())


def test_nothing_from_outside_becomes_markup(stories: Stories):
    source = report.render(stories["hostile"]())
    page = Page(source)
    assert len(page.of("script")) == 1
    assert page.of("img") == []
    assert "</script><script>alert(1)</script>" in page.words
    known = {"data-t", "data-v", "data-n", "http-equiv", "aria-label", "aria-hidden"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not [name for name in attributes if "-" in name and name not in known]
    assert "\u202e" not in source
    assert "\x00" not in source


def test_no_address_is_asked_for(any_story: Story):
    page = Page(report.render(any_story))
    addresses = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "action")
    ]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_chart_says_what_it_shows(stories: Stories):
    for name in ("study", "single run", "running"):
        page = Page(report.render(stories[name]()))
        charts = [a for tag, a in page.tags if a.get("role") == "img"]
        assert len(charts) >= 3
        assert all(len(a["aria-label"]) > 10 for a in charts)
        assert all(a.get("aria-hidden") == "true" for a in page.of("svg"))


def test_a_lost_comparison_is_the_first_line(stories: Stories):
    story = stories["baseline wins"]()
    first, second = story.headlines()
    assert first == "The baseline wins: gradient-boosted trees beat the best model that was found."
    assert second == story.evidence["headline"]
    told = replace(story, headline="The baseline wins: use gradient-boosted trees.")
    assert told.headlines() == ["The baseline wins: use gradient-boosted trees."]


def test_figures_carry_their_interval_and_their_count(stories: Stories):
    words = Page(report.render(stories["study"]())).words
    assert "0.978 [0.961, 0.995]" in words
    assert "+0.015 [+0.003, +0.027], p = 0.02 (McNemar, exact, n = 270)" in words
    assert "opened once" in words
    assert "prove: the final candidate and its baselines" in words
    assert "images of 1 x 8 x 8 are small, so a convnet of depth 3" in words
    assert "tuneful optimize digits --budget 60s" in words
    assert "Resumed once, on 3 May 14:20, after kill -9; nothing was lost." in words


def test_a_running_study_tells_what_it_knows(stories: Stories):
    words = Page(report.render(stories["running"]())).words
    assert "still running" in words
    assert "on the validation split" in words
    assert "it has not been opened" in words
    assert "Too few trials to tell" in words


def test_failed_trials_are_listed_with_their_reason_and_never_lead(stories: Stories):
    story = stories["study"]()
    assert story.best is not None
    assert story.best.state != "failed"
    assert {t.state for t in story.ranked[-3:]} == {"failed"}
    assert "All 4 trials failed, so there is no result." in Page(report.render(stories["all failed"]())).words


def test_a_baseline_without_a_value_says_whether_it_was_skipped_or_failed(stories: Stories):
    story = stories["study"]()
    told = [
        {"name": n, "measures": {}, "seconds": 0.1, "failed": n} for n in ("skipped: it would need 3 s", "no column varies")
    ]
    evidence = {**story.evidence, "baselines": [*story.evidence["baselines"], *told]}
    words = Page(report.render(replace(story, evidence=evidence))).words
    assert "failed: skipped" not in words
    assert "skipped: it would need 3 s" in words
    assert "failed: no column varies" in words


def test_the_best_trial_follows_the_direction_of_the_objective():
    def trial(number: int, value: float) -> Trial:
        point = Point(1, 1.0, Measure(value, value, value, 10), 0.1, 0.1, 0.1, 1.0)
        return Trial(number, {}, {"lr": 0.1}, "", (point,), "done")

    some = (trial(0, 0.5), trial(1, 0.2), trial(2, math.nan), trial(3, 0.9))
    for direction, order in (("min", [1, 0, 3, 2]), ("max", [3, 0, 1, 2])):
        story = Story("t", trials=some, task={"objective": {"metric": "odd", "direction": direction}})
        assert [t.number for t in story.ranked] == order


def test_a_thousand_trials_take_less_than_five_seconds_and_ten_megabytes(stories: Stories, tmp_path: Path):
    story = stories["long study"]()
    begun = time.process_time()
    written = report.write(tmp_path / "report.html", story)
    assert time.process_time() - begun < 5
    assert written.stat().st_size < 10_000_000
    assert "of its points" in written.read_text()


def test_many_classes_become_their_most_confused_pairs(stories: Stories):
    words = Page(report.render(stories["200 classes"]())).words
    assert "With 200 classes a matrix cannot be read" in words
    assert "“class 3” is taken for “class 5”" in words


def test_writes_in_one_step_and_replaces_what_was_there(stories: Stories, tmp_path: Path):
    place = tmp_path / "deep" / "er" / "report.html"
    assert report.write(place, stories["empty"]()) == place
    report.write(str(place), stories["running"]())
    assert "still running" in place.read_text(encoding="utf-8")
    assert [p.name for p in place.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(stories: Stories, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"the report .*report.html cannot be written: (Not a directory|File exists)"):
        report.write(tmp_path / "file" / "report.html", stories["empty"]())


def test_importance_finds_the_dial_that_matters():
    dice = np.random.default_rng(0)
    dials = [
        {"lr": float(a), "kind": str(b), "idle": float(c)}
        for a, b, c in zip(dice.random(120), dice.choice(list("xyz"), 120), dice.random(120))
    ]
    values = [
        math.sin(4 * d["lr"]) + 0.05 * n for d, n in zip(dials, dice.normal(size=120))
    ]  # neither straight nor monotone
    found = {w.dial: w for w in weigh(dials, values, smaller=False)}
    assert next(iter(found)) == "lr"
    assert found["lr"].low > 0.6
    assert found["idle"].low < 0.01
    assert found["kind"].low < 0.01
    assert all(w.low <= w.share <= w.high for w in found.values())
    best = [d["lr"] for d in sorted(dials, key=lambda d: -math.sin(4 * d["lr"]))[:20]]
    assert all(min(best) - 0.1 <= v <= max(best) + 0.1 for v in found["lr"].leaders)


def test_importance_is_silent_about_a_handful_of_trials():
    assert weigh([{"lr": k / 10} for k in range(7)], list(range(7)), smaller=True) == []
    assert weigh([{"lr": k / 10} for k in range(20)], [1.0] * 20, smaller=True) == []


def test_a_dial_without_effect_seldom_seems_to_matter():
    dice = np.random.default_rng(1)
    alarms = 0
    for _ in range(40):
        dials = [{"idle": float(v)} for v in dice.random(30)]
        alarms += weigh(dials, list(dice.normal(size=30)), smaller=True)[0].low > 0.01
    assert alarms <= 4


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (1e-9, 3e-9), (0.97, 0.99), (-1e12, 1e15), (5, 5), (0, 0)])
def test_ticks_are_round_ordered_and_inside(low: float, high: float):
    axis = Axis.over([low, high])
    values = [value for value, _ in axis.ticks]
    assert len(values) >= 2
    assert values == sorted(values)
    assert all(0 <= axis.at(value) <= 1 for value in values)
    assert len({label for _, label in axis.ticks}) == len(values)


def test_log_ticks_stand_at_equal_factors():
    axis = Axis.over([1e-4, 1e-1], log=True)
    places = [axis.at(value) for value, _ in axis.ticks]
    assert [label for _, label in axis.ticks] == ["1e−4", "0.001", "0.01", "0.1"]
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0])
    one = Axis.toward_one([0.0, 0.9, 0.999, 1.0])
    np.testing.assert_allclose(one.at(0.999) - one.at(0.99), one.at(0.99) - one.at(0.9))
    assert one.at(1.0) <= 1


def test_no_value_however_odd_breaks_an_axis():
    for values in ([math.nan], [math.inf, 1.0], [1e308, -1e308], [5e-324, 0.0], [1e16, 1e16 + 2]):
        axis = Axis.over(values)
        assert axis.low < axis.high
        assert all(math.isfinite(v) for v, _ in axis.ticks)


def test_only_what_was_drawn_over_decades_stands_on_a_log_axis():
    dice = np.random.default_rng(0)
    assert spans_decades(10 ** dice.uniform(-4, -1, 50))
    assert not spans_decades(dice.uniform(0.001, 0.5, 50))
    assert not spans_decades([16, 32, 64])
    assert not spans_decades([-1.0, 100.0])


def test_thinning_keeps_the_first_and_the_last_point():
    points = [(float(k), 0.0) for k in range(1000)]
    few = thin(points, 44)
    assert len(few) == 44
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert thin(points[:10], 44) == points[:10]


def test_numbers_have_the_digits_that_are_known():
    assert number(0.97218) == "0.9722"
    assert number(1234567) == "1,234,567"
    assert number(-0.00004) == "−4e−5"
    assert number(math.nan) == "–"
    assert central(Measure(0.97777, 0.952, 0.99, 270)) == "0.978"
    assert interval(Measure(0.97777, 0.952, 0.99, 270)) == "[0.952,\u00a00.990]"
    assert interval(Measure(1.0, math.nan, math.nan, 1)) == "no interval"
    assert [duration(s) for s in (0.5, 59.94, 59.96, 3599.9, 7500)] == [
        "0.50\u00a0s",
        "59.9\u00a0s",
        "1\u00a0min 00\u00a0s",
        "1\u00a0h 00\u00a0min",
        "2\u00a0h 05\u00a0min",
    ]


def test_wilson_agrees_with_newcombe():
    # Newcombe, Statistics in Medicine 1998, table I: 81 of 263 and 0 of 20, method 3.
    np.testing.assert_allclose(wilson(81 / 263, 263), (0.2553, 0.3662), atol=5e-5)
    np.testing.assert_allclose(wilson(0.0, 20), (0.0, 0.1611), atol=5e-5)


def test_needs_neither_torch_nor_pydantic_nor_plotly():
    line = "import sys, tuneful.report; print(sorted({'torch', 'pydantic', 'plotly', 'optuna', 'numpy'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
