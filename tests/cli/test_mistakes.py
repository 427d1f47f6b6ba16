"""Every wrong line gets a finished sentence on stderr, the nearest right line, and exit code 2."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("line", "sentence", "mended"),
    [
        ("tran digits", 'there is no command "tran"; did you mean train?', "`tuneful train digits`"),
        ("fit digits", 'there is no command "fit"; did you mean train?', "`tuneful train digits`"),
        ("digits lr=0.1", '"digits" is not a command; a command comes first', "`tuneful optimize digits lr=0.1`"),
        ("xyzzy", 'there is no command "xyzzy"; known are init, check', "`tuneful optimize digits --budget 60s`"),
        ("train digits lr:0.1", '"lr:0.1" is not a setting; settings are written with =: lr=0.1', "`tuneful train digits lr=0.1`"),
        ("train digits lr = 0.1", '"lr = 0.1" is not a setting; a setting is one word', "`tuneful train digits lr=0.1`"),
        ("train lr= 0.1 digits", '"lr= 0.1" is not a setting; a setting is one word', "`tuneful train lr=0.1 digits`"),
        ("train digits lr 0.1", '"lr 0.1" is not a setting; settings are written with =', "`tuneful train digits lr=0.1`"),
        ("train digits --lr 0.1", "--lr is not an option; settings of the recipe are", "`tuneful train digits lr=0.1`"),
        ("train digits --lr=0.1 --json", "--lr is not an option", "`tuneful train digits --json lr=0.1`"),
        ("train digits --weight-decay 0.1", "--weight_decay is not an option", "`tuneful train digits weight_decay=0.1`"),
        ("train digits -lr=0.1", "-lr is not an option", "`tuneful train digits lr=0.1`"),
        ("train digits optimiser=adam", "optimiser is not a setting; did you mean optimizer?", "`tuneful train digits optimizer=adam`"),
        ("train digits optimizer=adm", "optimizer is 'adm'; it must be one of sgd, momentum, nesterov, adam, adamw, adabound, lion, muon and 22 others; did you mean adam?", "`tuneful train digits optimizer=adam`"),
        ("train digits lrr=0.1 optimizer=adm", "lrr is not a setting; did you mean lr?", "`tuneful train digits lr=0.1 optimizer=adam`"),
        ("train digits lr=", "lr has no value", "lr=1"),
        ("train digits =3", '"=3" has no key before its =', "`tuneful train digits`"),
        ("train", "train needs data (a folder, a table", "`tuneful train digits`"),
        ("train lr=0.1", "no data is named", "`tuneful train digits`"),
        ("train digits mnist", "train takes one source of data, and 2 words could be one: digits, mnist", "key=value"),
        ("train digits --budgt 3s", "there is no option --budgt; did you mean --budget?", "--budget 30min"),
        ("train digits --budget", "--budget needs a value", "--budget 30min"),
        ("train digits --budget 3x", 'the budget is "3x"; it must be a time', "--budget 30min"),
        ("train digits --json=3", "--json takes no value", "write --json alone"),
        ("train digits --name a/b", 'the name is "a/b"; it must be the name of one folder', "--name first"),
        ("train digits --device cuda:9", "the device is cuda:9; this machine has cpu", "--device cpu"),
        ("train digits lr=1e-4..1e-1 limit=100", "train takes one value for each setting; optimizer.lr=", "`tuneful tune`"),
        ("tune digits limit=100", "tune needs a range", "lr=1e-4..1e-1"),
        ("predict", "predict needs an artifact", "`tuneful predict runs/digits/artifact digits`"),
        ("evaluate", "evaluate needs a run or an artifact", "`tuneful evaluate runs/digits`"),
        ("show nothing-like-it", "there is no run nothing-like-it", "holds"),
        ("resume nothing-like-it", "there is no run nothing-like-it", "holds"),
        ("verify-resume x --kills foo", "--kills is foo; it must be a whole number", "--kills 3"),
        ("list adm", "there is no family and no technique adm; did you mean adam?", "`tuneful list adam`"),
        ("show --jsn", "there is no option --jsn; did you mean --json?", "--json"),
        ("--hlp", "there is no option --hlp; did you mean --help?", "--help"),
        ("init digits -o recipe.txt", "recipe.txt is no name for a recipe; it must end in .toml", "-o recipe.toml"),
        ("train nowhere/at/all", "there is no file or folder nowhere/at/all", "does not exist either"),
    ],
)  # fmt: skip
def test_is_answered_with_what_was_meant(line, sentence, mended, tuneful, home):
    said = tuneful(*line.split(" "))
    assert said.code == 2, said.err
    error = said.err[said.err.index("error: ") :]
    assert error.startswith(f"error: {sentence}"), said.err
    hint = error.splitlines()[-1]
    assert hint.startswith("  hint: ")
    assert mended in hint
    assert said.out == ""


def test_a_name_that_is_nearly_a_run_is_answered_with_the_run(digits, tuneful):
    said = tuneful("show", "feww")
    assert said.err == f"error: there is no run feww\n  hint: did you mean {digits.folder}?\n"


def test_an_error_in_a_file_names_the_line(tmp_path, tuneful):
    recipe = tmp_path / "my.toml"
    recipe.write_text('epochs = 2\n[data]\nsource = "digits"\n[optimizer]\nkind = "adam"\nbeta22 = 0.5\n', encoding="utf-8")
    said = tuneful("check", recipe)
    assert said.code == 2
    assert f"{recipe}:6: optimizer.beta22 is not a setting; did you mean optimizer.beta2?" in said.err


def test_a_bug_keeps_its_traceback_and_is_no_fault_of_the_user(monkeypatch, tuneful, home):
    from tuneful.cli import runs

    def broken(_: object) -> None:
        raise ZeroDivisionError("seven by nothing")

    monkeypatch.setattr(runs, "home", broken)
    said = tuneful("show")
    assert said.code == 1
    assert "Traceback (most recent call last)" in said.err
    assert "this is a bug of tuneful (ZeroDivisionError), not a mistake of yours; the line was: tuneful show" in said.err


def test_a_path_with_an_equals_sign_is_data(tmp_path, monkeypatch):
    from tuneful.cli.words import sort

    monkeypatch.chdir(tmp_path)
    (tmp_path / "year=2026").mkdir()
    assert sort("train", ["lr=0.1", "year=2026", "epochs=3"]) == ("year=2026", ["lr=0.1", "epochs=3"])
