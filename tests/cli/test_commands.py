"""What each command prints, on one small run; data on stdout, talk on stderr."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest


def test_training_tells_its_result_on_stdout_and_its_course_on_stderr(digits):
    out, err = digits.said.out, digits.said.err
    assert "on the test split" in out
    assert "accuracy " in out
    assert f"folder:    {digits.folder}\n" in out
    assert f"artifact:  {digits.folder / 'artifact'}\n" in out
    assert "prepare: reading digits" in err
    assert "search: training one recipe" in err
    assert "prepare" not in out


def test_json_is_all_that_a_machine_gets(houses):
    told = json.loads(houses.said.out)
    assert houses.said.err == ""
    assert told["finished"] is True
    assert told["folder"] == str(houses.folder)
    assert set(told["test"]["rmse"]) == {"value", "low", "high", "n", "unit", "how"}


def test_the_same_command_again_finds_its_result(digits, tuneful):
    said = tuneful("train", "model=linear", "digits", "epochs=2", "limit=200", "--name", "few", "--budget", "60s", "--json")
    told = json.loads(said.out)
    assert said.code == 0
    assert told["ended"] == "it was finished before"
    assert told["headline"] == digits.said.out.splitlines()[0]


def test_fresh_sets_the_old_run_aside(houses, tuneful, tmp_path):
    words = ["train", houses.table, "target=price", "model=linear", "epochs=1", "--home", tmp_path, "--name", "h", "--json"]
    first = tuneful(*words)
    assert first.code == 0
    again = tuneful(*words, "--fresh")
    assert again.code == 0
    assert json.loads(again.out)["ended"] != "it was finished before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h", "h.old1"]
    assert json.loads((tmp_path / "h.old1" / "evidence.json").read_text())["headline"] == json.loads(first.out)["headline"]
    assert tuneful("resume", tmp_path / "h.old1").code == 0


def test_check_tells_findings_recipe_size_and_a_batch(tuneful):
    said = tuneful("check", "limit=100", "digits", "model=linear", "lr=1e-4..1e-1")
    assert said.code == 0
    assert "splits:    100 train, 100 valid, 100 test (sealed)" in said.out
    assert "lr=0.0001..0.1" in said.out
    assert "network:   650 parameters, 640 multiply-adds an example" in said.out  # 64 pixels x 10 classes, and 10 biases
    assert "32 examples went forward and back on cpu" in said.out
    told = json.loads(tuneful("check", "limit=100", "digits", "model=linear", "lr=1e-4..1e-1", "--json").out)
    assert told["batch"]["parameters"] == 650
    assert told["space"] == {"optimizer.lr": "0.0001..0.1"}
    assert told["recipe"]["reasons"]["epochs"]


def test_init_writes_a_recipe_that_says_the_same_as_auto(tuneful, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = tuneful("init", "digits", "limit=100", "-o", "my.toml", "--schema", "s.json")
    assert said.code == 0
    assert said.out == "my.toml\n"
    text = (tmp_path / "my.toml").read_text()
    assert text.startswith("#:schema s.json\n")
    assert "\n[ranges] " in text
    assert '\noptimizer.lr = "3e-4..3e-2"\n' in text
    assert json.loads((tmp_path / "s.json").read_text())["title"] == "tuneful recipe"
    ours = json.loads(tuneful("check", "my.toml", "--json").out)
    autos = json.loads(tuneful("check", "digits", "limit=100", "--json").out)
    assert ours["id"] == autos["id"]
    again = tuneful("init", "digits", "-o", "my.toml")
    assert again.code == 2
    assert "error: my.toml exists and is not overwritten" in again.err
    assert (tmp_path / "my.toml").read_text() == text


def test_the_recipe_of_init_serves_all_three_commands(tuneful, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tuneful("init", "digits", "limit=100", "model=linear", "-o", "my.toml")
    words = ["--home", tmp_path / "runs", "threads=1", "epochs=2", "--json"]
    trained = tuneful("train", "my.toml", *words)
    assert trained.code == 0, trained.err
    recipe = json.loads(trained.out)["recipe"]
    assert (recipe["optimizer"]["lr"], recipe["optimizer"]["decay"]) == (0.002, 0.05)
    for command in ("optimize", "tune"):
        said = tuneful(command, "my.toml", *words, "--budget", "3 trials")
        assert said.code == 0, said.err
        found = json.loads(said.out)
        study = json.loads(tuneful("check", "my.toml", "--json").out)
        assert found["search"]["trials"] == 3
        assert study["space"] == {"optimizer.lr": "0.0003..0.03", "optimizer.decay": "0.001..0.3"}
        assert study["recipe"]["optimizer"]["lr"] == 0.002  # the search begins at the values above
    fixed = json.loads(tuneful("check", "my.toml", "lr=0.01", "--json").out)
    assert fixed["space"] == {"optimizer.decay": "0.001..0.3"}  # a word counts more than the file
    assert fixed["recipe"]["optimizer"]["lr"] == 0.01


def test_show_lists_runs_and_tells_one(digits, houses, tuneful):
    runs = {row["run"]: row for row in json.loads(tuneful("show", "--json").out)}
    assert runs[str(digits.folder)]["finished"]
    assert runs[str(houses.folder)]["mode"] == "train"
    assert tuneful("show", "few").out == digits.said.out
    assert json.loads(tuneful("show", digits.folder, "--json").out)["headline"] in digits.said.out
    sealed = tuneful("show", digits.folder / "artifact")
    assert "every hash is right" in sealed.out
    assert sealed.out.splitlines()[0] == digits.said.out.splitlines()[0]


def test_a_changed_artifact_is_not_shown(houses, tuneful, tmp_path):
    import shutil

    copy = tmp_path / "artifact"
    shutil.copytree(houses.folder / "artifact", copy)
    (copy / "card.md").write_text("all is well\n")
    said = tuneful("show", copy)
    assert said.code == 2
    assert "card.md" in said.err
    assert said.out == ""


def test_report_is_written_again(digits, tuneful):
    page = digits.folder / "report.html"
    page.unlink()
    said = tuneful("report", "few")
    assert said.out == f"{page}\n"
    assert "<html" in page.read_text(encoding="utf-8")[:500]


def test_predict_works_where_torch_cannot_be_imported(digits, process):
    code = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("there is no torch here")
sys.meta_path.insert(0, Wall())
from tuneful.cli import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = process("predict", digits.folder / "artifact", "digits", code=code)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 1797
    assert list(rows[0]) == ["row", "prediction", *(f"p({k})" for k in range(10))]
    p = np.array([[float(row[f"p({k})"]) for k in range(10)] for row in rows])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-4)
    assert [row["prediction"] for row in rows] == [str(k) for k in p.argmax(axis=1)]


def test_images_are_predicted_by_their_names(digits, tuneful, tmp_path):
    from PIL import Image

    (tmp_path / "new").mkdir()
    for name in ("b", "a"):
        Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tmp_path / "new" / f"{name}.png")
    rows = json.loads(tuneful("predict", "few", tmp_path, "--json").out)
    assert [row["file"] for row in rows] == ["new/a.png", "new/b.png"]


def test_a_table_is_predicted_into_a_file_with_or_without_its_target(houses, tuneful, tmp_path):
    lines = houses.table.read_text().splitlines()
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    out = tmp_path / "out.csv"
    said = tuneful("predict", "houses", bare, "-o", out)
    assert (said.code, said.out, said.err) == (0, "", f"150 predictions are in {out}\n")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert list(rows[0]) == ["row", "prediction"]
    assert out.read_text() == tuneful("predict", houses.folder / "artifact", houses.table).out
    said = tuneful("predict", "houses", bare, "-o", bare)
    assert f"error: {bare} is the data itself, which is not overwritten" in said.err
    assert bare.read_text().count("\n") == 151


def test_evaluating_an_artifact_agrees_with_scikit_learn(houses, tuneful):
    from sklearn.metrics import mean_absolute_error

    told = json.loads(tuneful("evaluate", houses.folder / "artifact", houses.table, "--json").out)
    rows = csv.DictReader(io.StringIO(tuneful("predict", "houses", houses.table).out))
    p = [float(row["prediction"]) for row in rows]
    y = [float(row["price"]) for row in csv.DictReader(io.StringIO(houses.table.read_text()))]
    assert told["measures"]["mae"]["value"] == pytest.approx(mean_absolute_error(y, p), rel=1e-5)
    assert told["measures"]["mae"]["n"] == 150


def test_evaluating_a_run_opens_its_test_split_once_more_and_says_so(digits, tuneful):
    log = digits.folder / "openings.jsonl"
    before = len(log.read_text().splitlines())
    said = tuneful("evaluate", "few", "--json")
    told = json.loads(said.out)
    assert told["openings"] == before + 1 == len(log.read_text().splitlines())
    kept = json.loads((digits.folder / "evidence.json").read_text())["test"]["accuracy"]
    assert told["measures"]["accuracy"]["value"] == pytest.approx(kept["value"], abs=1e-12)
    assert f"opened {before + 1} times" in tuneful("evaluate", "few").err.replace(str(before + 2), str(before + 1))


def test_new_data_without_labels_cannot_be_evaluated(houses, tuneful, tmp_path):
    bare = tmp_path / "bare.csv"
    bare.write_text("rooms,town,prices\n3,Ulm,4\n5,Jena,6\n")
    said = tuneful("evaluate", houses.folder / "artifact", bare)
    assert said.code == 2
    assert f'error: {bare} has no column "price", the target of this model\n  hint: is it prices? rename it' in said.err
    said = tuneful("evaluate", houses.folder / "artifact")
    assert "is an artifact, which holds no data" in said.err


def test_list_tells_source_and_cost_of_every_technique(tuneful):
    told = json.loads(tuneful("list", "--json").out)
    assert {"model", "optimizer", "sources", "proposer", "scheduler"} <= set(told)
    bare = [
        kind for table in told.values() for kind, one in table.items() if not (one["what"] and one["source"] and one["cost"])
    ]
    assert bare == []
    assert "Luo et al., ICLR 2019" in tuneful("list", "adabound").out
    assert "final_lr = 0.1" in tuneful("list", "adabound").out
    assert tuneful("list", "optimizers").out == tuneful("list", "optimizer").out


def test_schema_is_one_that_editors_read(tuneful):
    told = json.loads(tuneful("schema").out)
    assert told["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "adabound" in json.dumps(told["properties"]["optimizer"])


def test_env_survives_packages_that_are_broken_or_end_python(tmp_path, monkeypatch):
    from tuneful.cli import probe

    (tmp_path / "broken_one.py").write_text("raise RuntimeError('operator nms does not exist')")
    (tmp_path / "deadly_one.py").write_text("import os; os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert probe.imports(["json", "broken_one", "deadly_one", "csv"]) == {
        "json": "",
        "broken_one": "broken: RuntimeError: operator nms does not exist",
        "deadly_one": "broken: it ends Python (code 7)",
        "csv": "",
    }


def test_a_reader_that_has_enough_ends_it_quietly(home):
    code = "import sys; sys.argv = ['tuneful', 'schema']\nfrom tuneful.cli import main\nsys.exit(main())"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert (child.wait(60), err) == (0, b"")


def test_the_budget_begins_with_the_process(process):
    code = (
        "import time; time.sleep(0.5)\nfrom tuneful.cli.call import process_start\nprint(time.monotonic() - process_start())"
    )
    assert 0.5 < float(process(code=code).stdout) < 30


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_wish_to_stop_is_granted_and_resume_goes_on(number, code, home, tuneful):
    name = f"stopped-{number}"
    words = ["train", "digits", "model=linear", "limit=100", "epochs=1500", "validate_every=50", "--name", name]
    child = subprocess.Popen(
        [sys.executable, "-m", "tuneful.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    said = ""
    while "search:" not in said:
        line = child.stderr.readline()
        assert line, said
        said += line
    time.sleep(0.3)
    child.send_signal(number)
    out, rest = child.communicate(timeout=240)
    assert child.returncode == code, said + rest
    assert out == ""
    assert f"nothing is lost: `tuneful resume {home / name}` goes on" in rest
    shown = tuneful("show", name)
    assert f"{name}: not finished; 1 trials" in shown.out
    if number == signal.SIGTERM:
        again = tuneful("resume", name, "--json")
        assert again.code == 0, again.err
        assert json.loads(again.out)["steps"] == 1500 * (100 // 32)


def test_a_budget_that_is_too_short_for_any_result_ends_with_3(home, tuneful):
    said = tuneful("optimize", "digits", "limit=300", "--budget", "0.05s", "--name", "hasty")
    assert said.code == 3
    assert "ended before any trial had a value" in said.err
    assert "hint: give a longer budget" in said.err


def test_verify_resume_says_exact(digits, tuneful):
    said = tuneful("verify-resume", "few", "--kills", "1", "--json")
    told = json.loads(said.out)
    assert said.code == 0
    assert told["exact"] is True
    assert len(told["killed_at"]) == 1
    assert told["same_as_kept"] is True


def test_show_augment_draws_what_the_network_sees(tuneful, tmp_path):
    said = tuneful("show", "digits", "rotate=20", "--augment", "-o", tmp_path / "seen.png")
    assert said.code == 0
    assert said.out.strip() == str(tmp_path / "seen.png")
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    assert "augments, in their order: crop (padding=1), rotate (degrees=20)" in said.err
    wrong = tuneful("show", "digits", "--augment", "-o", tmp_path / "seen.jpg")
    assert wrong.code == 2
    assert "it must end in .png" in wrong.err
    many = tuneful("show", "one", "two")
    assert "show takes one run or artifact, and 2 words were given: one, two" in many.err
