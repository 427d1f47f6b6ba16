"""Parallel files and lines of two texts: which files belong together, which are something else, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tuneful.core.errors import DataError
from tuneful.pipeline.prepare import prepare
from tuneful.techniques import sources
from tuneful.techniques.sources import Pairs
from tuneful.techniques.sources.parallel import language

ONE = [f"line number {n} of this text" for n in range(30)]
TWO = [f"この本の{n}行目です" for n in range(30)]


def laid(folder: Path, files: dict[str, list[str]]) -> Path:
    for name, lines in files.items():
        text = "".join(f"{line}\n" for line in lines).encode()
        (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return folder


def read(path: Path) -> dict[str, Pairs]:
    return dict(sources.read(path).parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "told"),
    [("train.en", "en"), ("x.zh-cn.gz", "zh-cn"), ("t.src", "src"), ("a.target.txt", "target"), ("reviews.pos", ""),
     ("notes.txt", ""), (".en", ""), ("en", ""), ("x.en.txt.gz", "en"), ("a.xx", "")],
)  # fmt: skip
def test_the_language_is_told_by_the_end_of_the_name(name: str, told: str):
    assert language(name) == told


def test_splits_are_told_by_the_rest_of_the_name_and_readmes_stand_aside(tmp_path):
    files = {
        f"{split}.{side}.gz": lines[:n]
        for split, n in (("train", 30), ("dev", 5), ("test", 6))
        for side, lines in (("en", ONE), ("ja", TWO))
    }
    found = read(laid(tmp_path, {**files, "README.md": ["# about"], "SHA256SUMS": ["0  x"]}))
    assert {split: len(part.sources) for split, part in found.items()} == {"train": 30, "valid": 5, "test": 6}
    assert found["train"].names == ("en", "ja")
    assert found["train"].targets == tuple(TWO)
    task = prepare(tmp_path)
    assert (task.kind, task.schema["names"], len(task.test)) == ("sequence_to_sequence", ["en", "ja"], 6)
    assert prepare(tmp_path, target="en").schema["names"] == ["ja", "en"]


def test_one_of_two_files_finds_the_other_and_names_of_sides_say_the_direction(tmp_path):
    laid(tmp_path, {"x.tgt": TWO, "x.src": ONE, "y.src": ONE[:3]})
    assert read(tmp_path / "x.tgt")["train"].names == ("src", "tgt")
    assert read(tmp_path / "x.src")["train"].sources == tuple(ONE)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"train.en": ONE, "train.ja": TWO[:-1]}, r"train.en has 30 lines and train.ja has 29; line by line"),
        ({"train.en": ONE, "train.ja": TWO, "test.en": ONE}, r"holds test.en and nothing in ja that belongs to it"),
        ({"train.en": ONE, "train.ja": TWO, "train.de": ONE}, r"text in 3 languages \(de, en, ja\); two are wanted"),
        ({"train.en": ONE, "train.ja": []}, r"train.ja is empty; text is wanted"),
        ({"train.en": ONE, "train.ja": [" "] * 29 + ["x"]}, ""),
    ],
)
def test_sides_that_do_not_fit_are_refused_in_a_sentence(tmp_path, files: dict[str, list[str]], match: str):
    laid(tmp_path, files)
    if match:
        with pytest.raises(DataError, match=match):
            prepare(tmp_path)
    else:  # blank lines keep their places; the pairs are left out and counted, down to too few
        with pytest.raises(DataError):
            prepare(tmp_path)


def test_files_of_other_kinds_are_left_to_others(tmp_path):
    (tmp_path / "classes").mkdir()
    laid(tmp_path / "classes", {"reviews.pos": ONE, "reviews.neg": TWO})
    assert prepare(tmp_path / "classes").kind == "binary"
    (tmp_path / "lone").mkdir()
    laid(tmp_path / "lone", {"train.en": ONE})
    assert sources.name_of(tmp_path / "lone") != "parallel_text"
    (tmp_path / "code").mkdir()
    laid(tmp_path / "code", {"a.py": ONE, "a.md": ONE, "a.so": ONE})
    assert sources.name_of(tmp_path / "code") != "parallel_text"


def test_lines_with_a_tab_between_two_texts_are_pairs_unless_the_first_names_them(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in zip(ONE, TWO)), encoding="utf-8")
    assert sources.name_of(path) == "pair_lines"
    assert read(path)["train"].sources == tuple(ONE)
    path.write_text("en\tja\n" + "".join(f"{a}\t{b}\n" for a, b in zip(ONE, TWO)), encoding="utf-8")
    assert sources.name_of(path) == "table"
    assert prepare(path).schema["names"] == ["en", "ja"]
    path.write_text("".join(f"{'spam' if n % 2 else 'ham'}\t{a}\n" for n, a in enumerate(ONE)), encoding="utf-8")
    assert prepare(path).kind == "binary"
    path.write_text("".join(f"{n}\t{n * n}\n" for n in range(30)), encoding="utf-8")
    assert sources.name_of(path) == "table"


def test_a_line_with_too_many_fields_is_named(tmp_path):
    path = tmp_path / "pairs.tsv"
    many = [f"{a} {n}\t{b} {n}" for n in range(200) for a, b in zip(ONE, TWO)]
    path.write_text("\n".join([*many, "a\tb\tc"]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 6001 has 3 fields; two texts with a tab between"):
        prepare(path)


def test_json_of_two_texts_is_pairs(tmp_path):
    import json

    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"en": a, "ja": b}) + "\n" for a, b in zip(ONE, TWO)), encoding="utf-8")
    assert prepare(path).schema["names"] == ["en", "ja"]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([[a, b] for a, b in zip(ONE, TWO)]), encoding="utf-8")
    assert prepare(path).kind == "sequence_to_sequence"
