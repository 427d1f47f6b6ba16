"""Cleaning in the pipeline: learned from train alone, the same at prediction, counted by split, and never a row lost elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.impute import SimpleImputer

from tuneful.core.errors import DataError, RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline import files
from tuneful.pipeline.job import Job
from tuneful.pipeline.likeness import near, of_images, of_texts
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.words import from_settings, from_words
from tuneful.runtime.preprocess import apply
from tuneful.techniques.cleaners import Impute


def table(n: int = 300, seed: int = 0) -> pl.DataFrame:
    """Rows of which some miss a size or a colour, and some sizes are wild; class by size."""
    dice = np.random.default_rng(seed)
    size = dice.normal(10, 2, n)
    y = np.where(size + dice.normal(0, 1, n) > 10, "large", "small")
    size[dice.random(n) < 0.05] *= 100
    size[dice.random(n) < 0.1] = np.nan
    colour = dice.choice(["red", "green", None], n, p=[0.5, 0.3, 0.2]).tolist()
    return pl.DataFrame({"size": size, "colour": colour, "other": dice.normal(size=n), "target": y}, nan_to_null=False)


def split(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return table(300, seed), table(80, seed + 1), table(90, seed + 2)


def counts(task: Task, step: str, words: str = "") -> dict[str, int]:
    return {c.split: c.count for c in task.cleaning if c.step == step and words in c.what}


def column(task: Task, name: str) -> dict:
    return next(c for c in task.schema["columns"] if c["name"] == name)


def test_what_is_filled_in_is_learned_from_train_alone_and_counted_in_each_split():
    train, valid, test = split()
    task = prepare((train, valid, test), clean="impute=mean", scale="deviation")
    theirs = SimpleImputer().fit(train["size"].to_numpy()[:, None]).statistics_[0]
    assert column(task, "size")["fill"] == pytest.approx(theirs)
    missing = {s: int(f["size"].is_nan().sum() + f["colour"].is_null().sum()) for s, f in zip(("train", "valid", "test"), split())}  # fmt: skip
    assert counts(task, "impute") == missing
    other = prepare((train, table(80, 77), table(90, 78)), clean="impute=mean", scale="deviation")
    assert other.schema == task.schema  # other valid and test change nothing


def test_missing_values_are_filled_in_by_auto_where_nobody_asks_and_that_is_told():
    asked, auto = prepare(split(), clean="impute"), prepare(split())
    assert asked.fingerprint == auto.fingerprint  # the same thing, said or not
    assert {c.by for c in auto.cleaning} == {"auto"}
    assert {c.by for c in asked.cleaning} == {"asked"}
    assert [c.count for c in auto.cleaning] == [c.count for c in asked.cleaning]


def test_training_and_prediction_see_the_same():
    frames = split()
    task = prepare(frames, clean=["clip(mads=5,columns=size)", Impute(how="most_frequent")], scale="deviation")
    for given, part in zip(frames, (task.train, task.valid, task.test.open("test")), strict=True):
        rows = [{k: v for k, v in row.items() if k != "target"} for row in given.to_dicts()]
        np.testing.assert_array_equal(apply(json.loads(json.dumps(task.schema)), rows), part.x)
    size = column(task, "size")
    assert size["high"] < 30
    beyond = [int((f["size"].fill_nan(None).drop_nulls() > size["high"]).sum()) for f in frames]
    below = [int((f["size"].fill_nan(None).drop_nulls() < size["low"]).sum()) for f in frames]
    assert list(counts(task, "clip").values()) == [a + b for a, b in zip(beyond, below, strict=True)]
    at = task.schema["features"].index("size")
    assert task.train.x[:, at].max() == pytest.approx((size["high"] - size["mean"]) / size["std"], rel=1e-5)
    levels = [f for f in task.schema["features"] if f.startswith("colour=")]
    assert levels == ["colour=green", "colour=red", "colour=(missing)"]
    blank = apply(task.schema, [{"size": "", "colour": "", "other": 0}])[0]
    assert blank[[task.schema["features"].index(n) for n in levels]].tolist() == [0, 1, 1]


def test_ranks_are_those_of_the_clipped_numbers():
    task = prepare(split(), clean="clip(mads=5)", scale="ranks")
    assert max(column(task, "size")["knots"]) == pytest.approx(column(task, "size")["high"])


def test_rows_are_taken_out_of_train_alone():
    train, valid, test = split()
    task = prepare((train, valid, test), clean="drop_missing(columns=size)")
    gone = int(train["size"].is_nan().sum())
    assert (len(task.train), len(task.valid), len(task.test)) == (300 - gone, 80, 90)
    assert counts(task, "drop_missing") == {"train": gone}
    assert not column(task, "size")["indicator"]
    assert apply(task.schema, [{"size": "", "colour": "red", "other": 1.0}]).shape[0] == 1  # filled in


def test_planted_duplicates_go_from_train_and_never_from_test():
    train, valid, test = split()
    planted = pl.concat([train, train[:20], test[:7], valid[:5]])
    task = prepare((planted, valid, test), clean="deduplicate")
    assert counts(task, "deduplicate", "repeat") == {"train": 20}
    assert counts(task, "deduplicate", "valid or test") == {"train": 12}
    assert (len(task.train), len(task.valid), len(task.test)) == (300, 80, 90)
    assert not [f for f in task.findings if "too (a leak)" in f.what or f.what == "train repeats examples"]
    hints = {f.what: f.hint for f in prepare((planted, valid, test)).findings}
    assert "clean=deduplicate" in hints["train repeats examples"]
    assert "clean=deduplicate" in hints["examples of test are in train too (a leak)"]


def broken(text: str) -> str:
    return text.encode().decode("latin-1")


def reviews(n: int = 200) -> tuple[list[str], list[str]]:
    dice = np.random.default_rng(3)
    words = ["café", "naïve", "déjà", "señor", "über", "good", "fine", "plain"]
    texts = [f"{' '.join(dice.choice(words, 6))} number {k}" for k in range(n)]
    return texts, [("good" if k % 2 else "schön") for k in range(n)]


def test_planted_mojibake_is_put_right_here_and_in_what_is_predicted(tmp_path: Path):
    texts, labels = reviews()
    lines = ["text,label", *(f"{broken(t) if k % 3 else t},{broken(y)}" for k, (t, y) in enumerate(zip(texts, labels, strict=True)))]  # fmt: skip
    plain_lines = ["text,label", *(f"{t},{y}" for t, y in zip(texts, labels, strict=True))]
    (tmp_path / "broken.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "right.csv").write_text("\n".join(plain_lines), encoding="utf-8")
    right, mended = prepare(tmp_path / "right.csv"), prepare(tmp_path / "broken.csv", clean="fix_encoding")
    np.testing.assert_array_equal(mended.train.x, right.train.x)
    assert mended.labels == right.labels == ("good", "schön")
    np.testing.assert_array_equal(apply(mended.schema, [broken(texts[0])]), apply(right.schema, [texts[0]]))
    changed = sum(counts(mended, "fix_encoding").values())
    assert changed == sum(bool(k % 3 and not texts[k].isascii()) or labels[k] == "schön" for k in range(200))
    assert [f for f in prepare(tmp_path / "broken.csv").findings if "clean=fix_encoding" in f.hint]
    assert not [f for f in right.findings if "fix_encoding" in f.hint]


def test_mended_categories_are_known_when_predicting():
    frames = [f.with_columns(colour=pl.col("colour").replace({"red": "rosé"})) for f in split()]
    wrong = [f.with_columns(colour=pl.col("colour").replace({"rosé": broken("rosé")})) for f in frames]
    task = prepare(tuple(wrong), clean="fix_encoding")
    assert "rosé" in column(task, "colour")["levels"]
    np.testing.assert_array_equal(apply(task.schema, wrong[1].drop("target")), apply(task.schema, frames[1].drop("target")))


def test_listed_rows_are_dropped_or_get_another_label(tmp_path: Path):
    frames = split()
    task = prepare(frames)
    rows = [3, 17, 40]
    bear = [frames[0]["target"][r] for r in rows]
    other = ["small" if y == "large" else "large" for y in bear]
    (tmp_path / "l.csv").write_text("example,given,suggested\n" + "".join(f"{r + 1},{y},{z}\n" for r, y, z in zip(rows, bear, other, strict=True)))  # fmt: skip
    dropped = prepare(frames, clean=f"drop_labels={tmp_path / 'l.csv'}")
    np.testing.assert_array_equal(dropped.train.y, np.delete(task.train.y, rows))
    changed = prepare(frames, clean=f"relabel={tmp_path / 'l.csv'}")
    assert np.flatnonzero(changed.train.y != task.train.y).tolist() == rows
    with pytest.raises(DataError, match="another list takes out"):
        prepare(frames, clean=f"drop_labels={tmp_path / 'l.csv'},relabel={tmp_path / 'l.csv'}")
    kept = frames[0].filter(frames[0]["target"] == "large")
    everyone = "".join(f"{r + 1}\n" for r in range(300) if frames[0]["target"][r] == "small")
    (tmp_path / "all.csv").write_text("example\n" + everyone)
    assert kept.height
    with pytest.raises(DataError, match='leaves class "small" without any example'):
        prepare(frames, clean=f"drop_labels={tmp_path / 'all.csv'}")


def test_rows_keep_their_numbers_when_the_split_is_cut_and_rows_without_target_go():
    frame = table(200).with_row_index("at").with_columns(target=pl.when(pl.col("at") % 10 == 0).then(None).otherwise(pl.col("target")))  # fmt: skip
    task = prepare(frame, target="target", keep=["at"], scale="deviation")
    at, (mean, std) = task.schema["features"].index("at"), (column(task, "at")["mean"], column(task, "at")["std"])
    own = np.round(task.train.x[:, at] * std + mean).astype(int)
    assert [task.origin.name(k) for k in range(len(own))] == [str(row + 1) for row in own]
    assert counts(task, "drop_missing", "target") == {"train": 20}


@pytest.mark.parametrize(
    ("clean", "error", "why"),
    [
        ("drop_missing=sise", RecipeError, "did you mean size"),
        ("impute(columns=target)", RecipeError, "which is no input"),
        ("clip(columns=colour)", DataError, "categories, which cannot be clipped"),
        ("impute(how=mean,columns=colour)", DataError, "holds categories, which have none"),
        ("impute(how=constant,value=none,columns=size)", DataError, "the column holds numbers"),
        ("deduplicate=0.9", DataError, "needs texts or images"),
        ("drop_labels=nowhere.csv", DataError, "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said(clean: str, error: type[Exception], why: str):
    with pytest.raises(error, match=why):
        prepare(split(), clean=clean)


def test_steps_for_other_data_are_refused():
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = np.arange(60) % 2
    for clean in ("impute", "clip", "drop_missing", "fix_encoding", "deduplicate(columns=a)"):
        with pytest.raises(RecipeError, match="this data is an array of numbers"):
            prepare((x, y), clean=clean)
    load = pl.DataFrame({"when": [f"2024-01-{d:02}" for d in range(1, 29)], "load": np.arange(28.0)})
    with pytest.raises(RecipeError, match="rows of a forecast"):
        prepare(load, target="load", horizon=2, clean="deduplicate")


def test_equal_arrays_and_images_go_by_their_content():
    dice = np.random.default_rng(0)
    x = dice.integers(0, 255, (120, 8, 8, 1)).astype("u1")
    y = np.arange(120) % 3
    parts = {"train": (np.concatenate([x[:80], x[:4], x[110:113]]), np.concatenate([y[:80], y[:4], y[110:113]])),
             "valid": (x[80:100], y[80:100]), "test": (x[100:], y[100:])}  # fmt: skip
    task = prepare(parts, clean="deduplicate")
    assert (len(task.train), len(task.valid), len(task.test)) == (80, 20, 20)
    noisy = {**parts, "train": (np.clip(parts["train"][0].astype(int) + 1, 0, 255).astype("u1"), parts["train"][1])}
    assert len(prepare(noisy, clean="deduplicate=0.95").train) == 80


# Likeness


def test_estimated_likeness_is_jaccard_s():
    dice = np.random.default_rng(0)
    words = [f"word{k}" for k in range(300)]
    base = " ".join(words)
    for share in (0.05, 0.2, 0.5):
        new = [w if dice.random() > share else f"else{k}" for k, w in enumerate(words)]
        other = " ".join(new)
        a, b = ({f" {t} "[i : i + 5] for i in range(len(t) - 2)} for t in (base, other))
        truth = len(a & b) / len(a | b)
        one, two = of_texts([base, other])
        assert float((one == two).mean()) == pytest.approx(truth, abs=4 * (0.25 / 128) ** 0.5)


def test_near_texts_and_images_are_found_and_others_are_not():
    dice = np.random.default_rng(1)
    texts = [" ".join(dice.choice([f"w{k}" for k in range(500)], 30)) for _ in range(200)]
    planted = [texts[k].upper().replace(" ", "  ") + "!" for k in range(10)]
    leaked, first = near({"train": of_texts(texts + planted), "test": of_texts([texts[50]])}, 0.8)
    assert np.flatnonzero(leaked).tolist() == [50]
    assert first[200:].tolist() == list(range(10))
    assert (first[:200] == np.arange(200)).all()
    smooth = np.cumsum(dice.normal(size=(100, 3, 24, 20)), axis=3)
    x = ((smooth - smooth.min()) / np.ptp(smooth) * 200).astype("u1")
    lighter = x[:8] + 20
    leaked, first = near({"train": of_images(np.concatenate([x, lighter])), "test": of_images(x[:0])}, 0.95)
    assert first[100:].tolist() == list(range(8))
    assert (first[:100] == np.arange(100)).all()


# Jobs


def test_steps_come_from_words_files_and_python_and_survive_the_run_s_folder(tmp_path: Path):
    job = from_words("train", "digits", ["clean=deduplicate", "clean=drop_labels=a.csv"])
    same = from_settings("train", "digits", {"clean": ["deduplicate", {"kind": "drop_labels", "file": "a.csv"}]})
    assert job.data == same.data
    job.write(tmp_path)
    assert Job.read(tmp_path).data == job.data
    recipe = tmp_path / "r.toml"
    recipe.write_text('[data]\nsource = "digits"\nclean = ["deduplicate=0.9", { kind = "impute", how = "mean" }]\n')
    told = from_words("train", str(recipe), [])
    assert [s.as_data()["kind"] for s in told.data.clean] == ["deduplicate", "impute"]
    assert from_words("train", str(recipe), ["clean=none"]).data.clean == ()
    again = files.write(Recipe(), None, {"source": "digits", **told.data.as_data()})
    (tmp_path / "again.toml").write_text(again)
    assert from_words("train", str(tmp_path / "again.toml"), []).data == told.data
    recipe.write_text('[data]\nsource = "digits"\nclean = "imputee"\n')
    with pytest.raises(RecipeError, match=r"r\.toml:3: clean names the step 'imputee'"):
        from_words("train", str(recipe), [])
