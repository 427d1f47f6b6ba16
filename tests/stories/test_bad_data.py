"""Every kind of bad data ends in a sentence that names the thing, what was met and what was wanted; never in a traceback."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from io import BytesIO

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from tuneful.core.errors import DataError, RecipeError, TunefulError
from tuneful.pipeline.prepare import prepare
from tuneful.techniques.sources import raw

dice = np.random.default_rng(0)


def picture(path, size=(8, 8), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    Image.fromarray(dice.integers(0, 255, shape, dtype=np.uint8), mode=None).save(path)


@pytest.fixture
def pets(tmp_path):
    """A good folder: two classes of ten images."""
    for name in ("cat", "dog"):
        for i in range(10):
            picture(tmp_path / "pets" / name / f"{i}.png")
    return tmp_path / "pets"


def table(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def rows(n=40):
    return "".join(f"{i * 1.5},{i % 7},{'yes' if i % 3 else 'no'}\n" for i in range(n))


def refused(source, sentence, hint="", **options):
    with pytest.raises(TunefulError, match=sentence) as caught:
        prepare(source, **options)
    assert hint in caught.value.hint
    return caught.value


# Paths and folders


def test_no_such_path_names_the_nearest_one(pets):
    refused(str(pets)[:-1] + "z", r"there is no file or folder .*petz", f"did you mean {pets}?")
    refused("digts", "there is no file or folder digts", "digits")
    refused(str(pets / "no" / "such"), "there is no file or folder", "does not exist either")


def test_an_empty_folder(tmp_path):
    refused(tmp_path, "is empty; it must hold class folders with images")


def test_a_folder_of_other_things(tmp_path):
    (tmp_path / "notes.md").write_text("hello")
    refused(tmp_path, r"holds nothing that can be read \(notes.md\)", "folders of images")


def test_folders_without_images(tmp_path):
    (tmp_path / "cat").mkdir()
    refused(tmp_path, "holds no images in class folders", "cat/1.jpg")


def test_a_file_that_is_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    refused(tmp_path / "a", r"is empty \(0 bytes\)")
    picture(tmp_path / "one.png")
    refused(tmp_path / "one.png", "is of no kind that can be read", "a folder of images")


def test_a_name_that_cannot_be_a_path():
    refused("a\0b", "cannot be a path|there is no file")


def test_data_of_a_foreign_type():
    refused(7, "data of type int is not understood", "torch Dataset")


# Classes


def test_one_class(tmp_path):
    for i in range(5):
        picture(tmp_path / "cat" / f"{i}.png")
    refused(tmp_path, r"has one class only \(cat\); at least two are wanted")


def test_a_class_with_one_image_goes_to_train_and_is_told(pets):
    picture(pets / "emu" / "1.png")
    task = prepare(pets)
    emu = task.labels.index("emu")
    assert (task.train.y == emu).sum() == 1
    told = next(f for f in task.findings if f.what == "classes have one example only in train")
    assert (told.severity, told.count, told.of, told.examples) == ("warning", 1, 3, ("emu",))


def test_too_few_to_validate(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name / "1.png")
    refused(tmp_path, r"there are 2 examples, too few to cut test from; each class needs at least three")


def test_a_class_of_test_that_train_has_not(tmp_path):
    for path in ("train/a/1", "train/a/2", "train/a/3", "train/b/1", "train/b/2", "train/b/3", "test/a/1", "test/c/1"):
        picture(tmp_path / f"{path}.png")
    refused(tmp_path, r'class "c" is in test and never in train \(1 of 2 examples', "the classes of train are a, b")


# Images


def bomb(width, height):
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(
        b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")  # fmt: skip


def test_unreadable_images_are_counted_named_and_left_out(pets):
    whole = (pets / "cat" / "0.png").read_bytes()
    (pets / "cat" / "zero.png").write_bytes(b"")
    (pets / "cat" / "short.png").write_bytes(whole[: len(whole) // 2])
    (pets / "cat" / "text.jpg").write_text("this is no image")
    (pets / "dog" / "huge.png").write_bytes(bomb(30_000, 30_000))
    (pets / "dog" / "large.png").write_bytes(bomb(9_000, 9_000))
    broken = bytearray(whole)
    broken[45:60] = bytes(range(200, 215))
    (pets / "dog" / "corrupt.png").write_bytes(broken)
    os.mkfifo(pets / "dog" / "pipe.png")
    task = prepare(pets)
    told = next(f for f in task.findings if f.what == "images cannot be read and are left out")
    assert (told.severity, told.count, told.of) == ("warning", 7, 27)
    text = "\n".join(told.examples)
    assert "zero.png: the file is empty (0 bytes)" in text
    assert "short.png: it is truncated" in text
    assert "text.jpg: it is not in any known image format" in text
    assert "huge.png: it has more than 64 million pixels" in text
    assert "large.png: it is 9000x9000, more than 64 million pixels" in text
    assert "corrupt.png: it is " in text
    assert "pipe.png: it is no regular file" in text
    assert len(task.train) + len(task.valid) + len(task.test) == 20


def test_nothing_readable_at_all(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    refused(tmp_path, "no image can be read .*the file is empty")


def test_a_class_that_lost_all_its_images(pets):
    (pets / "emu").mkdir()
    (pets / "emu" / "1.png").write_bytes(b"")
    refused(pets, 'class "emu" has no image that can be read')


def test_names_with_line_breaks_and_odd_bytes_are_safe(pets):
    folder = os.fsencode(pets) + b"/\xff\xfeodd\nname"
    os.mkdir(folder)
    content = (pets / "cat" / "0.png").read_bytes()
    for i in range(4):
        with open(folder + b"/\xfe%d\n.png" % i, "wb") as file:
            file.write(content)
    with open(folder + b"/bad\xff.png", "wb") as file:
        file.write(b"x")
    task = prepare(pets)
    label = next(name for name in task.labels if "odd" in name)
    assert label.isprintable()
    label.encode("utf-8")
    told = next(f for f in task.findings if "cannot be read" in f.what)
    assert told.examples[0].startswith("bad\\xff.png")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_images_and_arrays_that_memory_does_not_hold_stay_in_their_files_which_is_told(pets, monkeypatch, save):
    monkeypatch.setattr(raw, "allowed", lambda: 1000.0)
    told = [f.what for f in prepare(pets).findings]
    assert any("stay in their files and are read by threads" in what for what in told)
    save(pets / "some.npz", x=np.arange(3000.0).reshape(100, 30), y=np.arange(100) % 2)
    assert any("stay in their file" in f.what for f in prepare(pets / "some.npz").findings)


# Tables


def test_ragged_rows_name_the_line(tmp_path):
    refused(table(tmp_path / "a.csv", "a,b,y\n1,2,3\n1,2\n"), r"line 3 has 2 fields; the header has 3")
    refused(table(tmp_path / "b.csv", "a,b,y\n1,2,3\n1,2,3,4\n"), r"line 3 has 4 fields; the header has 3")
    refused(table(tmp_path / "c.csv", 'a,b,y\n1,"2\n2",3\n1,2\n'), r"line 4 has 2 fields; the header has 3")


def test_a_wrong_encoding_names_the_line_and_byte(tmp_path):
    path = table(tmp_path / "a.csv", "a,y\nx,1\ncafé,2\n", "latin-1")
    refused(path, "line 3 holds the byte 0xe9, which is not UTF-8", "iconv")


def test_a_byte_order_mark_and_utf16_are_read_and_told(tmp_path):
    for encoding, word in (("utf-8-sig", "byte order mark"), ("utf-16", "UTF-16")):
        task = prepare(table(tmp_path / "a.csv", "a,b,y\n" + rows(), encoding))
        assert task.schema["columns"][0]["name"] == "a"
        assert any(word in f.what for f in task.findings)


def test_a_duplicate_header(tmp_path):
    refused(table(tmp_path / "a.csv", "a,b,a\n1,2,3\n"), r'line 1 has the column name "a" twice \(columns 1 and 3\)')


def test_a_header_of_numbers(tmp_path):
    refused(table(tmp_path / "a.csv", "1,2,3\n1,2,4\n"), "line 1 holds numbers .* where the names", "add a header line")


def test_no_target_that_can_be_meant(tmp_path):
    text = "size,kind,name\n" + "".join(f"{i * 1.5},{'ab'[i % 2]},n{i}\n" for i in range(40))
    refused(table(tmp_path / "a.csv", text), 'the last column "name" cannot be meant: it is text with 40', "target=kind")


def test_a_target_that_is_not_there(tmp_path):
    refused(table(tmp_path / "a.csv", "a,b,price\n" + rows()), 'no column "prise"', "did you mean price?", target="prise")


def test_an_empty_column_is_left_out_and_told(tmp_path):
    text = "a,b,c,y\n" + "".join(f"{i * 1.5},,{i % 7},{i % 2}\n" for i in range(40))
    task = prepare(table(tmp_path / "a.csv", text))
    assert any(f.what == 'column "b" has no values and is left out' and f.severity == "warning" for f in task.findings)
    assert task.schema["features"] == ["a", "c"]


def test_a_column_of_a_million_categories(tmp_path):
    rare = np.arange(500_000)  # two rows each in all of the table, so that no identifier is met
    frame = pl.DataFrame({"k": np.concatenate([rare, rare + 400_000, np.repeat(np.arange(50), 200)])})
    frame = frame.with_columns(
        k="k" + pl.col("k").cast(pl.String), a=pl.int_range(pl.len()) % 977, y=pl.int_range(pl.len()) // 10 % 2
    )
    assert frame["k"].n_unique() == 900_000
    task = prepare((frame[::10], frame[1::10], frame[2::10]))
    column = next(c for c in task.schema["columns"] if c["name"] == "k")
    assert len(column["levels"]) == 50
    assert column["other"]
    assert {"k3", "k42"} < set(column["levels"])
    assert any("the 50 most frequent are kept" in f.what for f in task.findings)


def test_a_table_without_rows_columns_or_text(tmp_path):
    refused(table(tmp_path / "a.csv", "a,b\n"), "holds a header and no rows")
    refused(table(tmp_path / "b.csv", "\n\n"), "is empty; a header line")
    refused(table(tmp_path / "c.csv", "alone\n1\n2\n"), r'has one column only \("alone"\)')
    (tmp_path / "d.csv").write_bytes(b"a,b\n1,\0\n")
    refused(tmp_path / "d.csv", "holds zero bytes and is no text table")


def test_an_open_quote(tmp_path):
    refused(table(tmp_path / "a.csv", 'a,b,y\n1,2,3\n1,"2,3\n1,2,3\n'), "line 3 has 2 fields")


def test_a_target_of_numbers_with_words_among_them(tmp_path):
    text = "a,price\n" + "".join(f"{i},{'unknown' if i == 30 else i * 1.37}\n" for i in range(100))
    refused(
        table(tmp_path / "a.csv", text),
        r'has 1 of 100 values that are not numbers \(first: row 31, "unknown"\)',
        "missing=unknown",
    )
    assert prepare(tmp_path / "a.csv", missing=["unknown"]).kind == "regression"


def test_a_damaged_gzip_and_parquet(tmp_path):
    packed = gzip.compress(("a,b,y\n" + rows(500)).encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    refused(tmp_path / "a.csv.gz", "damaged or truncated gzip")
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(50))
    refused(tmp_path / "a.parquet", "is not a whole Parquet file")


def test_many_tables_in_one_folder(tmp_path):
    for name in "ab":
        table(tmp_path / f"{name}.csv", "a,b,y\n" + rows())
    refused(tmp_path, r"holds 2 tables \(a.csv, b.csv\); one is wanted", "a.csv")


def test_a_target_that_is_an_identifier(tmp_path):
    text = "a,b,y\n" + "".join(f"{i},{i % 3},id{i}\n" for i in range(60))
    refused(table(tmp_path / "a.csv", text), "60 different values in 60 examples; it is nearly an identifier", target="y")


# Arrays


def arrays(n=60):
    return dice.random((n, 5)).astype(np.float32), np.arange(n) % 3


def test_nan_and_infinity_name_the_count_and_the_first():
    x, y = arrays()
    x[4, 2], x[7, 0] = np.nan, np.inf
    refused(
        (x, y), r"x has 2 of 300 values that are NaN \(1\) or infinite \(1\) \(first: index \[4, 2\]\)", "fill or remove"
    )
    refused((arrays()[0], np.where(np.arange(60) == 9, np.nan, np.arange(60.0))), r"1 of 60 values that are NaN .*index 9")


def test_labels_of_the_wrong_length():
    x, y = arrays()
    refused((x, y[:-1]), "train has 60 examples and 59 labels; both must be equally many", "same order")


def test_shapes_and_types_that_are_no_examples():
    x, y = arrays()
    refused((x, np.zeros((60, 2, 2))), r"labels of train have shape \[60, 2, 2\]")
    refused((np.zeros((60, 9, 9, 9)), y), r"x has shape \[60, 9, 9, 9\]; images must be")
    refused((x.astype(complex), y), "x is of type complex128; it must be numbers")
    refused(([[1, 2], [3]], [0, 1]), "the rows of x differ in length")
    refused((x[:0], y[:0]), "train holds no examples")
    refused({"train": (x, y), "test": (x[:, :3], y)}, r"x of test has examples of shape \[3\], and train of \[5\]")


def test_archives_that_are_not_whole(tmp_path):
    x, y = arrays()
    path = tmp_path / "a.npz"
    np.savez(path, x=x, y=y)
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, "is not a whole .npz archive")
    np.savez(path, a=x, b=y)
    refused(path, "holds the arrays a, b; inputs and labels of train could not be told", "name them x and y")


def test_an_archive_that_promises_more_than_it_holds(tmp_path):
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    refused(tmp_path / "a.npz", r'array "x" says that it has shape \[1000000000, 1000\] .* and 0 bytes are there')


def test_idx_files_that_lie_about_their_length(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3]) + struct.pack(">3I", 4_000_000_000, 28, 28) + bytes(99)
    )
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + bytes(5))
    refused(tmp_path, r"is truncated: its header promises 4000000000 x 28 x 28 values")
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    refused(tmp_path, "has no file of labels beside it")


def test_a_data_set_whose_items_differ_in_shape():
    class Odd(Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return torch.zeros(3 + (i == 4)), i % 2

    refused(Odd(), r"item 4 of Odd has shape \[4\], and item 0 has \[3\]")


# Options


def test_options_that_cannot_be():
    for options, sentence in (
        ({"metric": "acuracy"}, "metric is 'acuracy'.*did you mean accuracy"),
        ({"metric": "rmse"}, "metric is 'rmse', which does not serve a multiclass task"),
        ({"kind": "regresion"}, "kind is 'regresion'.*did you mean regression"),
        ({"valid": 1.5}, r"valid is 1.5; it must be in \(0, 1\)"),
        ({"limit": 1}, "limit is 1; it must be a whole number >= 2"),
        ({"target": "y"}, "target, missing, keep and leave_out are for tables"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            prepare(arrays(), **options)
    with pytest.raises(DataError, match='kind is binary, and target "y" has 3 classes'):
        prepare(arrays(), kind="binary")
