"""A look as a whole: quiet data stay quiet, a shift is found where it is, labels give the true accuracy, estimates come near it."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
from scipy import stats

import tuneful
from tuneful.core.errors import DataError, TunefulError
from tuneful.runtime.watch import estimated, labels, truth
from tuneful.runtime.watch.calibration import calibration
from tuneful.runtime.watch.judgement import judged
from tuneful.runtime.watch.look import How, look
from tuneful.runtime.watch.rate import Rate
from tuneful.runtime.watch.sides import Before, Now
from tuneful.runtime.watch.windows import cut

from .conftest import people

DAY = 86400.0


def seen(model, rows, times=None) -> Now:
    x = model.encoded({name: rows[name] for name in rows if name != "income"})
    now = Now.of_data(model, [(x, model.told(x))], "people")
    return dataclasses.replace(now, times=times)


def test_new_data_like_the_old_raise_no_alarm(model):
    false = sum(
        look(Before.of_artifact(model), seen(model, people(400, seed)), How(Rate.of("0.05")))["drifted"]
        for seed in range(1, 61)
    )
    assert false <= stats.binom.ppf(0.999, 60, 0.05)


def test_a_shift_is_found_where_it_is(model):
    found = look(Before.of_artifact(model), seen(model, people(600, 1, older=6)), How(Rate.of("0.01")))
    assert found["drifted"]
    by_name = {one["name"]: one for one in found["columns"]}
    assert by_name["age"]["drifted"]
    assert by_name["prediction"]["drifted"]
    assert not by_name["job"]["drifted"]
    assert "age" in found["headline"]


@pytest.mark.parametrize("test", ["ks", "psi", "wasserstein"])
def test_each_test_by_name_finds_it(model, test):
    found = look(
        Before.of_artifact(model), seen(model, people(600, 1, older=6)), How(Rate.of("0.01"), test=test, correction="bh")
    )
    assert {one["name"]: one["drifted"] for one in found["columns"]}["age"]


@pytest.mark.parametrize("by", ["betting", "windows", "adwin", "page_hinkley"])
def test_a_record_is_quiet_until_the_shift(model, by):
    quiet, later = people(1500, 2), people(1500, 3, older=8)
    rows = {name: [*quiet[name], *later[name]] for name in quiet}
    times = 1.7e9 + np.arange(3000) * 60.0
    found = look(Before.of_artifact(model), seen(model, rows, times), How(Rate.of("0.05/week"), by=(by,), window="150"))
    assert found["drifted"]
    first = min(one["at"] for one in found["alarms"])
    assert 1500 <= first < 2200, found["alarms"]
    assert {one["name"] for one in found["alarms"]} & {"age", "prediction", "confidence", "2 of 5"}


def test_alarms_before_a_moment_raise_none(model):
    rows = people(800, 4, older=8)
    times = 1.7e9 + np.arange(800) * 60.0
    old = look(Before.of_artifact(model), seen(model, rows, times), How(Rate.of("0.05/week"), since=1.8e9))
    assert old["alarms"]
    assert not old["drifted"]


def test_labels_that_come_late_give_the_true_accuracy(model, tmp_path):
    rows = people(900, 5)
    now = seen(model, rows)
    ids = [f"r{at // 3}" for at in range(900)]
    places = [at % 3 + 1 for at in range(900)]
    with (tmp_path / "late.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "row", "label"])
        out.writerows((ids[at], places[at], rows["income"][at]) for at in range(0, 900, 2))
        out.writerow(["stranger", 1, "high"])
        out.writerow([ids[0], places[0], "neither"])  # the last line about an example holds
    found = labels.joined(tmp_path / "late.csv", ids, places)
    assert (len(found.at), found.strangers, found.again) == (450, 1, 1)
    known = judged(now, found.at, found.truth, "late.csv")
    assert known.unknown == 1
    by_hand = [model.predict({k: [v[at]] for k, v in rows.items()})[0] == rows["income"][at] for at in range(0, 900, 2)]
    by_hand[0] = False
    told = look(Before.of_artifact(model), now, How(Rate.of("0.01")), known)
    accuracy = told["labels"]["measures"]["accuracy"]
    assert accuracy["value"] == pytest.approx(np.mean(by_hand))
    theirs = stats.binomtest(sum(by_hand), 450).proportion_ci(method="wilson")
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_rising_share_of_wrong_answers_is_an_alarm_by_itself(model):
    rows = people(1200, 6)
    now = seen(model, rows, 1.7e9 + np.arange(1200) * 60.0)
    turned = [label if at < 600 else {"high": "low", "low": "high"}[label] for at, label in enumerate(rows["income"])]
    found = look(Before.of_artifact(model), now, How(Rate.of("0.01/week")), judged(now, np.arange(1200), turned, "x"))
    assert {one["name"] for one in found["alarms"]} == {"wrong"}
    assert 600 <= min(one["at"] for one in found["alarms"]) < 700


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("who,label\na,high\n", "no column id"),
        ("id,one,two\na,1,2\n", "no column label"),
        ("id,row,label\na,first,high\n", "row is 'first' in line 2"),
        ("", "holds no lines"),
    ],
)
def test_a_file_of_labels_that_cannot_serve_is_refused_in_words(tmp_path, text, complaint):
    (tmp_path / "late.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        labels.joined(tmp_path / "late.csv", ["a"], [1])


def test_estimates_are_the_truth_when_confidence_means_what_it_says():
    """Confidences c, right with chance c; now more of them are sure."""
    dice = np.random.default_rng(0)
    before, now = 0.5 + 0.5 * dice.beta(2, 2, 4000), 0.5 + 0.5 * dice.beta(4, 2, 4000)
    right = (dice.random(4000) < before).astype(float)
    found = estimated.estimated(before, right, now)
    accuracy = now.mean()
    assert found["average_confidence"].value == pytest.approx(accuracy, abs=1e-9)
    assert found["difference_of_confidences"].value == pytest.approx(accuracy, abs=0.02)
    assert found["thresholded_confidence"].value > accuracy + 0.05  # no way is right in every case: this one is not here
    same = estimated.estimated(before, right, before)
    for name in ("difference_of_confidences", "thresholded_confidence"):
        assert same[name].value == pytest.approx(right.mean(), abs=1e-9)
    for one in found.values():
        assert one.low <= one.value <= one.high


def test_the_threshold_lies_where_as_many_are_above_as_are_right():
    before, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0.0, 1.0, 1.0])
    assert estimated.WAYS["thresholded_confidence"](before, right, np.array([0.65, 0.71, 0.95, 0.69])) == 0.5


def test_spiegelhalters_test_holds_its_level_and_finds_overconfidence():
    dice, calls = np.random.default_rng(1), 0
    for _ in range(400):
        c = dice.uniform(0.5, 1, 200)
        calls += calibration(c, (dice.random(200) < c).astype(float)).p <= 0.05
    assert calls <= stats.binom.ppf(0.999, 400, 0.05)
    c = dice.uniform(0.8, 1, 400)
    bad = calibration(c, (dice.random(400) < 0.7).astype(float))
    assert bad.p < 1e-6
    assert bad.error == pytest.approx(0.2, abs=0.06)
    z = ((dice.random(10) < 0.5) - 0.5).sum()  # at c = 1/2 the weights vanish, and nothing is said
    assert calibration(np.full(10, 0.5), np.full(10, float(z > 0))).p == 1.0


def test_errors_of_values_are_those_of_scikit_learn():
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    dice = np.random.default_rng(2)
    y, told = dice.normal(size=300), dice.normal(size=300)
    found = truth.errors(told, y)
    assert found["rmse"].value == pytest.approx(root_mean_squared_error(y, told))
    assert found["mae"].value == pytest.approx(mean_absolute_error(y, told))
    theirs = stats.bootstrap((np.abs(y - told),), np.mean, method="percentile", rng=3).confidence_interval
    assert (found["mae"].low, found["mae"].high) == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_windows_by_count_and_by_time():
    times = np.array([0, 1, 2, 3600, 3601, 7200.0])
    assert cut(times, "2") == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert cut(times, "1h") == [slice(0, 3), slice(3, 5)]  # the last is not over yet
    for bad in ("0", "1", "x", "1fortnight", "-3"):
        with pytest.raises(TunefulError):
            cut(times, bad)


@pytest.mark.parametrize("bad", ["", "0", "1", "2/month", "0.01/fortnight", "0.01/0", "often"])
def test_a_rate_that_is_none_is_refused(bad):
    with pytest.raises(TunefulError, match="rate of false alarms"):
        Rate.of(bad)


def test_inputs_as_a_whole_are_compared_where_rows_are_at_hand(model):
    """Two columns that begin to hang together, each of them as before."""
    dice = np.random.default_rng(0)
    a, b = dice.normal(size=(400, 2)), dice.normal(size=400)
    after = np.stack([b, 0.9 * b + np.sqrt(0.19) * dice.normal(size=400)], axis=1)
    old, new = (
        Now("binary", ("x", "y"), [(("inputs", name), side[:, k], ()) for k, name in enumerate("pq")], None, None, "rows")
        for side in (a, after)
    )
    bare = Before({}, None, None, "")
    found = look(bare.but(old, "before"), new, How(Rate.of("0.05")))
    assert {one["name"]: one["drifted"] for one in found["columns"]} == {"p": False, "q": False, "all together": True}


def test_a_part_of_the_record_may_be_what_it_is_compared_with(model):
    first, rest = seen(model, people(600, 7), np.arange(600.0)).first(400)
    assert (len(first), len(rest)) == (400, 200)
    before = Before.of_artifact(model).but(first, "the first 400")
    assert not look(before, rest, How(Rate.of("0.01")))["drifted"]
    with pytest.raises(DataError, match="cannot be what the others are compared with"):
        rest.first(200)


def test_from_python_it_is_one_call(model, artifact, tmp_path):
    quiet, older = people(500, 8), people(500, 9, older=9)
    inputs = {name: older[name] for name in ("age", "job", "email")}
    found = tuneful.watch(artifact, inputs, older["income"], alarm="0.01")
    assert found.drifted
    assert found.found["labels"]["n"] == 500
    assert str(found) == found.headline
    assert not tuneful.watch(model, inputs, reference=inputs).drifted
    assert not tuneful.watch(model, {name: quiet[name] for name in inputs}, alarm="0.001").drifted
    with pytest.raises(TunefulError, match="one of the two"):
        tuneful.watch(model)
    with pytest.raises(TunefulError, match="3 truths were given for 500 examples"):
        tuneful.watch(model, inputs, ["high"] * 3)


def test_of_very_many_columns_the_answers_and_some_inputs_are_watched_in_sequence():
    dice = np.random.default_rng(1)
    names = [("inputs", f"number {at}") for at in range(300)] + [("answers", "confidence")]
    old, new = (
        Now("binary", ("x", "y"), [(key, dice.normal(size=120), ()) for key in names], times, None, "rows")
        for times in (None, np.arange(120.0))
    )
    found = look(Before({}, None, None, "").but(old, "before"), new, How(Rate.of("0.01")))
    assert len(found["streams"]) == 200
    assert any(one["name"] == "confidence" for one in found["streams"])
    assert len(found["columns"]) == 302  # and the inputs as a whole
    assert any("of 301 columns 200 are watched" in note for note in found["notes"])
