"""tuneful doctor: what a user sees of a sick recipe, of a healthy one, and of a wrong line."""

from __future__ import annotations

import json

SOFTMAX = """
from torch import nn


def net(inputs, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, outputs), nn.Softmax(dim=1))
"""


def test_a_softmax_too_many_in_a_network_of_ones_own_is_told(tuneful, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(SOFTMAX, encoding="utf-8")
    said = tuneful("doctor", "digits", "model=net.py:net", "limit=300", "threads=1", "epochs=40", "--steps", "60")
    assert said.code == 0, said.err
    assert said.out == (
        "the network gives probabilities (softmax) to a loss that wants logits and applies its own: it cannot fall below 1.46\n"
        "  remedy: the head without its softmax; apply it when you predict\n"
    )
    assert said.err.startswith("watched 60 steps with 20 looks in ")
    assert not (tmp_path / "runs").exists()


def test_a_healthy_recipe_hears_so_and_json_has_the_figures(tuneful):
    words = ["digits", "model=mlp", "width=16", "limit=300", "threads=1", "epochs=40", "--steps", "60"]
    said = tuneful("doctor", *words)
    assert said.out == "nothing is wrong in the first 60 steps (20 looks, 12 checks)\n"
    told = json.loads(tuneful("doctor", *words, "--json").out)
    assert (told["complaints"], told["steps"], told["ended"]) == ([], 60, "")
    assert len(told["sharpness"]) == 3


def test_the_warm_up_is_told_as_a_bracket(tuneful):
    words = ["digits", "model=linear", "limit=200", "threads=1", "epochs=40", "--steps", "20", "--warmup"]
    said = tuneful("doctor", *words)
    assert "no warm-up is needed at this rate (0 ends at " in said.out
    told = json.loads(tuneful("doctor", *words, "--json").out)["warmup"]
    assert (told["low"], told["high"]) == (0, 0)
    assert [w for w, _ in told["tried"]] == [0, 6, 12, 24, 48, 96]


def test_rates_noise_and_batch_sizes_are_told_when_asked_for(tuneful):
    words = ["digits", "model=mlp", "width=16", "limit=300", "threads=1", "epochs=40", "--steps", "20"]
    said = tuneful("doctor", *words, "--rates", "--noise", "--batches", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    rates, noise, batches = told["rates"], told["noise"], told["batches"]
    assert rates["low"] < rates["best"] <= rates["high"]
    assert rates["low"] < 1e-2 < rates["high"] * 3  # AdamW learns digits there
    assert noise["unit"] == "examples"
    assert 0 < noise["value"] < 1e5
    assert [one["size"] for one in batches["loads"]][:3] == [8, 16, 32]
    assert batches["knee"] in [one["size"] for one in batches["loads"]]
    lines = tuneful("doctor", *words, "--noise").out.splitlines()
    assert lines[-1].startswith("batches of up to about ")


def test_a_wild_rate_is_told_and_the_run_that_ends_of_it_too(tuneful):
    said = tuneful(
        "doctor", "digits", "model=mlp", "optimizer=sgd", "lr=1e4", "limit=300", "threads=1", "epochs=40", "--steps", "60"
    )
    assert said.code == 0
    assert "the training loss became " in said.out
    assert "remedy: a third of the learning rate" in said.out


def test_too_few_steps_and_no_data_are_answered(tuneful):
    said = tuneful("doctor", "digits", "--steps", "5")
    assert (said.code, said.out) == (2, "")
    assert "error: --steps is 5; it must be 20 or more" in said.err
    assert tuneful("doctor").code == 2


def test_list_tells_the_limits_of_every_symptom(tuneful):
    assert "divergence" in tuneful("list", "symptoms").out
    assert "sigmas = 5.0" in tuneful("list", "divergence").out
