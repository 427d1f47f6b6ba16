"""Sources of text: each layout on files made here, on the real packs where they are, and on bad input."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from tuneful.core.errors import DataError
from tuneful.pipeline.prepare import prepare
from tuneful.techniques import sources
from tuneful.techniques.sources import Table, Texts

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
GOOD, BAD = "this film is a good one number {}", "what a dull and bad piece of work {}"


def real(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in $TUNEFUL_DATA")
    return DATA / name


def texts(at: Path) -> Texts:
    part = sources.read(at).parts["train"]
    assert isinstance(part, Texts)
    return part


def test_one_file_a_class(tmp_path: Path):
    (tmp_path / "film.pos").write_bytes("good\ncaf\xe9 life\n\n".encode("latin-1"))
    (tmp_path / "film.neg").write_text("bad\nworse")
    (tmp_path / "README.md").write_text("about")
    raw = sources.read(tmp_path)
    part = texts(tmp_path)
    assert sorted(zip(part.labels, part.texts)) == [("neg", "bad"), ("neg", "worse"), ("pos", "café life"), ("pos", "good")]
    assert [f.what for f in raw.findings if f.severity == "warning"] == [
        "film.pos is not UTF-8; it was read as Windows-1252 (Latin-1)"
    ]


def test_one_folder_a_class_with_its_splits(tmp_path: Path):
    for split in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            (tmp_path / split / label / "1.txt").write_text(f"{split} {label}\nsecond line")
    (tmp_path / "train" / "a" / "2.txt").write_bytes(b"")
    raw = sources.read(tmp_path)
    assert set(raw.parts) == {"train", "test"}
    assert texts(tmp_path).texts == ("train a\nsecond line", "", "train b\nsecond line")
    assert any("empty" in f.what for f in raw.findings)


@pytest.mark.parametrize("turned", [False, True])
def test_labelled_lines_without_a_header(tmp_path: Path, turned: bool):
    pairs = [
        ("ham", 'see you "at home'),
        ("spam", "win a prize now"),
        ("ham", "ok then, later"),
        ("spam", "call this number"),
    ] * 3
    (tmp_path / "sms.tsv").write_text("".join("\t".join(p[::-1] if turned else p) + "\n" for p in pairs))
    part = texts(tmp_path / "sms.tsv")
    assert part.labels[:2] == ("ham", "spam")
    assert part.texts[0] == 'see you "at home'


def test_a_header_makes_a_table(tmp_path: Path):
    (tmp_path / "t.tsv").write_text("label\ttext\n" + "".join(f"{'ab'[i % 2]}\tsome text here {i}\n" for i in range(20)))
    assert isinstance(sources.read(tmp_path / "t.tsv").parts["train"], Table)


def test_json_lists_their_splits_and_what_is_out_of_scope(tmp_path: Path):
    (tmp_path / "d.json").write_text(
        json.dumps(
            {"train": [["a b", "x"], ["c", "y"]], "val": [["d", "x"]], "oos_val": [["e", "oos"]], "test": [["f", "y"]]}
        )
    )
    raw = sources.read(tmp_path / "d.json")
    assert set(raw.parts) == {"train", "valid", "test"}
    valid = raw.parts["valid"]
    assert isinstance(valid, Texts)
    assert valid.labels == ("x", None)
    (tmp_path / "l.json.gz").write_bytes(gzip.compress(json.dumps([["a", "x"], ["b", 1]]).encode()))
    assert texts(tmp_path / "l.json.gz") == Texts(("a", "b"), ("x", "1"))
    (tmp_path / "o.jsonl").write_text('{"text": "a b", "label": "x"}\n\n{"text": "c", "label": null}\n')
    part = sources.read(tmp_path / "o.jsonl").parts["train"]
    assert isinstance(part, Table)
    assert part.frame.rows() == [("a b", "x"), ("c", None)]


def labelled(at: Path, **more: object) -> Path:
    rows = [{"review": (GOOD if i % 2 else BAD).format(i), "sentiment": "pos" if i % 2 else "neg"} for i in range(60)]
    rows = [row | {name: make(i) for name, make in more.items()} for i, row in enumerate(rows)]  # type: ignore[operator]
    at.write_text("\n".join(",".join(str(cell) for cell in row) for row in [list(rows[0]), *(r.values() for r in rows)]))
    return at


def test_a_table_whose_other_columns_say_nothing_is_text(tmp_path: Path):
    path = labelled(tmp_path / "r.csv", rating=lambda i: 9 if i % 2 else 2, file=lambda i: f"f{i}.txt")
    task = prepare(path, target="sentiment")
    assert task.schema["kind"] == "tokens"
    assert task.schema["column"] == "review"
    assert task.labels == ("neg", "pos")


def test_a_table_with_other_useful_columns_stays_a_table_and_says_so(tmp_path: Path):
    path = labelled(tmp_path / "r.csv", length=lambda i: i % 7)
    task = prepare(path, target="sentiment")
    assert task.schema["kind"] == "table"
    (told,) = [f for f in task.findings if "free text, which is not learned from in a table" in f.what]
    assert told.hint == "leave_out=length learns from the text alone"
    assert prepare(path, target="sentiment", leave_out=["length"]).schema["kind"] == "tokens"


def test_the_tokenizer_is_learned_from_train_alone(tmp_path: Path):
    for split, text in (("train", "common words here"), ("test", "strange words here")):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(20):
                (tmp_path / split / label / f"{i}.txt").write_text(f"{text} {label * 3} {i}")
    task = prepare(tmp_path)
    assert "common" in task.schema["tokenizer"]["items"]
    assert "strange" not in task.schema["tokenizer"]["items"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", b'[["text", "label"], ["cut', "line 1, column 22 is no JSON"),
        ("a.json", b"[]", "holds no list of examples"),
        ("a.json", b'[["a", "b"], ["c"]]', r'entry 2 is \["c"\]; \[text, label\] is wanted'),
        ("a.json", b'{"trian": [["a", "b"]]}', 'key "trian" names no split'),
        ("a.json", b"[" * 100_000, "nested too deep|is no JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"text": ', "line 2 is no JSON"),
        ("a.jsonl", b'{"text": ["a"], "label": 1}\n', '"text" of entry 1 is list'),
        ("a.json.gz", gzip.compress(b'[["a", "b"]]' * 1000, mtime=0)[:30], "damaged or truncated gzip file"),
    ],
)
def test_bad_json_is_told_in_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        sources.read(tmp_path / name)


def test_bad_lines_and_bad_bytes_are_told(tmp_path: Path):
    good = "ham\tsee you at home\nspam\twin a prize\n" * 4000
    (tmp_path / "s.tsv").write_text(good + "no tab here\n")
    with pytest.raises(DataError, match=r"s.tsv: line 8001 has 1 field; a label, a tab and a text"):
        sources.read(tmp_path / "s.tsv")
    (tmp_path / "s.tsv").write_bytes(good.encode() + b"ham\tzero \0 byte\n")
    with pytest.raises(DataError, match="holds binary data"):
        sources.read(tmp_path / "s.tsv")
    (tmp_path / "s.tsv").write_bytes(good.encode() + "ham\tcaf\u00e9".encode()[:-1])  # cut inside the last letter
    raw = sources.read(tmp_path / "s.tsv")
    assert any("ends inside a character" in f.what for f in raw.findings)


def test_one_damaged_line_does_not_turn_utf8_into_latin1(tmp_path: Path):
    (tmp_path / "f.pos").write_bytes("schön\ngrün\n".encode() + b"bl\xffau\n")
    (tmp_path / "f.neg").write_text("schlecht\n")
    raw = sources.read(tmp_path)
    assert "schön" in texts(tmp_path).texts
    assert "bl\ufffdau" in texts(tmp_path).texts
    assert any("UTF-8 but for some lines" in f.what and f.count == 1 for f in raw.findings)


def test_an_empty_file_of_a_class_is_told(tmp_path: Path):
    (tmp_path / "f.pos").write_text("good\n")
    (tmp_path / "f.neg").write_text("\n")
    with pytest.raises(DataError, match=r"holds|empty|nothing"):
        sources.read(tmp_path)


def test_what_would_not_fit_into_memory_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(b"[" + b'["aaaaaaaa", "b"],' * 100_000 + b"]"))
    monkeypatch.setattr("tuneful.techniques.sources.raw.allowed", lambda: 100_000.0)
    with pytest.raises(DataError, match=r"unpacked, needs .* of memory"):
        sources.read(tmp_path / "d.json.gz")


def test_rt_polarity_as_it_is_published():
    part = texts(real("rt_polarity"))
    assert [part.labels.count(label) for label in ("pos", "neg")] == [5331, 5331]


def test_sms_spam_as_it_is_published():
    part = texts(real("sms_spam") / "sms.tsv")
    assert [part.labels.count(label) for label in ("ham", "spam")] == [4827, 747]


def test_clinc150_as_it_is_published():
    raw = sources.read(real("clinc150") / "data_full.json.gz")
    counts = {
        split: (len(part.labels), part.labels.count(None)) for split, part in raw.parts.items() if isinstance(part, Texts)
    }
    assert counts == {"train": (15100, 100), "valid": (3100, 100), "test": (5500, 1000)}


def test_imdb_is_text_and_its_rating_a_leak():
    task = prepare(real("imdb_subset"))
    assert (task.schema["column"], task.labels, len(task.test)) == ("review", ("neg", "pos"), 2000)
