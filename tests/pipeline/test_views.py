"""Test-time augmentation: the same views for every image, averaged as probabilities, and part of the exported network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tuneful.core.errors import RecipeError
from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Network
from tuneful.pipeline.codec import Entry, decode, from_data
from tuneful.pipeline.export import export
from tuneful.pipeline.train import Run
from tuneful.runtime.load import open_session
from tuneful.techniques.augments import averaged, require_views, views


def test_views_are_the_image_its_mirror_and_both_moved_by_a_pixel():
    x = torch.randn(2, 3, 5, 6)
    assert [len(views(x, names)) for names in ((), ("flip",), ("shift",), ("flip", "shift"))] == [1, 2, 5, 10]
    _, up, down, left, right = views(x, ("shift",))
    assert torch.equal(down[:, :, :-1], x[:, :, 1:])
    assert torch.equal(up[:, :, 1:], x[:, :, :-1])
    assert torch.equal(left[:, :, :, 1:], x[..., :-1])
    assert torch.equal(right[:, :, :, :-1], x[..., 1:])
    assert torch.equal(views(x, ("flip", "shift"))[1], x.flip(-1))


def test_probabilities_are_averaged_and_values_too():
    z = [torch.randn(4, 3) for _ in range(5)]
    torch.testing.assert_close(averaged(z, classes=True).softmax(-1), torch.stack([one.softmax(-1) for one in z]).mean(0))
    torch.testing.assert_close(averaged(z, classes=False), torch.stack(z).mean(0))


def test_a_network_with_views_answers_the_same_to_an_image_and_its_mirror_image_but_not_while_it_trains():
    body = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    net = Network(nn.Identity(), body, nn.Identity(), ("flip",)).eval()
    x = torch.randn(5, 1, 6, 8)
    torch.testing.assert_close(net(x), net(x.flip(-1)))
    assert torch.equal(net.train()(x), body(x))
    assert not torch.allclose(net(x), net(x.flip(-1)))


@pytest.mark.parametrize("names", [("flip",), ("shift",), ("flip", "shift")])
def test_views_travel_inside_the_exported_network(stripes: Task, names: tuple[str, ...]):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(stripes.shape[0], 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(stripes.outputs))
    net = Network(nn.Identity(), body, nn.Identity(), names).eval()
    net(torch.zeros(1, *stripes.shape))
    answers = judge.predict(net, stripes.valid.x[:9])
    session = open_session(export(net, stripes))
    exported = np.asarray(session.run(None, {"x": stripes.valid.x[:9].astype(np.float32)})[0])
    np.testing.assert_allclose(exported, answers, atol=1e-5)
    alone = np.asarray(session.run(None, {"x": stripes.valid.x[:1].astype(np.float32)})[0])
    np.testing.assert_allclose(alone, answers[:1], atol=1e-5)


def test_a_recipe_names_views_and_the_run_is_judged_by_them(stripes: Task):
    recipe, _ = decode([Entry("views", "flip,shift"), Entry("epochs", "1"), Entry("model", "linear")], stripes)
    assert recipe.views == ("flip", "shift")
    assert from_data(recipe.as_data()) == recipe
    run = Run(stripes, recipe, device="cpu")
    list(run)
    candidate = run.candidate()
    assert candidate.network.views == ("flip", "shift")
    body = candidate.network.body
    x = candidate.network.front(torch.from_numpy(stripes.valid.x[:7]).float())
    by_hand = torch.stack([body(one).softmax(-1) for one in views(x, recipe.views)]).mean(0)
    np.testing.assert_allclose(judge.predict(candidate.network, stripes.valid.x[:7]), by_hand.detach().double(), atol=1e-6)


def test_views_do_not_change_what_is_trained(stripes: Task):
    recipe, _ = decode([Entry("epochs", "1"), Entry("model", "linear")], stripes)
    runs = [Run(stripes, recipe.replace(views=names), device="cpu") for names in ((), ("flip",))]
    for run in runs:
        list(run)
    for one, other in zip(runs[0].body.state_dict().values(), runs[1].body.state_dict().values()):
        assert torch.equal(one, other)


def test_views_are_refused_where_they_mean_nothing(flowers: Task):
    with pytest.raises(RecipeError, match=r"views=flip looks at images again .* these are vector of 5"):
        Run(flowers, decode([Entry("views", "flip")], flowers)[0], device="cpu")
    with pytest.raises(RecipeError, match="views=shift looks"):
        require_views(("shift",), Form("image", (3, 8, 8), 2, "place"))
    with pytest.raises(RecipeError, match=r"views is .*; it must be a list, each 'flip' or 'shift'"):
        decode([Entry("views", "mirror")], flowers)
