"""Distillation and early exit: the losses against torch's, the student alone in the end, each example by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.pipeline.export import finished, traced
from tuneful.runtime.load import open_session
from tuneful.techniques.compressors import Distil, EarlyExit
from tuneful.techniques.compressors.distil import Taught, softened
from tuneful.techniques.interfaces import Sight
from tuneful.techniques.losses import TABLE as LOSSES


def sight(x: torch.Tensor, teachers: tuple[nn.Module, ...] = ()) -> Sight:
    return Sight(x.numpy(), x, torch.arange(len(x)) % 3, F.cross_entropy, 0, teachers)


def test_soft_answers_are_compared_as_torchs_kl_divergence_times_t_squared():
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 5), torch.randn(7, 1, 5)
    ours = softened(student, teacher, 4.0, "classes").mean()
    theirs = 16 * F.kl_div(F.log_softmax(student / 4, 1), F.softmax(teacher[:, 0] / 4, 1), reduction="batchmean")
    torch.testing.assert_close(ours, theirs)
    assert softened(teacher[:, 0], teacher, 4.0, "classes").abs().max() < 1e-5
    assert softened(teacher[:, 0], teacher, 2.0, "labels").abs().max() < 1e-5
    torch.testing.assert_close(softened(student, teacher, 4.0, "values").mean(), F.mse_loss(student, teacher[:, 0]))


@pytest.mark.parametrize("count", [1, 3])
def test_the_whole_loss_is_hintons(count):
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(count + 1)]
    x, y = torch.randn(9, 6), torch.arange(9) % 3
    step = Distil(width=1.0, temperature=3.0, weight=0.7, teachers=count)
    body = step.on_network(nets[0], sight(x, tuple(nets[1:]))).train()
    loss = step.taught(LOSSES["cross_entropy"]())
    mean = loss.total(body(x), y, None) / loss.weight(y, None)
    with torch.no_grad():
        p = torch.stack([F.softmax(net(x) / 3, 1) for net in nets[1:]]).mean(0)
    z = nets[0](x)
    theirs = 0.3 * F.cross_entropy(z, y) + 0.7 * 9 * F.kl_div(F.log_softmax(z / 3, 1), p, reduction="batchmean")
    torch.testing.assert_close(mean, theirs)


def test_features_are_compared_where_they_enter_the_last_layer():
    torch.manual_seed(0)
    student, teacher = (nn.Sequential(nn.Linear(6, w), nn.ReLU(), nn.Linear(w, 3)) for w in (4, 8))
    x, y = torch.randn(9, 6), torch.arange(9) % 3
    step = Distil(width=1.0, weight=0.0, features=2.0)
    body = step.on_network(student, sight(x, (teacher,))).train()
    loss = step.taught(LOSSES["cross_entropy"]())
    mean = loss.total(body(x), y, None) / loss.weight(y, None)
    apart = F.mse_loss(body.project(body.student[:2](x)), teacher[:2](x))
    torch.testing.assert_close(mean, F.cross_entropy(body.student(x), y) + 2 * apart)


def test_teachers_stay_as_they_are_and_go_in_the_end():
    torch.manual_seed(0)
    student, teacher = nn.Linear(6, 3), nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    x = torch.randn(9, 6)
    before = teacher[0].running_mean.clone()
    body = Distil(width=1.0).on_network(student, sight(x, (teacher,))).train()
    body(x).sum().backward()
    assert isinstance(body, Taught)
    assert {name for name, _ in body.named_parameters()} == {"student.weight", "student.bias"}
    assert torch.equal(body.held[0][0].running_mean, before)
    assert torch.equal(teacher[0].running_mean, before)
    assert body.eval()(x).shape == (9, 3)
    assert Distil().settled(body) is body.student
    with pytest.raises(ModelError, match="was given no teacher"):
        Distil(width=1.0).on_network(student, sight(x))


def test_an_exit_answers_each_example_by_itself_and_exports():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 3)
    )
    x = torch.randn(40, 1, 8, 8)
    made = EarlyExit(threshold=0.45).on_network(net, sight(x)).eval().requires_grad_(False)
    with torch.no_grad():
        h = made.first(x)
        early, late = made.head(h), made.rest(h)
        sure = F.softmax(early, 1).amax(1) >= 0.45
        wanted = torch.where(sure[:, None], early, late)
        assert 0 < sure.sum() < 40
        torch.testing.assert_close(late, net.eval()(x))
    session = open_session(finished(traced(made, (x[:3],), ["x"], ["value"])))
    whole = session.run(None, {"x": x.numpy()})[0]
    np.testing.assert_allclose(whole, wanted.numpy(), atol=1e-4)
    alone = np.concatenate([session.run(None, {"x": x[at : at + 1].numpy()})[0] for at in range(40)])
    np.testing.assert_allclose(alone, whole, atol=1e-5)


def test_an_exit_needs_a_sequence_and_classes():
    class Own(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(ModelError, match="needs a network that is a sequence of parts; this one is Own"):
        EarlyExit().on_network(Own(), sight(torch.randn(4, 3)))
    values = Sight(np.zeros((4, 3), "f4"), torch.zeros(4, 3), torch.zeros(4), F.mse_loss, 0)
    with pytest.raises(ModelError, match="this task has no classes of examples"):
        EarlyExit().on_network(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)), values)
