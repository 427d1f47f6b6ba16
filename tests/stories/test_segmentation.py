"""From a folder of images and masks to masks of new images: trained, proven, reported, predicted, measured again, without torch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tuneful
from tuneful.cli import main
from tuneful.pipeline import judge
from tuneful.pipeline.maskfiles import read_mask

_CHILD = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "sklearn", "scipy", "polars", "optuna", "pydantic", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
from tuneful import runtime
model = runtime.load(sys.argv[1])
(mask,) = model.masks([sys.argv[2]])
print(mask.shape, int(mask.sum()), str(mask.dtype))
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


def scene(seed: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright disks on a dark ground that gets brighter from left to right, so that no threshold of the whole image serves."""
    dice = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    mask = np.zeros((side, side), bool)
    for _ in range(4):
        y, x, r = *dice.uniform(0, side, 2), dice.uniform(side / 10, side / 6)
        mask |= (rows - y) ** 2 + (columns - x) ** 2 < r**2
    image = 180 * columns / side + 60 * mask + dice.normal(0, 5, (side, side))
    return image.clip(0, 255).astype(np.uint8), mask


def folder(root: Path, n: int = 40, side: int = 32) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for k in range(n):
        image, mask = scene(k, side + 8 * (k % 2))
        Image.fromarray(image).save(root / "images" / f"{k:02}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(root / "masks" / f"{k:02}.png")
    return root


def test_from_a_folder_to_masks_of_new_images(tmp_path, capsys):
    data = folder(tmp_path / "disks")
    settings = ["size=32", "epochs=8", "threads=1", "model.width=8", "model.depth=3", "lr=1e-2", "batch_size=4"]
    assert main(["train", str(data), *settings, "--name", "disks"]) == 0
    said = capsys.readouterr()
    assert "segmentation into 2 classes of pixels" in said.err
    assert "other baselines, mean_iou" in said.out
    run = tmp_path / "runs" / "disks"
    told = json.loads((run / "evidence.json").read_text())
    assert set(told["test"]) == {"mean_iou", "dice", "pixel_accuracy", "pixel_log_loss"}
    n = told["task"]["n_test"]
    assert told["test"]["mean_iou"]["n"] == n
    assert {one["name"] for one in told["baselines"]} == {
        "shares of train",
        "Otsu's threshold",
        "logistic regression on colour",
    }
    assert told["test"]["mean_iou"]["value"] > 0.75
    assert sum(map(sum, told["confusion"])) == n * 32 * 32
    assert told["per_class"]["foreground"]["f1"]["value"] == pytest.approx(told["test"]["dice"]["value"])

    page = (run / "report.html").read_text()
    assert len(re.findall(r'<img src="data:image/png;base64,', page)) == 3 * len(told["pictures"]) >= 12
    assert "Image, truth, answer" in page
    assert "at each pixel" in (run / "artifact" / "card.md").read_text()

    assert main(["predict", str(run), str(data), "-o", "found"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "file,mask,share(background),share(foreground)"
    assert len(table) == 41
    agree = []
    for k in range(40):
        mask, coloured = read_mask(os.fsencode(tmp_path / "found" / "images" / f"{k:02}.png"))
        truth = scene(k, 32 + 8 * (k % 2))[1]
        assert not coloured
        assert mask.shape == truth.shape  # at the size of each image, whatever the network sees
        agree.append((mask == truth).mean())
    assert np.mean(agree) > 0.85

    assert main(["evaluate", str(run / "artifact"), str(data), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["measures"]["mean_iou"]["n"] == 40

    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(run / "artifact"), str(data / "images" / "01.png")],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert child.stdout.split(") ")[0] + ")" == "(40, 40)"
    assert int(child.stdout.split()[-2]) == read_mask(os.fsencode(tmp_path / "found" / "images" / "01.png"))[0].sum()


def test_from_arrays_with_three_classes_and_unknown_pixels(tmp_path):
    x, y = (np.stack(parts) for parts in zip(*(scene(k, 24) for k in range(30))))
    y = y.astype(np.int64)
    y[:, :8] *= 2
    y[:, :2, :2] = -1
    result = tuneful.train((x, y), epochs=2, threads=1, width=4, depth=2, loss="cross_entropy", augments="flip")
    assert result.task.kind == "segmentation"
    assert result.task.labels == ("0", "1", "2")
    model = tuneful.load(result.artifact.folder)
    p = judge.predict(result.candidate.network, x[:4, None], kind="segmentation")
    np.testing.assert_allclose(model.probabilities(x[:4]), p, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(model.predict(x[:4]), p.argmax(-1))
    with pytest.raises(tuneful.TunefulError, match="mixup"):
        tuneful.train((x, y), epochs=1, augments="mixup")
    with pytest.raises(tuneful.TunefulError, match="convnet gives one answer"):
        tuneful.train((x, y), epochs=1, model="convnet")


OWN = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, inputs, outputs, width=8):
        super().__init__(nn.Conv2d(inputs[0], width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 1))
"""


def test_a_network_of_your_own_gives_classes_before_rows_as_torch_s_do(tmp_path):
    (tmp_path / "net.py").write_text(OWN)
    x, y = (np.stack(parts) for parts in zip(*(scene(k, 16) for k in range(20))))
    result = tuneful.train((x, y), epochs=1, threads=1, model=f"{tmp_path / 'net.py'}:Net")
    assert result.candidate.network(result.candidate.network.front.mean.expand(2, 1, 16, 16)).shape == (2, 16, 16, 2)
    assert tuneful.load(result.artifact.folder).predict(x).shape == x.shape
