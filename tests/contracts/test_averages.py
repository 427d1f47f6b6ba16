"""Averages of weights: held against torch.optim.swa_utils and sums by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tuneful.techniques.regularizers import LAWA, SWA, Averaging, Horizons

STEPS = 40


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))


def walk(r: Any, watch: Callable[[int, nn.Module], None] = lambda t, net: None) -> tuple[nn.Module, dict[str, Tensor]]:
    """A short training, averaged on the way."""
    net = network()
    average = r.start_average(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for t in range(1, STEPS + 1):
        optimizer.zero_grad()
        net(torch.randn(16, 4, generator=torch.Generator().manual_seed(t))).square().mean().backward()
        optimizer.step()
        r.update_average_(average, net, t, STEPS)
        watch(t, net)
    return net, average


def close(state: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in other.items():
        torch.testing.assert_close(state[name], value, msg=name)


def test_swa_is_the_averaged_model_of_torch():
    torchs = AveragedModel(network())

    def watch(t: int, net: nn.Module) -> None:
        if t > 0.5 * STEPS and (t - 21) % 3 == 0:
            torchs.update_parameters(net)

    r = SWA(start=0.5, every=3)
    net, average = walk(r, watch)
    (state,) = r.readings(average, net, STEPS, STEPS).values()
    assert int(torchs.n_averaged) == 7
    close(state, {name: p.detach() for name, p in torchs.module.named_parameters()})


def test_before_its_start_swa_is_the_network():
    r = SWA(start=0.99)
    seen: list[bool] = []
    net = network()
    average = r.start_average(net)
    with torch.no_grad():
        for t in range(1, 30):
            net[0].weight.add_(0.1)
            r.update_average_(average, net, t, STEPS)
            seen.append(torch.equal(average["0.weight"], net[0].weight))
    assert all(seen)


def test_lawa_is_the_mean_of_the_newest_snapshots():
    kept: list[dict[str, Tensor]] = []

    def watch(t: int, net: nn.Module) -> None:
        if t % 4 == 0:
            kept.append({name: value.clone() for name, value in net.state_dict().items()})

    r = LAWA(keep=3, every=0.1)
    net, average = walk(r, watch)
    (state,) = r.readings(average, net, STEPS, STEPS).values()
    assert len(kept) == 10
    close(state, {name: sum(k[name] for k in kept[-3:]) / 3 for name in ("0.weight", "2.bias", "1.running_mean")})  # type: ignore[misc]
    assert state["1.num_batches_tracked"] == 40
    few = r.readings(average, net, 9, STEPS)
    assert list(few) == ["the mean of snapshots"]
    assert torch.equal(next(iter(r.readings(r.start_average(net), net, 3, STEPS).values()))["0.weight"], net[0].weight)
    network().load_state_dict(state)


def test_each_horizon_is_an_average_with_its_memory_and_after_the_beginning_torchs():
    r = Horizons(memories=(0.1, 0.5))
    net, average = walk(r)
    states = r.readings(average, net, STEPS, STEPS)
    assert list(states) == ["the average over 0.1 of the run", "the average over 0.5 of the run"]
    for state, decay in zip(states.values(), (1 - 1 / 4, 1 - 1 / 20)):
        _, alone = walk(Averaging(decay=decay))
        close(state, alone)


def test_after_its_beginning_an_average_is_torchs():
    ema, theirs = Averaging(decay=0.75), get_ema_multi_avg_fn(0.75)
    net = network()
    average = ema.start_average(net)
    with torch.no_grad():
        for t in range(1, 60):
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(t)))
            before = [average[name].clone() for name, _ in net.named_parameters()]
            ema.update_average_(average, net, t, 60)
            theirs(before, [p.detach() for p in net.parameters()], None)
            if t > 26:  # (1 + t) / (10 + t) is above 0.75
                close(average, {name: b for (name, _), b in zip(net.named_parameters(), before)})


@pytest.mark.parametrize("r", [Averaging(), Horizons(), SWA(), LAWA()])
def test_a_copy_of_the_tensors_goes_on_as_they_would(r: Any):
    whole = walk(r)[1]
    net = network()
    average = r.start_average(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for t in range(1, STEPS + 1):
        optimizer.zero_grad()
        net(torch.randn(16, 4, generator=torch.Generator().manual_seed(t))).square().mean().backward()
        optimizer.step()
        if t == 27:
            average = {name: value.clone() for name, value in average.items()}
        r.update_average_(average, net, t, STEPS)
    assert all(torch.equal(value, average[name]) for name, value in whole.items())
