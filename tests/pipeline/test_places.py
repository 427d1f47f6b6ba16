"""An answer at each place: tags of words, entities, the next token. Metrics against seqeval's figures and sums by hand."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import tuneful
from tuneful.cli import main
from tuneful.core.errors import DataError, ModelError
from tuneful.core.task import Split
from tuneful.pipeline import judge
from tuneful.pipeline.goals import form
from tuneful.pipeline.metrics.places import finish, rows, spans
from tuneful.pipeline.neighbours import given, shares
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.sequences import named
from tuneful.techniques import sources
from tuneful.techniques.sources import Prose, Sentences

# Tags O B-a I-a B-b I-b as 0..4: guess, truth, and the F1 that seqeval 1.2.2 gives for them in its default mode.
SEQEVAL = """[
[[[2,1,1,0,0,2,4,4],[3,4,2,3,3,3,3,2],[3,0,1,4,3,0,1,4],[2,0,3,3,0,2,0,3],[0,2,0,1,0,2,2,0]],
 [[2,1,1,0,0,0,0,4],[3,4,2,3,4,3,3,2],[2,4,1,4,3,0,1,4],[2,0,3,3,4,0,0,4],[0,2,0,1,2,2,2,0]], 0.693877551020408],
[[[4,2,0,3,2,2],[4,3,1,3,4,3],[0,0,0,3,1,4]], [[2,2,1,3,0,2],[1,3,3,3,4,4],[0,0,0,3,4,4]], 0.1904761904761905],
[[[3,0,0,1,4,2,4,4,3,2],[3,2,1,1,1,4,1,1,0,0],[3,4,1,2,1,2,3,4,0,4]],
 [[3,0,3,1,1,2,4,4,0,2],[3,1,1,1,1,4,1,1,0,0],[3,1,4,2,4,2,3,4,0,2]], 0.6190476190476191]]"""


@pytest.mark.parametrize(("guess", "true", "f1"), json.loads(SEQEVAL))
def test_entity_f1_is_seqevals(guess: list[list[int]], true: list[list[int]], f1: float):
    p, y = np.eye(5)[np.array(guess)], np.array(true)
    assert finish("entity_f1", rows("entity_f1", p, y).mean(axis=0)) == pytest.approx(f1)
    assert judge.score("entity_f1", p, y) == pytest.approx(f1)


def test_a_span_ends_where_another_begins_and_places_without_a_target_are_none():
    assert spans(np.array([[1, 2, 2, 1, 4]]), np.array([[1, 2, 2, 1, 4]])).tolist() == [[3, 3, 3]]
    p = np.eye(3)[np.array([[1, 2, 1, 2]])]
    assert rows("entity_f1", p, np.array([[1, 2, -1, -1]])).tolist() == [[1, 1, 1]]


def test_token_metrics_are_ratios_of_sums_over_places():
    p = np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.125, 0.875], [1.0, 0.0]]])
    y = np.array([[0, 1], [0, -1]])
    assert judge.score("token_accuracy", p, y) == pytest.approx(2 / 3)
    assert judge.score("token_log_loss", p, y) == pytest.approx(-np.log([0.5, 0.75, 0.125]).mean())
    bits = (1 - math.log2(0.75) + 3) / 3
    assert judge.score("bits_per_token", p, y) == pytest.approx(bits)
    assert judge.score("perplexity", p, y) == pytest.approx(2**bits)


def test_intervals_take_whole_sequences():
    """Sequences that are all right or all wrong are worth as many answers as there are sequences, not places."""
    dice = np.random.default_rng(0)
    right = dice.random(60) < 0.7
    p = np.where(right[:, None, None], np.array([0.1, 0.9]), np.array([0.9, 0.1])) * np.ones((60, 50, 1))
    y = np.ones((60, 50), dtype=np.int64)
    found = judge.measure("token_accuracy", p, y)
    assert found.value == pytest.approx(right.mean())
    half = 1.96 * math.sqrt(right.mean() * (1 - right.mean()) / 60)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.2)
    quick = judge.value("token_accuracy", p, y)
    assert (quick.high - quick.low) / 2 == pytest.approx(half, rel=0.2)


def test_tags_of_entities_are_numbered_by_type():
    assert named(["B-x", "I-y", "O"]) == ("entities", ("O", "B-x", "I-x", "B-y", "I-y"))
    assert named(["DET", "NOUN", "O"]) == ("tagging", ("DET", "NOUN", "O"))


def conll(at: Path, sentences: int = 60, name: str = "data.conll", extra: str = "") -> Path:
    lines = []
    for i in range(sentences):
        lines += (
            [f"see\tO\nAnna{i % 9}\tB-per\nSmith\tI-per\nin\tO\nUlm\tB-loc\n"]
            if i % 2
            else [f"no\tO\nname{i % 5}\tO\nhere\tO\n"]
        )
    (at / name).write_text("\n".join(lines) + extra)
    return at / name


def test_conll_files_become_sentences_with_tags(tmp_path: Path):
    part = sources.read(conll(tmp_path)).parts["train"]
    assert isinstance(part, Sentences)
    assert part.words[1] == ("see", "Anna1", "Smith", "in", "Ulm")
    task = prepare(tmp_path / "data.conll")
    assert (task.kind, task.labels, task.shape) == ("entities", ("O", "B-loc", "I-loc", "B-per", "I-per"), (5,))
    assert form(task).each == "place"
    assert (task.train.y[(task.train.x == 0)] == -1).all()


def test_long_sentences_are_cut_and_nothing_is_lost(tmp_path: Path):
    task = prepare(conll(tmp_path), length=2)
    words = sum((split.y >= 0).sum() for split in (task.train, task.valid, task.test.open("test")))
    assert words == 30 * 5 + 30 * 3
    assert any("longer than 2 words are cut" in f.what and f.count == 60 for f in task.findings)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [("\nalone\n", r"line \d+ has 1 field"), ("\na\tb\tc\n", "has 3 fields; a word and its tag, 2 fields")],
)
def test_ragged_conll_is_told_with_its_line(tmp_path: Path, extra: str, sentence: str):
    path = conll(tmp_path, 4000, extra=extra)
    with pytest.raises(DataError, match=sentence):
        sources.read(path)


def test_a_tag_that_train_never_had_is_told(tmp_path: Path):
    conll(tmp_path, name="train.conll")
    conll(tmp_path, name="test.conll", extra="\nodd\tB-new\n")
    with pytest.raises(DataError, match='tag "B-new" is in test and never in train'):
        prepare(tmp_path)


def test_running_text_is_cut_in_order_and_its_targets_are_one_on(tmp_path: Path):
    text = "".join(f"line {i} of many\n" for i in range(400))
    (tmp_path / "t.txt").write_text(text)
    raw = sources.read(tmp_path / "t.txt")
    assert isinstance(raw.parts["train"], Prose)
    task = prepare(tmp_path / "t.txt", length=16)
    assert (task.kind, task.objective.metric, form(task).causal) == ("language", "bits_per_token", True)
    x, y = task.train.x.ravel(), task.train.y.ravel()
    assert (x[1:] == y[:-1]).all()
    assert "".join(task.labels[i] for i in x) == text[: len(x)]
    test = task.test.open("test")
    assert "".join(task.labels[i] for i in test.x.ravel()) in text[int(0.9 * len(text)) - 1 :]


def test_too_short_a_text_is_told(tmp_path: Path):
    (tmp_path / "t.txt").write_text("short text\nof two lines")
    with pytest.raises(DataError, match=r"tokens of text; at least 257"):
        prepare(tmp_path / "t.txt")


def test_baselines_are_smoothed_counts_by_hand():
    x, y = np.array([[3, 4, 3, 0]], dtype=np.int32), np.array([[1, 0, 1, -1]])
    train = Split(x, y)
    np.testing.assert_allclose(shares(train, x, 2)[0, 0], [1 / 3, 2 / 3], atol=1e-3)
    p = given(train, x, 2, "tagging")
    np.testing.assert_allclose(p[0, 0], [(0 + 1 / 3) / 3, (2 + 2 / 3) / 3], atol=1e-3)
    np.testing.assert_allclose(p.sum(-1), 1)


def test_a_model_of_the_next_letter_is_shipped_and_writes_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    (tmp_path / "t.txt").write_text("abcdefgh\n" * 400)
    result = tuneful.train(
        str(tmp_path / "t.txt"), length=9, model="gru", epochs=12, lr=2e-2, **{"model.width": 24, "model.embedding": 8}
    )
    assert result.evidence["test"]["bits_per_token"]["value"] < 0.3  # one of nine letters stands by chance: 3.2 bits
    model = tuneful.load(result.folder / "artifact")
    assert model.predict(["abcd", "gh\nab"]).tolist() == ["e", "c"]
    assert model.write("abc", 6) == "abcdefgh\n"
    assert model.write("abc", 4, temperature=0.1, seed=1) == "abcdefg"
    (tmp_path / "new.txt").write_text("abcdefgh\n" * 30)
    assert main(["evaluate", str(result.artifact.folder), str(tmp_path / "new.txt"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["measures"]
    assert again["bits_per_token"]["value"] < 0.3
    assert again["bits_per_token"]["n"] == 29
    assert main(["evaluate", str(result.artifact.folder), str(conll(tmp_path))]) == 2
    assert "holds sentences; a model of kind language is measured on running text" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_tagger_is_shipped_and_tags_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    result = tuneful.train(
        str(conll(tmp_path, 200)), model="conv1d", epochs=15, lr=2e-2, **{"model.width": 16, "regularizers": "none"}
    )
    assert result.evidence["test"]["entity_f1"]["value"] > 0.9
    model = tuneful.load(result.folder / "artifact")
    said = model.predict([["see", "Anna1", "Smith", "in", "Ulm"], "no name1 here"])
    assert said.tolist() == [["O", "B-per", "I-per", "O", "B-loc"], ["O", "O", "O"]]
    with pytest.raises(ModelError, match="writes no text"):
        model.write("see", 3)
    told = result.evidence
    assert {name: its["n"] for name, its in told["per_class"].items()} == {"loc": 19, "per": 19}
    assert told["confusion_of"] == ["O", "loc", "per"]
    assert "Type by type" in (result.folder / "report.html").read_text()
    new = [str(result.artifact.folder), str(conll(tmp_path, 40, "new.conll"))]
    for words, there in (([str(result.folder)], 19), (new, 20)):
        assert main(["evaluate", *words, "--json"]) == 0
        again = json.loads(capsys.readouterr().out)
        assert again["measures"]["entity_f1"]["value"] > 0.9
        assert again["per_type"]["per"]["n"] == there
    assert main(["evaluate", str(result.artifact.folder), str(tmp_path / "new.conll")]) == 0
    assert re.search(r"type\s+there\s+called\s+precision.*\nloc\s+20", capsys.readouterr().out)
