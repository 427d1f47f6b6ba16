"""From pairs of texts to a sealed model that writes one for the other, without torch: digits are learned to be turned round."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tuneful
from tuneful.cli import main
from tuneful.core.artifact import seal, unseal
from tuneful.core.errors import ArtifactError, DataError, ModelError

CHILD = """
import json, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "pydantic", "scipy", "polars", "tokenizers", "sacrebleu"):
            raise ImportError(f"{name} must not be needed")
sys.meta_path.insert(0, Nothing())
import tuneful
model = tuneful.load(sys.argv[1])
print(json.dumps([model.translate(sys.argv[2:]), model.translate(sys.argv[2:], beam=4)]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A run over digits and the same digits from the end, as a file of lines."""
    folder = tmp_path_factory.mktemp("digits")
    dice = random.Random(0)
    rows = [[str(dice.randint(0, 9)) for _ in range(dice.randint(2, 6))] for _ in range(3000)]
    lines = [f"{' '.join(row)}\t{' '.join(reversed(row))}" for row in dict.fromkeys(map(tuple, rows))]
    (folder / "digits.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "new.tsv").write_text("source\ttarget\n1 2 3\t3 2 1\n9 8 0 7\t7 0 8 9\n", encoding="utf-8")
    (folder / "plain.txt").write_text("1 2 3\n\n9 8 0 7\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEFUL_HOME", str(folder / "runs"))
        tuneful.train(
            str(folder / "digits.tsv"),
            width=64,
            lr=1e-2,
            epochs=6,
            batch_size=64,
            threads=1,
            precision="fp32",
            name="turned",
        )
    return folder


def test_turning_digits_round_is_learned_nearly_without_a_mistake(home):
    evidence = json.loads((home / "runs" / "turned" / "evidence.json").read_text(encoding="utf-8"))
    assert evidence["test"]["bleu"]["value"] > 95
    assert evidence["test"]["bleu"]["low"] < evidence["test"]["bleu"]["value"]
    assert "tok:13a|smooth:exp" in evidence["test"]["bleu"]["how"]
    assert set(evidence["test"]) == {"bleu", "chrf", "token_accuracy", "bits_per_token", "perplexity"}
    assert [one["name"] for one in evidence["baselines"]] == ["the source as it is", "the nearest pair of train"]
    assert evidence["against_baseline"]["verdict"] == "better"
    assert evidence["headline"].startswith("The model reaches BLEU of")
    assert evidence["export"]["parity"]["agreement"]["value"] == 1
    model = tuneful.load(home / "runs" / "turned" / "artifact")
    dice = random.Random(7)
    asked = [" ".join(str(dice.randint(0, 9)) for _ in range(dice.randint(2, 6))) for _ in range(300)]
    right = [said == " ".join(reversed(text.split())) for text, said in zip(asked, model.predict(asked))]
    assert sum(right) > 0.95 * len(right)


def test_the_report_shows_what_is_written_and_how_bleu_was_counted(home):
    page = (home / "runs" / "turned" / "report.html").read_text(encoding="utf-8")
    assert "What it writes" in page
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp" in page
    assert "source to target" not in page.split("<h1")[0]
    card = (home / "runs" / "turned" / "artifact" / "card.md").read_text(encoding="utf-8")
    assert "writer.onnx" in card
    assert "BLEU" in card


def test_the_artifact_writes_without_torch_and_as_torch_does(home):
    artifact = home / "runs" / "turned" / "artifact"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(artifact), "1 2 3", "9 8 0 7", ""], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    greedy, beam = json.loads(done.stdout)
    assert greedy[:2] == beam[:2] == ["3 2 1", "7 0 8 9"]
    assert len(greedy) == 3
    model = tuneful.load(artifact)
    assert repr(model).startswith("Model(sequence_to_sequence, source to target")
    assert model.predict([]).shape == (0,)
    with pytest.raises(ModelError, match="has no probabilities"):
        model.probabilities(["1 2"])
    with pytest.raises(DataError, match="example 1 is int; it must be text"):
        model.predict([12])
    with pytest.raises(ModelError, match=r"beam is 0; it must be a whole number in \[1, 64\]"):
        model.translate(["1"], beam=0)


def test_the_commands_predict_and_evaluate(home, capsys, monkeypatch):
    monkeypatch.chdir(home)
    artifact = str(home / "runs" / "turned" / "artifact")
    for data in ("plain.txt", "new.tsv"):
        assert main(["predict", artifact, data]) == 0
        assert capsys.readouterr().out == "row,prediction\n1,3 2 1\n2,7 0 8 9\n"
    assert main(["evaluate", artifact, "new.tsv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measures"]["bleu"]["n"] == 2
    assert told["measures"]["token_accuracy"]["value"] == pytest.approx(1)
    assert main(["evaluate", str(home / "runs" / "turned"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["measures"]
    evidence = json.loads((home / "runs" / "turned" / "evidence.json").read_text(encoding="utf-8"))
    for name in ("bleu", "chrf", "bits_per_token"):
        assert again[name]["value"] == pytest.approx(evidence["test"][name]["value"])
    (home / "wrong.csv").write_text("text,n\na b c,1\nd e f,2\n", encoding="utf-8")
    assert main(["predict", artifact, "wrong.csv"]) == 2
    assert 'has no column "source", which this model reads' in capsys.readouterr().err


def test_an_artifact_without_its_second_half_is_refused(home, tmp_path):
    opened = unseal(home / "runs" / "turned" / "artifact")
    files = {name: opened.raw(name) for name in opened.names}
    seal(tmp_path / "half", {name: data for name, data in files.items() if name != "writer.onnx"}, version="0")
    with pytest.raises(ArtifactError, match=r"holds no writer.onnx"):
        tuneful.load(tmp_path / "half")
    seal(tmp_path / "twice", {**files, "writer.onnx": files["model.onnx"]}, version="0")
    with pytest.raises(ArtifactError, match="they do not belong together"):
        tuneful.load(tmp_path / "twice")
    shutil.rmtree(tmp_path / "half")
