"""Every step of cleaning: its numbers held against scikit-learn's and scipy's, its rules on small examples worked out by hand."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation, mstats
from sklearn.impute import SimpleImputer

from tuneful.core.config import comments
from tuneful.core.errors import DataError, RecipeError
from tuneful.core.mojibake import mended
from tuneful.core.task import Origin
from tuneful.pipeline.clean_words import plain, steps
from tuneful.techniques.cleaners import (
    TABLE,
    Clip,
    Deduplicate,
    DropLabels,
    DropMissing,
    Examples,
    FixEncoding,
    Impute,
    Relabel,
)  # fmt: skip
from tuneful.techniques.cleaners.cleaner import Filler, Mender, Sifter


def column(n: int = 200, share: float = 0.2) -> np.ndarray:
    dice = np.random.default_rng(0)
    found = np.round(dice.normal(5, 2, n), 1)
    found[dice.random(n) < share] = np.nan
    return found


def seen(y=(0, 1, 0, 1, 0), train=(1, 2, 3, 4, 5), test=(), absent=None, names=(), rows=None, near=None) -> Examples:
    y = np.array(y)
    origin = Origin(np.arange(len(y)) if rows is None else np.array(rows), 10, names)
    return Examples(y, ("cat", "dog"), origin, lambda _: {"train": np.array(train), "test": np.array(test, dtype=int)},
                    lambda likeness: near, lambda _: absent)  # fmt: skip


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) >= set(cls.model_fields) - {"kind"}
    assert issubclass(cls, Mender | Sifter | Filler)


# Fill


@pytest.mark.parametrize("how", ["mean", "median", "most_frequent", "constant"])
def test_fills_in_what_scikit_learn_fills_in(how: str):
    found = column()
    value = -1.5 if how == "constant" else 0.0
    ours = Impute(how=how, value=value).number(found)["fill"]
    theirs = SimpleImputer(strategy=how, fill_value=-1.5).fit(found[:, None]).statistics_[0]
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_categories_take_the_most_frequent_level_or_a_word():
    counts = {"red": 5, "blue": 7, "aqua": 7}
    theirs = SimpleImputer(strategy="most_frequent").fit(
        np.array([["red"] * 5 + ["blue"] * 7 + ["aqua"] * 7], dtype=object).T
    )
    assert Impute(how="most_frequent").category(counts) == {"indicator": True, "fill": theirs.statistics_[0]}
    assert Impute(how="constant", value="none").category(counts)["fill"] == "none"
    assert Impute(how="constant", value=3.0).category(counts) == {}  # a number is for numbers
    assert Impute(how="constant", value="none").number(column()) == {}
    with pytest.raises(DataError, match="the column holds categories"):
        Impute(how="mean", columns=("colour",)).category(counts)
    with pytest.raises(RecipeError, match="a value is for how=constant"):
        Impute(value=3.0)


def test_clips_where_scipy_winsorizes():
    found = np.random.default_rng(1).normal(size=1000)
    edges = Clip(quantiles=(0.01, 0.95)).number(found)
    theirs = mstats.winsorize(found, limits=(0.01, 0.05))
    assert edges["low"] == pytest.approx(float(theirs.min()), abs=0.05)
    assert edges["high"] == pytest.approx(float(theirs.max()), abs=0.05)
    assert edges == pytest.approx({"low": np.quantile(found, 0.01), "high": np.quantile(found, 0.95)})
    far = Clip(mads=3.0).number(np.append(found, [np.nan, 1e9]))
    spread = 3 * median_abs_deviation(np.append(found, 1e9), scale="normal")
    assert (far["high"] - far["low"]) / 2 == pytest.approx(spread, rel=1e-4)
    assert Clip(mads=3.0).number(np.array([1.0, 1.0, 1.0, 7.0])) == {}  # no usual spread
    with pytest.raises(RecipeError, match="the first must be smaller"):
        Clip(quantiles=(0.9, 0.1))


# Sift


def test_of_equals_the_first_stays_and_none_that_test_holds():
    found = Deduplicate().sift(seen((0, 0, 1, 0, 0), (7, 7, 7, 8, 9), (9,)))
    assert found.keep.tolist() == [True, False, True, True, False]  # the third bears another class
    assert found.told["examples that repeat an earlier one are taken out"] == 1
    assert found.told["examples that valid or test holds too are taken out"] == 1
    assert found.told["examples that equal one with another target stay"] == 2


@pytest.mark.parametrize(("conflicts", "kept"), [("keep", [0, 2, 3]), ("first", [0, 3]), ("drop", [3])])
def test_equals_with_other_targets_are_treated_as_asked(conflicts: str, kept: list[int]):
    found = Deduplicate(conflicts=conflicts).sift(seen((0, 0, 1, 0), (7, 7, 7, 8)))
    assert np.flatnonzero(found.keep).tolist() == kept
    assert sum(n for what, n in found.told.items() if "taken out" in what) == 4 - len(kept)


def test_nearly_equal_ones_follow_the_chain_to_its_first():
    near = (np.array([False, False, False, True]), np.array([0, 0, 1, 3]))
    found = Deduplicate(near=0.9).sift(seen((0, 0, 0, 0), (1, 2, 3, 4), near=near))
    assert found.keep.tolist() == [True, False, False, False]
    with pytest.raises(DataError, match="needs texts or images"):
        Deduplicate(near=0.9).sift(seen())


def test_train_that_test_holds_altogether_is_refused():
    with pytest.raises(DataError, match="would take all 5 examples out of train"):
        Deduplicate().sift(seen(test=(1, 2, 3, 4, 5)))


def test_rows_that_miss_a_value_go_and_never_all_of_them():
    absent = np.array([[1, 0], [0, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    assert DropMissing().sift(seen(absent=absent)).keep.tolist() == [False, True, False, True, False]
    assert DropMissing(when="all").sift(seen(absent=absent)).keep.tolist() == [True, True, False, True, True]
    with pytest.raises(DataError, match=r"all 5 examples .* each misses a value"):
        DropMissing().sift(seen(absent=np.ones((5, 1), dtype=bool)))


# Lists


def listing(tmp_path: Path, text: str) -> str:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    return str(tmp_path / "list.csv")


def test_listed_examples_are_dropped_and_those_elsewhere_are_counted(tmp_path: Path):
    file = listing(tmp_path, "example,given\n1,cat\n4,dog\n9,cat\n")
    found = DropLabels(file=file).sift(seen())
    assert found.keep.tolist() == [False, True, True, False, True]
    assert list(found.told.values()) == [2, 1]


def test_listed_examples_take_the_label_that_stands_there(tmp_path: Path):
    file = listing(tmp_path, "file,suggested,label\nb.png,cat,cat\na.png,dog,dog\n")
    found = Relabel(file=file).sift(seen((0, 1), (1, 2), names=("a.png", "b.png"), rows=(0, 1)))
    assert (found.y.tolist(), found.keep.all()) == ([1, 0], True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("example,given\n1,dog\n", "says that example 1 bears 'dog', and it bears 'cat'"),
        ("example\n99\n", "names example '99', which the data does not have"),
        ("example\n0\n", "must be a row from 1 to 10"),
        ("example\n1\n1\n", "a second time"),
        ("example\nx.png\n", "names example 'x.png'"),
        ("who\n1\n", 'no column "example"'),
        ("example\n", "names no examples"),
        ("example,given\n1\n", "fewer fields"),
        ("example\n1\n2\n3\n4\n5\n", "would take all 5"),
    ],
    ids=["other data", "too far", "zero", "twice", "a file", "no column", "empty", "ragged", "all"],
)
def test_lists_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, why: str):
    with pytest.raises(DataError, match=why):
        DropLabels(file=listing(tmp_path, text)).sift(seen())


def test_new_labels_must_be_known_and_lists_must_exist(tmp_path: Path):
    with pytest.raises(DataError, match=r"gives the label 'dgo'[^\n]*\n  hint: did you mean dog"):
        Relabel(file=listing(tmp_path, "example,label\n1,dgo\n")).sift(seen())
    with pytest.raises(DataError, match='no column "label" or "suggested"'):
        Relabel(file=listing(tmp_path, "example\n1\n")).sift(seen())
    with pytest.raises(DataError, match="there is no such file"):
        DropLabels(file=str(tmp_path / "none.csv")).sift(seen())
    (tmp_path / "bytes.csv").write_bytes(b"example\n\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read as a CSV file"):
        DropLabels(file=str(tmp_path / "bytes.csv")).sift(seen())


# Mend


SCRIPTS = [
    "naïve café",
    "€5 – “ok” …",
    "привет мир",
    "čeština žluťoučký kůň",
    "日本語テキスト",
    "ελληνικά",
    "שלום",
    "😀 ok",
    "Größe",
]


@pytest.mark.parametrize("text", SCRIPTS)
@pytest.mark.parametrize("table", ["cp1252", "latin-1"])
def test_utf8_that_was_read_by_another_table_comes_back(text: str, table: str):
    broken = "".join(bytes([code]).decode(table, "ignore") or chr(code) for code in text.encode())
    assert mended(broken) == text
    assert mended(text) == text
    again = "".join(bytes([code]).decode(table, "ignore") or chr(code) for code in broken.encode())
    assert mended(again) == text


@pytest.mark.parametrize(
    "text", ["Ü, ß, …: fine", "PRÉ…", "groß“", "NÃO", "AÇÃO – “sim”", "Â", "Ærø Å”!", "crème brûlée", "« État »", "İstanbul Şişli"]
)  # fmt: skip
def test_text_that_is_right_stays(text: str):
    assert mended(text) == text


def test_marks_and_controls_go_and_flags_say_what():
    assert mended("\ufeffid\x00\x07\tx\n") == "id\tx\n"
    assert mended("don\x92t") == "don’t"
    assert mended("a\x00\ufeff", marks=False, controls=False) == "a\x00\ufeff"
    assert mended("cafÃ©", mojibake=False) == "cafÃ©"
    assert set(FixEncoding().flags()) == {"mojibake", "marks", "controls"}


@given(st.text())
def test_mending_twice_is_mending_once(text: str):
    assert mended(mended(text)) == mended(text)


@given(st.text(st.characters(max_codepoint=0xFF)))
def test_nothing_is_made_up(text: str):
    """What comes out goes back to the bytes that went in, up to what was taken out."""
    out = mended(text, marks=False, controls=False)
    assert out == text or len(out) <= len(text)


# Words


@pytest.mark.parametrize(
    "words",
    ["deduplicate,impute=mean", "clip(mads=5, columns=[age, fare]), impute", "drop_labels=a.csv,drop_labels=b.csv",
     "impute(how=constant,value=-1,columns=[1,2]),impute=mean", "drop_missing(columns=a+b)", "drop_labels(file='a,(b.csv')"],
)  # fmt: skip
def test_words_become_steps_and_steps_data_again(words: str):
    found = steps(words)
    assert found
    assert steps(plain(found)) == found == steps(list(found))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("imputee", "did you mean impute"),
        ("impute(how=avg)", "clean.impute.how is 'avg'"),
        ("impute(", "a bracket has no partner"),
        ("impute(how='x)", "the quote ' has no partner"),
        ("impute)", "no partner"),
        ("impute(mean)", "settings there look like name=value"),
        ("impute(how=mean,how=median)", "gives impute.how twice"),
        ("impute,impute", "names impute twice"),
        ("impute(columns=a),impute(columns=[b,a])", "twice for the column a"),
        ("drop_labels=a,drop_labels=a", "twice with the file a"),
        ("deduplicate,deduplicate=0.9", "names deduplicate twice"),
        ("impute,deduplicate", "the order must be deduplicate, impute"),
        ("impute,drop_missing", "the order must be drop_missing, impute"),
        ("deduplicate,fix_encoding", "the order must be fix_encoding, deduplicate"),
        ("drop_labels", "clean.drop_labels.file is missing"),
        ("deduplicate=2", r"must be in \(0, 1\]"),
        ("clip(mads=-1)", "must be >= 0"),
        ("  ", "names no step"),
        ("-", "is no step"),
    ],
)  # fmt: skip
def test_steps_that_cannot_be_meant_are_refused(words: str, why: str):
    with pytest.raises(RecipeError, match=why):
        steps(words)


def test_every_problem_is_told_at_once():
    with pytest.raises(RecipeError) as caught:
        steps(["imputee", {"kind": "clip", "mads": -1.0}, 3])
    assert len(caught.value.problems) == 3


@given(st.lists(st.text("implute()[]=',\" drop_missing.01"), max_size=4))
def test_no_text_is_answered_otherwise_than_in_a_sentence(words: list[str]):
    with contextlib.suppress(RecipeError):
        assert steps(words) is not None
