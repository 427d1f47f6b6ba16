"""Sounds and arrays that do not fit: the same task, and batches, as from memory."""

from __future__ import annotations

import wave

import numpy as np
import pytest
import torch
from PIL import Image

from tuneful.core.errors import DataError
from tuneful.pipeline import pixelwise
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.prepare import prepare
from tuneful.techniques.sources import raw

N = 120
DICE = np.random.default_rng(0)
ARRAYS = {
    "bytes": DICE.integers(0, 255, (N, 12, 10, 3), dtype=np.uint8),
    "vectors": DICE.normal(size=(N, 7)),
    "images": DICE.normal(size=(N, 1, 8, 8)).astype("f4"),
    "by columns": np.asfortranarray(DICE.normal(size=(N, 7))),
}
Y = DICE.integers(0, 3, N)


def written(name, how, folder):
    x = ARRAYS[name].copy()
    x[-1] = x[0]
    if how == "npy":
        np.save(folder / "x.npy", x)
        np.save(folder / "y.npy", Y)
    else:
        (np.savez if how == "npz" else np.savez_compressed)(folder / "d.npz", x=x, y=Y)
    return folder


@pytest.mark.parametrize("how", ["npy", "npz", "npz, packed"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_mapped_where_they_do_not_fit(name, how, tmp_path, monkeypatch):
    here = prepare(written(name, how, tmp_path))
    monkeypatch.setenv(raw.MEMORY, "3kB")
    there = prepare(tmp_path)
    assert isinstance(here.train.x, np.ndarray)
    assert isinstance(there.train.x, Lazy)
    assert here.fingerprint == there.fingerprint
    np.testing.assert_allclose(here.normalize["mean"], there.normalize["mean"], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(here.train.x, there.train.x[:])
    assert any(
        "stay in their files and are read by threads" in f.what and "$TUNEFUL_MEMORY" in f.what for f in there.findings
    )
    a, b = (
        Batches(t, resolve(from_mapping({"batch_size": 16, "threads": 1}, t)[0], t), torch.device("cpu"))
        for t in (here, there)
    )
    for step in (0, 3, 1):
        assert all(torch.equal(one, two) for one, two in zip(a.at(step), b.at(step), strict=True))


def test_arrays_in_files_are_checked_too(tmp_path, monkeypatch):
    x = np.zeros((5000, 2))
    x[4990, 1], x[4991, 0] = np.nan, np.inf
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(5000) % 2)
    monkeypatch.setenv(raw.MEMORY, "30kB")
    with pytest.raises(
        DataError, match=r"x has 2 of 10000 values that are NaN \(1\) or infinite \(1\) \(first: index \[4990, 1\]\)"
    ):
        prepare(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"nothing of the kind", b"\x93NUMPY\x01\x00\x76\x00{'descr'"])
def test_a_damaged_npy_file_is_told(content, tmp_path):
    np.save(tmp_path / "y.npy", Y)
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"holds a damaged \.npy file"):
        prepare(tmp_path)


def test_an_npy_file_that_promises_too_much_or_holds_objects_is_refused(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "x.npy", np.zeros((N, 10**4)))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:9000])
    with pytest.raises(
        DataError, match=r"says that it has shape \[120, 10000\] \(9600000 bytes\), and 8872 bytes are there"
    ):
        prepare(tmp_path)
    np.save(tmp_path / "x.npy", np.array([{}] * N, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        prepare(tmp_path)


def test_sounds_stay_in_their_files_where_they_do_not_fit(tmp_path, monkeypatch):
    for label, pitch in (("low", 0.1), ("high", 0.3)):
        (tmp_path / label).mkdir()
        for i in range(20):
            times = np.arange(2000 + 3 * i)
            samples = 8000 * np.sin(pitch * times) + DICE.normal(0, 500, len(times))
            with wave.open(str(tmp_path / label / f"{i}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(samples.astype("<i2").tobytes())
    (tmp_path / "low" / "bad.wav").write_bytes(b"RIFF nothing")
    here = prepare(tmp_path)
    monkeypatch.setenv(raw.MEMORY, "9kB")
    there = prepare(tmp_path)
    assert isinstance(there.train.x, Lazy)
    assert (here.fingerprint, here.schema) == (there.fingerprint, there.schema)
    told = [next(f.what for f in task.findings if f.what.startswith("sounds of 0.2")) for task in (here, there)]
    assert "are kept in memory" in told[0]
    assert "stay in their files and are read by threads at every step" in told[1]
    rest = [{str(f) for f in task.findings if "memory" not in f.what} for task in (here, there)]
    assert rest[0] == rest[1]
    a, b = (
        Batches(t, resolve(from_mapping({"batch_size": 8, "threads": 1}, t)[0], t), torch.device("cpu"))
        for t in (here, there)
    )
    assert all(torch.equal(one, two) for step in (2, 0) for one, two in zip(a.at(step), b.at(step), strict=True))


def test_images_with_masks_stay_in_their_files_where_they_do_not_fit(tmp_path, monkeypatch):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(40):
        mask = np.zeros((30 + i % 3, 40), np.uint8)
        mask[5 : 10 + i % 7, 4 : 9 + i % 11] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
        noise = DICE.integers(0, 90, (*mask.shape, 3), dtype=np.uint8)
        Image.fromarray(noise + mask[..., None] // 2).save(tmp_path / "images" / f"{i}.png")
    whole = (tmp_path / "masks" / "3.png").read_bytes()
    (tmp_path / "masks" / "3.png").write_bytes(whole[:60] + b"\0" * 9 + whole[69:])
    here = prepare(tmp_path)
    monkeypatch.setenv(raw.MEMORY, "50kB")
    there = prepare(tmp_path)
    assert isinstance(here.train.x, np.ndarray)
    assert isinstance(there.train.x, Lazy)
    assert (here.fingerprint, here.schema, here.normalize) == (there.fingerprint, there.schema, there.normalize)
    told = [next(f.what for f in task.findings if f.what.startswith("images of 3x")) for task in (here, there)]
    assert "are kept in memory" in told[0]
    assert "stay in their files and are read by threads at every step" in told[1]
    rest = [{str(f) for f in task.findings if "memory" not in f.what} for task in (here, there)]
    assert rest[0] == rest[1]
    assert any("cannot be read and are left out: 1 of 40 (such as 3.png: it is damaged" in one for one in rest[0])
    a, b = (
        Batches(t, resolve(from_mapping({"batch_size": 4, "threads": 1}, t)[0], t), torch.device("cpu"))
        for t in (here, there)
    )
    assert all(torch.equal(one, two) for step in (2, 0) for one, two in zip(a.at(step), b.at(step), strict=True))
    test = there.test.open("for the baselines")
    for one, two in zip(*(pixelwise.opponents(t, test.x[:], 60.0) for t in (here, there)), strict=True):
        np.testing.assert_array_equal(one.predictions, two.predictions)


@pytest.mark.parametrize("how", ["npy", "npz"])
def test_arrays_of_masks_stay_in_their_files_where_they_do_not_fit(how, tmp_path, monkeypatch):
    x = DICE.integers(0, 90, (50, 12, 14, 3), dtype=np.uint8)
    y = (x[..., 0] > 45).astype(np.int64)
    y[:, 0] = -1
    if how == "npy":
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", y)
    else:
        np.savez(tmp_path / "d.npz", x=x, y=y)
    here = prepare(tmp_path)
    monkeypatch.setenv(raw.MEMORY, "3kB")
    there = prepare(tmp_path)
    assert here.kind == there.kind == "segmentation"
    assert isinstance(there.train.x, Lazy)
    assert here.fingerprint == there.fingerprint
    assert -1 in here.train.y
