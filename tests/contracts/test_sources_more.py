"""CIFAR batches, .ts series, lists of files and folders of sounds: what they read, and what they refuse."""

from __future__ import annotations

import pickle
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tuneful.core.errors import DataError
from tuneful.techniques.sources import Arrays, Files, read

PIXELS = np.arange(12 * 3072, dtype=np.int64).astype(np.uint8).reshape(12, 3072)
CLASSES = [n % 3 for n in range(12)]


def batches(folder: Path, protocol: int = 2) -> Path:
    for name, rows in (("data_batch_1", slice(0, 4)), ("data_batch_2", slice(4, 8)), ("test_batch", slice(8, 12))):
        batch = {b"batch_label": b"made", b"labels": CLASSES[rows], b"data": PIXELS[rows], b"filenames": [b"a.png"] * 4}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"cat", b"dog", b"owl"]}, protocol))
    return folder


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_python_batches_are_read_without_pickle(tmp_path, monkeypatch, protocol):
    folder = batches(tmp_path, protocol)
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "Unpickler", None)
    raw = read(folder)
    train, test = raw.parts["train"], raw.parts["test"]
    assert isinstance(train, Arrays)
    np.testing.assert_array_equal(train.x.reshape(8, 3072), PIXELS[:8])
    assert list(train.y[:4]) == ["cat", "dog", "owl", "cat"]
    assert len(test.y) == 4


class Evil:
    def __reduce__(self):
        return (print, ("it ran",))


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, capsys):
    batches(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"labels": Evil(), b"data": PIXELS}, 2))
    with pytest.raises(DataError, match=r"data_batch_1 wants to run (__builtin__|builtins).print"):
        read(tmp_path)
    assert "it ran" not in capsys.readouterr().out


def test_binary_batches_and_cifar_100_with_its_fine_classes(tmp_path):
    rows = np.concatenate([np.array(CLASSES, np.uint8)[:, None], PIXELS], axis=1)
    (tmp_path / "data_batch_1.bin").write_bytes(rows.tobytes())
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\nowl\n")
    assert list(read(tmp_path).parts["train"].y[:3]) == ["cat", "dog", "owl"]
    hundred = tmp_path / "hundred"
    hundred.mkdir()
    fine = np.concatenate([np.full((12, 1), 7, np.uint8), rows], axis=1)
    (hundred / "train.bin").write_bytes(fine.tobytes())
    assert list(read(hundred).parts["train"].y[:3]) == [0, 1, 2]
    (hundred / "train.bin").write_bytes(fine.tobytes()[:-5])
    with pytest.raises(DataError, match=r"train.bin has 36883 bytes; 3074 an image are wanted"):
        read(hundred)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 3000))
def test_no_flipped_byte_and_no_cut_of_a_batch_is_worse_than_a_sentence(tmp_path, where, value, cut):
    batches(tmp_path)
    path = tmp_path / "data_batch_1"
    raw = bytearray(path.read_bytes())
    raw[where % len(raw)] = value
    path.write_bytes(raw[: len(raw) - cut])
    try:
        read(tmp_path)
    except DataError as error:
        assert str(tmp_path) in error.message  # noqa: PT017


TS = """# a comment
@problemName Made
@timeStamps false
@univariate false
@classLabel true up down
@data
1,2,3:4,5,6:up
1,?,3:4,5,6:down
1,2:4,5:down
"""


def test_a_series_file_has_channels_gaps_and_unequal_lengths(tmp_path):
    (tmp_path / "Made_TRAIN.ts").write_text(TS)
    (tmp_path / "Made_TEST.ts").write_text(TS.replace("1,2,3:4,5,6", "1,2,3,9:4,5,6,9"))
    raw = read(tmp_path)
    train, test = raw.parts["train"], raw.parts["test"]
    assert isinstance(train, Arrays)
    assert train.form == "series"
    np.testing.assert_array_equal(train.x[0], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(train.x[1, 0], [1, 2, 3])  # the gap lies on a line between its neighbours
    np.testing.assert_array_equal(train.x[2], [[1, 2, 2], [4, 5, 5]])
    np.testing.assert_array_equal(test.x[0], [[1, 2, 3], [4, 5, 6]])
    assert list(train.y) == ["up", "down", "down"]
    told = [finding.what for finding in raw.findings]
    assert any("shorter than 3 values" in text for text in told)
    assert any("longer than any of train" in text for text in told)
    assert any("are missing" in text for text in told)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@classLabel true a b\n1,2:a\n", "has no line @data"),
        ("@classLabel false\n@data\n1,2\n", "has no classes"),
        ("@classLabel true a\n@data\n", "holds no series behind @data"),
        ("@classLabel true a b\n@data\n1,x:a\n", r"line 3 holds 'x'; a number is wanted"),
        ("@timeStamps true\n@classLabel true a b\n@data\n(0,1):a\n", "time stamps"),
        ("@classLabel true a b\n@data\n1,2\n", "line 3 has no class behind a colon"),
    ],
)
def test_a_series_file_that_cannot_be_is_refused_in_a_sentence(tmp_path, text, said):
    (tmp_path / "a.ts").write_text(text)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "a.ts")


def picture(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((5, 5), level, np.uint8)).save(path)


def test_a_list_names_files_labels_and_splits(tmp_path):
    for n in range(6):
        picture(tmp_path / "pictures" / f"{n}.png", n)
    rows = [f"pictures/{n}.png,{'ab'[n % 2]},{'test' if n > 3 else 'train'},{n}" for n in range(6)]
    (tmp_path / "l.csv").write_text("Image,Class,Split,weight\n" + "\n".join(rows) + "\n")
    raw = read(tmp_path / "l.csv")
    train = raw.parts["train"]
    assert isinstance(train, Files)
    assert (train.media, train.labels) == ("image", ("a", "b", "a", "b"))
    assert len(raw.parts["test"].paths) == 2
    assert any(f.examples == ("weight",) for f in raw.findings)
    for line, said in (("../x.png,a,train,1", "does not lie below"), ("a.png,a,somewhere,1", "must be train, valid or test"),
                       ("a.png,a", "line 8 has 2 fields; the header has 4")):  # fmt: skip
        (tmp_path / "bad.csv").write_text((tmp_path / "l.csv").read_text() + line + "\n")
        with pytest.raises(DataError, match=said):
            read(tmp_path / "bad.csv")


def test_a_table_with_a_column_called_file_stays_a_table(tmp_path):
    (tmp_path / "t.csv").write_text("file,label\n" + "\n".join(f"{n},{n % 2}" for n in range(20)) + "\n")
    assert "a table" in read(tmp_path / "t.csv").what


def test_a_folder_of_sounds_is_told_from_one_of_images(tmp_path):
    for n in range(4):
        path = tmp_path / "ab"[n % 2] / f"{n}.wav"
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(200))
    picture(tmp_path / "a" / "zz.png", 3)  # one cover does not make it a folder of images
    raw = read(tmp_path)
    train = raw.parts["train"]
    assert isinstance(train, Files)
    assert (train.media, len(train.paths)) == ("sound", 4)
    assert raw.what == "a sound folder with 2 classes and 4 train sounds"
