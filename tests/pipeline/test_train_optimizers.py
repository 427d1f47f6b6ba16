"""Every optimizer inside a run: it learns, and it goes on bit by bit after a stop."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tuneful.core.errors import RecipeError
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.readout import recalibrate_
from tuneful.pipeline.step import frozen_statistics
from tuneful.pipeline.train import Run
from tuneful.techniques.optimizers import TABLE

RATES = {"gd": 0.5, "sgd": 0.1, "momentum": 0.1, "nesterov": 0.1, "adagrad": 0.1, "adadelta": 30.0, "lion": 3e-3, "lamb": 0.03, "lars": 5.0,
         "adafactor": 0.1, "radam": 0.1, "muon": 0.02, "schedule_free_sgd": 1.0, "prodigy": 1.0, "sam": 0.05, "asam": 0.05, "lookahead": 0.1,
         "lbfgs": 1.0}  # fmt: skip
RUNNING = [kind for kind in TABLE if not TABLE[kind].unsaved]
HARD = {
    "model": "convnet",
    "width": 4,
    "dropout": 0.3,
    "smoothing": 0.1,
    "clipping": 1.0,
    "l2": 1e-4,
    "crop": 1,
    "noise": 0.1,
}


def made(task, **settings):
    return from_mapping({"threads": 1, "seed": 1, **settings}, task)[0]


def settings_of(kind, **others):
    found = {"optimizer": kind, "lr": RATES.get(kind, 0.01), **others}
    if TABLE[kind].whole:
        found.pop("batch_size", None)
    return found


@pytest.mark.parametrize("kind", RUNNING)
def test_learns_classes(flowers, kind):
    epochs = 40 if TABLE[kind].whole else 8
    run = Run(flowers, made(flowers, model="mlp", width=16, **settings_of(kind, epochs=epochs, regularizers="none")))
    points = list(run)
    assert points[-1].value.value > 0.85
    assert run.ended == f"all {epochs} epochs are done"


@pytest.mark.parametrize("kind", [k for k in RUNNING if k not in ("sgd", "momentum", "adam", "adamw", "adabound")])
def test_goes_on_bit_by_bit_after_a_stop_at_any_step(stripes, tmp_path, kind):
    more = {} if kind == "lbfgs" else HARD
    epochs = 8 if TABLE[kind].whole else 1.4
    recipe = made(stripes, **{"model": "mlp", **more, **settings_of(kind, epochs=epochs, batch_size=20, validate_every=0.5)})
    whole = Run(stripes, recipe)
    curve = list(whole)
    for stop in (1, 4, 7):
        path = tmp_path / f"{stop}.safetensors"
        run = Run(stripes, recipe)
        while run.step < stop:
            run._one_step()
            if run.batches.due(run.step, recipe.validate_every):
                run.look()
        run.save(path)
        torch.manual_seed(stop)
        again = Run.resume(stripes, path)
        list(again)
        for name, tensor in whole.network.state_dict().items():
            assert torch.equal(again.network.state_dict()[name], tensor), f"stopped at step {stop}: {name}"
        for name, tensor in whole.readout.state_dict().items():
            assert torch.equal(again.readout.state_dict()[name], tensor), f"stopped at step {stop}: the readout's {name}"
        assert [(p.step, p.value, p.train_loss, p.valid_loss) for p in again.curve] == [
            (p.step, p.value, p.train_loss, p.valid_loss) for p in curve
        ]


@pytest.mark.parametrize("kind", ["schedule_free_sgd", "schedule_free_adamw"])
def test_a_schedule_free_run_is_judged_at_its_average_with_statistics_taken_there(stripes, kind):
    recipe = made(stripes, model="convnet", width=4, **settings_of(kind, epochs=3, batch_size=20))
    run = Run(stripes, recipe)
    assert run.plan.schedule.kind == "constant"
    list(run)
    assert run.readout is not run.network
    trained, judged = dict(run.body.named_parameters()), dict(run.readout.body.named_parameters())
    assert any(not torch.equal(trained[name], judged[name]) for name in trained)
    statistics = {k: v.clone() for k, v in run.readout.body.state_dict().items() if "running" in k}
    assert statistics
    recalibrate_(run.readout.body, (run.network.front(run.batches.at(step)[0]) for step in range(run.batches.per_epoch)))
    for name, value in statistics.items():
        torch.testing.assert_close(run.readout.body.state_dict()[name], value)


def test_gradient_descent_takes_the_whole_split_and_refuses_a_part_of_it(flowers):
    run = Run(flowers, made(flowers, optimizer="gd", epochs=2))
    assert (run.batches.per_epoch, run.recipe.batch_size) == (1, 300)
    with pytest.raises(
        RecipeError, match="batch_size is 32; optimizer gd takes the whole training split, 300 examples, as one"
    ):
        Run(flowers, made(flowers, optimizer="gd", batch_size=32))


def test_what_a_run_cannot_save_it_refuses(flowers):
    with pytest.raises(RecipeError, match="optimizer lowbit_adamw cannot train a run"):
        Run(flowers, made(flowers, optimizer="lowbit_adamw"))


def test_further_gradients_of_a_step_leave_batch_norms_alone():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    first = net(x)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with frozen_statistics(net):
        again = net(x)
    assert torch.equal(first, again)  # by the batch's own statistics
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    net(x)
    assert not torch.equal(before["1.running_mean"], net.state_dict()["1.running_mean"])


def test_sam_costs_two_gradients_and_one_update_of_the_statistics(stripes):
    run = Run(stripes, made(stripes, model="convnet", width=4, **settings_of("sam", epochs=1, batch_size=20)))
    run.advance(3)
    counts = [v for k, v in run.body.state_dict().items() if k.endswith("num_batches_tracked")]
    assert counts
    assert all(int(count) == 3 for count in counts)


def test_groups_by_name_and_layer_reach_the_optimizer_from_a_recipe(flowers):
    settings = {"optimizer": "adamw", "model": "mlp", "depth": 2, "lr": 0.01, "layer_decay": 0.5}
    probe = Run(flowers, made(flowers, **settings))
    names = {id(p): name for name, p in probe.body.named_parameters()}
    last = max(names.values(), key=list(names.values()).index).rpartition(".")[0]
    run = Run(flowers, made(flowers, **settings, **{f"optimizer.groups.{last}.*.lr": 0.5, "groups.*.bias.decay": "0.25"}))
    names = {id(p): name for name, p in run.body.named_parameters()}
    rate = {names[id(p)]: g["initial_lr"] for g in run.optimizer.param_groups for p in g["params"]}
    decay = {names[id(p)]: g["weight_decay"] for g in run.optimizer.param_groups for p in g["params"]}
    assert rate[f"{last}.weight"] == rate[f"{last}.bias"] == 0.5
    others = sorted({v for k, v in rate.items() if not k.startswith(last)})
    assert all(b == pytest.approx(2 * a) for a, b in pairwise(others))
    assert others[-1] == pytest.approx(0.005)
    assert {v for k, v in decay.items() if k.endswith("bias")} == {0.25}
    point = next(iter(run))
    assert point.lr <= 0.01
    with pytest.raises(RecipeError, match="no trainable parameter is called 'hed"):
        Run(flowers, made(flowers, **settings, **{"groups.hed.*.lr": 0.5}))
