"""Every symptom on a network that has it and on one that has not, through the two lines of a loop of one's own."""

from __future__ import annotations

import json
import math
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tuneful
from tuneful.techniques.symptoms import TABLE, Complaint, LostDecay, Seen


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batches(classes: int = 5, features: int = 12, n: int = 32):
    """Draws batches of a problem that a straight line solves."""
    dice = torch.Generator().manual_seed(0)
    line = torch.randn(features, classes, generator=dice)

    def draw():
        x = torch.randn(n, features, generator=dice)
        return x, (x @ line).argmax(1)

    return draw


def watched(network, optimizer=None, draw=None, loss=F.cross_entropy, steps=60, targets=True, **more):
    """The kinds of complaints that a loop of one's own hears, and the watch."""
    optimizer = optimizer or torch.optim.AdamW(network.parameters(), lr=3e-3)
    draw = draw or batches()
    watch = tuneful.doctor(network, optimizer, steps=steps, every=3, **more)
    for _ in range(steps):
        x, y = draw()
        optimizer.zero_grad()
        value = loss(network(x), y)
        value.backward()
        optimizer.step()
        watch.step(value, y) if targets else watch.step(value)
    return {one.symptom for one in watch.complaints}, watch


def mlp(*, depth=2, width=24, features=12, outputs=5, act=nn.ReLU, gain=1.0):
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Linear(width if k else features, width), act()]
    net = nn.Sequential(*layers, nn.Linear(width, outputs))
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(gain)
    return net


def test_a_healthy_loop_hears_nothing():
    kinds, watch = watched(mlp())
    assert kinds == set()
    assert str(watch) == "nothing is wrong in the first 60 steps"
    assert watch.over
    assert watch.seen.looks == 20


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_says_nothing_of_what_was_not_seen(kind):
    assert TABLE[kind]().judge(Seen()) == ()


def test_what_was_seen_survives_json():
    _, watch = watched(nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 5)))
    again = Seen.from_data(json.loads(json.dumps(watch.seen.as_data())))
    assert again == watch.seen
    assert Complaint.from_data(json.loads(json.dumps(Complaint("a", "b", "c", 1.0).as_data()))) == Complaint(
        "a", "b", "c", 1.0
    )


# ------------------------------------------------------------------------------------------------ sick and healthy


def test_dead_units_are_those_that_a_negative_bias_closes():
    net = mlp()
    with torch.no_grad():
        net[2].bias[:16] = -100.0  # 16 of 24 never open
    kinds, watch = watched(net)
    assert "dead_units" in kinds
    assert next(c for c in watch.complaints if c.symptom == "dead_units").said.startswith(
        "16 of 24 units of 2.weight are dead"
    )
    with torch.no_grad():
        few = mlp()
        few[2].bias[:6] = -100.0
    assert "dead_units" not in watched(few)[0]


def test_saturated_tanh_is_told_and_a_sure_output_is_not():
    net = mlp(act=nn.Tanh, gain=1.0)
    with torch.no_grad():
        net[0].weight.mul_(200.0)
    kinds, watch = watched(net)
    assert "saturation" in kinds
    assert "of the values of 1 (tanh)" in str(watch)
    assert watched(mlp(act=nn.Tanh))[0] == set()
    sure = nn.Sequential(nn.Linear(12, 1), nn.Sigmoid())
    with torch.no_grad():
        sure[0].weight.mul_(300.0)
    draw = batches()
    kinds, watch = watched(
        sure, torch.optim.SGD(sure.parameters(), lr=1e-6), lambda: (lambda x, y: (x, (y > 2).float()[:, None]))(*draw()),
        F.binary_cross_entropy,
    )  # fmt: skip
    assert "saturation" not in kinds
    assert "probabilities" not in kinds  # this loss wants them


def test_gradients_vanish_in_a_deep_sigmoid_network_and_not_in_a_short_one():
    kinds, watch = watched(mlp(depth=12, act=nn.Sigmoid), torch.optim.SGD(mlp().parameters(), lr=0.1))
    assert "gradients" in kinds
    assert "the gradient vanishes: in 0.weight" in str(watch)
    assert "gradients" not in watched(mlp(depth=2, act=nn.Sigmoid))[0]


def test_gradients_explode_where_weights_are_large():
    net = mlp(depth=6, gain=60.0)
    kinds, watch = watched(net, torch.optim.SGD(net.parameters(), lr=1e-12))
    assert "gradients" in kinds
    assert "explodes" in str(watch)


def test_steps_too_long_too_short_and_usual():
    net = mlp()
    kinds, watch = watched(net, torch.optim.SGD(net.parameters(), lr=1e-7))
    assert kinds == {"update_ratio"}
    assert "changes no layer by more than" in str(watch)
    net = mlp()
    kinds, watch = watched(net, torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=19.0))  # turns each weight round
    assert "update_ratio" in kinds
    assert "of its length; about 0.001 is usual" in str(watch)
    net = mlp()
    assert watched(net, torch.optim.SGD(net.parameters(), lr=0.05))[0] == set()


@pytest.mark.parametrize(("dtype", "lr", "decay", "lost"), [
    (torch.float32, 1e-3, 1e-5, True), (torch.float32, 1e-3, 1e-2, False),
    (torch.bfloat16, 1e-3, 0.1, True), (torch.bfloat16, 0.1, 0.1, False),
])  # fmt: skip
def test_decay_is_lost_exactly_where_the_weights_stay_as_they_are(dtype, lr, decay, lost):
    w = torch.linspace(1.0, 2.0, 1000).to(dtype)
    p = nn.Parameter(w.clone())
    optimizer = torch.optim.AdamW([p], lr=lr, weight_decay=decay, foreach=False)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    assert bool((p == w).all()) is lost  # what torch itself does
    net = nn.Linear(12, 5).to(dtype)
    draw = batches()
    kinds, _ = watched(
        net, torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay), lambda: (lambda x, y: (x.to(dtype), y))(*draw()),
        steps=12,
    )  # fmt: skip
    assert ("lost_decay" in kinds) is lost


def test_decay_that_goes_through_the_gradient_is_no_business_of_it():
    net = nn.Linear(12, 5)
    assert "lost_decay" not in watched(net, torch.optim.SGD(net.parameters(), lr=1e-3, weight_decay=1e-6))[0]
    assert LostDecay().source


def test_denormals_in_adams_moments_unless_they_count_as_zero():
    def run() -> set[str]:
        net = mlp()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, foreach=False)
        return watched(net, optimizer, loss=lambda z, y: F.cross_entropy(z, y) * 1e-19)[0]

    flushed = float(torch.tensor(1e-40) * 1) == 0
    try:
        torch.set_flush_denormal(False)
        assert "denormals" in run()
        if torch.set_flush_denormal(True):
            assert "denormals" not in run()
        torch.set_flush_denormal(False)
        assert "denormals" not in watched(mlp())[0]
    finally:
        torch.set_flush_denormal(flushed)


@pytest.mark.parametrize("make", [
    lambda p, lr: torch.optim.SGD(p, lr=lr), lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
])  # fmt: skip
def test_the_edge_of_a_parabola_is_where_the_optimizer_itself_runs_away(make):
    from tuneful.pipeline.sharpness import edge

    curvature = torch.tensor([50.0, 3.0, 1.0])

    def length(lr: float) -> tuple[float, float | None]:
        w = nn.Parameter(torch.ones(3))
        optimizer = make([w], lr)
        for _ in range(400):
            optimizer.zero_grad()
            (0.5 * curvature * w.square()).sum().backward()
            optimizer.step()
        return float(w.detach().norm()), edge(lambda: (0.5 * curvature * w.square()).sum(), optimizer)

    at = 0.02
    limit = at / length(at)[1]  # the rate at which the edge is 1
    below, above = length(0.98 * limit), length(1.02 * limit)
    assert below[0] < 1.0
    assert not above[0] < 1.0  # nan, when it has run out of numbers
    assert below[1] == pytest.approx(0.98, rel=1e-3)


def test_the_edge_of_adam_is_that_of_cohen():
    """A parabola whose gradients are steady noise, so that v stands still: Adam is then momentum with a rate divided by sqrt(v)."""
    from tuneful.pipeline.sharpness import edge

    w = nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.Adam([w], lr=0.01, betas=(0.9, 0.999), eps=0.0)
    for _ in range(3000):
        w.grad = torch.tensor([2.0]) * (1 if torch.rand(1) < 0.5 else -1)
        optimizer.step()
    found = edge(lambda: 0.5 * 30.0 * w.square().sum(), optimizer)
    assert found == pytest.approx(30.0 / 2.0 * 0.01 / 38.0, rel=1e-2)


def test_a_rate_at_the_edge_is_told_where_the_loss_can_be_taken_again():
    x, y = batches()()

    def run(lr: float) -> set[str]:
        net = mlp(act=nn.Tanh)
        optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        watch = tuneful.doctor(net, optimizer, steps=30, every=3, loss=lambda: F.cross_entropy(net(x), y))
        for _ in range(30):
            optimizer.zero_grad()
            value = F.cross_entropy(net(x), y)
            value.backward()
            optimizer.step()
            watch.step(value, y)
        return {one.symptom for one in watch.complaints}

    assert "rate_edge" in run(10.0)
    assert "rate_edge" not in run(0.05)


def test_batch_norms_over_few_numbers_over_none_that_vary_and_with_statistics_that_lag():
    def net(momentum: float = 0.1) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16, momentum=momentum), nn.ReLU(), nn.Linear(16, 5))

    assert watched(net(), draw=batches(n=32), steps=90)[0] == set()
    assert "batch_norm" in watched(net(), draw=batches(n=4))[0]
    still = net()
    with torch.no_grad():
        still[0].weight.zero_()
    for p in still[0].parameters():
        p.requires_grad_(False)
    _, watch = watched(still)
    assert "do not vary over a batch" in str(watch)

    draw, step = batches(), iter(range(10_000))

    def drifting():
        x, y = draw()
        return x + 0.5 * next(step), y

    _, watch = watched(net(0.05), torch.optim.SGD(net(0.05).parameters(), lr=0.0), drifting, steps=120)
    assert "deviations apart" in str(watch)


def test_labels_that_the_loss_was_not_made_for():
    draw = batches()
    one = nn.Linear(12, 1)

    def values():
        x, y = draw()
        return x, y.float()

    with pytest.warns(UserWarning, match="target size"):
        kinds, watch = watched(one, draw=values, loss=F.mse_loss)
    assert "labels" in kinds
    assert "outputs have the shape [32, 1] and targets [32]" in str(watch)
    assert (
        "labels" not in watched(nn.Linear(12, 1), draw=lambda: (lambda x, y: (x, y[:, None]))(*values()), loss=F.mse_loss)[0]
    )

    signs = lambda: (lambda x, y: (x, 2.0 * (y[:, None] > 2) - 1.0))(*draw())  # noqa: E731
    assert "labels" in watched(nn.Linear(12, 1), draw=signs, loss=F.binary_cross_entropy_with_logits)[0]
    zeros = lambda: (lambda x, y: (x, (y[:, None] > 2).float()))(*draw())  # noqa: E731
    assert watched(nn.Linear(12, 1), draw=zeros, loss=F.binary_cross_entropy_with_logits)[0] == set()

    kinds, watch = watched(mlp(outputs=6), draw=lambda: (lambda x, y: (x, y + 1))(*draw()))
    assert "labels" in kinds
    assert "class 0 is the only one that never occurs" in str(watch)
    assert "labels" in watched(mlp(), draw=lambda: (lambda x, y: (x, y * 0 + 3))(*draw()))[0]
    soft = lambda: (lambda x, y: (x, F.one_hot(y, 5) * 2.0))(*draw())  # noqa: E731
    assert "labels" in watched(mlp(), draw=soft)[0]
    half = lambda: (lambda x, y: (x, 0.9 * F.one_hot(y, 5) + 0.02))(*draw())  # noqa: E731
    assert watched(mlp(), draw=half)[0] == set()


def test_without_targets_a_negative_binary_loss_gives_them_away():
    draw = batches()
    signs = lambda: (lambda x, y: (x, 2.0 * (y[:, None] > 2) - 1.0))(*draw())  # noqa: E731
    net = nn.Linear(12, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    assert "labels" in watched(net, optimizer, signs, F.binary_cross_entropy_with_logits, targets=False)[0]


@pytest.mark.parametrize("inside", [True, False])
def test_softmax_before_cross_entropy_is_told_wherever_it_stands(inside):
    net = nn.Sequential(mlp(), nn.Softmax(1)) if inside else mlp()
    loss = F.cross_entropy if inside else lambda z, y: F.cross_entropy(z.softmax(1), y)
    kinds, watch = watched(net, loss=loss, steps=200, optimizer=torch.optim.Adam(net.parameters(), lr=0.01), targets=False)
    assert kinds == {"probabilities"}
    floor = math.log1p(4 / math.e)
    assert f"cannot fall below {floor:.2f}" in str(watch)
    assert min(watch.seen.losses) > floor  # what was said of the loss is so


def test_heads_that_fit_their_losses_are_not_told():
    logged = nn.Sequential(mlp(), nn.LogSoftmax(1))
    assert watched(logged, loss=F.nll_loss)[0] == set()
    bare = mlp()
    assert (
        "probabilities" in watched(bare, loss=F.nll_loss, steps=120, optimizer=torch.optim.SGD(bare.parameters(), lr=0.1))[0]
    )
    draw = batches()
    yes = lambda: (lambda x, y: (x, (y[:, None] > 2).float()))(*draw())  # noqa: E731
    twice = nn.Sequential(nn.Linear(12, 1), nn.Sigmoid())
    assert watched(twice, draw=yes, loss=F.binary_cross_entropy_with_logits)[0] == {"probabilities"}


def test_a_slow_data_path_is_told_with_its_times():
    draw = batches()

    def slow():
        time.sleep(0.012)
        return draw()

    kinds, watch = watched(mlp(), draw=slow)
    assert kinds == {"data_path"}
    assert "the data path is slower than the step" in str(watch)

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            time.sleep(0.012)
            return self.net(x)

    assert "data_path" not in watched(Slow())[0]
