"""Mistakes that a new user made, and the sentences that should have stood there."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (["train", "digits", "lr"], "lr has no value", "such as lr=1e-3"),
        (["tune", "digits", "lr=1e-4...1e-1"], "the range 1e-4...1e-1 cannot be read", "write 1e-4..1e-1"),
        (["tune", "digits", "lr=1..0.1"], "the range 1..0.1 is empty", "write 0.1..1"),
        (["train", "digits", "lr=fast"], "optimizer.lr is 'fast'; it must be a number > 0", ""),
        (
            ["train", "digits", "optimizer=sgd", "final_lr=0.1"],
            "optimizer.final_lr is not a setting of sgd but of adabound or amsbound; write optimizer=adabound beside it",
            "",
        ),
    ],
)
def test_the_sentence_leads_on(tuneful, words, sentence, hint):
    said = tuneful(*words)
    assert said.code == 2
    assert sentence in said.err
    assert hint in said.err


def test_a_key_that_stands_twice_is_called_that(tuneful, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\nsource = "digits"\n[optimizer]\nlr = 0.1\nlr = "1e-4..1e-1"\n', encoding="utf-8")
    said = tuneful("tune", recipe)
    assert said.code == 2
    assert f"{recipe}:5" in said.err
    assert "a key stands twice; leave one line" in said.err


def test_where_torch_is_left_out_training_says_so(process):
    said = process(
        code="import sys; sys.modules['torch'] = None\n"
        "from tuneful.cli import main\n"
        "raise SystemExit(main(['train', 'digits']))"
    )
    assert said.returncode == 2
    assert "error: train needs torch, which is not installed" in said.stderr
    assert "Traceback" not in said.stderr
