"""What keeps weights in fewer numbers, against numpy, scikit-learn, torch and ONNX's own reference implementation."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from tuneful.core.errors import ModelError, RecipeError
from tuneful.pipeline.export import finished, traced
from tuneful.runtime.load import open_session
from tuneful.techniques.compressors import Half, LowRank, Movement, QuantizeAware, Share, Sparse, WeightOnly
from tuneful.techniques.compressors.quantize_aware import RoundedInput, RoundedWeight
from tuneful.techniques.compressors.share import grouped
from tuneful.techniques.compressors.sparse import largest, of_neighbours
from tuneful.techniques.interfaces import Sight


def model_of(net: nn.Module, shape: tuple[int, ...]) -> bytes:
    return finished(traced(net.eval().requires_grad_(False), (torch.zeros(3, *shape),), ["x"], ["value"]))


def sight(x: torch.Tensor) -> Sight:
    return Sight(x.numpy(), x, torch.arange(len(x)) % 3, F.cross_entropy, 0)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 9, 3), nn.ReLU(), nn.Flatten(), nn.Linear(9 * 4 * 4, 5))  # rows that no block divides


@pytest.mark.parametrize(
    "step", [WeightOnly(), WeightOnly(bits=4), WeightOnly(bits=4, block=7), Share(), Share(bits=8), Half()]
)
def test_two_runtimes_make_the_same_of_what_is_kept(step, net):
    x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1)).numpy()
    made = step.on_graph(model_of(net, (3, 6, 6)), None)
    (theirs,) = ReferenceEvaluator(onnx.load_from_string(made)).run(None, {"x": x})
    np.testing.assert_allclose(open_session(made).run(None, {"x": x})[0], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("bits", "block", "most"), [(8, 10**9, 127), (4, 32, 7), (4, 7, 7)])
def test_weights_are_rounded_to_the_nearest_multiple_of_their_scale(bits, block, most, net):
    weight = net[3].weight.detach().numpy()
    eye = nn.Linear(144, 5, bias=False)
    eye.weight.data.copy_(net[3].weight)
    made = WeightOnly(bits=bits, block=min(block, 1000)).on_graph(model_of(nn.Sequential(nn.Flatten(), eye), (144,)), None)
    kept = open_session(made).run(None, {"x": np.eye(144, dtype="f4")})[0].T
    for start in range(0, 144, min(block, 144)):
        part = weight[:, start : start + block]
        scale = np.abs(part).max(axis=1, keepdims=True) / most
        np.testing.assert_allclose(kept[:, start : start + block], np.round(part / scale) * scale, atol=1e-6)


def test_groups_are_those_of_scikit_learn():
    values = (np.random.default_rng(0).random(3000) ** 2).astype("f4")  # no group is empty, where the two would differ
    begun = np.linspace(values.min(), values.max(), 16)[:, None]
    centres, numbers = grouped(values, 16)
    theirs = KMeans(16, init=begun, n_init=1, max_iter=30, tol=0, algorithm="lloyd").fit(values[:, None].astype("f8"))
    np.testing.assert_allclose(centres, theirs.cluster_centers_[:, 0], atol=2e-3)
    assert (numbers == theirs.labels_).mean() > 0.995


def test_a_layer_of_low_rank_is_parted_without_loss_and_others_as_well_as_can_be():
    torch.manual_seed(0)
    thin = nn.Conv2d(16, 32, 3, padding=1, stride=2)
    thin.weight.data.copy_((torch.randn(32, 4) @ torch.randn(4, 144)).reshape(32, 16, 3, 3))
    wide = nn.Linear(512, 64)
    net = nn.Sequential(thin, nn.Flatten(), wide, nn.Linear(64, 3))
    x = torch.randn(8, 16, 8, 8)
    made = LowRank(keep=0.9999, epochs=0).on_network(net, sight(x))
    assert isinstance(made[0], nn.Sequential)
    assert made[0][0].out_channels == 4
    torch.testing.assert_close(made[0](x), net[0](x), rtol=1e-4, atol=1e-4)

    made = LowRank(keep=0.5, epochs=0).on_network(net, sight(x))
    rank = made[2][0].out_features
    values = np.linalg.svd(wide.weight.detach().numpy(), compute_uv=False)
    assert (values[:rank] ** 2).sum() >= 0.5 * (values**2).sum() > (values[: rank - 1] ** 2).sum()
    error = torch.linalg.norm(made[2][1].weight @ made[2][0].weight - wide.weight).item()
    assert error == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), rel=1e-4), (
        "Eckart & Young: no other of this rank is nearer"
    )
    assert type(made[3]) is nn.Linear, "the last layer stays"
    with pytest.raises(ModelError, match="no layer of this network becomes smaller"):
        LowRank(keep=0.9999).on_network(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3)), sight(torch.randn(4, 8)))


def test_masks_are_those_of_torch():
    worth = torch.randn(20, 7, 3, 3, generator=torch.Generator().manual_seed(0)).abs()
    theirs = torch_prune.L1Unstructured(amount=int(0.7 * worth.numel())).compute_mask(worth, torch.ones_like(worth))
    assert torch.equal(largest(worth, 0.7), theirs)


def test_two_of_four_neighbours_stay_and_they_are_the_largest():
    worth = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0)).abs()
    mask = of_neighbours(worth, 2, 4).reshape(6, -1, 4)
    table = worth.reshape(6, -1, 4)
    assert (mask.sum(-1) == 2).all()
    assert ((table * mask).amin(-1).where(mask.sum(-1) > 0, torch.ones(())) >= 0).all()
    assert (table.masked_fill(mask > 0, -1).amax(-1) <= table.masked_fill(mask == 0, 9).amin(-1)).all()
    assert of_neighbours(torch.rand(2, 6), 1, 4)[:, 4:].eq(1).all(), "a rest that is shorter stays"


def followed(step: Sparse, steps: int) -> tuple[nn.Module, list[float]]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
    x = torch.randn(64, 16)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    made = step.on_network(net, sight(x))
    optimizer, memory, shares = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9), {}, []
    for t in range(1, steps + 1):
        optimizer.zero_grad()
        F.cross_entropy(made(x), y).backward()
        optimizer.step()
        step.follow_(made, memory, t, steps)
        shares.append((made[0].weight == 0).float().mean().item())
    return made, shares


def test_the_share_grows_along_zhu_and_guptas_cube():
    made, shares = followed(Sparse(share=0.8, every=1), 60)
    wanted = [0.8 * (1 - (1 - min(1, t / 30)) ** 3) for t in range(1, 61)]
    np.testing.assert_allclose(shares, wanted, atol=1 / 512 + 1e-6)
    assert (made[2].weight == 0).sum() == 0, "the last layer stays"


def test_a_pattern_and_a_share_at_once():
    _, shares = followed(Sparse(pattern="2:4"), 20)
    assert shares[-1] == 0.5
    _, shares = followed(Sparse(share=0.6, gradual=False), 5)
    assert shares == pytest.approx([0.6] * 5, abs=0.01)
    with pytest.raises(RecipeError, match=r"sparse.pattern|pattern is '4:2'"):
        Sparse(pattern="4:2")


def test_movement_takes_what_moves_towards_zero_however_large_it_is():
    layer = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(1, 1))
    layer[0].weight.data.copy_(torch.tensor([[3.0, 0.5, -2.0, -0.4]]))
    step, memory = Movement(share=0.5, every=1), {}
    pull = torch.tensor([[0.3, -0.3, -0.2, 0.2]])  # the gradient: 3.0 and -2.0 move to zero, 0.5 and -0.4 away from it
    for t in range(1, 11):
        layer[0].weight.grad = pull.clone()
        layer[0].weight.data.sub_(0.01 * pull)
        step.follow_(layer, memory, t, 10)
    assert (layer[0].weight[0] != 0).tolist() == [False, True, False, True]


def test_rounding_in_training_is_torchs_own_fake_quantization():
    w = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    scale = w.abs().flatten(1).amax(1) / 127
    theirs = torch.fake_quantize_per_channel_affine(w, scale, torch.zeros(6), 0, -127, 127)
    torch.testing.assert_close(RoundedWeight()(w), theirs)
    x = torch.rand(50, 8, generator=torch.Generator().manual_seed(1)) * 3 - 1
    place = RoundedInput(0.9).train()
    made = place(x)
    low, high = x.amin().item(), x.amax().item()
    step = (high - low) / 255
    theirs = torch.fake_quantize_per_tensor_affine(x, step, round(-low / step), 0, 255)
    torch.testing.assert_close(made, theirs, atol=1e-5, rtol=1e-5)
    leaf = w.clone().requires_grad_(True)
    RoundedWeight()(leaf).square().sum().backward()
    torch.testing.assert_close(leaf.grad, 2 * RoundedWeight()(w)), "the gradient passes straight through"


def test_quantize_aware_leaves_plain_layers_with_the_weights_behind_the_rounding(net):
    x = torch.randn(8, 3, 6, 6)
    made = QuantizeAware().on_network(net, sight(x))
    made.train()(x)
    assert not torch.equal(made.eval()(x), net.eval()(x))
    plain = QuantizeAware().settled(made)
    assert [type(one) for one in plain] == [type(one) for one in net]
    torch.testing.assert_close(plain(x), net(x), rtol=0, atol=0)
    assert plain.state_dict().keys() == net.state_dict().keys()


def test_what_was_given_is_never_changed(net):
    x = torch.randn(8, 3, 6, 6)
    for step in (LowRank(keep=0.3), Sparse(), Movement(), QuantizeAware()):
        before = copy.deepcopy(net.state_dict())
        step.on_network(net, sight(x))
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
