"""Hugging Face's data sets: the same facts of the real library, where it is installed, and of a stand-in everywhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import standin_datasets as standin
from PIL import Image

from tuneful.core.errors import DataError
from tuneful.techniques.sources import read

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
CLASSES = [0, 1, 2, 0, -1, 1]
NAMES = ["ant", "bee", "cat"]


@pytest.fixture(params=["stand-in", "real"])
def hub(request) -> Any:
    """Makers of data sets: made(columns, features), splits, and the features' classes."""
    if request.param == "stand-in":
        return SimpleNamespace(
            made=standin.Dataset, splits=standin.DatasetDict, classes=standin.ClassLabel, image=standin.Image(),
            word=standin.Value(), number=standin.Value(), stream=standin.IterableDataset(),
        )  # fmt: skip
    real = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed; the stand-in runs above")

    def made(columns: dict[str, Any], features: dict[str, Any]) -> Any:
        return real.Dataset.from_dict(columns, features=real.Features(features))

    return SimpleNamespace(
        made=made, splits=real.DatasetDict, classes=lambda names: real.ClassLabel(names=names), image=real.Image(),
        word=real.Value("string"), number=real.Value("float32"), stream=real.IterableDataset.from_generator(lambda: iter(())),
    )  # fmt: skip


def pictures(hub: Any, pixels: np.ndarray = PIXELS) -> Any:
    return hub.made(
        {"image": [Image.fromarray(one) for one in pixels], "label": CLASSES[: len(pixels)]},
        {"image": hub.image, "label": hub.classes(NAMES)},
    )


def test_images_keep_their_pixels_and_classes_become_words(hub):
    raw = read(pictures(hub))
    part = raw.parts["train"]
    np.testing.assert_array_equal(part.x, PIXELS[[0, 1, 2, 3, 5]].transpose(0, 3, 1, 2))
    assert part.y.tolist() == ["ant", "bee", "cat", "ant", "bee"]
    assert [(f.what, f.count, f.of) for f in raw.findings] == [("images of train have no label and are left out", 1, 6)]


def test_grey_images_have_one_channel(hub):
    assert read(pictures(hub, PIXELS[..., 0])).parts["train"].x.shape == (5, 1, 5, 7)


def test_splits_are_known_by_their_words_and_others_are_told(hub):
    given = hub.splits({"train": pictures(hub), "validation": pictures(hub), "unsupervised": pictures(hub)})
    raw = read(given)
    assert set(raw.parts) == {"train", "valid"}
    assert any(f.what == "a split of the data set is not used" and f.examples == ("unsupervised",) for f in raw.findings)
    with pytest.raises(DataError, match="train is missing"):
        read(hub.splits({"test": pictures(hub)}))


def test_text_and_numbers_are_a_table_with_the_label_last(hub):
    given = hub.made(
        {"label": [0, 1, 0], "text": ["good, really", "bad\nnews", ""], "stars": [5.0, None, 3.0]},
        {"label": hub.classes(["pos", "neg"]), "text": hub.word, "stars": hub.number},
    )
    frame = read(given).parts["train"].frame
    assert frame.columns == ["text", "stars", "label"]
    assert frame["label"].to_list() == ["pos", "neg", "pos"]
    assert frame["text"].to_list() == ["good, really", "bad\nnews", ""]
    assert frame["stars"].to_list() == [5.0, None, 3.0]


def test_images_of_several_sizes_and_without_a_label_are_refused(hub):
    images = [Image.new("L", (4, 4)), Image.new("L", (5, 4))]
    with pytest.raises(DataError, match="image 1 of train is 4x5, and the first 4x4"):
        read(hub.made({"image": images, "label": [0, 1]}, {"image": hub.image, "label": hub.classes(NAMES)}))
    with pytest.raises(DataError, match="none of them is a label"):
        read(hub.made({"image": images[:1], "name": ["x"]}, {"image": hub.image, "name": hub.word}))


def test_a_stream_is_refused_in_a_sentence(hub):
    with pytest.raises(DataError, match="IterableDataset, which has no length") as told:
        read(hub.stream)
    assert "streaming" in told.value.hint


def test_a_frame_of_pandas_is_a_table():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({
        "n": [1.5, None, 3.0], "whole": pandas.array([1, None, 3], dtype="Int64"), "c": pandas.Categorical(["u", "v", "u"]),
        "when": pandas.to_datetime(["2024-01-02", "2024-01-03", None]), "yes": [True, False, True], "y": ["a", None, "b"],
    })  # fmt: skip
    found = read(frame).parts["train"].frame
    assert found.columns == ["n", "whole", "c", "when", "yes", "y"]
    assert found["n"].to_list() == [1.5, None, 3.0]
    assert found["whole"].to_list() == [1, None, 3]
    assert found["c"].to_list() == ["u", "v", "u"]
    assert [str(v)[:10] for v in found["when"].to_list()] == ["2024-01-02", "2024-01-03", "None"]
    assert found["yes"].to_list() == ["True", "False", "True"]
    assert found["y"].to_list() == ["a", None, "b"]
    with pytest.raises(DataError, match='column "a" twice'):
        read(pandas.DataFrame([[1, 2]], columns=["a", "a"]))
