"""Images with masks: which layouts are read, what the values of masks are taken for, how sizes are brought together."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tuneful.core.errors import DataError, RecipeError
from tuneful.pipeline import maskcodes
from tuneful.pipeline.maskcodes import Coding, decide
from tuneful.pipeline.maskfiles import nearest, read_mask, seen
from tuneful.pipeline.prepare import prepare
from tuneful.runtime.pixels import palette, write_mask
from tuneful.techniques.sources import Masked, name_of, read

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[3] / "shared" / "data")


def scene(seed: int, side: int = 24, things: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares on dark noise: an image [side, side, 3], and the number of each square (0: none)."""
    dice = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    for number in range(1, things + 1):
        top, left = dice.integers(1, side - 7, 2)
        mask[top : top + 5, left : left + 5] = number
    image = dice.integers(0, 60, (side, side, 3)) + 150 * (mask > 0)[..., None]
    return image.astype(np.uint8), mask


def laid(
    folder: Path, n: int = 20, code=lambda mask: ((mask > 0) * 255).astype(np.uint8), end: str = "", **at: object
) -> Path:
    """A folder of scenes with masks in some coding."""
    images, masks = (folder / str(at.get(name, name)) for name in ("images", "masks"))
    for made in (images, masks):
        made.mkdir(parents=True, exist_ok=True)
    for k in range(n):
        image, mask = scene(k, things=1 + k % 5)
        Image.fromarray(image).save(images / f"s{k:02}.png")
        coded = code(mask)
        (coded if isinstance(coded, Image.Image) else Image.fromarray(coded)).save(masks / f"s{k:02}{end}.png")
    return folder


def told(task) -> str:
    return "\n".join(map(str, task.findings))


def test_a_folder_of_images_and_masks_is_a_segmentation(tmp_path):
    task = prepare(laid(tmp_path))
    assert task.kind == "segmentation"
    assert task.labels == ("background", "foreground")
    assert task.objective.metric == "mean_iou"
    assert task.shape == (3, 24, 24)
    assert (len(task.train), len(task.valid), len(task.test)) == (12, 4, 4)
    every = np.concatenate([task.train.x, task.valid.x, task.test.open("a test").x])
    classes = np.concatenate([task.train.y, task.valid.y, task.test.open("a test").y])
    one = int(np.flatnonzero((every == scene(4, things=5)[0].transpose(2, 0, 1)).all((1, 2, 3)))[0])
    np.testing.assert_array_equal(classes[one], scene(4, things=5)[1] > 0)
    assert classes.dtype == np.int16
    assert "0 is background, 255 is foreground" in told(task)


@pytest.mark.parametrize(
    ("images", "masks"),
    [("images", "masks"), ("imgs", "annotations"), ("train/image", "train/mask"), ("images/train", "masks/train")],
)
def test_usual_layouts_are_read_and_pairs_are_found_by_name(tmp_path, images: str, masks: str):
    laid(tmp_path, images=images, masks=masks, end="_mask")
    if "train" in images:
        test = [name.replace("train", "test") for name in (images, masks)]
        laid(tmp_path, n=6, images=test[0], masks=test[1])
    raw = read(tmp_path)
    train = raw.parts["train"]
    assert name_of(tmp_path) == "mask_folder"
    assert isinstance(train, Masked)
    assert len(train.paths) == 20
    for path, mask in zip(train.paths, train.masks):
        assert Path(mask.decode()).stem == Path(path.decode()).stem + "_mask"
    assert ("test" in raw.parts) is ("train" in images)


def test_lists_beside_the_folders_name_the_splits(tmp_path):
    laid(tmp_path)
    (tmp_path / "train.txt").write_text("".join(f"s{k:02}\n" for k in range(14)))
    (tmp_path / "test.txt").write_text("s14\nimages/s15.png\ngone\n")
    raw = read(tmp_path)
    assert [len(part.paths) for part in raw.parts.values()] == [2, 14] or len(raw.parts["train"].paths) == 14
    assert len(raw.parts["test"].paths) == 2
    assert "gone" in str(raw.findings)
    assert any("in no list" in f.what and f.count == 4 for f in raw.findings)


def test_a_list_in_a_csv_is_read(tmp_path):
    laid(tmp_path, images="a", masks="b")
    rows = "".join(f"a/s{k:02}.png,b/s{k:02}.png,{'test' if k > 15 else 'train'}\n" for k in range(20))
    (tmp_path / "list.csv").write_text("image,mask,split\n" + rows)
    task = prepare(tmp_path / "list.csv")
    assert task.kind == "segmentation"
    assert len(task.test) == 4
    (tmp_path / "list.csv").write_text("image,mask\na/s00.png,../b/s00.png\n" + "a/s01.png,b/s01.png\n")
    with pytest.raises(DataError, match="does not lie below"):
        prepare(tmp_path / "list.csv")


def test_what_has_no_partner_is_told_and_two_of_one_name_are_refused(tmp_path):
    laid(tmp_path)
    (tmp_path / "masks" / "s03.png").unlink()
    (tmp_path / "images" / "s04.png").write_bytes(b"\x89PNG\r\n broken")
    task = prepare(tmp_path)
    assert "images in images have no mask and are left out: 1 of 20 (such as s03)" in told(task)
    assert "cannot be read and are left out: 1 of 19 (such as s04.png" in told(task)
    Image.new("RGB", (24, 24)).save(tmp_path / "images" / "s05.jpg")
    with pytest.raises(DataError, match=r"s05.jpg and s05.png, so that masks cannot be paired"):
        prepare(tmp_path)


def test_nothing_that_belongs_together_is_one_sentence(tmp_path):
    laid(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_name("other" + path.name))
    with pytest.raises(DataError, match=r"no mask in .* is called like an image") as error:
        prepare(tmp_path)
    assert "s00_mask.png" in str(error.value.hint)


# What values are


def coloured(mask: np.ndarray) -> np.ndarray:
    return np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[np.minimum(mask, 2)]


def in_a_palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.where(mask == 3, 255, np.minimum(mask, 2)).astype(np.uint8), "P")
    image.putpalette(palette(3))
    return image


def single_colours(mask: np.ndarray) -> np.ndarray:
    dice = np.random.default_rng(int(mask.sum()))
    return np.concatenate([np.zeros((1, 3)), dice.integers(1, 256, (300, 3))]).astype(np.uint8)[mask]


@pytest.mark.parametrize(
    ("code", "labels", "words"),
    [
        (lambda m: (m > 0).astype(np.uint8), ("background", "foreground"), "0 is background, 1 is foreground"),
        (lambda m: m > 0, ("background", "foreground"), "0 is background"),
        (lambda m: m, ("background", "foreground"), "number single things (instances)"),
        (lambda m: m.astype(np.uint16) * 1, ("background", "foreground"), "instances"),
        (lambda m: np.minimum(m, 2) * 90, ("0", "90", "180"), "3 values are 3 classes"),
        (coloured, ("#000000", "#0000ff", "#ff0000"), "3 colours are 3 classes (#000000"),
        (in_a_palette, ("0", "1", "2"), "255 is taken for unknown, as in PASCAL VOC"),
        (single_colours, ("background", "foreground"), "beside the background number single things"),
    ],
    ids=["ones", "bits", "instances", "instances of 16 bits", "values", "colours", "palette", "colours of instances"],
)
def test_what_the_values_of_masks_are_taken_for(tmp_path, code, labels, words):
    task = prepare(laid(tmp_path, n=40, code=code))
    assert task.labels == labels
    assert words in told(task)
    assert set(np.unique(task.train.y)) <= {-1, *range(len(labels))}


def test_the_user_decides_what_values_are(tmp_path):
    laid(tmp_path, code=lambda m: m)
    assert prepare(tmp_path, masks="classes").labels == ("0", "1", "2", "3", "4", "5")
    assert prepare(tmp_path, masks="instances").labels == ("background", "foreground")
    (tmp_path / "classes.txt").write_text("nothing\na\nb\nc\nd\ne\n")
    assert prepare(tmp_path, masks="classes").labels == ("nothing", "a", "b", "c", "d", "e")


def test_noise_of_jpeg_around_black_and_white_is_cut_in_the_middle(tmp_path):
    laid(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        Image.open(path).resize((96, 96)).save(path.with_suffix(".jpg"), quality=70)
        path.unlink()
    task = prepare(tmp_path)
    assert task.labels == ("background", "foreground")
    assert "as JPEG leaves them; they are cut at 128" in told(task)
    assert 0.02 < (task.train.y == 1).mean() < 0.4


def test_masks_of_one_value_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"all masks of train hold one value alone \(0\)"):
        prepare(laid(tmp_path, code=np.zeros_like))


def test_codes_that_train_has_not_are_nothing():
    coding = Coding("values", (0, 7, 30), ("a", "b", "c"))
    np.testing.assert_array_equal(coding.classes(np.array([[0, 7, 30, 8, 255]])), [[0, 1, 2, -1, -1]])
    assert Coding.of(coding.as_data()) == coding


def test_few_images_with_one_thing_each_are_no_instances():
    """1 in each mask, always: a class, not a number."""
    masks = [np.eye(6, dtype=int) * k for k in (1, 1, 2, 2, 1)]
    findings: list = []
    assert decide(seen(masks), "auto", (), findings).how == "values"
    assert maskcodes.NOTHING == -1


# Sizes


def test_masks_take_the_nearest_pixel_as_pillow_does():
    mask = np.random.default_rng(0).integers(0, 9, (37, 53)).astype(np.uint8)
    for high, wide in ((16, 24), (80, 100), (37, 53)):
        wanted = np.asarray(Image.fromarray(mask).resize((wide, high), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(nearest(mask, high, wide), wanted)


def test_images_of_many_sizes_are_brought_to_the_middle_one_s_shape(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for k in range(12):
        high, wide = 150 + 10 * k, 300 + 20 * k
        Image.new("L", (wide, high), 20 * k).save(tmp_path / "images" / f"{k}.png")
        mask = np.zeros((high, wide), np.uint8)
        mask[: high // 2] = 1
        Image.fromarray(mask).save(tmp_path / "masks" / f"{k}.png")
    task = prepare(tmp_path)
    assert task.shape == (1, 64, 128)
    assert "brought to 64x128 (larger than 128 pixels; sides are stretched, masks take the nearest pixel)" in told(task)
    np.testing.assert_array_equal(task.train.y[0], np.repeat([1, 0], 32)[:, None] * np.ones((1, 128)))
    assert prepare(tmp_path, size=(32, 48)).shape == (1, 32, 48)
    with pytest.raises(RecipeError, match=r"it must be in \[4, 4096\]"):
        prepare(tmp_path, size=2)


# Arrays


def test_arrays_of_images_and_masks_need_no_word():
    x, y = (np.stack(parts) for parts in zip(*(scene(k) for k in range(20))))
    for masks in (y > 0, (y > 0).astype(np.uint8)[..., None], (y > 0).astype(np.int64)):
        task = prepare((x, masks))
        assert task.kind == "segmentation"
        assert task.labels == ("background", "foreground")
        assert task.shape == (3, 24, 24)
    assert prepare((x, (y > 0).astype(float)), kind="segmentation").kind == "segmentation"
    unknown = np.where(y == 2, -1, y > 0)
    assert (prepare((x, unknown)).train.y == -1).any()
    with pytest.raises(DataError, match="not whole"):
        prepare((x, y + 0.5), kind="segmentation")
    with pytest.raises(DataError, match="labels of train have shape"):
        prepare((x, y[:, :5]))


def test_masks_are_written_as_they_are_read(tmp_path):
    mask = np.random.default_rng(0).integers(0, 21, (9, 7))
    write_mask(tmp_path / "m.png", mask, 21)
    np.testing.assert_array_equal(read_mask(os.fsencode(tmp_path / "m.png"))[0], mask)
    many = np.random.default_rng(0).integers(0, 900, (9, 7))
    write_mask(tmp_path / "n.png", many, 900)
    np.testing.assert_array_equal(read_mask(os.fsencode(tmp_path / "n.png"))[0], many)


def test_the_palette_is_pascal_voc_s():
    """The first colours of the VOC development kit."""
    colours = np.array(palette(21)).reshape(256, 3)
    assert colours[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert colours[15].tolist() == [192, 128, 128]


def test_nuclei_are_instances_in_two_official_splits():
    folder = DATA / "nuclei_fluorescence"
    if not folder.is_dir():
        pytest.skip(f"nuclei_fluorescence is not in {DATA}; set TUNEFUL_DATA to the folder that holds it")
    task = prepare(folder)
    assert (len(task.train) + len(task.valid), len(task.test)) == (120, 40)
    assert "99 different values beside the background number single things (instances)" in told(task)
    assert task.labels == ("background", "foreground")
    everywhere = np.concatenate([task.train.y, task.valid.y])
    assert 0.06 < (everywhere == 1).mean() < 0.1  # the README says 0.078 of all pixels
