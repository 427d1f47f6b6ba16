"""The layer before the last: the same numbers as torch's, by a graph that the onnx package finds whole."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import tuneful
from tuneful.core.recipe import Recipe
from tuneful.pipeline.candidate import Candidate, Network, as_input, ends
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship
from tuneful.runtime.watch.embedding import embedded, opened


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """(task, network, artifact) of an untrained MLP with 96 units before its head."""
    task = prepare("digits", limit=400)
    torch.manual_seed(0)
    front, back = ends(task)
    net = Network(front, nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), back).eval()
    folder = tmp_path_factory.mktemp("embedding") / "artifact"
    ship(task, Candidate(net, Recipe(), steps=0), {"headline": "untrained"}, folder)
    return task, net, folder


def test_they_are_the_numbers_before_the_last_layer(digits):
    task, net, folder = digits
    x = task.train.x[:50]
    with torch.no_grad():
        wanted = net.body[:3](net.front(as_input(torch.from_numpy(np.asarray(x))))).numpy()
    np.testing.assert_allclose(embedded(tuneful.load(folder), x), wanted, atol=1e-5)


def test_the_graph_stays_whole(digits):
    _, _, folder = digits
    data = (folder / "model.onnx").read_bytes()
    changed, name = opened(data)
    before, after = onnx.load_from_string(data), onnx.load_from_string(changed)
    assert [one.name for one in after.graph.output] == [*(one.name for one in before.graph.output), name]
    del after.graph.output[-1]
    assert after == before


def test_what_is_no_graph_has_no_layer():
    assert opened(b"") is None
    assert opened(b"not protobuf at all") is None


def test_blurred_digits_are_found_and_the_same_are_not(digits):
    task, _, folder = digits
    model = tuneful.load(folder)
    x = np.asarray(task.train.x, dtype=np.float32)
    half = len(x) // 2
    same = tuneful.watch(model, x[half:], reference=x[:half], alarm="0.01")
    assert "embedding" in {one["name"] for one in same.found["columns"]}
    assert not same.drifted
    blurred = (x + np.roll(x, 1, axis=-1) + np.roll(x, 1, axis=-2)) / 3
    found = tuneful.watch(model, blurred[half:], reference=x[:half], alarm="0.01")
    assert {one["name"]: one["drifted"] for one in found.found["columns"]}["embedding"]
