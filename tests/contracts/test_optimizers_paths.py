"""One formula, several executions: the built class, the rule, small tensors in a row, large ones in pieces, a stack of trials."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from optimizer_cases import BUILDS, REFERENCE, SINGLE, STACKED, VARIED, Odd, as_rule, entries, step
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.techniques.optimizers import TABLE, AdamW, RuleOptimizer, decay_groups, pieces

FUSED = {"gd": "SGD", "sgd": "SGD", "momentum": "SGD", "nesterov": "SGD", "adam": "Adam", "amsgrad": "Adam", "adamw": "AdamW",
         "adagrad": "Adagrad"}  # fmt: skip
TENSORS = {  # of a matrix, in the size of the parameter, as each file's docstring has it; None: other shapes
    "gd": 0, "sgd": 0, "momentum": 1, "momentum_nesterov": 1, "nesterov": 1, "adagrad": 1, "adadelta": 2, "rmsprop": 1,
    "rmsprop_centred": 3, "adam": 2, "amsgrad": 3, "adabound": 2, "amsbound": 3, "adamw": 2, "adamw_cautious": 2, "nadam": 2,
    "nadamw": 2, "radam": 2, "adamax": 2, "lion": 1, "lion_cautious": 1, "lamb": 2, "lars": 1, "muon": 1, "muon_match_rms": 1,
    "schedule_free_sgd": 1, "schedule_free_adamw": 2, "prodigy": 4, "sam": 1, "sam_adamw": 2, "asam": 1, "lookahead": 2,
    "lookahead_adamw": 3,
}  # fmt: skip


@pytest.mark.parametrize("kind", FUSED)
def test_builds_torchs_own_class_fused_where_there_is_one(kind: str):
    optimizer = TABLE[kind]().build(nn.Linear(2, 2).parameters())
    assert isinstance(optimizer, getattr(torch.optim, FUSED[kind]))
    assert optimizer.param_groups[0]["fused"] is True


@pytest.mark.parametrize(
    "name", [name for name in VARIED if VARIED[name].kind not in (*FUSED, "lbfgs") or "cautious" in name]
)
def test_builds_the_rule_where_torch_has_no_kernel(name: str):
    assert isinstance(VARIED[name].build(nn.Linear(2, 2).parameters()), RuleOptimizer)


@pytest.mark.parametrize("name", SINGLE)
def test_the_built_class_and_the_rule_walk_the_same_way(name: str):
    built, ruled = Odd(torch.float64), Odd(torch.float64)
    fast, rule = VARIED[name].build(decay_groups(built)), as_rule(VARIED[name], decay_groups(ruled))
    for t in range(1, 13):
        if t == 6:  # a group that joins in the middle
            for net, optimizer in ((built, fast), (ruled, rule)):
                net.joined = nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
                optimizer.add_param_group({"params": [net.joined]})
        for net, optimizer in ((built, fast), (ruled, rule)):
            step(optimizer, lambda net=net, t=t: net.loss(t) + (net.joined.sin().sum() if t >= 6 else 0.0))
        torch.testing.assert_close(built.values(), ruled.values(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in FUSED if name in VARIED])
def test_fused_foreach_and_loop_walk_the_same_way_as_the_rule(name: str):
    ends = []
    for way in ("rule", "fused", "foreach", "loop"):
        net = Odd(torch.float64)
        optimizer = as_rule(VARIED[name], decay_groups(net)) if way == "rule" else VARIED[name].build(decay_groups(net))
        for group in optimizer.param_groups if way != "rule" else ():
            group["fused"], group["foreach"] = way == "fused", way == "foreach"
        for t in range(1, 11):
            net.step(optimizer, t)
        ends.append(net.values())
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in SINGLE if VARIED[name].separable(VARIED[name])])
def test_rows_and_pieces_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch):
    """Every tensor alone, all that fit in rows, and all cut into pieces of three numbers: the same bits."""
    ends = []
    for small, piece in ((0, 1 << 20), (1 << 10, 1 << 20), (0, 3), (5, 16)):
        monkeypatch.setattr(pieces, "SMALL", small)
        monkeypatch.setattr(pieces, "PIECE", piece)
        net = Odd(torch.float64, channels_last=piece == 16)
        optimizer = as_rule(VARIED[name], decay_groups(net))
        for t in range(1, 8):
            net.step(optimizer, t)
        ends.append(net.values())
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-13, atol=1e-15, check_stride=False)


@pytest.mark.parametrize("name", TENSORS)
def test_keeps_as_many_numbers_as_its_docstring_says(name: str):
    p = nn.Parameter(torch.ones(16, 8))
    optimizer = as_rule(VARIED[name], [p])
    step(optimizer, lambda: p.square().sum())
    kept = sum(v.numel() for _, key, v in entries(optimizer) if isinstance(v, Tensor) and key != "step")
    assert kept == TENSORS[name] * p.numel()


def test_keeps_little_where_the_docstring_says_little():
    for name, wanted in (("adafactor", 16 + 8), ("soap", 2 * 128 + 2 * (16 * 16 + 8 * 8)), ("soap_one_side", 2 * 128)):
        p = nn.Parameter(torch.ones(16, 8))
        optimizer = VARIED[name].build([p])
        step(optimizer, lambda p=p: p.square().sum())
        assert sum(v.numel() for _, _, v in entries(optimizer) if isinstance(v, Tensor)) == wanted


# ------------------------------------------------------------------------------------------------------- stacks


def single_and_stacked(name: str, dtype: torch.dtype, staggered: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of K = 3 trials with different settings after 12 steps, run alone and as a stack; [K, *] for each shape."""
    base = VARIED[name]
    trials = [base.replace(lr=base.lr * f) for f in (0.5, 1.5, 0.1)]  # type: ignore[attr-defined]
    other = {"decay": (0.0, 0.1, 0.5), "beta1": (0.9, 0.5, 0.8), "beta2": (0.999, 0.9, 0.99), "momentum": (0.9, 0.5, 0.7)}
    for field, values in other.items():
        if field in base.hypers():
            trials = [trial.replace(**{field: value}) for trial, value in zip(trials, values)]
    shapes, dice = [(), (3,), (4, 3), (3, 2, 2, 2)], torch.Generator().manual_seed(3)
    starts = [torch.randn(3, *shape, generator=dice, dtype=torch.float64).to(dtype) for shape in shapes]
    pulls = [torch.randn(12, 3, *shape, generator=dice, dtype=torch.float64).to(dtype) for shape in shapes]
    first = (1, 1, 1)
    late = (0, 4, 1) if staggered else (0, 0, 0)  # members that joined later are behind in t
    alone, together = [], []
    for start, pull in zip(starts, pulls):
        axes = (3, *[1] * (start.ndim - 1))

        def column(f: str, axes: tuple[int, ...] = axes) -> Any:
            values = [getattr(trial, f) for trial in trials]
            plain = isinstance(values[0], bool | str) or f in base.fixed
            return values[0] if plain else torch.tensor(values, dtype=torch.float64).reshape(axes)

        rows, states = [], []
        for k, trial in enumerate(trials):
            p, h = start[k].clone(), SimpleNamespace(**{f: getattr(trial, f) for f in base.hypers()})
            s: dict[str, Any] = trial.begin(p, h) | dict(trial.numbers)
            for i in range(late[k]):  # what those who began earlier have done before
                trial.step_(p, pull[i, k] + p, s, i + 1, h)
            rows.append(p)
            states.append(s)
        h = SimpleNamespace(**{f: column(f) for f in base.hypers()})
        p = torch.stack(rows)
        stacked: dict[str, Any] = {
            key: torch.stack([s[key] for s in states]) for key in states[0] if key not in base.numbers
        }
        stacked |= {key: torch.tensor([s[key] for s in states], dtype=torch.float64).reshape(axes) for key in base.numbers}
        for i in range(8):
            t: Any = 1 + i if not staggered else torch.tensor([a + b + i for a, b in zip(first, late)]).reshape(axes)
            base.step_(p, pull[i] + p, stacked, t, h)
            for k, trial in enumerate(trials):
                lone = SimpleNamespace(**{f: getattr(trial, f) for f in base.hypers()})
                trial.step_(rows[k], pull[i, k] + rows[k], states[k], late[k] + 1 + i, lone)
        alone.append(torch.stack(rows))
        together.append(p)
    return alone, together


@pytest.mark.parametrize("staggered", [False, True])
@pytest.mark.parametrize("name", STACKED)
def test_a_stack_of_trials_walks_as_each_walks_alone(name: str, staggered: bool):
    alone, together = single_and_stacked(name, torch.float64, staggered)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in STACKED if "lion" not in n and "soap" not in n and "cautious" not in n])
def test_a_stack_in_float32_differs_by_rounding_alone(name: str):
    """Not of rules that take a sign or an eigenvector, where rounding may turn a step round."""
    alone, together = single_and_stacked(name, torch.float32, staggered=False)
    assert all(p.dtype == torch.float32 for p in together)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", [name for name in VARIED if VARIED[name].stackable])
def test_says_why_it_cannot_be_stacked(name: str):
    assert len(VARIED[name].stackable) > 20


# ------------------------------------------------------------------------------- layouts, complex, sparse, directions


@pytest.mark.parametrize("name", [name for name in SINGLE if VARIED[name].kind != "soap"])
def test_the_layout_of_gradients_and_of_loaded_state_does_not_matter(name: str):
    """torch 2.13's fused kernels alone give wrong steps here; see optimizers/fused.py. (SOAP's eigenvectors of a covariance that
    few gradients have made turn with its rounding, whatever the layout.)"""
    plain, last = Odd(torch.float64), Odd(torch.float64, channels_last=True)
    rule, fast = as_rule(VARIED[name], list(plain.parameters())), VARIED[name].build(list(last.parameters()))
    for t in range(1, 7):
        plain.step(rule, t)

        def closure(t: int = t) -> float:
            fast.zero_grad()
            last.loss(t).backward()
            assert last.window.grad is not None
            last.window.grad = last.window.grad.contiguous()
            return 0.0

        fast.step(closure)
        if t == 3:
            state = copy.deepcopy(fast.state_dict())
            for values in state["state"].values():
                values.update({k: v.contiguous() for k, v in values.items() if isinstance(v, Tensor)})
            fast.load_state_dict(state)
    torch.testing.assert_close(last.values(), plain.values(), rtol=1e-9, atol=1e-11, check_stride=False)


@pytest.mark.parametrize("name", VARIED)
def test_leaves_the_gradient_as_it_was(name: str):
    p = nn.Parameter(torch.ones(3))
    g = torch.tensor([1.0, -2.0, 3.0])

    def closure() -> float:
        p.grad = g
        return float((g * p.detach()).sum())

    VARIED[name].build([p]).step(closure)
    assert g.tolist() == [1.0, -2.0, 3.0]


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", SINGLE)
def test_climbs_where_a_group_asks_to_maximize(name: str, way: str):
    """The same path as down the negative loss."""
    A = torch.tensor(REFERENCE["problems"]["quad2"]["A"])
    ends = []
    for sign in (1.0, -1.0):
        p = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 1.0]]))
        optimizer = BUILDS[way](VARIED[name], [{"params": [p], "maximize": sign < 0}])
        for _ in range(4):
            step(optimizer, lambda p=p, sign=sign: sign * (p @ A * p).sum())
        ends.append(p.detach())
    torch.testing.assert_close(ends[0], ends[1])
    assert not torch.equal(ends[0], torch.tensor([[1.0, -2.0], [0.5, 1.0]]))


@pytest.mark.parametrize("name", VARIED)
def test_complex_parameters_are_stepped_as_pairs_or_refused_by_name(name: str):
    settings = VARIED[name]
    z = nn.Parameter(torch.tensor([1 + 2j, -1 + 0.5j, 0.3 - 1j], dtype=torch.complex128))
    pair = nn.Parameter(torch.view_as_real(z.detach()).clone())
    goal = torch.tensor([0.5 - 1j, 1 + 1j, 0], dtype=torch.complex128)
    if settings.kind != "lbfgs" and (settings.kind == "prodigy" or not settings.separable(settings)):
        optimizer = settings.build([z])
        with pytest.raises(ModelError, match=f"{type(settings).__name__} met a complex parameter"):
            step(optimizer, lambda: (z - goal).abs().square().sum())
        return
    if settings.kind == "lbfgs":
        with pytest.raises(ModelError, match="complex"):
            settings.build([z])
        return
    a, b = settings.build([z]), settings.build([pair])
    for _ in range(5):
        step(a, lambda: (z - goal).abs().square().sum())
        step(b, lambda: (torch.view_as_complex(pair) - goal).abs().square().sum())
    torch.testing.assert_close(torch.view_as_real(z.detach()), pair.detach(), rtol=1e-10, atol=1e-12)


def test_a_complex_parameter_is_left_to_torchs_own_loop():
    assert AdamW().build([nn.Parameter(torch.ones(2, dtype=torch.complex64))]).param_groups[0]["fused"] is None


@pytest.mark.parametrize("name", [n for n in SINGLE if VARIED[n].kind not in FUSED or "cautious" in n])
def test_refuses_a_sparse_gradient_by_name(name: str):
    net = nn.Embedding(4, 2, sparse=True)
    optimizer = VARIED[name].build(list(net.parameters()))
    with pytest.raises(ModelError, match=f"{type(VARIED[name]).__name__} met a sparse gradient; it needs a dense one"):
        step(optimizer, lambda: net(torch.tensor([1])).sum())
