"""Every opening of the test split is kept; the same thing, taken up again, is one opening."""

from __future__ import annotations

import json

import numpy as np

from tuneful.core.task import Sealed, Split, openings_in


def sealed(log=None) -> Sealed:
    return Sealed(Split(np.zeros((3, 2), "f4"), np.zeros(3, "i8")), log)


def test_openings_outlive_the_process_and_equal_ones_are_told_as_one(tmp_path):
    log = tmp_path / "openings.jsonl"
    for reason, of in (("to prove", "aa"), ("to prove", "aa"), ("to prove", "bb"), ("out of interest", ""), ("again", "")):
        assert len(sealed(log).open(reason, of)) == 3
    found = sealed(log).openings
    assert [(one["reason"], len(one.get("again", []))) for one in found] == [
        ("to prove", 1), ("to prove", 0), ("out of interest", 0), ("again", 0),
    ]  # fmt: skip
    assert len(log.read_text().splitlines()) == 5  # the file keeps all of them


def test_without_a_file_they_are_kept_in_memory():
    split = sealed()
    split.open("to look", "aa")
    split.open("to look", "aa")
    assert [len(one["again"]) for one in split.openings] == [1]


def test_a_torn_line_counts_as_an_opening(tmp_path):
    log = tmp_path / "openings.jsonl"
    log.write_text(json.dumps({"reason": "to prove", "at": "noon"}) + '\n{"reason": "to pr', encoding="utf-8")
    assert [one["reason"] for one in openings_in(log)] == ["to prove", "a line that cannot be read"]
    assert openings_in(tmp_path / "none") == []
