"""Every regularizer: the hook it answers, held against gradients by autograd, torch's own functions, or sums by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tuneful.core.config import comments
from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.measure import Measure, wilson
from tuneful.techniques.interfaces import Residual
from tuneful.techniques.regularizers import (
    L1,
    L2,
    TABLE,
    Averaging,
    Clipping,
    Dropout,
    EarlyStopping,
    ElasticNet,
    Exposure,
    Smoothing,
)


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.0), nn.Linear(6, 3))


def backward(net: nn.Module, extra: object = None) -> list[Tensor]:
    """Gradients of a loss, with a penalty written as a loss when one is given."""
    net.zero_grad()
    loss = net(torch.linspace(-1, 1, 32).reshape(8, 4)).square().mean()
    if extra is not None:
        loss = loss + extra(net)  # type: ignore[operator]
    loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


AVERAGES = {"averaging", "horizons", "swa", "lawa"}
LIMITS = {"clipping", "value_clipping", "adaptive_clipping", "percentile_clipping"}


class Block(nn.Module, Residual):
    """x + linear(relu(linear(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(width, width), nn.Linear(width, width)

    def ends(self) -> list[nn.Module]:
        return [self.two]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(self.one(x).relu())


def dice(seed: int = 0) -> Any:
    return lambda: torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", TABLE)
def test_every_hook_may_be_called_and_those_of_others_do_nothing(kind: str):
    r = TABLE[kind]()
    net = nn.Sequential(network(), Block(3))
    r.prepare(net)
    net.eval()
    before, weights = backward(net), [p.detach().clone() for p in net.parameters()]
    p, params = torch.eye(3), list(net.parameters())
    assert torch.equal(r.targets(p), p) == (kind != "smoothing")
    assert torch.equal(p, torch.eye(3))
    with r.during(params, dice()):
        inside = any(not torch.equal(a, b) for a, b in zip(weights, params))
    assert inside == r.shakes == (kind in ("weight_noise", "drop_connect"))
    if kind == "drop_connect":
        before = [p.grad.clone() for p in params]  # of thinned weights
    memory = r.start_memory(params)
    assert bool(memory) == (kind == "percentile_clipping")

    def changed() -> bool:
        return any(not torch.equal(a, b.grad) for a, b in zip(before, params) if b.grad is not None)

    r.penalize_(params)
    assert changed() == (kind in ("l1", "l2", "elastic_net"))
    before = [p.grad.clone() for p in params]
    for p in params:
        p.grad.mul_(0.0)  # no limit lengthens
    r.limit_(params, memory)
    assert all(p.grad.abs().max() == 0 for p in params)
    before = [p.grad.clone() for p in params]
    r.disturb_(params, 1, dice())
    assert changed() == (kind == "gradient_noise")
    r.settle_(params, 0.1)
    average = r.start_average(net)
    r.update_average_(average or {}, net, 1, 10)
    assert (average is not None) == (kind in AVERAGES)
    assert all(torch.equal(a, b) for a, b in zip(weights, params))
    assert bool(r.ends(measures([1.0] * 99), "max")) == (kind == "early_stopping")


def test_exposure_fills_rows_of_zeros_alone_and_changes_nothing_that_it_is_given():
    p = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    before = p.clone()
    filled = Exposure(weight=3.0).outsiders(p)
    assert filled.tolist() == [[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.5, 0.0, 0.5]]
    assert torch.equal(p, before)


@pytest.mark.parametrize("kind", sorted(LIMITS))
@given(scale=st.floats(1e-4, 1e4))
def test_a_limit_never_lengthens_and_keeps_signs(kind: str, scale: float):
    net = network()
    backward(net)
    params = [p for p in net.parameters() if p.grad is not None]
    for p in params:
        p.grad.mul_(scale)
    before, r = [p.grad.clone() for p in params], TABLE[kind]()
    memory = r.start_memory(params)
    for _ in range(3):
        r.limit_(params, memory)
    for p, old in zip(params, before):
        assert (p.grad.abs() <= old.abs() * (1 + 1e-6)).all()
        assert (p.grad * old >= 0).all()


@pytest.mark.parametrize("kind", sorted(LIMITS))
def test_a_gradient_that_is_no_number_stays_one(kind: str):
    p, q = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    p.grad, q.grad = torch.full((2, 2), math.nan), torch.ones(2, 2)
    r = TABLE[kind]()
    memory = r.start_memory([p, q])
    r.limit_([p, q], memory)
    assert p.grad.isnan().any()
    p.grad, q.grad = torch.ones(2, 2), torch.ones(2, 2)
    r.limit_([p, q], memory)
    assert p.grad.isfinite().all()  # nothing of it is remembered


@pytest.mark.parametrize(
    ("penalty", "loss"),
    [
        (
            ElasticNet(strength=0.3, l1_share=0.25),
            lambda net: sum(
                0.075 * m.weight.abs().sum() + 0.1125 * m.weight.square().sum() for m in net if isinstance(m, nn.Linear)
            ),
        ),
        (L1(strength=0.3), lambda net: 0.3 * sum(m.weight.abs().sum() for m in net if isinstance(m, nn.Linear))),
        (L2(strength=0.3), lambda net: 0.15 * sum(m.weight.square().sum() for m in net if isinstance(m, nn.Linear))),
    ],
)
def test_a_penalty_is_the_gradient_of_its_loss_on_weights_alone(penalty: L1 | L2 | ElasticNet, loss: object):
    net = network()
    theirs = backward(net, loss)
    backward(net)
    penalty.penalize_(list(net.parameters()))
    for p, g in zip(net.parameters(), theirs):
        torch.testing.assert_close(p.grad, g)


@pytest.mark.parametrize("penalty", [L1(), L2(), ElasticNet()])
def test_a_penalty_leaves_a_parameter_without_gradient_alone(penalty: L1 | L2 | ElasticNet):
    p = nn.Parameter(torch.ones(2, 2))
    penalty.penalize_([p])
    assert p.grad is None


def test_dropout_sets_every_place_and_keeps_the_mean():
    net = network()
    Dropout(rate=0.4).prepare(net)
    assert [m.p for m in net if isinstance(m, nn.Dropout)] == [0.4]
    assert net[3](torch.ones(100_000)).mean().item() == pytest.approx(1.0, abs=0.02)


def test_dropout_refuses_a_network_without_a_place_for_it():
    with pytest.raises(ModelError, match=r"no nn.Dropout module") as caught:
        Dropout().prepare(nn.Linear(2, 2))
    assert "leave dropout out" in caught.value.hint


def test_smoothing_gives_the_loss_of_torchs_label_smoothing():
    logits = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
    y = torch.arange(16) % 5
    theirs = nn.functional.cross_entropy(logits, y, label_smoothing=0.2)
    ours = nn.functional.cross_entropy(logits, Smoothing(amount=0.2).targets(nn.functional.one_hot(y, 5).float()))
    torch.testing.assert_close(ours, theirs)


def test_smoothing_refuses_a_regression():
    with pytest.raises(RecipeError, match="spreads probability over classes"):
        Smoothing().targets(torch.ones(4, 1))


@given(scale=st.floats(1e-3, 1e3))
def test_clipping_shortens_long_gradients_to_the_limit_and_leaves_short_ones(scale: float):
    params = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 2), (4,), ())]
    for p in params:
        p.grad = torch.full_like(p, scale)
    length = scale * math.sqrt(11)
    Clipping(max_norm=1.0).limit_(params, {})
    after = torch.cat([p.grad.flatten() for p in params if p.grad is not None])
    assert after.norm().item() == pytest.approx(min(length, 1.0), rel=1e-4)
    assert after.min() == after.max()


def test_clipping_never_waits_for_the_device(monkeypatch: pytest.MonkeyPatch):
    def waits(self: Tensor) -> float:
        raise AssertionError("item() was called")

    p = nn.Parameter(torch.zeros(3))
    p.grad = torch.full((3,), 5.0)
    monkeypatch.setattr(Tensor, "item", waits)
    monkeypatch.setattr(Tensor, "__bool__", waits)
    monkeypatch.setattr(Tensor, "__float__", waits)
    Clipping(max_norm=1.0).limit_([p], {})


def measures(values: list[float]) -> list[Measure]:
    """Values whose intervals are not known."""
    return [Measure(value, math.nan, math.nan, 1) for value in values]


@pytest.mark.parametrize(
    ("values", "direction", "stops"),
    [
        ([1, 2, 3, 4, 5], "max", False),
        ([1, 2, 3, 4, 5], "min", True),
        ([5, 4, 3, 2, 1], "min", False),
        ([3, 1, 1], "max", False),
        ([3, 1, 1, 1], "max", True),
        ([3, 3, 3, 3], "max", True),
        ([3, 1, 1, 4], "max", False),
        ([math.nan, math.nan, math.nan, 0.1], "max", False),
        ([0.1, math.nan, math.nan, math.nan], "max", True),
        ([math.nan] * 3, "min", True),
        ([], "max", False),
    ],
)
def test_early_stopping_counts_validations_without_improvement(values: list[float], direction: object, stops: bool):
    assert bool(EarlyStopping(patience=3).ends(measures(values), direction)) is stops  # type: ignore[arg-type]


def test_early_stopping_counts_small_gains_when_they_add_up():
    creeping = measures([0.01 * i for i in range(20)])
    assert EarlyStopping(patience=3, min_delta=0.025).ends(creeping, "max") == ""
    assert EarlyStopping(patience=3, min_delta=0.035).ends(creeping[:4], "max") != ""


def test_early_stopping_gives_its_reason_in_words():
    assert (
        EarlyStopping(patience=2).ends(measures([0.5, 0.9, 0.8, 0.9]), "max")
        == "no improvement on 0.9 in the last 2 validations"
    )
    assert EarlyStopping(patience=2).ends(measures([math.nan] * 2), "max") == "none of the first 2 validations gave a number"


@given(values=st.lists(st.floats(-1, 1), max_size=30), patience=st.integers(1, 5))
def test_early_stopping_sees_max_and_min_as_mirror_images(values: list[float], patience: int):
    r = EarlyStopping(patience=patience)
    assert bool(r.ends(measures(values), "max")) == bool(r.ends(measures([-v for v in values]), "min"))


def test_early_stopping_asks_for_more_than_noise():
    """The interval of 90 of 100 ends at 0.945: 95 of 100 is an improvement, 93 is not."""
    r = EarlyStopping(patience=3, min_delta="interval")
    assert r.ends([wilson(k, 100) for k in (90, 95, 95, 95)], "max") == ""
    said = r.ends([wilson(k, 100) for k in (90, 91, 92, 93)], "max")
    assert said == "no improvement on 0.9 beyond its interval [0.825634, 0.944771] in the last 3 validations"
    assert EarlyStopping(patience=3).ends([wilson(k, 100) for k in (90, 91, 92, 93)], "max") == ""
    assert r.ends([wilson(10 * k, 1000) for k in (90, 91, 92, 93)], "max") == "", (
        "ten times the examples, a third of the noise"
    )


def test_early_stopping_within_noise_knows_the_direction_and_missing_intervals():
    r = EarlyStopping(patience=2, min_delta="interval")
    falling = [Measure(v, v - 0.1, v + 0.5, 50) for v in (1.0, 0.95, 0.92)]
    assert r.ends(falling, "min") != ""
    assert r.ends([*falling[:2], Measure(0.85, 0.7, 0.9, 50)], "min") == ""
    assert r.ends(measures([0.5, 0.6, 0.7]), "max") == "", "without an interval every gain counts"


def test_early_stopping_refuses_other_words():
    with pytest.raises(RecipeError, match="min_delta is 'noise'"):
        EarlyStopping(min_delta="noise")


def test_averaging_is_the_recursion_done_by_hand_buffers_too():
    net, r = network(), Averaging(decay=0.5)
    average = r.start_average(net)
    by_hand = {name: value.double() for name, value in average.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for t in range(1, 12):
        backward(net)
        optimizer.step()
        r.update_average_(average, net, t, 1000)
        d = min(0.5, (1 + t) / (10 + t))
        by_hand = {name: d * old + (1 - d) * net.state_dict()[name].double() for name, old in by_hand.items()}
    for name, value in average.items():
        if name == "1.num_batches_tracked":
            assert value.item() == 11
        else:
            torch.testing.assert_close(value.double(), by_hand[name], rtol=1e-5, atol=1e-6)
    network(1).load_state_dict(average)


def test_the_average_is_a_copy_that_training_does_not_touch():
    net = network()
    average = Averaging().start_average(net)
    assert average is not None
    with torch.no_grad():
        net[0].weight.zero_()
    assert average["0.weight"].abs().sum() > 0
    assert not any(value.requires_grad for value in average.values())


def test_an_average_lies_nearer_the_minimum_than_noisy_weights():
    dice, r = torch.Generator().manual_seed(0), Averaging(decay=0.99)
    net = nn.Linear(50, 1, bias=False)
    average = r.start_average(net)
    for t in range(1, 1001):
        with torch.no_grad():
            net.weight.copy_(torch.randn(1, 50, generator=dice))
        r.update_average_(average, net, t, 1000)
    assert average["weight"].square().mean() < 0.05 * net.weight.square().mean()
