"""Parameter groups, the shell around an outsider's rule, and the sentences for what an optimizer cannot take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.config import Positive
from tuneful.core.errors import ModelError, RecipeError
from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers import SGD, AdaBound, Adam, AdamW, RuleOptimizer, decay_groups


def test_decay_groups_part_weights_from_biases_and_norms_and_count_tied_weights_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    frozen = nn.Linear(3, 3).requires_grad_(False)
    groups = decay_groups(nn.Sequential(net, frozen))
    assert [len(group["params"]) for group in groups] == [1, 4]
    assert groups[0]["params"][0] is net[0].weight
    optimizer = AdamW(decay=0.3).build(groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


def test_a_group_may_have_betas_of_its_own_in_torchs_classes_too():
    p, q = (nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = Adam().build([{"params": [p], "beta1": 0.5}, {"params": [q]}])
    assert [group["betas"] for group in optimizer.param_groups] == [(0.5, 0.999), (0.9, 0.999)]


def test_an_outsiders_rule_works_in_the_shell():
    class SignDescent(Optimizer):
        source: ClassVar[str] = "Bernstein et al., ICML 2018"
        kind: Literal["sign"] = "sign"
        lr: Positive = 0.5

        def step_(self, p: Tensor, g: Tensor, s: Mapping[str, Tensor], t: int | Tensor, h: Any) -> None:
            p.sub_(h.lr * g.sign())

        def build(self, params: Any) -> torch.optim.Optimizer:
            return RuleOptimizer(params, self)

    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, -0.1])
    SignDescent().build([("w", p)]).step()
    assert p.tolist() == [-0.5, 0.5]


def test_refuses_a_negative_rate():
    with pytest.raises(RecipeError, match=r"lr is -1; it must be > 0"):
        AdaBound(lr=-1)


def test_refuses_a_sparse_gradient_with_a_sentence():
    net = nn.Embedding(4, 2, sparse=True)
    net(torch.tensor([1])).sum().backward()
    with pytest.raises(ModelError, match=r"AdaBound met a sparse gradient; it needs a dense one"):
        AdaBound().build(net.parameters()).step()


def test_refuses_a_bare_tensor_as_torch_does():
    with pytest.raises(TypeError, match="in a list"):
        SGD().build(torch.ones(2))
