"""kill -9 at random moments, and the same thing begun again: nothing is lost, and every bit is as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from safetensors.torch import save as to_bytes

from tuneful.core.study import Study
from tuneful.core.task import openings_in
from tuneful.pipeline import state

KILLS = 20


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def weights(path: Path) -> bytes:
    """The network and its average, as bytes of safetensors."""
    tensors, _ = state.load(path)
    return to_bytes({name: tensor for name, tensor in tensors.items() if name.startswith(("net.", "avg."))})


def curve(path: Path) -> list[dict]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in state.load(path)[1]["curve"]]


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    """(state of a training that nothing disturbed, how many signs of life it gave)."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path, progress = folder / "state.safetensors", folder / "progress"
    pid = nursery.start("train", path=str(path), progress=str(progress), save_every=1e9)
    assert nursery.wait(pid) == 0
    return path, size(progress)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_training_killed_20_times_ends_in_the_same_bits(nursery, until, undisturbed, tmp_path, seed):
    whole, beats = undisturbed
    path, progress = tmp_path / "state.safetensors", tmp_path / "progress"
    dice = random.Random(seed)
    moments = ["half", "whole", "placed"] * 3 + ["any"] * (KILLS - 9)
    dice.shuffle(moments)
    steps = []  # at which step the state on the disk was after each kill
    for moment in moments:
        soon = dice.randrange(1, 2 * beats // KILLS - 1)
        order = {"path": str(path), "progress": str(progress), "save_every": 0.0}
        if moment != "any":
            order["die"] = [moment, soon]
        before = size(progress)
        pid = nursery.start("train", **order)
        if moment == "any":
            until(lambda enough=before + soon: size(progress) >= enough)
            time.sleep(dice.random() * 0.008)  # a step and a saving take about so long together
            os.kill(pid, signal.SIGKILL)
        assert nursery.wait(pid) == -signal.SIGKILL
        steps.append(state.load(path)[1]["step"] if path.exists() else 0)
    assert steps == sorted(steps)  # a saved step is never lost
    assert len(set(steps)) > KILLS // 2  # the kills were spread over the training
    assert steps[-1] < state.load(whole)[1]["step"]

    pid = nursery.start("train", path=str(path), progress=str(progress), save_every=0.0)
    assert nursery.wait(pid) == 0
    assert weights(path) == weights(whole)
    assert curve(path) == curve(whole)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []  # nothing half-written stays


# A search


def told(folder: Path) -> list[dict]:
    """Everything that a study knows of its trials, without times."""
    return [
        {
            "number": trial.number,
            "recipe": trial.recipe,
            "dials": trial.dials,
            "because": trial.because,
            "state": trial.state,
            "ended_because": trial.ended_because,
            "curve": [{k: v for k, v in point.as_data().items() if k != "seconds"} for point in trial.curve],
        }
        for trial in Study.open(folder).trials()
    ]


def kept(folder: Path) -> dict[str, bytes]:
    """The weights that lie beside a study."""
    return {str(path.parent.name): weights(path) for path in sorted(folder.glob("trials/*/state.safetensors"))}


TRIALS = 24


@pytest.fixture(scope="module")
def whole_search(nursery, tmp_path_factory):
    """(folder of a search that nothing disturbed, how many signs of life it gave)."""
    folder = tmp_path_factory.mktemp("whole") / "search"
    progress = folder.with_name("progress")
    pid = nursery.start("search", folder=str(folder), progress=str(progress), trials=TRIALS)
    assert nursery.wait(pid) == 0
    return folder, size(progress)


MOMENTS = [
    *("before ask", "after ask", "before report", "after report", "before claim", "after claim"),
    *("before pause", "after pause", "before tell", "half", "whole", "placed"),
]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_killed_20_times_is_the_same_search(nursery, until, whole_search, tmp_path, seed):
    whole, beats = whole_search
    folder, progress = tmp_path / "search", tmp_path / "progress"
    dice = random.Random(seed)
    moments = [*MOMENTS, *["any"] * (KILLS - len(MOMENTS))]
    dice.shuffle(moments)
    moments.sort(key=lambda moment: moment == "before tell")  # trials are told late
    order = {"folder": str(folder), "progress": str(progress), "trials": TRIALS}
    killed = 0
    for moment in moments:
        before = size(progress)
        soon = 1 if moment != "any" else dice.randrange(1, 2 * beats // KILLS)
        pid = nursery.start("search", **order, **({"die": [moment, soon]} if moment != "any" else {}))
        if moment == "any":
            until(lambda enough=before + soon: size(progress) >= enough or (folder / "ended").exists())
            time.sleep(dice.random() * 0.06)  # the study is opened, a trial is asked for, trained, reported, saved
            os.kill(pid, signal.SIGKILL)
        code = nursery.wait(pid)
        assert code == -signal.SIGKILL or (code == 0 and (folder / "ended").exists()), (
            f"it failed when it was killed {moment}"
        )
        killed += code == -signal.SIGKILL
    assert killed >= KILLS - 2  # on a busy machine it may be done before the last of them
    pid = nursery.start("search", **order)
    assert nursery.wait(pid) == 0

    ours, theirs = told(folder), told(whole)
    assert len(theirs) == TRIALS
    assert {trial["state"] for trial in theirs} == {"done", "paused"}
    assert ours == theirs
    assert kept(folder) == kept(whole)
    assert (folder / "ended").read_text() == (whole / "ended").read_text() == f"all {TRIALS} trials of the budget have begun"
    plain = optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")
    assert len(plain.trials) == TRIALS


# A command


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table whose target is a sum, and noise."""
    dice = random.Random(0)
    lines = ["rooms,town,price"]
    for _ in range(160):
        rooms, town = dice.randint(1, 9), dice.choice(["Ulm", "Jena"])
        lines.append(f"{rooms},{town},{1000.5 * rooms + (500 if town == 'Ulm' else 0) + dice.gauss(0, 100):.2f}")
    path = tmp_path_factory.mktemp("data") / "houses.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def command(table: Path, home: Path) -> list[str]:
    settings = ["target=price", "model=mlp", "lr=1e-4..1e-1", "width=4..32", "epochs=6", "threads=1"]
    return ["tune", str(table), *settings, "--budget", "5 trials", "--deterministic", "--home", str(home), "--name", "h"]


def outcome(run: Path) -> dict:
    """What a finished run leaves behind, without times and places."""
    evidence = json.loads((run / "evidence.json").read_text())
    return {
        "trials": told(run),
        "weights": kept(run),
        "evidence": {key: evidence[key] for key in ("headline", "recipe", "steps", "valid", "test", "search")},
        "network": (run / "artifact" / "weights.safetensors").read_bytes(),
        "model": (run / "artifact" / "model.onnx").read_bytes(),
    }


def test_a_command_killed_in_each_of_its_stages_comes_to_the_same_end(nursery, until, table, tmp_path):
    said = tmp_path / "said"
    words = command(table, tmp_path / "runs")
    assert nursery.wait(nursery.cli(*words, said=said)) == 0, (said / "err").read_text()
    run, whole = tmp_path / "runs" / "h", tmp_path / "runs" / "whole"
    run.rename(whole)
    dice = random.Random(0)
    for stage in (*["prepared:"] * 3, "search:", "prove:", "ship:"):
        if stage == "prepared:" and run.exists():
            shutil.rmtree(run)  # the study is made once only, so to be killed in it takes a new one
        pid = nursery.cli(*words, said=said)
        until(lambda stage=stage: stage in (said / "err").read_text(), (said / "err").read_text)
        time.sleep(dice.random() * 0.25)
        os.kill(pid, signal.SIGKILL)
        assert nursery.wait(pid) == -signal.SIGKILL
    assert nursery.wait(nursery.cli(*words, said=said)) == 0, (said / "err").read_text()
    assert outcome(run) == outcome(whole)
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]
    assert len(openings_in(run / "openings.jsonl")) == 1  # for these weights, however often it was taken up again


def test_a_proof_that_is_killed_is_taken_up_and_one_that_is_kept_is_not_made_again(nursery, table, tmp_path):
    said, run, whole = tmp_path / "said", tmp_path / "runs" / "h", tmp_path / "runs" / "whole"
    words = command(table, tmp_path / "runs")
    assert nursery.wait(nursery.cli(*words, said=said)) == 0, (said / "err").read_text()
    run.rename(whole)
    opened = []
    for moment in ("opened", "opened", "proven", None):
        pid = nursery.cli(*words, said=said, **({"die": [moment, 1]} if moment else {}))
        assert nursery.wait(pid) == (-signal.SIGKILL if moment else 0), (said / "err").read_text()
        opened.append(len((run / "openings.jsonl").read_text().splitlines()))
    assert opened == [1, 2, 3, 3]  # what had been proven was not opened again
    assert "was proven before, to the last weight; the test split stays shut" in (said / "err").read_text()
    assert outcome(run) == outcome(whole)
    (one,) = openings_in(run / "openings.jsonl")
    assert len(one["again"]) == 2
    assert json.loads((run / "evidence.json").read_text())["task"]["openings"] == [one]
    page = (run / "report.html").read_text()
    assert "The test split was opened once." in page
    assert page.count("taken up again: the same trial, recipe and weights") == 2


@pytest.mark.slow
def test_the_real_command_killed_20_times_comes_to_the_same_end(until, table, tmp_path):
    words = command(table, tmp_path / "runs")
    words[words.index("5 trials")] = "24 trials"
    line = [sys.executable, "-m", "tuneful.cli", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(line, check=True, capture_output=True, env=environment)
    run, whole = tmp_path / "runs" / "h", tmp_path / "runs" / "whole"
    run.rename(whole)
    dice = random.Random(0)
    for kill in range(KILLS):
        with (tmp_path / "err").open("w") as err, subprocess.Popen(line, stdout=err, stderr=err, env=environment) as child:
            stage = dice.choice(["prepared:", "search:", "search:"]) if kill < KILLS - 3 else "ship:"
            until(lambda stage=stage: stage in (tmp_path / "err").read_text())
            time.sleep(dice.random() * 0.4)
            child.kill()
        assert child.returncode == -signal.SIGKILL, (tmp_path / "err").read_text()
    subprocess.run(line, check=True, capture_output=True, env=environment)
    assert outcome(run) == outcome(whole)
