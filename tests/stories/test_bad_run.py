"""A run whose files are damaged, whose data is gone or whose name stands for something else: a sentence each, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save as to_bytes

from tuneful.core.study import Study
from tuneful.pipeline import state

SMALL = ["digits", "limit=200", "threads=1"]


def trials(folder: Path) -> list[tuple]:
    return [
        (t.number, t.dials, t.because, t.state, [(p.step, p.value) for p in t.curve]) for t in Study.open(folder).trials()
    ]


# A finished run, and copies of it that are damaged


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the run, and the words that go on with it."""
    shutil.copytree(finished, tmp_path / "few")
    words = ["train", *SMALL, "model=linear", "epochs=2", "--home", tmp_path, "--name", "few"]
    return SimpleNamespace(folder=tmp_path / "few", words=words)


def test_the_same_command_again_has_nothing_to_do(copy, tuneful):
    before = {
        path: path.read_bytes()
        for path in copy.folder.rglob("*")
        if path.is_file() and path.suffix in (".onnx", ".html", ".safetensors")
    }
    said = tuneful(*copy.words)
    assert said.code == 0
    assert "search:" not in said.err
    assert {path: path.read_bytes() for path in before} == before


def test_another_data_set_under_the_same_name_is_refused(copy, tuneful, refused):
    words = [word.replace("limit=200", "limit=150") for word in map(str, copy.words)]
    said = refused(*words)
    assert f"the study few at {copy.folder} was made for other data: digits (" in said
    assert "hint: give this one another name with --name" in said
    assert tuneful(*copy.words).code == 0


def test_another_metric_or_space_under_the_same_name_is_refused(copy, refused):
    assert "the study few optimizes accuracy, now log_loss is asked" in refused(*copy.words, "metric=log_loss")
    words = ["tune", *copy.words[1:], "lr=1e-4..1e-1"]
    assert "searches another space: optimizer.lr: fixed -> 0.0001..0.1" in refused(*words)


@pytest.mark.parametrize("damage", ["foreign", "cut"])
def test_a_damaged_study_is_told_and_one_made_anew_takes_up_the_trials_that_lie_there(copy, damage, tuneful, refused):
    path = copy.folder / "study.db"
    before = trials(copy.folder)
    for name in ("study.db-wal", "study.db-shm"):
        (copy.folder / name).unlink(missing_ok=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no study")
    for words in (copy.words, ["resume", copy.folder], ["report", copy.folder]):
        said = refused(*words)
        assert f"the study file {path} is damaged (" in said
        assert "hint: move it away and run the same command" in said
    path.rename(path.with_suffix(".broken"))
    said = tuneful(*copy.words)
    assert said.code == 0, said.err
    assert trials(copy.folder) == before


def test_a_study_file_without_a_study_is_told_and_begun_again(copy, tuneful, refused):
    for name in ("study.db-wal", "study.db-shm"):
        (copy.folder / name).unlink(missing_ok=True)
    (copy.folder / "study.db").write_bytes(b"")
    assert "was never begun" in refused("report", copy.folder)
    assert tuneful(*copy.words).code == 0


@pytest.mark.parametrize("damage", ["", "{", "[]"])
def test_a_damaged_job_is_told_and_the_first_command_mends_it(copy, damage, tuneful, refused):
    (copy.folder / "job.json").write_text(damage)
    assert "job.json is damaged" in refused("resume", copy.folder)
    assert tuneful(*copy.words).code == 0
    assert tuneful("resume", copy.folder).code == 0


def test_damaged_evidence_is_told_and_made_anew(copy, tuneful, refused):
    path = copy.folder / "evidence.json"
    whole = json.loads(path.read_text())
    path.write_text('{"headline": "the mod')
    for words in (["resume", copy.folder], ["show", copy.folder]):
        assert f"{path} is damaged (" in refused(*words)
    path.unlink()
    assert tuneful("resume", copy.folder).code == 0
    assert json.loads(path.read_text())["test"] == whole["test"]


def test_a_damaged_state_of_a_finished_run_is_made_again_to_the_same_bits(copy, tuneful):
    path = copy.folder / "trials" / "0000" / "state.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    (copy.folder / "evidence.json").unlink()  # it has to be proven again
    assert tuneful(*copy.words).code == 0
    tensors = [
        to_bytes({k: v for k, v in state.load(p)[0].items() if k.startswith(("net.", "avg."))})
        for p in (path, _kept(path, whole))
    ]
    assert tensors[0] == tensors[1]
    assert "is trained anew" in " ".join(json.loads((copy.folder / "evidence.json").read_text())["notes"])


def _kept(path: Path, data: bytes) -> Path:
    other = path.with_name("kept.safetensors")
    other.write_bytes(data)
    return other


def test_data_that_is_gone_or_has_changed_is_told_when_a_run_is_resumed(tmp_path, tuneful, refused):
    table = tmp_path / "sums.csv"
    table.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 5},{i % 7 + i % 5}.5\n" for i in range(80)))
    said = tuneful(
        "train", table, "target=y", "model=linear", "epochs=1", "threads=1", "--home", tmp_path / "runs", "--name", "sums"
    )
    assert said.code == 0, said.err
    run, text = tmp_path / "runs" / "sums", table.read_text()
    table.unlink()
    assert f"there is no file or folder {table}" in refused("resume", run)
    table.write_text(text.replace("3,4,7.5", "3,4,70.5"))
    assert "was made for other data: sums (" in refused("resume", run)
    table.write_text(text)
    assert tuneful("resume", run).code == 0
