"""tuneful plan: what a user sees of the ways that were timed, of a plan that is known, and of a wrong line."""

from __future__ import annotations

import json

WORDS = ["digits", "model=mlp", "width=8", "limit=200", "threads=1"]


def test_every_way_stands_with_its_time_and_its_reason(tuneful, tmp_path):
    said = tuneful("plan", *WORDS, "--seconds", "0.5", "--home", str(tmp_path))
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith("steps are carried out as: ")
    assert lines[1].split() == ["way", "ms", "a", "step", "losses", "off", "gradient", "verdict", "why"]
    assert sum("  chosen  " in line for line in lines[2:]) == 1
    assert "CUDA graphs need a GPU" in said.out
    assert "measured in" in said.err
    known = tuneful("plan", *WORDS, "--home", str(tmp_path))
    assert known.err.startswith("measured before on cpu")
    assert known.out == said.out


def test_json_has_the_figures_and_the_plain_loop_says_why(tuneful, tmp_path):
    told = json.loads(tuneful("plan", *WORDS, "--seconds", "0.5", "--home", str(tmp_path), "--json").out)
    assert told["chosen"]["threads"] == 1
    assert all({"way", "verdict", "why", "ms", "loss", "cosine"} == one.keys() for one in told["tried"])
    said = tuneful("plan", *WORDS, "plan=off", "--home", str(tmp_path))
    assert (said.out, said.err) == ("steps are carried out as: fp32, 1 thread\n", "plan=off\n")


def test_no_time_is_answered(tuneful):
    said = tuneful("plan", *WORDS, "--seconds", "0")
    assert said.code == 2
    assert "--seconds is 0; it must be above 0" in said.err
