"""How a network begins: inits that look at the data or at a twin, in a run, through a resume and into an artifact."""

from __future__ import annotations

import onnxruntime
import pytest
import torch
from torch import nn

from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.export import export
from tuneful.pipeline.train import Run
from tuneful.techniques.models import Own, ViT


def made(task, **settings):
    recipe, _ = from_mapping({"epochs": 3, "batch_size": 32, "validate_every": 1, "threads": 1, **settings}, task)
    return recipe


class Net(nn.Module):
    """A network of the user's own, whose width has a name of its own."""

    def __init__(self, inputs, outputs, units=8):
        super().__init__()
        self.one, self.two = nn.Linear(inputs[0], units), nn.Linear(units, outputs)

    def forward(self, x):
        return self.two(self.one(x).relu())


def test_lsuv_sees_examples_that_the_seed_chose(flowers):
    runs = [Run(flowers, made(flowers, model="mlp", init="lsuv", seed=seed)) for seed in (0, 0, 1)]
    first = [run.body[1].weight for run in runs]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    x = runs[0].network.front(torch.from_numpy(flowers.train.x))
    assert runs[0].body[1](x).std().item() == pytest.approx(1.0, abs=0.1)


def test_lsuv_asks_for_more_examples_than_there_are_and_gets_all(stripes):
    run = Run(stripes, made(stripes, model="convnet", init={"kind": "lsuv", "examples": 5000}, width=8))
    x = run.network.front(torch.from_numpy(stripes.train.x).float())
    assert run.body[0][0](x).std().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("init", ["lsuv", "mup"])
@pytest.mark.parametrize("optimizer", ["adamw", "momentum", "adabound"])
def test_a_resumed_run_goes_on_exactly(flowers, init, optimizer, tmp_path):
    recipe = made(flowers, model="mlp", width=96, init=init, optimizer=optimizer, schedule={"kind": "cosine", "warmup": 0.2})
    whole = Run(flowers, recipe)
    points = list(whole)
    part = Run(flowers, recipe)
    next(iter(part))
    part.save(tmp_path / "state")
    rest = Run.resume(flowers, tmp_path / "state")
    again = [*part.curve, *rest]
    assert [(p.step, p.value, p.train_loss, p.lr) for p in again] == [(p.step, p.value, p.train_loss, p.lr) for p in points]
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, rest.network.state_dict()[name])


def test_mup_gives_hidden_layers_their_rate_and_points_tell_that_of_the_recipe(flowers):
    recipe = made(flowers, model="mlp", width=256, init="mup", optimizer="adamw", lr=8e-3, schedule="constant")
    run = Run(flowers, recipe)
    point = next(iter(run))
    by = {id(p): group["lr"] for group in run.optimizer.param_groups for p in group["params"]}
    assert by[id(run.body[1].weight)] == pytest.approx(8e-3)
    assert by[id(run.body[4].weight)] == pytest.approx(2e-3)
    assert point.lr == pytest.approx(8e-3)


def test_a_schedule_moves_every_rate_of_an_optimizer_alike(flowers):
    """AdaBound has two; the second follows lr once, not twice."""
    recipe = made(flowers, optimizer="adabound", lr=1e-3, schedule={"kind": "linear", "warmup": 0.0}, epochs=2)
    run = Run(flowers, recipe)
    next(iter(run))
    group = run.optimizer.param_groups[0]
    factor = run.plan.schedule.factor(run.step - 1, run.steps)
    assert 0.4 < factor < 0.6
    assert run.optimizer.hyper(group).lr == pytest.approx(1e-3 * factor)
    assert run.optimizer.hyper(group).final_lr == pytest.approx(0.1 * factor)


def test_the_twin_of_your_own_network_is_made_by_the_argument_that_is_named(flowers):
    own = Own.of(Net, units=32)
    run = Run(flowers, made(flowers, model=own, init={"kind": "mup", "base": 8, "dial": "model.arguments.units"}))
    assert [h.factor for h in run.body.two._forward_pre_hooks.values()] == [8 / 32]
    with pytest.raises(RecipeError, match=r"model\.width is not in this recipe"):
        Run(flowers, made(flowers, model=own, init="mup"))


def test_zero_residual_says_so_where_there_is_no_block(flowers):
    with pytest.raises(ModelError, match="no residual block"):
        Run(flowers, made(flowers, model="mlp", init="zero_residual"))


class Attends(nn.Module):
    """Each number of an example is a token; two heads."""

    def __init__(self, outputs, width=64):
        super().__init__()
        self.lift, self.attend = nn.Linear(1, width), nn.MultiheadAttention(width, 2, batch_first=True)
        self.out = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.lift(x.unsqueeze(2))
        return self.out(self.attend(x, x, x, need_weights=False)[0].mean(1))


def test_the_multipliers_of_mup_are_in_the_exported_model(flowers):
    own = Own.of(Attends, width=256)
    run = Run(flowers, made(flowers, model=own, init={"kind": "mup", "dial": "model.arguments.width"}, lr=1e-2, epochs=1))
    network = [run, *run][0].candidate().network
    assert [h.factor for h in network.body.attend._forward_pre_hooks.values()] == [0.5]
    x = 3 * flowers.valid.x
    session = onnxruntime.InferenceSession(export(network, flowers), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = network(torch.from_numpy(x)).softmax(1)
    found = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x})[0])
    found = found if torch.allclose(found.sum(1), torch.ones(len(x))) else found.softmax(1)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    network.body.attend._forward_pre_hooks.clear()
    assert not torch.allclose(network(torch.from_numpy(x)).softmax(1), wanted, atol=1e-4)


def test_a_vit_begins_with_xavier(stripes):
    assert resolve(Recipe(model=ViT()), stripes).init.kind == "xavier"
