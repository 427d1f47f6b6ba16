"""Images and arrays become tasks: sizes, modes, layouts, means; files are read as Pillow reads them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tuneful.core.errors import DataError
from tuneful.pipeline.prepare import prepare
from tuneful.runtime.preprocess import apply

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[3] / "shared" / "data")
dice = np.random.default_rng(0)


def pixels(height=8, width=8, channels=3):
    return dice.integers(0, 256, (height, width, channels) if channels > 1 else (height, width), dtype=np.uint8)


def folder(root, make, classes=("a", "b"), n=10, suffix="png"):
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            make(name, i).save(root / name / f"{i}.{suffix}")
    return root


def every(task):
    return np.concatenate([task.train.x, task.valid.x, task.test.open("test").x])


def what(task):
    return "\n".join(f.what for f in task.findings)


def test_digits_are_those_of_scikit_learn():
    task = prepare("digits")
    images, target = load_digits(return_X_y=True)
    assert task.shape == (1, 8, 8)
    assert every(task).dtype == np.uint8
    known = {(x.astype(np.uint8).tobytes(), y) for x, y in zip(images, target)}
    assert {(x.tobytes(), y) for x, y in zip(task.train.x, task.train.y)} <= known
    assert len(every(task)) == 1797


def test_images_are_those_that_pillow_reads(tmp_path):
    folder(tmp_path, lambda name, i: Image.fromarray(pixels()))
    task = prepare(tmp_path)
    assert task.shape == (3, 8, 8)
    files = {np.asarray(Image.open(p)).transpose(2, 0, 1).tobytes(): p.parent.name for p in tmp_path.rglob("*.png")}
    for x, y in zip(task.train.x, task.train.y):
        assert files[x.tobytes()] == task.labels[y]


def test_mean_and_deviation_are_those_of_train(tmp_path):
    task = prepare(folder(tmp_path, lambda name, i: Image.fromarray(pixels())))
    train = task.train.x.astype(np.float64)
    np.testing.assert_allclose(task.normalize["mean"], train.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(task.normalize["std"], train.std(axis=(0, 2, 3)))
    x = dice.normal(5, 3, (90, 4)).astype(np.float32)
    task = prepare((x, np.arange(90) % 2))
    np.testing.assert_allclose(task.normalize["mean"], task.train.x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(task.normalize["std"], task.train.x.std(axis=0), rtol=1e-5)


def test_grey_stays_one_channel_and_a_mixture_becomes_three(tmp_path):
    assert prepare(folder(tmp_path / "g", lambda name, i: Image.fromarray(pixels(channels=1)))).shape == (1, 8, 8)
    mixed = folder(tmp_path / "m", lambda name, i: Image.fromarray(pixels(channels=1 if i < 3 else 3)))
    task = prepare(mixed)
    assert task.shape == (3, 8, 8)
    told = next(f for f in task.findings if "grey among coloured" in f.what)
    assert (told.severity, told.count, told.of) == ("warning", 6, 20)


def test_transparent_pixels_lie_on_white(tmp_path):
    clear = pixels(channels=4)
    clear[..., 3] = 0
    task = prepare(folder(tmp_path, lambda name, i: Image.fromarray(clear)))
    assert (every(task) == 255).all()


def test_palettes_and_sixteen_bits(tmp_path):
    flat = pixels(channels=3) // 64 * 64
    task = prepare(folder(tmp_path / "p", lambda name, i: Image.fromarray(flat).convert("P")))
    wanted = np.asarray(Image.fromarray(flat).convert("P").convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(every(task)[0], wanted)
    deep = dice.integers(0, 65536, (8, 8)).astype(np.uint16)
    deep[0, 0] = 65535
    task = prepare(folder(tmp_path / "d", lambda name, i: Image.fromarray(deep)))
    np.testing.assert_array_equal(every(task)[0, 0], deep >> 8)


def test_the_camera_s_orientation_is_obeyed(tmp_path):
    upright = np.zeros((16, 8, 3), dtype=np.uint8)
    upright[:8] = 255

    def turned(name, i):
        return Image.fromarray(np.rot90(upright).copy())

    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(5):
            turned(name, i).save(tmp_path / name / f"{i}.jpg", exif=exif, quality=95)
    task = prepare(tmp_path)
    assert task.shape == (3, 16, 8)
    image = every(task)[0].mean(axis=0)
    assert image[:7].mean() > 240
    assert image[9:].mean() < 15


@pytest.mark.parametrize(("sizes", "shape"), [([(9, 9)] * 8 + [(5, 6)] * 2, (9, 9)), ([(100, 80), (90, 120)] * 5, (64, 64)),
                                              ([(30, 33), (31, 20), (22, 40)] * 4, (32, 32)), ([(200, 200)] * 10, (64, 64))])  # fmt: skip
def test_the_common_size_is_found_or_chosen_and_told(sizes, shape, tmp_path):
    task = prepare(folder(tmp_path, lambda name, i: Image.fromarray(pixels(*sizes[i])), n=len(sizes)))
    assert task.shape == (3, *shape)
    assert "images are of another size and are resized" in what(task)
    assert prepare(tmp_path, size=16).shape == (3, 16, 16)


def test_served_files_and_arrays_equal_the_trained_ones(tmp_path):
    task = prepare(folder(tmp_path, lambda name, i: Image.fromarray(pixels(12 + i % 2, 10))))
    files = sorted(tmp_path.rglob("*.png"))
    served = apply(task.schema, files)
    assert {x.tobytes() for x in every(task).astype(np.float32)} == {x.tobytes() for x in served}
    height, width = task.shape[1:]
    last = np.ascontiguousarray(served.transpose(0, 2, 3, 1)).astype(np.uint8)
    np.testing.assert_array_equal(apply(task.schema, last), served)
    np.testing.assert_array_equal(apply(task.schema, str(files[0])), served[:1])
    for bad, sentence in (
        (last[:, :5], r"the images have shape .*; it must be \[N, 3, "),
        (last / 255.0, r"the largest pixel is .*; pixels must lie in 0..255"),
        (np.full((1, 3, height, width), np.nan), "values are NaN or infinite"),
        (np.array([["a"]]), "it must be numbers"),
    ):
        with pytest.raises(DataError, match=sentence):
            apply(task.schema, bad)
    with pytest.raises(DataError, match="cannot be read as an image"):
        apply(task.schema, [tmp_path / "none.png"])


@pytest.mark.parametrize(
    ("given", "shape"),
    [((60, 8, 8), (1, 8, 8)), ((60, 8, 8, 3), (3, 8, 8)), ((60, 3, 8, 8), (3, 8, 8)), ((60, 12), (12,)), ((60,), (1,)),
     ((60, 1, 28, 28), (1, 28, 28)), ((60, 28, 28, 1), (1, 28, 28))],
)  # fmt: skip
def test_layouts_of_arrays(given, shape):
    x = dice.integers(0, 255, given).astype(np.uint8)
    task = prepare((x, np.arange(60) % 2))
    assert task.shape == shape
    assert every(task).dtype == (np.uint8 if len(shape) == 3 else np.float32)


def test_labels_may_be_words_one_hot_or_a_column():
    x = dice.random((60, 4))
    y = np.arange(60) % 3
    reference = prepare((x, y))
    for given in (np.eye(3)[y], y[:, None], [str(v) for v in y], y.astype(float)):
        task = prepare((x, given))
        assert task.labels == ("0", "1", "2")
        np.testing.assert_array_equal(task.train.y, reference.train.y)
    assert prepare((x, np.array(["ox", "ant", "bee"])[y])).labels == ("ant", "bee", "ox")


def test_constant_and_repeated_features_and_leaks_of_vectors_are_told():
    x = dice.random((90, 5)).astype(np.float32)
    x[:, 1], x[:, 3] = 4, x[:, 0]
    task = prepare((x, x[:, 2] * 3 + 1))
    found = {f.what: f.examples for f in task.findings}
    assert found["features are constant in train and say nothing"] == ("feature 1",)
    assert found["features repeat others in every row of train"] == ("feature 3",)
    assert found["features give the target away (a leak)"] == ("feature 2",)


def test_regression_keeps_the_unit_and_the_scale_of_train():
    x = dice.random((90, 5)).astype(np.float32)
    y = dice.normal(1000, 50, 90)
    task = prepare((x, y))
    assert (task.kind, task.labels, task.objective.metric, task.train.y.dtype) == ("regression", (), "rmse", np.float32)
    np.testing.assert_allclose(task.target["mean"], task.train.y.mean(dtype=np.float64))
    np.testing.assert_allclose(task.target["std"], task.train.y.std(dtype=np.float64))


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [("mnist", (1, 28, 28), [50000, 10000, 10000]), ("cifar10_folder", (3, 32, 32), [1600, 400, 500])],
)
def test_real_images_need_nothing_but_their_path(name, shape, counts):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not in {DATA}; set TUNEFUL_DATA to the folder that holds it")
    task = prepare(DATA / name)
    assert (task.shape, len(task.labels), task.objective.metric) == (shape, 10, "accuracy")
    assert [len(task.train), len(task.valid), len(task.test)] == counts
