"""Every optimizer: its formula against figures of others, and what it does on problems whose answer is known."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizer_cases import BUILDS, REFERENCE, RIGHT, ROUGH, SAME_AS, WARMED, WRONG, loss_of, step, walk
from torch import Tensor, nn

from tuneful.core.config import comments
from tuneful.techniques.optimizers import TABLE, AdaBound, AdamW, RuleOptimizer
from tuneful.techniques.optimizers.schedule_free import judged_point

PROBLEMS = tuple(REFERENCE["problems"])
SHARED = Path(
    os.environ.get("TUNEFUL_DATA", Path(__file__).parents[3] / "shared" / "data"), "optimizers", "optim_reference.json"
)
PRIMARY = {  # names of the whole set, by ours
    "gd": "gd", "sgd": "sgd", "momentum": "momentum", "nesterov": "nesterov", "adagrad": "adagrad", "adadelta": "adadelta",
    "rmsprop": "rmsprop", "adam": "adam", "amsgrad": "amsgrad", "adabound_bounds_bind": "adabound", "amsbound": "amsbound",
    "adamw": "adamw", "nadam": "nadam", "nadamw": "nadamw", "radam": "radam", "adamax": "adamax", "lion": "lion", "lamb": "lamb",
    "lars": "lars", "muon": "muon", "muon_bf16": "muon_bf16", "schedule_free_adamw": "schedulefree_adamw",
    "schedule_free_sgd": "schedulefree_sgd", "sam": "sam", "asam": "asam", "prodigy": "prodigy",
    "adamw_cautious": "cautious_adamw", "adafactor": "adafactor", "lbfgs": "lbfgs",
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


@pytest.mark.parametrize("kind", TABLE)
def test_says_in_its_file_how_it_decays(kind: str):
    text = Path(__import__(TABLE[kind].__module__, fromlist=["_"]).__file__).read_text().partition('"""\n\nfrom')[0]
    assert "ecay" in text or "decayed" in text
    assert "Source:" in text


def close(name: str, ours: Tensor, theirs: Any) -> None:
    size = ROUGH.get(name, 1e-12)
    torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=size, atol=size)


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", RIGHT)
def test_follows_the_figures_of_others(name: str, way: str):
    figures = REFERENCE["right"][SAME_AS.get(name, name)]["params"]
    assert figures
    for problem, theirs in figures.items():
        close(name, walk(lambda ps: BUILDS[way](RIGHT[name], ps), problem, warmed=WARMED.get(name, 0)), theirs)


@pytest.mark.parametrize("name", PRIMARY)
def test_follows_the_whole_reference_set(name: str):
    """As above, on all of its problems, where the set lies beside the checkout."""
    if not SHARED.is_file():
        pytest.skip("optim_reference.json is not in $TUNEFUL_DATA or ../shared/data")
    whole = json.loads(SHARED.read_text())
    for problem, figures in whole["entries"][whole["meta"]["primary"][PRIMARY[name]]]["trajectories"].items():
        ours = walk(RIGHT[name].build, problem, warmed=WARMED.get(name, 0), problems=whole["meta"]["problems"])
        close(name, ours, figures["params"])


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_schedule_free_methods_are_judged_where_the_authors_judge_them(name: str, problem: str):
    x = nn.Parameter(torch.tensor(REFERENCE["problems"][problem]["x0"], dtype=torch.float64))
    optimizer: Any = RIGHT[name].build([x])
    rate, seen, warmed = optimizer.param_groups[0]["lr"], [x.detach().clone()], WARMED.get(name, 0)
    for t in range(1, 11):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, t / warmed if warmed else 1.0)
        step(optimizer, lambda: loss_of(problem, x))
        before = x.detach().clone()
        judged = judged_point(optimizer)[x]
        optimizer.eval()
        assert torch.equal(x.detach(), judged)
        seen.append(judged)
        optimizer.train()
        assert torch.equal(x.detach(), before)
    close(name, torch.stack(seen), REFERENCE["right"][name]["judged"][problem])


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", WRONG)
def test_is_not_the_common_mistake(name: str, problem: str):
    mistaken = torch.tensor(REFERENCE["wrong"][name]["params"][problem], dtype=torch.float64)
    least = 1e-4 if name != "rmsprop_eps_inside" else 1e-12  # eps matters only where gradients are small: not here
    assert (walk(WRONG[name].build, problem) - mistaken).abs().max() > least


def test_rmsprop_has_its_eps_outside_of_the_root():
    p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = TABLE["rmsprop"](lr=1.0, beta=0.0, eps=1.0).build([p])
    p.grad = torch.full((1,), 3.0, dtype=torch.float64)
    optimizer.step()
    assert p.item() == pytest.approx(-3 / (3 + 1), abs=1e-15)  # inside it would be 3 / sqrt(9 + 1)


# ------------------------------------------------------------------------------------------- single facts of a rule


def test_soap_takes_its_first_step_along_the_singular_axes_of_the_gradient_as_the_authors_code_does():
    """The first gradient only begins the covariances, so the second is the same one: in its own singular axes it is diagonal,
    and Adam makes its diagonal one rate long. Off the diagonal the authors' figures are rounding noise over eps (they take the
    eigenvectors in single precision), which is why their later steps are no reference (LOG.md)."""
    theirs = torch.tensor(REFERENCE["right"]["soap"]["params"]["rosenbrock2x3"], dtype=torch.float64)
    ours = walk(TABLE["soap"](lr=0.05, every=2).build, "rosenbrock2x3")
    assert torch.equal(theirs[1], theirs[0])
    assert torch.equal(ours[1], ours[0])
    x = ours[0].clone().requires_grad_()
    (G,) = torch.autograd.grad(loss_of("rosenbrock2x3", x), x)
    U, _, V = torch.linalg.svd(G)
    for path, size in ((ours, 1e-8), (theirs, 1e-6)):
        moved = U.mT @ (path[1] - path[2] / (1 - 0.05 * 0.01)) @ V.mT
        torch.testing.assert_close(moved.diagonal(), torch.full((2,), 0.05, dtype=torch.float64), rtol=size, atol=size)


def test_adabound_is_adam_while_the_band_is_open():
    adam = walk(lambda ps: torch.optim.Adam(ps, lr=0.01), "quad2")
    torch.testing.assert_close(walk(AdaBound(lr=0.01, gamma=1e-12).build, "quad2"), adam)


def test_adabound_is_sgd_on_the_mean_gradient_once_the_band_is_shut():
    """A first gradient of zero gives torch's velocity the zero start that AdaBound's mean has."""

    def walked(build: Callable[[Any], torch.optim.Optimizer]) -> Tensor:
        x = nn.Parameter(torch.tensor([-1.0, 2.0], dtype=torch.float64))
        optimizer, x.grad = build([x]), torch.zeros(2, dtype=torch.float64)
        optimizer.step()
        for _ in range(20):
            optimizer.zero_grad()
            loss_of("quad2", x).backward()
            optimizer.step()
        return x.detach()

    sgd = walked(lambda ps: torch.optim.SGD(ps, lr=0.02, momentum=0.9, dampening=0.9))
    torch.testing.assert_close(walked(AdaBound(final_lr=0.02, gamma=1e12).build), sgd, rtol=1e-9, atol=1e-9)


def test_a_schedule_lowers_both_rates_of_adabound_as_the_authors_code_does():
    shut = AdaBound(final_lr=0.02, gamma=1e12, beta1=0.0)  # the rate is final_lr, m is the gradient
    p = nn.Parameter(torch.zeros(1))
    optimizer = shut.build([p])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    moved = []
    for _ in range(3):
        before = p.item()
        p.grad = torch.ones(1)
        optimizer.step()
        schedule.step()
        moved.append(before - p.item())
    assert moved == pytest.approx([0.02, 0.01, 0.005], rel=1e-5)
    assert shut.rates == ("lr", "final_lr")


def test_muon_gives_a_matrix_singular_values_near_one_and_keeps_its_directions():
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    from tuneful.techniques.optimizers.muon import orthogonalized

    found = torch.linalg.svdvals(orthogonalized(x))
    assert ((found > 0.6) & (found < 1.3)).all()
    U, _, V = torch.linalg.svd(x, full_matrices=False)
    turned = U.mT @ orthogonalized(x) @ V.mT
    assert (turned - turned.diag().diag()).abs().max() < 1e-12


def test_muon_gives_embeddings_heads_norms_and_biases_to_adamw_and_reshapes_convolutions():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 4)
            self.place = nn.Parameter(torch.zeros(1, 7, 4))
            self.conv, self.norm = nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6)
            self.hidden, self.head = nn.Linear(6, 6), nn.Linear(6, 2)

    net = Net()
    optimizer = TABLE["muon"](lr=0.1, adam_lr=0.001).build(net)
    names = {id(p): name for name, p in net.named_parameters()}
    by_muon = {names[id(p)] for group in optimizer.param_groups if group["orthogonal"] for p in group["params"]}
    assert by_muon == {"conv.weight", "hidden.weight"}
    decayed = {names[id(p)] for group in optimizer.param_groups if group["decay"] > 0 for p in group["params"]}
    assert decayed == {"conv.weight", "hidden.weight", "embed.weight", "head.weight", "place"}
    twin = nn.Parameter(net.conv.weight.detach().clone().flatten(1))
    net.conv.weight.grad = torch.randn(net.conv.weight.shape, generator=torch.Generator().manual_seed(0))
    twin.grad = net.conv.weight.grad.flatten(1).clone()
    alone = TABLE["muon"](lr=0.1).build([twin])
    optimizer.step()
    alone.step()
    torch.testing.assert_close(net.conv.weight.detach().flatten(1), twin.detach())


def test_sam_needs_a_closure_and_leaves_the_weights_where_they_were_when_it_fails():
    from tuneful.core.errors import ModelError

    p = nn.Parameter(torch.ones(2))
    optimizer, calls = TABLE["sam"]().build([p]), []
    p.grad = torch.ones(2)
    with pytest.raises(ModelError, match="SAM needs a second gradient in every step"):
        optimizer.step()

    def closure() -> float:
        calls.append(p.detach().clone())
        if len(calls) == 2:
            raise ValueError("no memory")
        return 0.0

    with pytest.raises(ValueError, match="no memory"):
        optimizer.step(closure)
    assert not torch.equal(calls[1], torch.ones(2))
    assert torch.equal(p.detach(), torch.ones(2))


def test_a_schedule_free_optimizer_refuses_a_step_in_its_eval_mode():
    from tuneful.core.errors import ModelError

    p = nn.Parameter(torch.ones(2))
    optimizer: Any = TABLE["schedule_free_adamw"]().build([p])
    p.grad = torch.ones(2)
    optimizer.step()
    optimizer.eval()
    with pytest.raises(ModelError, match="stepped in its eval mode"):
        optimizer.step()


def test_prodigy_finds_a_rate_near_the_best_one():
    """On |x|^2 / 2 from 10 the distance is 10 sqrt(4); d may not pass it and must come within a factor of 10."""
    x = nn.Parameter(torch.full((4,), 10.0, dtype=torch.float64))
    optimizer: Any = TABLE["prodigy"]().build([x])
    for _ in range(200):
        step(optimizer, lambda: x.square().sum() / 2)
    assert 1.0 < optimizer.d < 10.0
    assert x.abs().max() < 1.0


def test_prodigys_rate_may_run_away_and_ends_in_weights_that_are_no_numbers_not_in_an_error():
    """Along a gradient that never changes the solution is always farther on; after 56 steps the rate no longer fits float32."""
    p = nn.Parameter(torch.ones(3))
    optimizer = TABLE["prodigy"]().build([p])
    for _ in range(80):
        p.grad = torch.full((3,), 1e-3)
        optimizer.step()
    assert not p.isfinite().any()


def test_prodigy_refuses_groups_of_different_rates():
    from tuneful.core.errors import ModelError

    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = TABLE["prodigy"]().build([{"params": [a]}, {"params": [b], "lr": 0.5}])
    a.grad = b.grad = torch.ones(2)
    with pytest.raises(ModelError, match=r"lr 0.5 and 1"):
        optimizer.step()


def test_l_bfgs_refuses_groups_that_differ():
    from tuneful.core.errors import ModelError

    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    with pytest.raises(ModelError, match="differ in lr"):
        TABLE["lbfgs"]().build([{"params": [a]}, {"params": [b], "lr": 0.5}])


def test_the_cautious_mask_lets_no_weight_move_against_its_gradient():
    p = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = AdamW(lr=0.1, decay=0.0, cautious=True).build([p])
    assert isinstance(optimizer, RuleOptimizer)
    p.grad = torch.tensor([1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    optimizer.step()
    before = p.detach().clone()
    p.grad = torch.tensor([-0.1, 1.0, 1.0, 1.0], dtype=torch.float64)  # the mean still points the other way
    optimizer.step()
    moved = p.detach() - before
    assert moved[0] == 0
    assert (moved[1:] < 0).all()


def test_the_low_bit_adapter_says_what_is_missing_or_steps_near_adamw():
    from importlib.util import find_spec

    from tuneful.core.errors import ModelError

    settings = TABLE["lowbit_adamw"](lr=0.01)
    if find_spec("torchao") is None:
        with pytest.raises(ModelError, match="needs the package torchao"):
            settings.build([nn.Parameter(torch.ones(2))])
        return
    pytest.skip("torchao is here; its step is compiled, which benchmarks/optimizers.py does")
