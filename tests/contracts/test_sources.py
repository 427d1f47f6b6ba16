"""What every source must do: name itself, accept its own, read it whole, and be the one that is asked."""

from __future__ import annotations

import gzip
import json
import re
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import standin_datasets as standin
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from tuneful.core.errors import DataError
from tuneful.techniques.sources import TABLE, Arrays, Files, Masked, Prose, Sentences, Table, Texts, read
from tuneful.techniques.sources import Pairs as Sides

X = np.arange(24 * 4 * 4, dtype=np.uint8).reshape(24, 4, 4)
Y = np.arange(24, dtype=np.uint8) % 3


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


class Pairs(Dataset):
    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int):
        return torch.from_numpy(X[i]).float(), int(Y[i])


def made(kind: str, folder: Path) -> object:
    """The same 24 small examples in each source's own form."""
    if kind == "digits":
        return "digits"
    if kind == "idx":
        (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(X)))
        (folder / "train-labels-idx1-ubyte").write_bytes(idx(Y))
    elif kind == "npz":
        np.savez_compressed(folder / "odd.npz", images=X, labels=Y)
        return folder / "odd.npz"
    elif kind == "npy":
        np.save(folder / "x.npy", X)
        np.save(folder / "y.npy", Y)
    elif kind == "table":
        rows = "\n".join(f"{i},{i % 5},{y}" for i, y in enumerate(Y))
        (folder / "some.csv").write_text("a,b,target\n" + rows + "\n")
    elif kind == "image_folder":
        for i, (x, y) in enumerate(zip(X, Y)):
            (folder / f"c{y}").mkdir(exist_ok=True)
            Image.fromarray(x).save(folder / f"c{y}" / f"{i:02}.png")
    elif kind == "cifar":
        rows = np.concatenate([Y[:, None], np.resize(X, (24, 3072))], axis=1).astype(np.uint8)
        (folder / "data_batch_1.bin").write_bytes(rows.tobytes())
    elif kind == "time_series":
        lines = [",".join(map(str, x.ravel())) + f":{y}" for x, y in zip(X, Y)]
        (folder / "Some_TRAIN.ts").write_text("# made\n@univariate true\n@classLabel true 0 1 2\n@data\n" + "\n".join(lines))
    elif kind == "file_list":
        for i, x in enumerate(X):
            Image.fromarray(x).save(folder / f"{i:02}.png")
        rows = "\n".join(f"{i:02}.png,c{y}" for i, y in enumerate(Y))
        (folder / "list.csv").write_text("file,label\n" + rows + "\n")
        return folder / "list.csv"
    elif kind in ("mask_folder", "mask_list"):
        for name in ("images", "masks"):
            (folder / name).mkdir()
            for i, x in enumerate(X):
                Image.fromarray(x if name == "images" else x % 2).save(folder / name / f"{i:02}.png")
        rows = "\n".join(f"images/{i:02}.png,masks/{i:02}.png" for i in range(24))
        if kind == "mask_list":
            (folder / "list.csv").write_text("file,mask\n" + rows + "\n")
            return folder / "list.csv"
    elif kind == "conll":
        lines = "\n\n".join(f"text\tO\nnumber\tO\n{i}\tB-c{y}" for i, y in enumerate(Y))
        (folder / "t.conll").write_text(lines + "\n")
    elif kind == "plain_text":
        (folder / "t.txt").write_text("".join(f"text number {i}\n" for i, y in enumerate(Y)))
        return folder / "t.txt"
    elif kind == "text_json":
        (folder / "t.json").write_text(json.dumps([[f"text number {i}", f"c{y}"] for i, y in enumerate(Y)]))
        return folder / "t.json"
    elif kind == "text_lines":
        (folder / "t.tsv").write_text("".join(f"c{y}\ttext number {i}\n" for i, y in enumerate(Y)))
        return folder / "t.tsv"
    elif kind == "text_classes":
        for y in sorted(set(Y.tolist())):
            (folder / f"t.c{y}").write_text("".join(f"text number {i}\n" for i, own in enumerate(Y) if own == y))
    elif kind == "text_folder":
        for i, y in enumerate(Y):
            (folder / f"c{y}").mkdir(exist_ok=True)
            (folder / f"c{y}" / f"{i:02}.txt").write_text(f"text number {i}\n")
    elif kind == "parallel_text":
        for language, word in (("en", "word"), ("de", "Wort")):
            (folder / f"train.{language}").write_text("".join(f"{word} {at} and {at % 7}\n" for at in range(24)))
    elif kind == "pair_lines":
        (folder / "pairs.tsv").write_text("".join(f"the word {at}\tdas Wort {at}\n" for at in range(24)))
        return folder / "pairs.tsv"
    elif kind == "torch":
        return Pairs()
    elif kind == "public":
        return "iris"
    elif kind == "hugging_face":
        return standin.Dataset(
            {"image": [Image.fromarray(x) for x in X], "label": [int(y) for y in Y]},
            {"image": standin.Image(), "label": standin.ClassLabel(["0", "1", "2"])},
        )
    else:
        return X, Y
    return folder


@pytest.mark.parametrize("kind", TABLE)
def test_a_source_names_itself_its_origin_and_its_cost(kind):
    assert TABLE[kind]().kind == kind
    assert TABLE[kind].source
    assert TABLE[kind].cost
    assert (TABLE[kind].__module__ and __import__(TABLE[kind].__module__, fromlist=["x"])).__doc__


@pytest.mark.parametrize("kind", TABLE)
def test_a_source_accepts_its_own_and_is_the_first_that_does(kind, tmp_path):
    given = made(kind, tmp_path)
    assert next(name for name, source in TABLE.items() if source().accepts(given)) == kind


@pytest.mark.parametrize("kind", TABLE)
def test_a_source_reads_every_example_in_order(kind, tmp_path):
    raw = read(made(kind, tmp_path))
    part = raw.parts["train"]
    assert raw.what
    assert raw.name
    if kind == "public":
        assert part.x.shape == (150, 4)
    elif isinstance(part, Arrays) and kind != "digits":
        wanted = {
            "hugging_face": X[:, None],
            "cifar": np.resize(X, (24, 3, 32, 32)),
            "time_series": X.reshape(24, 1, 16),
        }.get(kind, X)
        np.testing.assert_array_equal(part.x, wanted)
        np.testing.assert_array_equal(part.y.astype(int), Y)
    elif isinstance(part, Files):
        assert sorted(part.labels) == sorted(f"c{y}" for y in Y)
        for path, label in zip(part.paths, part.labels):
            assert kind == "file_list" or path.decode().split("/")[-2] == label
    elif isinstance(part, Masked):
        assert [Path(path.decode()).stem for path in part.paths] == [f"{i:02}" for i in range(24)]
        assert [path.replace(b"images", b"masks") for path in part.paths] == list(part.masks)
    elif isinstance(part, Sentences):
        assert [(int(w[2]), t[2]) for w, t in zip(part.words, part.tags)] == [(i, f"B-c{y}") for i, y in enumerate(Y)]
    elif isinstance(part, Prose):
        assert part.text.count("\n") == len(Y)
    elif isinstance(part, Texts):
        found = {int(text.split()[-1]): label for text, label in zip(part.texts, part.labels)}
        assert found == {i: f"c{y}" for i, y in enumerate(Y)}
    elif isinstance(part, Sides):
        numbers = [tuple(re.findall(r"\d+", text)[0] for text in pair) for pair in zip(part.sources, part.targets)]
        assert numbers == [(str(at), str(at)) for at in range(24)]
    elif isinstance(part, Table):
        assert part.frame["target"].to_list() == [str(y) for y in Y]
    else:
        assert part.x.shape == (1797, 1, 8, 8)
        assert int(part.x.max()) == 16


def test_content_counts_and_not_the_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    (tmp_path / "a.npz").rename(tmp_path / "data.bin")
    assert read(tmp_path / "data.bin").what.startswith("an .npz")
    pl.DataFrame({"a": [1, 2], "y": [0, 1]}).write_parquet(tmp_path / "table.data")
    assert read(tmp_path / "table.data").what.startswith("a table")
    (tmp_path / "noname").write_text("a\ty\n1\t2\n")
    assert read(tmp_path / "noname").what.startswith("a table")


def test_tables_named_train_and_test_are_official_splits(tmp_path):
    for name in ("x_train.csv", "x_test.csv", "x_val.csv"):
        (tmp_path / name).write_text("a,y\n1,2\n")
    (tmp_path / "README.md").write_text("what it is")
    assert set(read(tmp_path).parts) == {"train", "valid", "test"}


def test_keys_of_archives_are_understood(tmp_path):
    for names in (("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"),
                  ("Xtrain", "ytrain", "Xtest", "ytest"), ("trainX", "trainY", "testX", "testY")):  # fmt: skip
        np.savez(tmp_path / "a.npz", **dict(zip(names, (X, Y, X[:5], Y[:5]))))
        raw = read(tmp_path / "a.npz")
        assert {split: len(part.y) for split, part in raw.parts.items()} == {"train": 24, "test": 5}, names


def test_a_tensor_dataset_a_pair_and_a_triple_are_splits():
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    assert set(read((data, data)).parts) == {"train", "test"}
    assert set(read(((X, Y), (X, Y), (X, Y))).parts) == {"train", "valid", "test"}
    assert set(read({"train": (X, Y), "val": (X, Y)}).parts) == {"train", "valid"}


def test_a_data_frame_is_a_table():
    assert read(pl.DataFrame({"a": [1, 2], "y": ["u", "v"]})).parts["train"].frame["y"].to_list() == ["u", "v"]


def test_links_in_a_circle_and_deep_folders_end(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to("self")
    (tmp_path / "b" / "/".join("d" * 30)).mkdir(parents=True)
    assert len(read(tmp_path).parts["train"].paths) == 2


def test_objects_in_an_archive_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], dtype=object), y=Y[:2], allow_pickle=True)
    with pytest.raises(DataError, match='array "x" holds Python objects'):
        read(tmp_path / "a.npz")


def test_a_stream_of_torch_is_refused_in_a_sentence():
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.zeros(2), 0

    with pytest.raises(DataError, match="Endless is an IterableDataset, which has no length"):
        read(Endless())
