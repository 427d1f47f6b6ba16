"""Every compressor: a source and a sentence, the same result from the same seed, a smaller file, what was given left alone."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.pipeline.export import finished, traced
from tuneful.techniques.compressors import TABLE, DynamicInt8, Half, StaticInt8
from tuneful.techniques.interfaces import Sight

GRAPHS = {name: cls for name, cls in TABLE.items() if cls.graphs and not cls.networks}


def exported(net: nn.Module, shape: tuple[int, ...]) -> bytes:
    return finished(traced(net.eval(), (torch.zeros(3, *shape),), ["x"], ["probabilities"]))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(288, 10),
    ]
    return nn.Sequential(*layers, nn.Softmax(dim=1)).requires_grad_(False)


@pytest.fixture(scope="module")
def model(net) -> bytes:
    return exported(net, (1, 8, 8))


@pytest.fixture(scope="module")
def sight() -> Sight:
    x = np.random.default_rng(0).normal(size=(128, 1, 8, 8)).astype("f4")
    return Sight(x, torch.from_numpy(x), torch.zeros(128, dtype=torch.int64), F.cross_entropy, 0)


def said(model: bytes, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model).run(None, {"x": x})[0]


@pytest.mark.parametrize("kind", TABLE)
def test_has_a_source_a_cost_and_a_sentence(kind):
    cls = TABLE[kind]
    assert cls.source
    assert cls.cost
    assert (cls.__doc__ or "").strip()
    assert cls().as_data()["kind"] == kind


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_becomes_smaller_says_much_the_same_and_is_made_alike_twice(kind, model, sight):
    step, before = TABLE[kind](), bytes(model)
    made = step.on_graph(model, sight)
    assert model == before
    assert len(made) < 0.8 * len(model)  # dynamic_int8 leaves the convolutions alone
    onnx.checker.check_model(onnx.load_from_string(made))
    np.testing.assert_allclose(said(made, sight.raw), said(model, sight.raw), atol=0.02)
    assert step.on_graph(model, sight) == made


@pytest.mark.parametrize("calibrate", ["minmax", "percentile", "entropy"])
def test_int8_weights_are_onnxs_own_rounding_of_ours(calibrate, model, sight, net):
    """ONNX's reference implementation, which is not onnxruntime's, rebuilds each weight to within half a step."""
    made = onnx.load_from_string(StaticInt8(calibrate=calibrate).on_graph(model, sight))
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    weights = {tuple(p.shape): p.numpy() for p in net.parameters() if p.ndim > 1}
    found = 0
    for node in made.graph.node:
        kept = tensors.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if kept is None or kept.dtype != np.int8 or kept.shape not in weights:
            continue
        scale = tensors[node.input[1]]
        shape = [-1 if at == 0 else 1 for at in range(kept.ndim)] if scale.ndim else []
        step = scale.reshape(shape) if shape else scale
        assert scale.size == kept.shape[0], "one scale an output channel"
        assert float(np.abs(kept * step - weights[kept.shape]).max() / step.max()) <= 0.5 + 1e-4
        found += 1
    assert found == 3


def test_activations_are_unsigned_and_weights_signed(model, sight):
    """The pair that x86 multiplies in one instruction; onnxruntime's default is signed and signed."""
    made = onnx.load_from_string(StaticInt8().on_graph(model, sight))
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    points = [kinds[node.input[2]] for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert points
    assert set(points) == {onnx.TensorProto.UINT8}


def test_half_keeps_each_weight_as_numpy_rounds_it(model, sight, net):
    made = onnx.load_from_string(Half().on_graph(model, sight))
    kept = [onnx.numpy_helper.to_array(t) for t in made.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert {a.tobytes() for a in kept} == {p.numpy().astype("f2").tobytes() for p in net.parameters() if p.numel() >= 64}


def test_bfloat16_is_rounded_as_torch_rounds_it(sight):
    weight = torch.randn(10, 64, generator=torch.Generator().manual_seed(1))
    layer = nn.Linear(64, 10).requires_grad_(False)
    layer.weight.copy_(weight)
    model = exported(nn.Sequential(nn.Flatten(), layer), (1, 8, 8))
    ours = said(Half(type="bfloat16").on_graph(model, sight), sight.raw)
    theirs = sight.x.flatten(1) @ weight.bfloat16().float().T + layer.bias
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_refuses_what_float16_cannot_hold(sight):
    layer = nn.Linear(64, 10).requires_grad_(False)
    layer.weight[0, 0] = 1e6
    model = exported(nn.Sequential(nn.Flatten(), layer), (1, 8, 8))
    with pytest.raises(ModelError, match=r"values up to 1e\+06; float16 ends at 65504"):
        Half().on_graph(model, sight)


def test_refuses_a_graph_that_is_quantized_already(model, sight):
    made = StaticInt8().on_graph(model, sight)
    with pytest.raises(ModelError, match="static_int8 was given a graph that is quantized already"):
        StaticInt8().on_graph(made, sight)


def test_dynamic_int8_refuses_a_graph_of_convolutions_alone(sight):
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 6), nn.Flatten())
    with pytest.raises(ModelError, match="finds no linear and no LSTM layer"):
        DynamicInt8().on_graph(exported(net.requires_grad_(False), (1, 8, 8)), sight)
