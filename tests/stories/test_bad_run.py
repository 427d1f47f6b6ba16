"""What may go wrong around a run: words, networks, disks, damaged files, other processes, signals. Each ends in a sentence, and
nothing that was saved is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save as to_bytes

from tuneful.cli import main
from tuneful.core.study import Study
from tuneful.pipeline import state

SMALL = ["digits", "limit=200", "threads=1"]


def tuneful(*words) -> SimpleNamespace:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


def refused(*words, code=2) -> str:
    """What a command says that ends with this code: from its error on."""
    said = tuneful(*words)
    assert said.code == code, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err[said.err.index("error: ") :]


def trials(folder: Path) -> list[tuple]:
    return [
        (t.number, t.dials, t.because, t.state, [(p.step, p.value) for p in t.curve]) for t in Study.open(folder).trials()
    ]


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
def test_a_wrong_word_is_told_with_the_right_one(tmp_path, words, sentence, hint):
    said = refused(words[0], *SMALL, *words[1:], "--home", tmp_path)
    assert sentence in said
    assert f"hint: {hint}" in said
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_all_wrong_words_are_told_at_once(tmp_path):
    said = refused("train", *SMALL, "epoch=3", "lr=-1", "model=conv", "dropout=7", "--home", tmp_path)
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
def test_a_network_that_does_not_fit_or_fails_is_told(tmp_path, name, sentence):
    (tmp_path / "nets.py").write_text(NETS)
    own = f"model.factory={tmp_path / 'nets.py'}:{name}"
    for command, more in (("train", []), ("tune", ["lr=1e-3..1e-1", "--budget", "4 trials"])):
        said = refused(command, *SMALL, "epochs=1", "model=own", own, *more, "--home", tmp_path / "runs")
        assert sentence in said


def test_a_network_that_was_mended_goes_on_with_the_same_command(tmp_path):
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


# A finished run, and copies of it that are damaged


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("finished")
    said = tuneful("train", *SMALL, "model=linear", "epochs=2", "--home", home, "--name", "few")
    assert said.code == 0, said.err
    return home / "few"


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the run, and the words that go on with it."""
    shutil.copytree(finished, tmp_path / "few")
    words = ["train", *SMALL, "model=linear", "epochs=2", "--home", tmp_path, "--name", "few"]
    return SimpleNamespace(folder=tmp_path / "few", words=words)


def test_the_same_command_again_has_nothing_to_do(copy):
    before = {
        path: path.read_bytes()
        for path in copy.folder.rglob("*")
        if path.is_file() and path.suffix in (".onnx", ".html", ".safetensors")
    }
    said = tuneful(*copy.words)
    assert said.code == 0
    assert "search:" not in said.err
    assert {path: path.read_bytes() for path in before} == before


def test_another_data_set_under_the_same_name_is_refused(copy):
    words = [word.replace("limit=200", "limit=150") for word in map(str, copy.words)]
    said = refused(*words)
    assert f"the study few at {copy.folder} was made for other data: digits (" in said
    assert "hint: give this one another name with --name" in said
    assert tuneful(*copy.words).code == 0


def test_another_metric_or_space_under_the_same_name_is_refused(copy):
    assert "the study few optimizes accuracy, now log_loss is asked" in refused(*copy.words, "metric=log_loss")
    words = ["tune", *copy.words[1:], "lr=1e-4..1e-1"]
    assert "searches another space: optimizer.lr: fixed -> 0.0001..0.1" in refused(*words)


@pytest.mark.parametrize("damage", ["foreign", "cut"])
def test_a_damaged_study_is_told_and_one_made_anew_takes_up_the_trials_that_lie_there(copy, damage):
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


def test_a_study_file_without_a_study_is_told_and_begun_again(copy):
    for name in ("study.db-wal", "study.db-shm"):
        (copy.folder / name).unlink(missing_ok=True)
    (copy.folder / "study.db").write_bytes(b"")
    assert "was never begun" in refused("report", copy.folder)
    assert tuneful(*copy.words).code == 0


@pytest.mark.parametrize("damage", ["", "{", "[]"])
def test_a_damaged_job_is_told_and_the_first_command_mends_it(copy, damage):
    (copy.folder / "job.json").write_text(damage)
    assert "job.json is damaged" in refused("resume", copy.folder)
    assert tuneful(*copy.words).code == 0
    assert tuneful("resume", copy.folder).code == 0


def test_damaged_evidence_is_told_and_made_anew(copy):
    path = copy.folder / "evidence.json"
    whole = json.loads(path.read_text())
    path.write_text('{"headline": "the mod')
    for words in (["resume", copy.folder], ["show", copy.folder]):
        assert f"{path} is damaged (" in refused(*words)
    path.unlink()
    assert tuneful("resume", copy.folder).code == 0
    assert json.loads(path.read_text())["test"] == whole["test"]


def test_a_damaged_state_of_a_finished_run_is_made_again_to_the_same_bits(copy):
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


def test_data_that_is_gone_or_has_changed_is_told_when_a_run_is_resumed(tmp_path):
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


# Disks

WIDE = [
    "tune",
    *SMALL,
    "model=mlp",
    "width=256",
    "depth=2",
    "lr=1e-4..1e-1",
    "epochs=2",
    "--budget",
    "3 trials",
    "--name",
    "h",
]


def result(run: Path) -> dict:
    evidence = json.loads((run / "evidence.json").read_text())
    return {
        "trials": trials(run),
        "test": evidence["test"],
        "network": (run / "artifact" / "weights.safetensors").read_bytes(),
    }


@pytest.fixture(scope="module")
def wide(nursery, tmp_path_factory):
    """What comes of the command when nothing is in its way."""
    folder = tmp_path_factory.mktemp("wide")
    assert nursery.wait(nursery.cli(*WIDE, "--home", folder, said=folder / "said")) == 0, (
        folder / "said" / "err"
    ).read_text()
    return result(folder / "h")


def mounted(folder: Path, size: str) -> bool:
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode == 0
    )


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ("60k", "cannot be written (database or disk is full); what was saved before is whole"),
        ("1m", "state.safetensors: the disk is full"),
        ("5m", "state.safetensors: the disk is full; the state saved before is whole"),
    ],
)
def test_a_full_disk_is_told_and_with_space_the_same_command_goes_on(nursery, wide, tmp_path, size, sentence):
    if sys.platform != "linux" or os.geteuid() != 0 or not mounted(tmp_path, size):
        pytest.skip("a small file system cannot be mounted here; the test with a limit for files stands for this one")
    try:
        with tempfile.TemporaryDirectory() as said:
            words = [*WIDE, "--home", tmp_path]
            assert nursery.wait(nursery.cli(*words, said=Path(said))) == 2
            err = (Path(said) / "err").read_text()
            assert sentence in err
            assert "hint: free some space" in err
            assert "Traceback" not in err
            subprocess.run(["mount", "-o", "remount,size=64m", tmp_path], check=True)
            assert nursery.wait(nursery.cli(*words, said=Path(said))) == 0, (Path(said) / "err").read_text()
            assert result(tmp_path / "h") == wide
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_file_that_may_not_grow_is_told_and_with_space_the_same_command_goes_on(nursery, wide, tmp_path):
    words = [*WIDE, "--home", tmp_path]
    assert nursery.wait(nursery.cli(*words, said=tmp_path / "said", largest=1_000_000)) == 2
    err = (tmp_path / "said" / "err").read_text()
    assert "state.safetensors: File too large" in err
    assert "Traceback" not in err
    assert nursery.wait(nursery.cli(*words, said=tmp_path / "said")) == 0
    assert result(tmp_path / "h") == wide


def test_a_folder_that_must_not_be_written_is_told(nursery, finished, tmp_path_factory):
    with tempfile.TemporaryDirectory() as place:  # a place that others may enter
        os.chmod(place, 0o755)
        run = Path(place) / "few"
        shutil.copytree(finished, run)
        said = Path(place) / "said"
        said.mkdir(mode=0o777)
        said.chmod(0o777)
        for path in [*run.rglob("*"), run]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        other = {"user": 65534} if os.geteuid() == 0 else {}
        for words in (["resume", run], ["train", *SMALL, "--home", Path(place), "--name", "new"]):
            (said / "out").unlink(missing_ok=True)
            (said / "err").unlink(missing_ok=True)
            pid = nursery.start("cli", words=[str(w) for w in words], out=str(said / "out"), err=str(said / "err"), **other)
            if not other:
                Path(place).chmod(0o555)
            assert nursery.wait(pid) == 2, (said / "err").read_text()
            err = (said / "err").read_text()
            assert "cannot be written (Permission denied" in err
            assert "Traceback" not in err
        for path in [*run.rglob("*"), run, Path(place)]:
            path.chmod(0o755)


# Other processes, and signals

LONG = ["tune", *SMALL, "model=mlp", "width=8..64", "lr=1e-4..1e-1", "epochs=18", "--budget", "6 trials", "--name", "long"]


def test_two_processes_do_not_work_on_one_run(nursery, until, tmp_path):
    words = [*LONG, "--home", tmp_path]
    pid = nursery.cli(*words, said=tmp_path / "said")
    until(lambda: "search:" in (tmp_path / "said" / "err").read_text())
    for other in (words, ["resume", tmp_path / "long"], [*words, "--fresh"]):
        said = refused(*other)
        assert f"{tmp_path / 'long'} is in use by process {pid}; one process at a time may work on it" in said
        assert "hint: wait until it ends, stop it, or give this study another name with --name" in said
    os.kill(pid, signal.SIGKILL)
    nursery.wait(pid)


def test_ctrl_c_and_sigterm_stop_cleanly_and_the_run_goes_on_as_if_nothing_had_been(nursery, until, tmp_path):
    whole, words = tmp_path / "whole", [*LONG, "--home", tmp_path]
    assert nursery.wait(nursery.cli(*LONG, "--home", whole, said=tmp_path / "said")) == 0
    run, err = tmp_path / "long", tmp_path / "said" / "err"
    for number, (sign, code) in enumerate([(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGINT, 130)]):
        pid = nursery.cli(*(words if number < 2 else ["resume", run]), said=tmp_path / "said")
        until(lambda: "search:" in err.read_text())
        time.sleep(0.3)
        os.kill(pid, sign)
        assert nursery.wait(pid) == code, err.read_text()
        assert f"stopped on request; nothing is lost: `tuneful resume {run}` goes on" in err.read_text()
        assert "Traceback" not in err.read_text()
        assert (run / "report.html").exists()
    assert not (run / "evidence.json").exists()
    assert nursery.wait(nursery.cli("resume", run, said=tmp_path / "said")) == 0
    assert trials(run) == trials(whole / "long")
    assert result(run) == result(whole / "long")


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_real_command_stops_when_it_is_asked_to(until, tmp_path, sign, code):
    line = [sys.executable, "-m", "tuneful.cli", *LONG, "--home", str(tmp_path)]
    with (tmp_path / "err").open("w") as err, subprocess.Popen(line, stdout=err, stderr=err) as child:
        until(lambda: "search:" in (tmp_path / "err").read_text())
        child.send_signal(sign)
    said = (tmp_path / "err").read_text()
    assert child.returncode == code, said
    assert f"`tuneful resume {tmp_path / 'long'}` goes on" in said
    assert tuneful("resume", tmp_path / "long").code == 0
