"""`tuneful compare` as a user meets it: the table, JSON, the report, and lines that were mistyped."""

from __future__ import annotations

import json
import re

import pytest

LINE = ("compare", "sgd", "adam", "--on", "digits", "limit=150", "model=linear", "epochs=2", "threads=1")


@pytest.fixture(scope="module")
def compared(tuneful, home):
    said = tuneful(*LINE, "--seeds", 2, "--tune", 2, "--name", "pair")
    assert said.code == 0, said.err
    return said, home / "pair"


def test_a_table_says_who_leads_and_what_tuning_cost(compared):
    said, folder = compared
    lines = said.out.splitlines()
    data = json.loads((folder / "comparison.json").read_text("utf-8"))
    assert lines[0] == data["headline"]
    head = next(line for line in lines if line.startswith("optimizer "))
    assert f"difference to {data['leader']}" in head
    rows = [line for line in lines if re.match(r"(sgd|adam) ", line)]
    assert [row.split()[0] for row in rows] == [one["kind"] for one in data["optimizers"]]
    assert all("2 runs, " in row and "lr=" in row and re.search(r"\[[\d.]+, [\d.]+\]", row) for row in rows)
    assert "differences: + is better; paired by seed and by test example; 95 % for the one comparison" in said.out
    assert f"report:    {folder / 'report.html'}" in said.out


def test_the_report_has_curves_against_steps_and_seconds_and_asks_for_nothing(compared):
    _, folder = compared
    text = (folder / "report.html").read_text("utf-8")
    for title in ("accuracy of each optimizer", "accuracy against steps", "accuracy against seconds", "What tuning brings",
                  "What each was tuned to", "The command"):  # fmt: skip
        assert f"<h3>{title}</h3>" in text
    assert text.count('<path class="curve k0"') == 3
    assert text.count('<path class="curve k1"') == 3
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    assert "tuneful compare sgd adam --on digits" in text


def test_the_same_command_takes_what_is_there_and_tells_json(compared, tuneful):
    _, folder = compared
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("final.json")}
    said = tuneful(*LINE, "--seeds", 2, "--tune", 2, "--name", "pair", "--json")
    assert said.code == 0, said.err
    assert said.err == ""
    data = json.loads(said.out)
    assert data["folder"] == str(folder)
    assert {one["kind"] for one in data["optimizers"]} == {"sgd", "adam"}
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("final.json")}
    assert len(data["openings"]) == 1, "the same models judged again are no second look at the test split"


def test_one_seed_tells_no_interval(tuneful, home):
    said = tuneful(*LINE, "--seeds", 1, "--tune", 0, "--name", "single")
    assert said.code == 0, said.err
    assert said.out.startswith("One seed tells nothing apart: ")
    assert "[" not in said.out
    assert "not told apart" in said.out
    assert "no interval" in (home / "single" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sgd", "adm", "--on", "digits"), "adm is no optimizer; did you mean adam?\n  hint: such as `tuneful compare sgd adam --on digits`"),
        (("sgd,adm", "--on", "digits"), "such as `tuneful compare sgd,adam --on digits`"),
        (("digits", "sgd", "adam", "--on", "digits"), "digits is no optimizer; the data is named with --on"),
        (("sgd", "adam"), "compare needs the data that they are compared on, as --on DATA"),
        (("--on", "digits"), "compare needs two optimizers or more"),
        (("sgd", "--on", "digits"), "only sgd is named; a comparison takes two or more"),
        (("sgd", "adam", "--on", "digit"), "did you mean digits?"),
        (("sgd", "adam", "--on", "digits", "--seeds", "x"), "--seeds is x; it must be a whole number"),
        (("sgd", "adam", "--on", "digits", "--seeds", "0"), "seeds is 0; it must be a whole number >= 1"),
        (("sgd", "adam", "--on", "digits", "--epochs", "3"), "settings of the recipe are written key=value, without dashes"),
        (("sgd", "adam", "--on", "digits", "epoch=3"), "did you mean epochs?"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_with_the_right_line(words, said, tuneful):
    found = tuneful("compare", *words)
    assert found.code == 2, found.err
    assert found.out == ""
    assert said in found.err


def test_completion_offers_optimizers_and_settings():
    from tuneful.cli import complete

    assert "adabound" in complete.contenders("ad")
    assert "epochs=" in complete.contenders("ep")
