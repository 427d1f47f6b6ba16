"""Wrong words on the command line, and networks that do not fit or fail: a sentence each, with the way out."""

from __future__ import annotations

import pytest

SMALL = ["digits", "limit=200", "threads=1"]


# Words


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (["train", "lerning_rate=0.1"], "lerning_rate is not a setting", ""),
        (["train", "epoch=3"], "epoch is not a setting; did you mean epochs?", "such as `tuneful train digits limit=200 threads=1 epochs=3 --home "),
        (["train", "optimizer=adan"], "did you mean adam?", "such as `tuneful train digits limit=200 threads=1 optimizer=adam --home "),
        (["train", "lr=-1"], "optimizer.lr is -1; it must be > 0", ""),
        (["train", "optimizer=adam", "beta1=1.5"], "optimizer.beta1 is 1.5; it must be in [0, 1)", ""),
        (["train", "epochs=nan"], "epochs is nan; it must be", ""),
        (["train", "lr=1e-4..1e-1"], "optimizer.lr=0.0001..0.1 is a range", "use `tuneful tune` with the same words"),
        (["tune", "lr=1e-1..1e-4"], "is empty; its low end must come first", "write 0.0001..0.1"),
        (["tune", "epochs=3"], "tune needs a range; every setting has one value", "write lr=1e-4..1e-1"),
        (["train", "flip=2"], "augments.flip.share is 2", ""),
        (["train", "--budget", "soon"], 'the budget is "soon"; it must be a time', "such as --budget 30min"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_told_with_the_right_one(tmp_path, words, sentence, hint, refused):
    said = refused(words[0], *SMALL, *words[1:], "--home", tmp_path)
    assert sentence in said
    assert f"hint: {hint}" in said
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_all_wrong_words_are_told_at_once(tmp_path, refused):
    said = refused("train", *SMALL, "epoch=3", "lr=-1", "model=convent", "dropout=7", "--home", tmp_path)
    for part in ("epoch is not a setting", "optimizer.lr is -1", "did you mean convnet?", "regularizers.dropout"):
        assert part in said


# Networks

NETS = """
import torch
from torch import nn


class TwoOutputs(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(64, 2)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Fails(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(64, outputs)

    def forward(self, x):
        if self.training:
            raise ValueError("no such thing")
        return self.layer(x.flatten(1))


class Works(Fails):
    def forward(self, x):
        return self.layer(x.flatten(1))


def refuses(inputs, outputs):
    raise KeyError("width")


def gives_text(inputs, outputs):
    return "a network"
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("TwoOutputs", "the network gave shape [2, 2] for input [2, 1, 8, 8]; it must give [2, 10]"),
        ("Fails", "the network failed in step 0: ValueError: no such thing"),
        ("refuses", "raised when it was called with (inputs=[1, 8, 8], outputs=10): KeyError: 'width'"),
        ("gives_text", "gave str; it must give an nn.Module"),
        ("Wroks", "has nothing named Wroks; did you mean Works?"),
    ],
)
def test_a_network_that_does_not_fit_or_fails_is_told(tmp_path, name, sentence, refused):
    (tmp_path / "nets.py").write_text(NETS)
    own = f"model.factory={tmp_path / 'nets.py'}:{name}"
    for command, more in (("train", []), ("tune", ["lr=1e-3..1e-1", "--budget", "4 trials"])):
        said = refused(command, *SMALL, "epochs=1", "model=own", own, *more, "--home", tmp_path / "runs")
        assert sentence in said


def test_a_network_that_was_mended_goes_on_with_the_same_command(tmp_path, tuneful, refused):
    (tmp_path / "nets.py").write_text(NETS.replace("class Works", "class Other"))
    words = [
        "train",
        *SMALL,
        "epochs=1",
        "model=own",
        f"model.factory={tmp_path / 'nets.py'}:Fails",
        "--home",
        tmp_path / "runs",
    ]
    assert "no such thing" in refused(*words)
    (tmp_path / "nets.py").write_text(NETS.replace("if self.training", "if False"))
    assert tuneful(*words).code == 0
