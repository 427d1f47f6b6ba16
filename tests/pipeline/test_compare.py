"""Comparisons of optimizers: equal budgets, common seeds, resumed exactly, extended without repeating, failures told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import seeds
from tuneful.pipeline.compare import Comparison, compare
from tuneful.pipeline.contenders import NEVER, contenders, named
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.outcome import Final
from tuneful.pipeline.train import Run
from tuneful.pipeline.words import from_settings
from tuneful.techniques.optimizers import TABLE

SMALL = {"model": "mlp", "width": 16, "depth": 1, "epochs": 3, "batch_size": 32, "threads": 1, "regularizers": "none"}


def blobs(n: int = 240) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    y = dice.integers(0, 3, n)
    x = dice.normal(size=(n, 4)).astype("f4")
    x[:, 0] += 2 * y
    x[:, 1] -= y
    return x, y


def job(name: str = "blobs", **settings):
    return from_settings("tune", blobs(), {**SMALL, **settings}, name=name)


def done(work: Comparison) -> dict:
    for _ in work:
        pass
    assert work.result is not None
    return json.loads(json.dumps(work.result.data, allow_nan=False))  # plain, and without NaN


def timeless(data: object) -> object:
    """Without what a clock said."""
    if isinstance(data, dict):
        gone = {"seconds", "step_ms", "run_seconds", "made_at", "openings"}
        return {key: timeless(value) for key, value in data.items() if key not in gone}
    return [timeless(item) for item in data] if isinstance(data, list) else data


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("compared")
    return root, done(Comparison(job(), ["sgd", "adam", "lion"], seeds=3, tune=3, root=root))


def test_each_gets_the_same_tuning_and_the_same_seeds(finished):
    _, data = finished
    assert sorted(one["kind"] for one in data["optimizers"]) == ["adam", "lion", "sgd"]
    for one in data["optimizers"]:
        assert one["tuning"]["runs"] == 3
        assert len(one["tuning"]["expected"]) == 3
        assert one["tuning"]["seconds"] > 0
        assert len(one["seeds"]) == 3
        assert one["steps"] == data["optimizers"][0]["steps"]
        assert [point["step"] for point in one["curve"]] == [point["step"] for point in data["optimizers"][0]["curve"]]
    assert len(data["pairs"]) == 6
    assert "2 comparisons" in data["correction"]
    assert len(data["openings"]) == 1


def test_the_first_tuning_run_has_the_defaults(finished):
    root, data = finished
    for one in data["optimizers"]:
        text = (root / "blobs" / "tune" / one["kind"] / "trials" / "0000" / "recipe.toml").read_text("utf-8")
        assert f"lr = {TABLE[one['kind']]().lr!r}" in text


def test_what_is_told_is_what_ran(finished):
    """The mean over the seeds is that of the answers on the disk, and the leader has the largest."""
    root, data = finished
    for one in data["optimizers"]:
        places = sorted((root / "blobs" / "runs" / one["kind"]).iterdir())
        assert len(places) == 3
        assert one["test"]["value"] == pytest.approx(np.mean(one["seeds"]))
        assert all(np.load(place / "answers.npy").shape[1] == 3 for place in places)
        assert not any((place / "state.safetensors").exists() for place in places)
    assert data["optimizers"][0]["kind"] == data["leader"]
    assert data["leader"] in data["headline"]


def test_a_seed_gives_every_optimizer_the_same_weights_and_batches():
    from tuneful.pipeline.prepare import prepare

    task = prepare(blobs())
    entries = job().entries
    runs = [
        Run(task, one.recipe.replace("seed", 5)) for one in contenders(task, ("sgd", "muon", "adamw"), entries, Recipe())
    ]
    for run in runs[1:]:
        for one, other in zip(runs[0].params, run.params, strict=True):
            assert torch.equal(one, other)
        for step in (0, 3, 7):
            assert torch.equal(runs[0].batches.at(step)[0], run.batches.at(step)[0])


def test_it_goes_on_where_it_was_stopped(finished, tmp_path):
    _, whole = finished
    for stop in (2, 9, 25):
        halt = Halt()
        work = Comparison(job(), ["sgd", "adam", "lion"], seeds=3, tune=3, root=tmp_path, halt=halt)
        for count, _ in enumerate(work):
            halt.requested = count >= stop
        assert work.result is None
        assert "goes on" in work.ended
    again = done(Comparison(job(), ["sgd", "adam", "lion"], seeds=3, tune=3, root=tmp_path))
    assert timeless(again) == timeless(whole)


def test_more_optimizers_and_seeds_take_what_is_there(finished, tmp_path):
    root, whole = finished
    shutil.copytree(root / "blobs", tmp_path / "blobs")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("final.json")}
    more = done(Comparison(job(), ["sgd", "adam", "lion", "momentum"], seeds=4, tune=3, root=tmp_path))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(tmp_path.rglob("final.json"))) == 16
    old = {one["kind"]: one["seeds"] for one in whole["optimizers"]}
    assert all(one["seeds"][:3] == old[one["kind"]] for one in more["optimizers"] if one["kind"] in old)
    fewer = done(Comparison(job(), ["sgd", "adam", "lion"], seeds=3, tune=2, root=tmp_path))
    assert all(one["tuning"]["runs"] == 2 for one in fewer["optimizers"]), "runs of a larger call do not count"


def test_seeds_side_by_side_come_to_what_they_come_to_one_by_one(finished, tmp_path, monkeypatch):
    root, together = finished
    assert "seeds of sgd, adam, lion trained side by side" in " ".join(together["notes"])
    monkeypatch.setattr(seeds, "SMALL", 0)
    shutil.copytree(root / "blobs" / "tune", tmp_path / "blobs" / "tune")  # so that both have the same settings
    alone = done(Comparison(job(), ["sgd", "adam", "lion"], seeds=3, tune=3, root=tmp_path))
    assert "side by side" not in " ".join(alone["notes"])
    for kind in ("sgd", "adam", "lion"):
        for place in sorted((root / "blobs" / "runs" / kind).iterdir()):
            other = tmp_path / "blobs" / "runs" / kind / place.name
            ours, theirs = (Final.read(one) for one in (place, other))
            assert (ours.steps, ours.ended, ours.beside, theirs.beside) == (theirs.steps, theirs.ended, 3, 1)
            np.testing.assert_allclose(ours.answers, theirs.answers, atol=1e-3 if kind == "lion" else 1e-4)
            assert [point.step for point in ours.curve] == [point.step for point in theirs.curve]


def test_only_what_is_small_and_can_be_stacked_trains_side_by_side():
    from tuneful.pipeline.prepare import prepare

    task = prepare(blobs())
    small = contenders(task, ("sgd", "sam"), job().entries, Recipe())
    assert [seeds.pays(task, one.recipe) for one in small] == [True, False]  # sam asks for gradients itself
    assert not seeds.pays(task, small[0].recipe.replace("model.width", 1 << 16))


def test_defaults_are_compared_without_tuning(tmp_path):
    data = done(Comparison(job(), ["sgd", "adam"], seeds=2, tune=0, root=tmp_path))
    assert all(one["tuning"]["runs"] == 0 for one in data["optimizers"])
    settings = {one["kind"]: one["settings"]["optimizer.lr"] for one in data["optimizers"]}
    assert settings == {kind: TABLE[kind]().lr for kind in ("sgd", "adam")}


def test_one_that_diverges_is_told_and_not_compared(tmp_path):
    data = done(Comparison(job(**{"sgd.lr": 1e30}), ["sgd", "adam", "adamw"], seeds=2, tune=1, root=tmp_path))
    last = data["optimizers"][-1]
    assert (last["kind"], last["verdict"], last["test"]) == ("sgd", "failed", None)
    assert any(note.startswith("sgd failed in 2 of 2 final runs (diverged") for note in data["notes"])
    assert "one comparison " in data["correction"]


def test_settings_of_one_and_of_all(tmp_path):
    from tuneful.pipeline.prepare import prepare

    told = job(lr="1e-3..1e-1", beta2=0.95, **{"adam.lr": 0.5}).entries
    found = {one.kind: one for one in contenders(prepare(blobs()), ("sgd", "adam", "adamw"), told, Recipe())}
    assert found["sgd"].space.as_data()["optimizer.lr"] == "0.001..0.1"
    assert "optimizer.lr" not in found["adam"].space.as_data()
    assert found["adam"].recipe.get("optimizer.lr") == 0.5
    assert found["adamw"].recipe.get("optimizer.beta2") == 0.95


def test_all_runs_are_equally_long_and_differences_are_told(tmp_path):
    """Early stopping, which tables get by default, ends no run; a full-batch method and an averaging one are named."""
    from tuneful.pipeline.prepare import prepare

    settings = {name: value for name, value in SMALL.items() if name != "regularizers"}
    entries = from_settings("tune", blobs(), settings).entries
    for one in contenders(prepare(blobs()), ("adam", "gd"), entries, Recipe()):
        assert one.recipe.get("regularizers.early_stopping.patience") == NEVER
        assert "equally long" in one.recipe.reasons["regularizers"]
    work = Comparison(from_settings("tune", blobs(), settings, name="mixed"), ["adam", "adamw", "gd", "schedule_free_sgd", "sam"],
                      seeds=2, tune=0, root=tmp_path)  # fmt: skip
    notes = " ".join(done(work)["notes"])
    assert "gd has batches of 144, others 32" in notes
    assert "schedule_free_sgd has the schedule constant, others linear" in notes
    assert "sam takes the gradient more than once a step" in notes


def test_a_regression_is_compared_by_its_error(tmp_path):
    x, y = blobs()
    table = from_settings("tune", (x, y + 0.1 * x[:, 2]), {**SMALL, "kind": "regression"}, name="values")
    data = done(Comparison(table, ["sgd", "adam"], seeds=2, tune=2, root=tmp_path))
    assert data["direction"] == "min"
    values = [one["test"]["value"] for one in data["optimizers"]]
    assert values == sorted(values)


def test_from_python(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    found = compare(["sgd", "adam"], blobs(), seeds=2, tune=1, name="mine", **SMALL)
    assert found.leader == found.tied[0]
    assert found.report == tmp_path / "mine" / "report.html"
    assert found.headline == json.loads((found.folder / "comparison.json").read_text("utf-8"))["headline"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sgd", "adm"], "adm is no optimizer; did you mean adam"),
        (["sgd", "zebra"], "zebra is no optimizer; known are sgd, momentum"),
        (["sgd"], "only sgd is named; a comparison takes two or more"),
        ([], "no optimizer is named"),
        (["sgd", "adam,sgd"], "sgd is named twice"),
        (["sgd", "lowbit_adamw"], "lowbit_adamw cannot train a run"),
    ],
)
def test_typical_mistakes_are_answered(words, said):
    with pytest.raises(RecipeError, match=said):
        named(words)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": "adam"}, "the optimizers are named without a key"),
        ({"lion.lr": 1.0}, "lion.lr is a setting of lion, which is not compared"),
        ({"widht": 3}, "widht is not a setting; did you mean width"),
        ({"final_lr": 0.1}, "optimizer.final_lr"),
    ],
)
def test_settings_that_cannot_be_are_told_before_the_data_is_read(settings, said):
    work = Comparison(from_settings("tune", "digits", settings), ["sgd", "adam"])
    with pytest.raises(RecipeError, match=said):
        next(iter(work))


@pytest.mark.parametrize(("words", "said"), [({"seeds": 0}, "seeds is 0"), ({"tune": -1}, "tune is -1")])
def test_counts_that_cannot_be_are_told(words, said):
    with pytest.raises(RecipeError, match=said):
        Comparison(job(), ["sgd", "adam"], **words)
