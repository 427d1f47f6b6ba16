"""Every loss: its value and gradient held against torch's own, its parts adding up, classes weighing what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import comments
from tuneful.core.errors import RecipeError
from tuneful.pipeline.goals.numbers import Numbers
from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses import MAE, MSE, TABLE, BinaryCrossEntropy, CrossEntropy, Cumulative, Focal, Huber, Quantile
from tuneful.techniques.losses.cumulative import falling, levels

CLASSES = [kind for kind, cls in TABLE.items() if cls.classes and kind != "dice"]  # it is of images: see test_pixels
VALUES = [kind for kind in TABLE if kind in Numbers.losses]


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits(n: int = 40, classes: int = 5) -> Tensor:
    return torch.randn(n, classes, generator=dice(), dtype=torch.float64)


def numbers(n: int = 40, classes: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(0, classes, (n,), generator=dice(seed))


def mean(loss: Loss, z: Tensor, target: Tensor, prepared: Tensor | None = None) -> Tensor:
    return loss.total(z, target, prepared) / loss.weight(target, prepared)


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) >= set(cls.model_fields) - {"kind"}


@pytest.mark.parametrize(
    ("loss", "torch_s"),
    [(MSE(), nn.MSELoss()), (MAE(), nn.L1Loss()), (Huber(delta=0.7), nn.HuberLoss(delta=0.7))],
    ids=lambda value: type(value).__name__,
)
def test_is_torch_s_loss_of_values(loss: Loss, torch_s: nn.Module):
    z, target = logits(40, 2), torch.randn(40, 2, generator=dice(3), dtype=torch.float64)
    torch.testing.assert_close(mean(loss, z, target), torch_s(z, target))


def test_cross_entropy_is_torch_s_with_weights_ignored_places_and_probabilities():
    z, y = logits(), numbers()
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
    torch.testing.assert_close(mean(CrossEntropy(), z, y), F.cross_entropy(z, y))
    torch.testing.assert_close(mean(CrossEntropy(), z, y, weights.double()), F.cross_entropy(z, y, weights.double()))
    soft = torch.rand(40, 5, generator=dice(7), dtype=torch.float64).softmax(dim=-1)
    torch.testing.assert_close(mean(CrossEntropy(), z, soft), F.cross_entropy(z, soft))
    places, tags = z.reshape(8, 5, 5), numbers().reshape(8, 5)
    tags[2:, 3:] = -1
    wanted = F.cross_entropy(places.transpose(1, 2), tags, ignore_index=-1)
    torch.testing.assert_close(mean(CrossEntropy(), places, tags), wanted)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_hard_class_and_its_one_hot_row_are_the_same(kind: str):
    loss, z, y = TABLE[kind](), logits(), numbers()
    for prepared in (None, torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0], dtype=torch.float64)):
        torch.testing.assert_close(mean(loss, z, y, prepared), mean(loss, z, F.one_hot(y, 5).double(), prepared))


def test_focal_is_the_paper_s_formula_and_cross_entropy_at_gamma_0():
    z, y = logits(), numbers()
    torch.testing.assert_close(mean(Focal(gamma=0.0), z, y), F.cross_entropy(z, y))
    q = z.softmax(dim=-1).gather(1, y[:, None]).squeeze(1)
    torch.testing.assert_close(mean(Focal(gamma=2.5), z, y), ((1 - q) ** 2.5 * -q.log()).mean())


def test_focal_has_a_finite_gradient_where_it_is_sure():
    z = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    mean(Focal(gamma=0.5), z, torch.tensor([0, 0])).backward()
    assert torch.isfinite(z.grad).all()


@given(st.floats(0.02, 0.98))
def test_the_quantile_loss_is_smallest_at_the_quantile(level: float):
    y = torch.randn(501, generator=dice(5), dtype=torch.float64)
    loss = Quantile(level=level)
    best = min(y.tolist(), key=lambda z: float(loss.total(torch.full_like(y, z), y, None)))
    below = float((y <= best).double().mean())
    assert abs(below - level) <= 1.01 / 501


def test_balanced_weights_are_those_of_scikit_learn_and_each_class_weighs_the_same():
    y = torch.tensor([0] * 30 + [1] * 6 + [2] * 4)
    prepared = CrossEntropy(balance="classes").prepare(y, 3)
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy())
    torch.testing.assert_close(prepared.double(), torch.from_numpy(wanted), rtol=1e-6, atol=0)
    for c in range(3):
        torch.testing.assert_close(prepared[c] * (y == c).sum(), torch.tensor(40 / 3))
    absent = CrossEntropy(balance="classes").prepare(y, 4)
    assert absent[3] == 0
    assert torch.isfinite(absent).all()


def labels(n: int = 40, of: int = 5) -> Tensor:
    return (torch.rand(n, of, generator=dice(9)) < torch.linspace(0.1, 0.9, of)).double()


def test_binary_cross_entropy_is_torch_s_and_leaves_out_what_is_not_known():
    z, y = logits(), labels()
    loss = BinaryCrossEntropy()
    torch.testing.assert_close(mean(loss, z, y), F.binary_cross_entropy_with_logits(z, y))
    known = torch.rand(40, 5, generator=dice(4)) < 0.7
    partly = torch.where(known, y, -1.0)
    torch.testing.assert_close(mean(loss, z, partly), F.binary_cross_entropy_with_logits(z[known], y[known]))


def test_balanced_labels_weigh_as_torch_s_pos_weight_does():
    z, y = logits(), labels()
    loss = BinaryCrossEntropy(balance="labels")
    prepared = loss.prepare(y, 5)
    have, without = y.sum(dim=0), (1 - y).sum(dim=0)
    each = F.binary_cross_entropy_with_logits(z, y, pos_weight=without / have, reduction="none")
    wanted = (each * prepared[0].double()).sum() / 200  # torch weighs those without by 1; ours weighs both sides the same
    torch.testing.assert_close(mean(loss, z, y, prepared), wanted, rtol=1e-5, atol=0)
    torch.testing.assert_close((prepared[1] * have).double(), (prepared[0] * without).double(), rtol=1e-5, atol=0)
    alone = loss.prepare(torch.ones(6, 1), 1)
    assert alone.tolist() == [[1.0], [1.0]]


def test_cumulative_is_the_sum_of_the_questions_and_its_levels_are_probabilities_in_order():
    z, y = logits(40, 4), numbers()
    a = falling(z)
    assert bool((a.diff(dim=1) < 0).all())
    asked = torch.stack(
        [F.binary_cross_entropy_with_logits(a[:, k], (y > k).double(), reduction="none") for k in range(4)], dim=1
    )
    torch.testing.assert_close(mean(Cumulative(), z, y), asked.sum(dim=1).mean())
    p = levels(z)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(40, dtype=torch.float64))
    assert bool((p >= 0).all())
    torch.testing.assert_close(p[:, 3:].sum(dim=1), torch.sigmoid(a[:, 2]))


@pytest.mark.parametrize("kind", [kind for kind in TABLE if kind != "dice"])
def test_parts_of_unequal_size_add_up_to_the_whole(kind: str):
    loss = TABLE[kind]()
    classes = loss.classes or kind == "cumulative"
    z = logits(40, 5 if classes else 2)
    target = numbers() if classes else torch.randn(40, 2, generator=dice(3), dtype=torch.float64)
    if kind == "binary_cross_entropy":
        target = (target > 0).double()
    if classes or kind == "binary_cross_entropy":
        target[::7] = -1
    whole = mean(loss, z, target)
    weight = loss.weight(target, None)
    parts = sum(loss.total(z[a:b], target[a:b], None) / weight for a, b in ((0, 3), (3, 29), (29, 40)))
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("kind", VALUES)
def test_a_loss_of_values_is_zero_at_the_target_and_rises_away_from_it(kind: str):
    loss, y = TABLE[kind](), torch.randn(9, 1, generator=dice(2), dtype=torch.float64)
    assert float(loss.total(y, y, None)) == 0
    steps = [float(loss.total(y + d, y, None)) for d in (0.1, 1.0, 10.0)]
    assert 0 < steps[0] < steps[1] < steps[2]


def test_refuses_a_level_that_is_no_share():
    with pytest.raises(RecipeError, match=r"loss.level is 1.5; it must be in \(0, 1\)"):
        Quantile(level=1.5)
