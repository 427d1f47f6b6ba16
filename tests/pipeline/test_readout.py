"""What is read out of a run: the best of its averages, statistics taken anew, and the same after a stop at any step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.readout import recalibrate_
from tuneful.pipeline.train import Run

ALL = {
    "elastic_net": True, "elastic_net.proximal": True, "elastic_net.strength": 1e-3, "dropout": 0.2, "dropout.form": "gaussian",
    "drop_connect": 0.1, "weight_noise": 0.01, "gradient_noise": 0.01, "adaptive_clipping": 0.1, "value_clipping": 0.5,
    "percentile_clipping": 60, "percentile_clipping.window": 7, "horizons": True, "swa": 0.5, "lawa": 2, "averaging": 0.9,
    "smoothing": 0.1,
}  # fmt: skip


def made(task, **settings):
    base = {"epochs": 3, "batch_size": 32, "validate_every": 1, "threads": 1, "model": "mlp", "width": 16, "norm": "batch"}
    return from_mapping({**base, "regularizers": "none", **settings}, task)[0]


def bits(run):
    return {**run.network.state_dict(), **{f"read.{k}": v for k, v in run.readout.state_dict().items()}}


@pytest.mark.parametrize("stop", [1, 8, 9, 20])
def test_goes_on_bit_by_bit_with_every_regularizer_at_once(flowers, tmp_path, stop):
    recipe = made(flowers, **ALL)
    whole, run = Run(flowers, recipe), Run(flowers, recipe)
    curve = list(whole)
    while run.step < stop:
        run._one_step()
        if run.batches.due(run.step, recipe.validate_every):
            run.look()
    run.save(tmp_path / "state.safetensors")
    torch.manual_seed(stop)
    again = Run.resume(flowers, tmp_path / "state.safetensors")
    list(again)
    one, other = bits(whole), bits(again)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [(p.step, p.value, p.train_loss, p.valid_loss, p.notes) for p in again.curve] == [
        (p.step, p.value, p.train_loss, p.valid_loss, p.notes) for p in curve
    ]
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.memories["percentile_clipping"].values(), again.memories["percentile_clipping"].values())
    )


@pytest.mark.parametrize("kind", ["weight_noise", "gradient_noise", "drop_connect"])
def test_noise_follows_from_the_seed(flowers, kind):
    runs = [Run(flowers, made(flowers, seed=seed, **{kind: True})) for seed in (0, 0, 1)]
    for run in runs:
        list(run)
    weights = [torch.cat([p.detach().flatten() for p in run.params]) for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_best_of_the_averages_is_read_out(flowers):
    recipe = made(flowers, horizons=True, epochs=6, lr=0.02, schedule="constant")
    run = Run(flowers, recipe)
    for point in run:
        states = run.kept._readings(run.step, run.steps)
        values = {}
        for name, (state, _) in states.items():
            net = copy.deepcopy(run.readout)
            net.body.load_state_dict(state)
            values[name] = judge.score("accuracy", judge.predict(net, flowers.valid.x), flowers.valid.y)
        assert point.value.value == max(values.values())
        assert values[run.kept.chosen] == point.value.value
        assert (
            judge.score("accuracy", judge.predict(run.candidate().network, flowers.valid.x), flowers.valid.y)
            == point.value.value
        )


def test_statistics_are_torchs_update_bn():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 5), nn.BatchNorm1d(5))
    ours(torch.randn(9, 4))
    theirs = copy.deepcopy(ours)
    theirs[2].p = 0.0  # theirs leaves dropout on
    batches = [torch.randn(16, 4) for _ in range(7)]
    theirs.train()
    update_bn(batches, theirs)
    ours[0].eval()
    recalibrate_(ours, batches)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    assert [module.training for module in ours] == [False, True, True, True, True]
    assert ours[1].momentum == 0.1


def test_swa_is_judged_with_statistics_of_its_own_weights(stripes):
    recipe = made(stripes, model="convnet", width=4, swa=0.3, schedule="constant", lr=0.02, batch_size=16)
    recipe = recipe.replace("model", recipe.model)
    run = Run(stripes, recipe)
    list(run)
    net = copy.deepcopy(run.readout)
    norm = next(module for module in net.modules() if isinstance(module, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    recalibrate_(net.body, [net.front(run.batches.at(step)[0]) for step in range(run.batches.per_epoch)])
    torch.testing.assert_close(norm.running_mean, before)
    live = next(module for module in run.network.modules() if isinstance(module, nn.BatchNorm2d))
    assert not torch.allclose(live.running_mean, before, rtol=1e-3)
